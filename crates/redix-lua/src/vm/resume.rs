//! Coroutines: switching between their stacks.

use super::{DEPTH_MAX, Engine, Fault, Host, Result};
use crate::thread::{Status, Thread};
use crate::value::{ThreadRef, Value};

/// The registers that the stack of a coroutine has at first.
const STACK_MIN: usize = 16;

impl Engine {
    /// A coroutine that will run a function.
    pub(crate) fn new_coroutine(&mut self, function: Value) -> Result<ThreadRef> {
        self.fuel -= 16;
        let mut thread = Thread::new(STACK_MIN);
        thread.stack[0] = function;
        thread.top = 1;
        Ok(ThreadRef(self.heap.new_thread(thread)?))
    }

    pub(crate) fn status_of(&self, thread: ThreadRef) -> Status {
        match thread.0 == self.running {
            true => Status::Running,
            false => self.heap.threads.get(thread.0).status,
        }
    }

    /// Resumes a coroutine with values from the stack; what it yields or returns is pushed. The
    /// inner error is the coroutine's.
    pub(crate) fn resume(
        &mut self,
        host: &mut dyn Host,
        thread: ThreadRef,
        first: usize,
        count: usize,
    ) -> Result<std::result::Result<usize, Value>> {
        let status = self.status_of(thread);
        let refused = match status {
            Status::Dead => Some("cannot resume dead coroutine"),
            Status::Running => Some("cannot resume running coroutine"),
            Status::Normal => Some("cannot resume normal coroutine"),
            Status::Fresh | Status::Suspended if self.depth >= DEPTH_MAX => {
                Some("C stack overflow")
            }
            Status::Fresh | Status::Suspended => None,
        };
        if let Some(message) = refused {
            return Ok(Err(Value::String(self.heap.new_str(message.as_bytes())?)));
        }
        self.spend(host, 4 + count / 4)?;
        let args = self.thread.stack[first..first + count].to_vec();
        let from_lua = self.called_from_lua;
        self.enter_thread(thread);
        self.depth += 1;
        self.thread.yield_depth = self.depth;
        let outcome = self.run_coroutine(host, status, &args);
        self.depth -= 1;
        let values = match &outcome {
            Ok(()) => self.thread.stack[..self.thread.top].to_vec(),
            Err(Fault::Yield) => {
                let (base, count) = self.yielded;
                self.thread.stack[base..base + count].to_vec()
            }
            Err(_) => Vec::new(),
        };
        self.leave_thread(thread, matches!(outcome, Err(Fault::Yield)));
        self.called_from_lua = from_lua;
        let error = match outcome {
            Ok(()) | Err(Fault::Yield) => {
                for value in &values {
                    self.push(*value)?;
                }
                return Ok(Ok(values.len()));
            }
            Err(Fault::Error(value)) => value,
            Err(Fault::Memory) => Value::String(self.names.no_memory),
            Err(Fault::Kill) => return Err(Fault::Kill),
        };
        self.fault_at = None;
        Ok(Err(error))
    }

    fn enter_thread(&mut self, thread: ThreadRef) {
        self.thread.status = Status::Normal;
        std::mem::swap(&mut self.thread, self.heap.threads.get_mut(self.running));
        self.resumers.push(self.running);
        self.running = thread.0;
        std::mem::swap(&mut self.thread, self.heap.threads.get_mut(thread.0));
        self.thread.status = Status::Running;
    }

    fn leave_thread(&mut self, thread: ThreadRef, yielded: bool) {
        if yielded {
            self.thread.status = Status::Suspended;
        } else {
            self.close_upvalues(0);
            self.heap.budget.release(self.thread.stack.len() * 16);
            self.thread = Thread::new(0);
            self.thread.status = Status::Dead;
        }
        std::mem::swap(&mut self.thread, self.heap.threads.get_mut(thread.0));
        let resumer = self.resumers.pop().expect("a coroutine was resumed by another");
        self.running = resumer;
        std::mem::swap(&mut self.thread, self.heap.threads.get_mut(resumer));
        self.thread.status = Status::Running;
    }

    fn run_coroutine(&mut self, host: &mut dyn Host, status: Status, args: &[Value]) -> Result<()> {
        if status == Status::Fresh {
            for value in args {
                self.push(*value)?;
            }
            let begun = self.begin_call(host, 0, args.len(), None)?;
            if let Some(loaded) = begun {
                if let Some(frame) = self.thread.frames.last_mut() {
                    frame.leaves = true;
                }
                return self.execute(host, loaded);
            }
            return Ok(());
        }
        let (at, wanted) = self.thread.resume_at;
        self.thread.top = self.thread.extent();
        for value in args {
            self.push(*value)?;
        }
        self.place_results(at, args.len(), wanted)?;
        let frame = self.thread.frames.last_mut().expect("a Lua function yielded");
        let loaded = frame.loaded.take().expect("it was put there at the yield");
        self.execute(host, loaded)
    }
}
