//! Values and the handles they hold.
//!
//! A value is 16 bytes and is copied freely; what it refers to lives in the engine's slabs. A
//! handle is valid while the collector can reach it: from the stack, from a pinned value, or from
//! another reachable object. Under `debug_assertions` a handle carries a generation, so that the
//! use of a stale one panics; without them it may name another object, never foreign memory.

/// The index of an object in its slab.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Handle {
    pub(crate) index: u32,
    #[cfg(debug_assertions)]
    pub(crate) generation: u32,
}

/// A string. Short ones are interned: two of them are equal when their handles are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Str(pub(crate) Handle);

/// Marks the handles of strings that are not interned.
const LONG: u32 = 1 << 31;

impl Str {
    pub(crate) fn short(handle: Handle) -> Self {
        debug_assert!(handle.index < LONG);
        Self(handle)
    }

    pub(crate) fn long(mut handle: Handle) -> Self {
        debug_assert!(handle.index < LONG);
        handle.index |= LONG;
        Self(handle)
    }

    pub(crate) fn is_long(self) -> bool {
        self.0.index & LONG != 0
    }

    /// The place in the slab.
    pub(crate) fn handle(self) -> Handle {
        let mut handle = self.0;
        handle.index &= !LONG;
        handle
    }
}

/// A table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TableRef(pub(crate) Handle);

/// A function written in Lua, or a library function with values bound to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FnRef(pub(crate) Handle);

/// A coroutine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ThreadRef(pub(crate) Handle);

/// The number of a function of the host: what [`crate::Host::call`] is asked to run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct HostFn(pub u32);

/// A function of the libraries: its place in their table.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct NativeFn(pub(crate) u16);

/// A Lua value. Handles in it are valid until the engine next runs Lua code or collects garbage,
/// unless the value is pinned ([`crate::Engine::pin`]) or reachable from something that is.
// A tag as wide as the rest: a copy is then two moves of a word. With a tag of a byte it is several
// overlapping ones, which stall the loads that follow.
#[derive(Clone, Copy, Debug)]
#[repr(u64)]
pub enum Value {
    Nil,
    Boolean(bool),
    Number(f64),
    String(Str),
    Table(TableRef),
    /// A function in Lua, or a bound one of the libraries.
    Function(FnRef),
    /// A function of the libraries.
    Native(NativeFn),
    /// A function of the host.
    Host(HostFn),
    Thread(ThreadRef),
    /// An opaque pointer that is only compared; 0 is `cjson.null`.
    Pointer(u32),
}

const _: () = assert!(cfg!(debug_assertions) || size_of::<Value>() == 16);

impl Value {
    pub fn is_nil(&self) -> bool {
        matches!(self, Self::Nil)
    }

    /// Whether the value counts as true: all but nil and false.
    pub fn truthy(&self) -> bool {
        !matches!(self, Self::Nil | Self::Boolean(false))
    }

    /// The name of the type, as the function `type` gives it.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Nil => "nil",
            Self::Boolean(_) => "boolean",
            Self::Number(_) => "number",
            Self::String(_) => "string",
            Self::Table(_) => "table",
            Self::Function(_) | Self::Native(_) | Self::Host(_) => "function",
            Self::Thread(_) => "thread",
            Self::Pointer(_) => "userdata",
        }
    }

    /// Equality without metamethods and without looking at the bytes of long strings.
    pub(crate) fn same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::String(a), Self::String(b)) => a == b,
            (Self::Number(a), Self::Number(b)) => a == b,
            (Self::Nil, Self::Nil) => true,
            (Self::Boolean(a), Self::Boolean(b)) => a == b,
            (Self::Table(a), Self::Table(b)) => a == b,
            (Self::Function(a), Self::Function(b)) => a == b,
            (Self::Native(a), Self::Native(b)) => a == b,
            (Self::Host(a), Self::Host(b)) => a == b,
            (Self::Thread(a), Self::Thread(b)) => a == b,
            (Self::Pointer(a), Self::Pointer(b)) => a == b,
            _ => false,
        }
    }
}

/// Equality of numbers by value, of all else by identity, strings included: equal long strings may
/// be two.
impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        self.same(other)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<f64> for Value {
    fn from(value: f64) -> Self {
        Self::Number(value)
    }
}
