//! What an engine allocates, and what that may cost.
//!
//! Memory is charged before it is allocated. Nothing here collects garbage: collection runs at the
//! safe points of the virtual machine only (`gc.rs`), so a value that is not rooted yet lives at
//! least until the next one.

use std::sync::Arc;

use crate::proto::{Constant, Proto};
use crate::slab::Slab;
use crate::strings::{SHORT_MAX, Strings};
use crate::table::Table;
use crate::thread::Thread;
use crate::value::{FnRef, Handle, NativeFn, Str, TableRef, Value};

/// The limit on memory is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoMemory;

/// Bytes in use, and how many are allowed.
pub(crate) struct Budget {
    pub(crate) used: usize,
    pub(crate) limit: usize,
}

impl Budget {
    #[inline]
    pub(crate) fn charge(&mut self, bytes: usize) -> Result<(), NoMemory> {
        self.check(bytes)?;
        self.used += bytes;
        Ok(())
    }

    /// Whether `bytes` more are allowed.
    #[inline]
    pub(crate) fn check(&self, bytes: usize) -> Result<(), NoMemory> {
        match self.used.checked_add(bytes) {
            Some(total) if total <= self.limit => Ok(()),
            _ => Err(NoMemory),
        }
    }

    pub(crate) fn release(&mut self, bytes: usize) {
        self.used = self.used.saturating_sub(bytes);
    }
}

/// A prototype with its constants as values of this engine.
pub(crate) struct Loaded {
    pub(crate) proto: Arc<Proto>,
    pub(crate) constants: Box<[Value]>,
    pub(crate) children: Box<[Handle]>,
}

pub(crate) enum Function {
    Lua { proto: Handle, upvalues: Box<[Handle]> },
    Bound { native: NativeFn, values: Box<[Value]> },
}

#[derive(Clone, Copy)]
pub(crate) enum Upvalue {
    /// A register of a coroutine.
    Open {
        thread: Handle,
        at: u32,
    },
    Closed(Value),
}

const FUNCTION: usize = 72;
const UPVALUE: usize = 40;
const THREAD: usize = 256;
const LOADED: usize = 64;

/// What a loaded prototype costs without those in it. The prototype itself counts too: of what
/// scripts compile nobody else keeps count.
fn loaded_cost(proto: &Proto) -> usize {
    let inner: usize = proto.protos.iter().map(|proto| proto.size).sum();
    LOADED + proto.size - inner + proto.constants.len() * 16 + proto.protos.len() * 8
}

pub(crate) struct Heap {
    pub(crate) budget: Budget,
    pub(crate) strings: Strings,
    pub(crate) tables: Slab<Table>,
    pub(crate) functions: Slab<Function>,
    pub(crate) upvalues: Slab<Upvalue>,
    pub(crate) loaded: Slab<Arc<Loaded>>,
    pub(crate) threads: Slab<Thread>,
}

impl Heap {
    pub(crate) fn new(limit: usize, seed: (u64, u64)) -> Self {
        Self {
            budget: Budget { used: 0, limit },
            strings: Strings::new(seed),
            tables: Slab::new(),
            functions: Slab::new(),
            upvalues: Slab::new(),
            loaded: Slab::new(),
            threads: Slab::new(),
        }
    }

    #[inline]
    pub(crate) fn new_str(&mut self, bytes: &[u8]) -> Result<Str, NoMemory> {
        self.strings.new_str(bytes, &mut self.budget)
    }

    /// A part of a string.
    pub(crate) fn part(&mut self, s: Str, part: std::ops::Range<usize>) -> Result<Str, NoMemory> {
        let bytes = &self.strings.bytes(s)[part];
        if bytes.len() <= SHORT_MAX {
            // The string may move when another one is added.
            let mut copy = [0; SHORT_MAX];
            copy[..bytes.len()].copy_from_slice(bytes);
            let length = bytes.len();
            return self.new_str(&copy[..length]);
        }
        self.budget.check(bytes.len())?;
        let bytes = bytes.to_vec();
        self.take_str(bytes)
    }

    pub(crate) fn take_str(&mut self, bytes: Vec<u8>) -> Result<Str, NoMemory> {
        self.strings.take_str(bytes, &mut self.budget)
    }

    pub(crate) fn new_table(&mut self, array: usize, hash: usize) -> Result<TableRef, NoMemory> {
        let expected = array.saturating_mul(16).saturating_add(hash.saturating_mul(40));
        self.budget.check(expected.saturating_add(crate::table::OVERHEAD))?;
        let table = Table::with_room(array, hash)?;
        self.budget.charge(table.cost())?;
        Ok(TableRef(self.tables.insert(table)))
    }

    #[inline]
    pub(crate) fn table(&self, t: TableRef) -> &Table {
        self.tables.get(t.0)
    }

    #[inline]
    pub(crate) fn table_mut(&mut self, t: TableRef) -> &mut Table {
        self.tables.get_mut(t.0)
    }

    #[inline]
    pub(crate) fn table_get(&self, t: TableRef, key: &Value) -> Value {
        self.tables.get(t.0).get(key, &self.strings)
    }

    /// Stores without metamethods and without a look at the read-only flag.
    #[inline]
    pub(crate) fn table_set(
        &mut self,
        t: TableRef,
        key: &Value,
        value: Value,
    ) -> Result<(), NoMemory> {
        self.tables.get_mut(t.0).set(key, value, &self.strings, &mut self.budget)
    }

    pub(crate) fn table_push(&mut self, t: TableRef, value: Value) -> Result<(), NoMemory> {
        self.tables.get_mut(t.0).push(value, &self.strings, &mut self.budget)
    }

    pub(crate) fn new_lua(
        &mut self,
        proto: Handle,
        upvalues: Box<[Handle]>,
    ) -> Result<FnRef, NoMemory> {
        self.budget.charge(FUNCTION + upvalues.len() * size_of::<Handle>())?;
        Ok(FnRef(self.functions.insert(Function::Lua { proto, upvalues })))
    }

    pub(crate) fn new_bound(
        &mut self,
        native: NativeFn,
        values: Box<[Value]>,
    ) -> Result<FnRef, NoMemory> {
        self.budget.charge(FUNCTION + values.len() * 16)?;
        Ok(FnRef(self.functions.insert(Function::Bound { native, values })))
    }

    pub(crate) fn new_upvalue(&mut self, upvalue: Upvalue) -> Result<Handle, NoMemory> {
        self.budget.charge(UPVALUE)?;
        Ok(self.upvalues.insert(upvalue))
    }

    pub(crate) fn new_thread(&mut self, thread: Thread) -> Result<Handle, NoMemory> {
        self.budget.charge(THREAD + thread.stack.len() * 16)?;
        Ok(self.threads.insert(thread))
    }

    /// Makes a prototype and those in it usable by this engine.
    pub(crate) fn load(&mut self, proto: &Arc<Proto>) -> Result<Handle, NoMemory> {
        self.budget.charge(loaded_cost(proto))?;
        let mut constants = Vec::with_capacity(proto.constants.len());
        for constant in &proto.constants {
            constants.push(match constant {
                Constant::Number(n) => Value::Number(*n),
                Constant::String(bytes) => Value::String(self.new_str(bytes)?),
            });
        }
        // The depth of functions in functions is bounded by the compiler.
        let children = proto.protos.iter().map(|p| self.load(p)).collect::<Result<Vec<_>, _>>()?;
        Ok(self.loaded.insert(Arc::new(Loaded {
            proto: Arc::clone(proto),
            constants: constants.into(),
            children: children.into(),
        })))
    }

    /// Frees what is not marked and takes the marks off.
    pub(crate) fn sweep(&mut self) {
        let budget = &mut self.budget;
        self.strings.sweep(budget);
        self.tables.sweep(|table| budget.release(table.cost()));
        self.functions.sweep(|function| {
            budget.release(match function {
                Function::Lua { upvalues, .. } => FUNCTION + upvalues.len() * size_of::<Handle>(),
                Function::Bound { values, .. } => FUNCTION + values.len() * 16,
            });
        });
        self.upvalues.sweep(|_| budget.release(UPVALUE));
        self.loaded.sweep(|loaded| {
            budget.release(loaded_cost(&loaded.proto));
        });
        self.threads.sweep(|thread| budget.release(THREAD + thread.stack.len() * 16));
    }
}
