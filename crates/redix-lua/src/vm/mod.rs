//! The virtual machine.

use crate::engine::{Engine, Fault, Host, Options, RunError};
use crate::value::{HostFn, Value};

impl Engine {
    /// An engine with the libraries in its globals.
    pub fn new(_options: &Options) -> Self {
        unimplemented!()
    }
    pub(crate) fn run_value(&mut self, _f: Value, _args: &[Value], _host: &mut dyn Host) -> Result<Value, RunError> {
        unimplemented!()
    }
    pub(crate) fn push(&mut self, _value: Value) -> Result<(), Fault> {
        unimplemented!()
    }
    pub(crate) fn error_text(&mut self, _message: &[u8]) -> Fault {
        unimplemented!()
    }
    pub(crate) fn error_at(&mut self, _level: usize, _message: &[u8]) -> Fault {
        unimplemented!()
    }
}
