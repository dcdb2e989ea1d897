//! Threads that do one job together, again and again.

use std::num::NonZero;
use std::panic::{self, AssertUnwindSafe};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread::{self, JoinHandle};

use redix_core::env::{Crew, Job};

/// Threads that wait for jobs; they end with it.
pub(crate) struct Threads {
    members: Vec<Member>,
    /// Receives, from each thread that has done a job, whether it ended without a panic.
    done: Receiver<bool>,
}

struct Member {
    jobs: Sender<Job>,
    handle: JoinHandle<()>,
}

impl Threads {
    /// Starts up to `count` threads: fewer if the system refuses, or has fewer processors.
    pub(crate) fn start(count: usize) -> Self {
        let processors = thread::available_parallelism().map_or(1, NonZero::get);
        let (report, done) = mpsc::channel();
        let members = (0..count.min(processors)).map_while(|_| Member::start(report.clone()));
        Self { members: members.collect(), done }
    }
}

impl Member {
    fn start(report: Sender<bool>) -> Option<Self> {
        let (jobs, queue) = mpsc::channel::<Job>();
        let work = move || {
            for job in queue {
                let outcome = panic::catch_unwind(AssertUnwindSafe(|| job()));
                // The job may own what the caller counts on being free.
                drop(job);
                if report.send(outcome.is_ok()).is_err() {
                    return;
                }
            }
        };
        let thread = thread::Builder::new().name("loader".into()).spawn(work);
        thread.ok().map(|handle| Self { jobs, handle })
    }
}

impl Crew for Threads {
    fn run(&mut self, job: Job) {
        // A thread ends only when its sender is dropped.
        let sent = self.members.iter().filter(|member| member.jobs.send(job.clone()).is_ok());
        let sent = sent.count();
        job();
        let all_well = (0..sent).all(|_| self.done.recv().unwrap_or(false));
        assert!(all_well, "a thread has panicked");
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        for Member { jobs, handle } in self.members.drain(..) {
            drop(jobs);
            // A panic was reported as the outcome of its job.
            handle.join().ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn each_thread_does_each_job_once() {
        let calls = Arc::new(AtomicUsize::new(0));
        let mut crew = Threads::start(1);
        for round in 1..=100 {
            let calls = Arc::clone(&calls);
            let counted = Arc::clone(&calls);
            crew.run(Arc::new(move || {
                counted.fetch_add(1, Ordering::Relaxed);
            }));
            assert_eq!(calls.load(Ordering::Relaxed), 2 * round);
        }
    }

    #[test]
    fn a_panic_of_a_thread_is_one_of_the_caller() {
        let caller = thread::current().id();
        let mut crew = Threads::start(1);
        let job: Job = Arc::new(move || assert_eq!(thread::current().id(), caller));
        assert!(panic::catch_unwind(AssertUnwindSafe(|| crew.run(job))).is_err());
    }
}
