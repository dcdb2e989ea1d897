//! The thread that reads the primary's stream ahead of its execution; see
//! [`redix_core::upstream::ahead`].
//!
//! It sleeps until the link lags. Then it reads and prepares commands, and queues the portions for
//! the link; once nothing is available and the queue is empty, it returns the rest and sleeps
//! again.
//!
//! **Invariants.** At most [`QUEUED_MAX`] bytes and one portion more are in the queue. The thread
//! never waits for the socket, and for the link only while the queue is not empty. It stops reading
//! when the queue is abandoned.

use std::collections::VecDeque;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;

use super::PrimaryStream;
use mio::Waker;
use parking_lot::{Condvar, Mutex};
use redix_core::upstream::ahead::{Next, Portion, Portions, ReadAhead};

/// Bytes in the queue at which reading pauses.
pub(super) const QUEUED_MAX: u64 = 2 * 1024 * 1024;
/// Consumed portions that are kept for reuse.
const SPARE_MAX: usize = 40;

/// The handle of the thread.
pub(super) struct Reader {
    jobs: mpsc::Sender<Job>,
    queued_max: u64,
}

struct Job {
    ahead: Box<ReadAhead>,
    stream: Arc<PrimaryStream>,
    queue: Arc<Queue>,
}

/// The queue between the thread and the link.
struct Queue {
    state: Mutex<State>,
    /// Signalled when the link has taken a portion that the thread waits for, or abandoned the
    /// queue.
    taken: Condvar,
    /// Bytes read and not yet taken by the link.
    waiting: AtomicU64,
    /// Bytes in the queue at which reading pauses.
    queued_max: u64,
}

#[derive(Default)]
struct State {
    portions: VecDeque<Portion>,
    /// Bytes in the queued portions.
    bytes: u64,
    spare: Vec<Portion>,
    /// The thread waits until at most this many bytes are queued.
    wanted: Option<u64>,
    /// The link has found the queue empty.
    hungry: bool,
    ended: Option<(Portion, io::Error)>,
    abandoned: bool,
}

impl Reader {
    /// Starts the thread, which pauses reading at `queued_max` queued bytes, and calls `waker` for
    /// a link that waits; `None` on a single processor, where nothing would be gained.
    pub(super) fn start(waker: Arc<Waker>, queued_max: u64) -> Result<Option<Self>, String> {
        if thread::available_parallelism().map_or(1, usize::from) < 2 {
            return Ok(None);
        }
        let (jobs, to_do) = mpsc::channel();
        thread::Builder::new()
            .name("link-reader".into())
            .spawn(move || to_do.into_iter().for_each(|job| run(&waker, job)))
            .map_err(|error| format!("Can't start a thread: {error}"))?;
        Ok(Some(Self { jobs, queued_max }))
    }

    /// Starts reading the stream ahead.
    pub(super) fn begin(
        &self,
        ahead: Box<ReadAhead>,
        stream: &Arc<PrimaryStream>,
    ) -> Result<Box<dyn Portions>, Box<ReadAhead>> {
        let queue = Arc::new(Queue {
            state: Mutex::default(),
            taken: Condvar::new(),
            waiting: AtomicU64::new(ahead.waiting_bytes()),
            queued_max: self.queued_max,
        });
        let job = Job { ahead, stream: Arc::clone(stream), queue: Arc::clone(&queue) };
        self.jobs.send(job).map_err(|unsent| unsent.0.ahead)?;
        Ok(Box::new(Taking(queue)))
    }
}

/// Serves one queue until it ends.
fn run(waker: &Waker, job: Job) {
    let Job { ahead, stream, queue } = job;
    let read = catch_unwind(AssertUnwindSafe(|| read(waker, *ahead, &stream, &queue)));
    let ended = read.unwrap_or_else(|_| {
        (Portion::default(), io::Error::other("what reads ahead has panicked"))
    });
    queue.state.lock().ended = Some(ended);
    wake(waker);
}

fn wake(waker: &Waker) {
    // Ignored: it only fails if the event counter is full, and then the link is being woken anyway.
    waker.wake().ok();
}

/// Fills the queue until nothing is available and the queue is empty.
fn read(
    waker: &Waker,
    mut ahead: ReadAhead,
    mut stream: &PrimaryStream,
    queue: &Queue,
) -> (Portion, io::Error) {
    loop {
        let error = match ahead.read(&mut stream) {
            Ok(count) => {
                queue.waiting.fetch_add(count as u64, Ordering::Relaxed);
                if let Some(portion) = ahead.take(|| queue.spare())
                    && queue.push(portion)
                {
                    wake(waker);
                }
                if queue.wait_for_room() {
                    continue;
                }
                io::ErrorKind::Interrupted.into()
            }
            // While the link has something to execute, more may arrive.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock && queue.wait_for_link() => {
                continue;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => error,
        };
        return (ahead.into_rest(), error);
    }
}

impl Queue {
    fn spare(&self) -> Portion {
        self.state.lock().spare.pop().unwrap_or_default()
    }

    /// Adds a portion; true if the link has to be woken.
    fn push(&self, portion: Portion) -> bool {
        let mut state = self.state.lock();
        state.bytes += portion.len();
        state.portions.push_back(portion);
        std::mem::take(&mut state.hungry)
    }

    /// Waits until a full queue is half empty; false if it was abandoned.
    fn wait_for_room(&self) -> bool {
        let mut state = self.state.lock();
        if state.bytes >= self.queued_max {
            return self.wait(&mut state, self.queued_max / 2);
        }
        !state.abandoned
    }

    /// Waits until the link takes a portion; false if the queue is empty.
    fn wait_for_link(&self) -> bool {
        let mut state = self.state.lock();
        let bytes = state.bytes;
        bytes != 0 && self.wait(&mut state, bytes - 1)
    }

    /// Waits until at most `bytes` are in the queue; false if it was abandoned.
    fn wait(&self, state: &mut parking_lot::MutexGuard<'_, State>, bytes: u64) -> bool {
        state.wanted = Some(bytes);
        while state.wanted.is_some() && !state.abandoned {
            self.taken.wait(state);
        }
        !state.abandoned
    }
}

/// The link's end of a queue.
struct Taking(Arc<Queue>);

impl Portions for Taking {
    fn next(&mut self) -> Next {
        let queue = &*self.0;
        let mut state = queue.state.lock();
        let Some(portion) = state.portions.pop_front() else {
            let Some((rest, why)) = state.ended.take() else {
                state.hungry = true;
                return Next::Nothing;
            };
            return Next::Ended(rest, why);
        };
        state.bytes -= portion.len();
        queue.waiting.fetch_sub(portion.len(), Ordering::Relaxed);
        if state.wanted.is_some_and(|bytes| state.bytes <= bytes) {
            state.wanted = None;
            queue.taken.notify_one();
        }
        Next::Portion(portion)
    }

    fn give_back(&mut self, spent: Portion) {
        let mut state = self.0.state.lock();
        if state.spare.len() < SPARE_MAX {
            state.spare.push(spent);
        }
    }

    fn waiting_bytes(&self) -> u64 {
        self.0.waiting.load(Ordering::Relaxed)
    }
}

impl Drop for Taking {
    fn drop(&mut self) {
        self.0.state.lock().abandoned = true;
        self.0.taken.notify_one();
    }
}

#[cfg(test)]
mod tests;
