//! A host for tests: `print`, a clock that counts, a bound on the work.

use redix_lua::{Call, Engine, Fault, Host, HostFn, Options, RunError, Tick, Value, compile};

/// `print`, into a buffer.
const PRINT: HostFn = HostFn(0);

pub(crate) struct TestHost {
    pub(crate) output: Vec<u8>,
    /// Slices of work that are left.
    pub(crate) slices: u64,
    clock: f64,
}

impl TestHost {
    pub(crate) fn new(slices: u64) -> Self {
        Self { output: Vec::new(), slices, clock: 0.0 }
    }
}

impl Host for TestHost {
    fn call(&mut self, which: HostFn, call: &mut Call<'_>) -> Result<(), Fault> {
        if which != PRINT {
            return Err(call.error(b"no such host function"));
        }
        for at in 0..call.count() {
            let text = call.to_text(self, call.arg(at))?;
            let Some(text) = call.engine_ref().bytes_of(text) else {
                return Err(call.error_here(b"'tostring' must return a string to 'print'"));
            };
            if at > 0 {
                self.output.push(b'\t');
            }
            self.output.extend_from_slice(text);
        }
        self.output.push(b'\n');
        Ok(())
    }

    fn tick(&mut self) -> Tick {
        self.slices = self.slices.saturating_sub(1);
        if self.slices == 0 { Tick::Kill } else { Tick::GoOn }
    }

    fn clock(&mut self) -> f64 {
        self.clock += 0.001;
        self.clock
    }
}

/// An engine with `print`.
pub(crate) fn engine(options: &Options) -> Engine {
    let mut engine = Engine::new(options);
    let globals = engine.globals();
    engine.raw_set_field(globals, b"print", Value::Host(PRINT)).expect("there is room");
    engine
}

/// Runs a source as the oracle does: what it prints, then an uncaught error as a line.
pub(crate) fn run(engine: &mut Engine, source: &[u8], host: &mut TestHost) {
    let proto = match compile(source, b"@user_script") {
        Ok(proto) => proto,
        Err(error) => {
            host.output.extend_from_slice(b"COMPILE ERROR: ");
            host.output.extend_from_slice(&error.message);
            return host.output.push(b'\n');
        }
    };
    let function = engine.load(&proto).expect("there is room for the script");
    let arg = engine.new_string(b"argA").expect("there is room for an argument");
    let outcome = engine.run(function, &[arg, Value::Number(7.0)], host);
    engine.unpin(function);
    let text = match outcome {
        Ok(_) => return,
        Err(RunError::Error { value, .. }) => match value {
            Value::String(s) => engine.bytes(s).to_vec(),
            Value::Table(_) => b"(table)".to_vec(),
            Value::Number(n) => {
                let mut text = Vec::new();
                engine.push_number_text(n, &mut text);
                text
            }
            Value::Boolean(b) => b.to_string().into_bytes(),
            other => other.type_name().as_bytes().to_vec(),
        },
        Err(RunError::Memory) => b"not enough memory".to_vec(),
        Err(RunError::Killed { .. }) => b"killed".to_vec(),
    };
    host.output.extend_from_slice(b"ERROR: ");
    host.output.extend_from_slice(&text);
    host.output.push(b'\n');
}

/// The files of a folder of scripts with an ending, sorted.
pub(crate) fn scripts(folder: &str) -> Vec<std::path::PathBuf> {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(folder);
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .expect("the folder is part of the crate")
        .map(|entry| entry.expect("it can be read").path())
        .filter(|path| path.extension().is_some_and(|end| end == "lua"))
        .collect();
    paths.sort();
    paths
}

/// The text with each address replaced by `ADDR`.
pub(crate) fn without_addresses(text: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = text;
    while let Some((&byte, tail)) = rest.split_first() {
        if let Some(digits) = rest.strip_prefix(b"0x") {
            let length = digits.iter().take_while(|b| b.is_ascii_hexdigit()).count();
            if length >= 6 {
                out.extend_from_slice(b"ADDR");
                rest = &digits[length..];
                continue;
            }
        }
        out.push(byte);
        rest = tail;
    }
    out
}
