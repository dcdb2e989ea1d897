//! The arguments of one command.

use redix_resp::request::{COMMAND_LEN_MAX, Span};
use redix_types::num::LongDouble;

use crate::error::ReplyError;
use crate::sync::Arc;

/// Large arguments of a command, each in the buffer that it was received in.
pub type Bodies = Vec<Arc<Vec<u8>>>;

/// Parses a 32-bit integer.
pub fn parse_i32(word: &[u8]) -> Result<i32, ReplyError> {
    let number = redix_types::num::parse_i64(word).ok_or(ReplyError::NotInteger)?;
    i32::try_from(number).map_err(|_| {
        ReplyError::Static(
            "ERR value is out of range, value must between -2147483648 and 2147483647",
        )
    })
}

/// Parses a database index, which must be below `databases`.
pub fn parse_db(word: &[u8], databases: u32) -> Result<u32, ReplyError> {
    to_db(parse_i32(word)?, databases)
}

/// Checks a database index that has been parsed.
pub fn to_db(number: i32, databases: u32) -> Result<u32, ReplyError> {
    let db = u32::try_from(number).ok().filter(|db| *db < databases);
    db.ok_or(ReplyError::Static("ERR DB index is out of range"))
}

/// Finds the databases that the arguments at `words` name, of `count` that there are, as
/// [`NamedDatabases`](super::spec::NamedDatabases) does.
pub fn name_databases(
    args: Args<'_>,
    words: impl IntoIterator<Item = usize>,
    count: u32,
    out: &mut Vec<(usize, u32)>,
) -> bool {
    words.into_iter().all(|word| {
        let db = args.try_get(word).and_then(|text| parse_db(text, count).ok());
        out.extend(db.map(|db| (word, db)));
        db.is_some()
    })
}

/// A command's arguments; argument 0 is its name. Borrowed from the read buffer or from a MULTI
/// queue.
#[derive(Clone, Copy)]
pub struct Args<'a> {
    bytes: &'a [u8],
    spans: &'a [Span],
    /// Large arguments, which the spans refer to by number.
    bodies: Option<&'a Bodies>,
}

impl<'a> Args<'a> {
    /// The arguments that `spans` cut out of `bytes`. Every span lies within `bytes`.
    #[inline]
    pub fn new(bytes: &'a [u8], spans: &'a [Span]) -> Self {
        Self { bytes, spans, bodies: None }
    }

    /// As [`Args::new`], where some of the spans refer to `bodies`.
    pub(crate) fn with_bodies(bytes: &'a [u8], spans: &'a [Span], bodies: &'a Bodies) -> Self {
        Self { bytes, spans, bodies: Some(bodies) }
    }

    /// The number of arguments, the name included.
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "a command has at least its name")]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Argument `index`, which must exist: arity has been checked.
    #[inline]
    pub fn get(&self, index: usize) -> &'a [u8] {
        let span = self.spans[index];
        match self.bytes.get(span.start as usize..span.start as usize + span.len as usize) {
            Some(word) => word,
            None => self.detached(index).expect("every span lies within the bytes"),
        }
    }

    /// The buffer of argument `index`, if it was received in one of its own.
    #[cold]
    fn detached(&self, index: usize) -> Option<&'a Arc<Vec<u8>>> {
        self.bodies?.get(self.spans[index].detached()?)
    }

    /// Shares that buffer, to store it without copying.
    #[inline]
    pub fn shared(&self, index: usize) -> Option<Arc<Vec<u8>>> {
        self.bodies.and_then(|_| self.detached(index)).map(Arc::clone)
    }

    /// Argument `index`, if it exists.
    pub fn try_get(&self, index: usize) -> Option<&'a [u8]> {
        (index < self.len()).then(|| self.get(index))
    }

    /// The arguments from `first` on.
    pub fn iter_from(self, first: usize) -> impl ExactSizeIterator<Item = &'a [u8]> {
        (first..self.len().max(first)).map(move |index| self.get(index))
    }

    /// The arguments before `end`.
    pub fn head(self, end: usize) -> Self {
        Self { spans: &self.spans[..end], ..self }
    }

    /// The command that begins at argument `first`, which must exist.
    pub fn tail(self, first: usize) -> Self {
        Self { spans: &self.spans[first..], ..self }
    }

    /// Whether argument `index` exists and equals `word`, ignoring case.
    pub fn is(&self, index: usize, word: &str) -> bool {
        self.try_get(index).is_some_and(|arg| arg.eq_ignore_ascii_case(word.as_bytes()))
    }

    /// Argument `index` as a 64-bit integer.
    pub fn int(&self, index: usize) -> Result<i64, ReplyError> {
        redix_types::num::parse_i64(self.get(index)).ok_or(ReplyError::NotInteger)
    }

    /// Argument `index`, a timeout in seconds, as a deadline in Unix milliseconds, rounded up;
    /// `None` for 0, which means no timeout.
    pub fn deadline_ms(&self, index: usize, now_ms: i64) -> Result<Option<i64>, ReplyError> {
        let seconds = LongDouble::parse(self.get(index))
            .ok_or(ReplyError::Static("ERR timeout is not a float or out of range"))?;
        let out_of_range = ReplyError::Static("ERR timeout is out of range");
        match seconds.thousandfold() {
            None => Err(out_of_range),
            Some(0) => Ok(None),
            Some(ms @ 1..) => now_ms.checked_add(ms).map(Some).ok_or(out_of_range),
            Some(_) => Err(ReplyError::Static("ERR timeout is negative")),
        }
    }

    /// An upper bound of [`Args::request_bytes`] that is cheap to compute.
    #[inline]
    pub fn request_bytes_max(&self) -> usize {
        if self.bodies.is_some() {
            return self.request_bytes();
        }
        let (first, last) = (self.spans[0], self.spans[self.spans.len() - 1]);
        // Arguments lie one behind the other, in the array form of the request or without it.
        let stretch = last.start as usize + last.len as usize - first.start as usize;
        stretch + (self.spans.len() + 1) * (2 + 20 + 2)
    }

    /// The length of the request in the protocol's array form.
    pub fn request_bytes(&self) -> usize {
        let line = |n: usize| 1 + redix_types::num::i64_len(n as i64) + 2;
        let words = self.spans.iter().map(|span| span.len as usize);
        line(self.spans.len()) + words.map(|len| line(len) + len + 2).sum::<usize>()
    }

    /// A cursor over the arguments from `first` on, for option grammars.
    pub fn options(self, first: usize) -> Options<'a> {
        Options { args: self, next: first }
    }

    /// An owned copy, as kept in a MULTI queue. Large arguments are shared, not copied.
    pub fn to_owned(&self) -> OwnedArgs {
        let copied = || self.spans.iter().filter(|span| span.detached().is_none());
        let mut bytes = Vec::with_capacity(copied().map(|span| span.len as usize).sum());
        let mut spans = self.spans.to_vec();
        for span in spans.iter_mut().filter(|span| span.detached().is_none()) {
            let word = span.of(self.bytes);
            span.start = u32::try_from(bytes.len()).expect("a request is shorter than 4 GiB");
            bytes.extend_from_slice(word);
        }
        OwnedArgs { bytes, spans, bodies: self.bodies.cloned() }
    }
}

/// An owned command.
#[derive(Debug, Clone)]
pub struct OwnedArgs {
    bytes: Vec<u8>,
    spans: Vec<Span>,
    bodies: Option<Bodies>,
}

impl OwnedArgs {
    /// A command with these arguments.
    pub fn from_words<W: AsRef<[u8]>>(words: &[W]) -> Self {
        let spans = Vec::with_capacity(words.len());
        let mut owned = Self { bytes: Vec::new(), spans, bodies: None };
        for word in words {
            let start = u32::try_from(owned.bytes.len()).expect("a request is shorter than 4 GiB");
            owned.spans.push(Span { start, len: word.as_ref().len() as u32 });
            owned.bytes.extend_from_slice(word.as_ref());
        }
        owned
    }

    /// Removes all arguments; keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.spans.clear();
        self.bodies = None;
    }

    /// Appends an argument. `None`: the command is too long.
    pub fn push(&mut self, word: &[u8]) -> Option<()> {
        let start = u32::try_from(self.bytes.len()).ok()?;
        let len = u32::try_from(word.len()).ok()?;
        start.checked_add(len).filter(|end| *end as usize <= COMMAND_LEN_MAX)?;
        self.spans.push(Span { start, len });
        self.bytes.extend_from_slice(word);
        Some(())
    }

    /// The command's arguments.
    pub fn args(&self) -> Args<'_> {
        Args { bytes: &self.bytes, spans: &self.spans, bodies: self.bodies.as_ref() }
    }

    /// Bytes of the arguments.
    pub fn size(&self) -> usize {
        let bodies = self.bodies.iter().flatten().map(|body| body.len());
        self.bytes.len() + bodies.sum::<usize>() + self.spans.len() * size_of::<Span>()
    }
}

/// A cursor over the optional arguments of a command.
#[derive(Clone, Copy)]
pub struct Options<'a> {
    args: Args<'a>,
    next: usize,
}

impl<'a> Options<'a> {
    /// Whether arguments are left.
    pub fn more(&self) -> bool {
        self.next < self.args.len()
    }

    /// How many arguments are left.
    pub fn left(&self) -> usize {
        self.args.len().saturating_sub(self.next)
    }

    /// Consumes the next argument if it equals `word`, ignoring case.
    pub fn eat(&mut self, word: &str) -> bool {
        let hit = self.args.is(self.next, word);
        self.next += usize::from(hit);
        hit
    }

    /// Consumes the next two arguments, an option and its value, if the first equals `word`.
    pub fn eat_value(&mut self, word: &str) -> Option<&'a [u8]> {
        if self.left() < 2 || !self.args.is(self.next, word) {
            return None;
        }
        self.next += 2;
        Some(self.args.get(self.next - 1))
    }

    /// Consumes the next argument.
    pub fn take(&mut self) -> Option<&'a [u8]> {
        let word = self.args.try_get(self.next)?;
        self.next += 1;
        Some(word)
    }

    /// The index of the next argument.
    pub fn position(&self) -> usize {
        self.next
    }
}
