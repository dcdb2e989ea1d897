//! Lua 5.1 in safe Rust: the engine of scripts. It knows nothing of Redis; functions, clock and
//! limits come from its [`Host`].
//!
//! A source is compiled once ([`compile()`]) into a [`Proto`] that threads share; an [`Engine`]
//! loads it and runs it. The libraries are those that the real servers give to scripts: base,
//! string, table, math, os.clock, coroutine, bit, cjson, cmsgpack, struct. There is no access to
//! files, processes or bytecode.
//!
//! **Invariants.** No recursion over a script's data or syntax is unbounded: native calls nest at
//! most 200 deep, syntax 200, patterns 220. Memory is charged before it is allocated. Every loop
//! that a script can make long spends fuel. Garbage is collected at safe points only, where every
//! value in use is reachable from a stack, a pin or the globals.
//!
//! ```ignore
//! let proto = redix_lua::compile(b"return 1 + ...", b"@user_script")?;
//! let mut engine = Engine::new(Options::default());
//! let function = engine.load(&proto)?;
//! let three = engine.run(function, &[Value::Number(2.0)], &mut host)?;
//! ```

#![forbid(unsafe_code)]

mod compile;
mod engine;
mod gc;
mod heap;
mod library;
mod names;
mod number;
mod proto;
mod random;
mod slab;
mod strings;
mod table;
mod thread;
mod value;
mod vm;

pub use compile::{CompileError, compile};
pub use engine::{Call, Engine, Fault, Host, Options, Pin, RunError, Tick};
pub use proto::Proto;
pub use value::{FnRef, HostFn, NativeFn, Str, TableRef, ThreadRef, Value};
