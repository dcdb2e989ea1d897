//! The strings that the engine itself looks up: names of metamethods and a few keys.

use crate::heap::{Heap, NoMemory};
use crate::value::Str;

/// A metamethod. Those up to [`Event::Eq`] are looked up so often that a table remembers which of
/// them it lacks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Event {
    Index,
    NewIndex,
    Mode,
    Eq,
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Pow,
    Unm,
    Lt,
    Le,
    Concat,
    Call,
    ToString,
    Metatable,
}

const EVENTS: [&str; 17] = [
    "__index",
    "__newindex",
    "__mode",
    "__eq",
    "__add",
    "__sub",
    "__mul",
    "__div",
    "__mod",
    "__pow",
    "__unm",
    "__lt",
    "__le",
    "__concat",
    "__call",
    "__tostring",
    "__metatable",
];

/// Strings that are made with the engine and stay.
pub(crate) struct Names {
    events: [Str; 17],
    pub(crate) n: Str,
    pub(crate) no_memory: Str,
}

impl Names {
    pub(crate) fn new(heap: &mut Heap) -> Result<Self, NoMemory> {
        let n = heap.new_str(b"n")?;
        let mut events = [n; 17];
        for (place, name) in events.iter_mut().zip(EVENTS) {
            *place = heap.new_str(name.as_bytes())?;
        }
        Ok(Self { events, n, no_memory: heap.new_str(b"not enough memory")? })
    }

    pub(crate) fn event(&self, event: Event) -> Str {
        self.events[event as usize]
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = Str> {
        self.events.into_iter().chain([self.n, self.no_memory])
    }
}

/// The longest name of a chunk in messages of the compiler, with the zero byte that C puts at its
/// end.
pub(crate) const ID_MAX_COMPILE: usize = 80;

/// The same in messages of running functions.
pub(crate) const ID_MAX_RUN: usize = 60;

/// The name of a chunk as messages show it: `@file` and `=name` without their mark, cut to the last
/// or first bytes; anything else is a source, of which the first line is quoted.
pub(crate) fn chunk_id(chunk: &[u8], max: usize) -> Vec<u8> {
    // C's strings end at the first zero byte.
    let chunk = chunk.split(|byte| *byte == 0).next().unwrap_or(chunk);
    match chunk {
        [b'=', name @ ..] => name[..name.len().min(max - 1)].to_vec(),
        [b'@', name @ ..] => {
            let room = max - " '...' ".len() - 1;
            match name.len() > room {
                true => [b"...", &name[name.len() - room..]].concat(),
                false => name.to_vec(),
            }
        }
        source => {
            let line = source.split(|b| *b == b'\n' || *b == b'\r').next().unwrap_or(source);
            let room = max - " [string \"...\"] ".len() - 1;
            let line_cut = &line[..line.len().min(room)];
            match line_cut.len() < source.len() {
                true => [b"[string \"", line_cut, b"...\"]"].concat(),
                false => [b"[string \"", line_cut, b"\"]"].concat(),
            }
        }
    }
}
