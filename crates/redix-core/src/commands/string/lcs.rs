//! LCS: the longest common subsequence of two strings.
//!
//! Dynamic programming over a table with a cell for each pair of prefixes. Only two rows of lengths
//! are kept; of the other cells one bit remains, which neighbour the length came from: that is
//! enough for the backtrack and takes a 32nd of the memory of the whole table. The limit on the
//! strings is nevertheless that of the real servers, whose table of 32-bit lengths must fit
//! `proto-max-bulk-len`.
//!
//! Among equally long subsequences the backtrack prefers the shorter second prefix, as in Redis
//! 7.0.

use redix_types::entry::{IntBuf, Kind};

use super::copy_of;
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, KeySpec, access, acl};
use crate::error::{CommandResult, ReplyError};

/// Command: LCS.
pub const COMMANDS: &[CommandSpec] = &[CommandSpec::read(
    "lcs",
    Group::String,
    -3,
    const { &[KeySpec::range(1, 1, 1, access::RO | access::ACCESS)] },
    lcs,
)
.acl(acl::STRING)
.since("7.0.0")
.complexity("O(N*M) where N and M are the lengths of the two strings")
.doc("Finds the longest subsequence that two strings share.")
.args(&[
    ArgSpec::key("key1"),
    ArgSpec::key("key2"),
    ArgSpec::word("len", "LEN").optional(),
    ArgSpec::word("idx", "IDX").optional(),
    ArgSpec::new("min-match-len", ArgKind::Integer).token("MINMATCHLEN").optional(),
    ArgSpec::word("withmatchlen", "WITHMATCHLEN").optional(),
])];

/// What LCS replies with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// The subsequence.
    Text,
    /// `LEN`: its length.
    Length,
    /// `IDX`: the positions of its parts.
    Places,
}

/// The options of LCS.
#[derive(Debug, Clone, Copy)]
struct Options {
    wanted: Wanted,
    match_len_min: i64,
    with_match_len: bool,
}

/// A part of the subsequence that is contiguous in both strings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Match {
    /// Where it starts in the first string.
    pub a: usize,
    /// Where it starts in the second string.
    pub b: usize,
    /// Its length in bytes.
    pub len: usize,
}

/// `LCS key1 key2 [LEN] [IDX] [MINMATCHLEN len] [WITHMATCHLEN]` -> bulk; with `LEN` an integer;
/// with `IDX` a map of `matches` (arrays of two inclusive ranges, and the length if wanted, the
/// last match first) and `len`. Errors: a key that holds no string, the options, strings too long.
fn lcs(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    // Both are looked up before the type of one is refused.
    let (a, b) = (string_len(cx, args, 1), string_len(cx, args, 2));
    let lens = [a?, b?];
    let options = parse_options(args)?;
    check_size(cx, lens)?;
    let (a, b) = (string(cx, args, 1)?, string(cx, args, 2)?);
    let table = Table::new(&a, &b)?;
    match options.wanted {
        Wanted::Length => cx.reply.int(i64::from(table.len)),
        Wanted::Text => {
            let mut matches = table.matches(&a, &b);
            matches.reverse();
            let text: Vec<u8> =
                matches.iter().flat_map(|part| &a[part.a..part.a + part.len]).copied().collect();
            cx.reply.bulk(&text);
        }
        Wanted::Places => {
            let mut matches = table.matches(&a, &b);
            matches.retain(|part| part.len as i64 >= options.match_len_min);
            reply_places(cx, &matches, table.len, options.with_match_len);
        }
    }
    Ok(())
}

fn reply_places(cx: &mut Ctx<'_, '_>, matches: &[Match], len: u32, with_match_len: bool) {
    cx.reply.map(2);
    cx.reply.bulk_str("matches");
    cx.reply.array(matches.len());
    for part in matches {
        cx.reply.array(if with_match_len { 3 } else { 2 });
        for start in [part.a, part.b] {
            cx.reply.array(2);
            cx.reply.int(start as i64);
            cx.reply.int((start + part.len - 1) as i64);
        }
        if with_match_len {
            cx.reply.int(part.len as i64);
        }
    }
    cx.reply.bulk_str("len");
    cx.reply.int(i64::from(len));
}

fn parse_options(args: Args<'_>) -> Result<Options, ReplyError> {
    let (mut length, mut places) = (false, false);
    let mut options = Options { wanted: Wanted::Text, match_len_min: 0, with_match_len: false };
    let mut words = args.options(3);
    while words.more() {
        if words.eat("IDX") {
            places = true;
        } else if words.eat("LEN") {
            length = true;
        } else if words.eat("WITHMATCHLEN") {
            options.with_match_len = true;
        } else if words.eat_value("MINMATCHLEN").is_some() {
            options.match_len_min = args.int(words.position() - 1)?;
        } else {
            return Err(ReplyError::Syntax);
        }
    }
    options.wanted = match (length, places) {
        (true, true) => {
            return Err(ReplyError::Static(
                "ERR If you want both the length and indexes, please just use IDX.",
            ));
        }
        (true, false) => Wanted::Length,
        (false, true) => Wanted::Places,
        (false, false) => Wanted::Text,
    };
    Ok(options)
}

const NO_STRING: ReplyError =
    ReplyError::Static("ERR The specified keys must contain string values");

fn string_len(cx: &mut Ctx<'_, '_>, args: Args<'_>, index: usize) -> Result<usize, ReplyError> {
    let key = cx.key(args, index);
    let entry = cx.keys.lookup_kind(key, Kind::String).map_err(|_| NO_STRING)?;
    Ok(entry.map_or(0, |entry| entry.value().string_len()))
}

fn string(cx: &mut Ctx<'_, '_>, args: Args<'_>, index: usize) -> Result<Vec<u8>, ReplyError> {
    let key = cx.key(args, index);
    let mut digits = IntBuf::new();
    let entry = cx.keys.peek(key);
    entry.map_or(Ok(Vec::new()), |entry| copy_of(entry.value().string_bytes(&mut digits)))
}

/// Errors: a table of 32-bit lengths would exceed the longest string.
fn check_size(cx: &Ctx<'_, '_>, lens: [usize; 2]) -> CommandResult {
    const TOO_LONG: usize = u32::MAX as usize - 1;
    if lens.iter().any(|len| *len >= TOO_LONG) {
        return Err(ReplyError::Static("ERR String too long for LCS"));
    }
    // Both factors are below 2^32.
    let bytes = (lens[0] as u128 + 1) * (lens[1] as u128 + 1) * 4;
    if bytes > u128::try_from(cx.config.proto_max_bulk_len).unwrap_or(0) {
        return Err(ReplyError::Static(
            "ERR Insufficient memory, transient memory for LCS exceeds proto-max-bulk-len",
        ));
    }
    Ok(())
}

/// What is kept of the table: one bit per cell.
pub(super) struct Table {
    /// The length of the longest common subsequence.
    pub len: u32,
    /// Bits per row: one more than the length of the second string.
    width: usize,
    /// For each pair of prefixes: whether the backtrack goes to the shorter first prefix.
    up: Vec<u64>,
}

impl Table {
    /// Compares two strings. Errors: Oom for the table.
    pub(super) fn new(a: &[u8], b: &[u8]) -> Result<Self, ReplyError> {
        let width = b.len() + 1;
        let mut up = zeros::<u64>(((a.len() + 1) * width).div_ceil(64))?;
        let mut above = zeros::<u32>(width)?;
        let mut row = zeros::<u32>(width)?;
        for (i, &x) in a.iter().enumerate() {
            for (j, &y) in b.iter().enumerate() {
                row[j + 1] = if x == y {
                    above[j] + 1
                } else if above[j + 1] > row[j] {
                    let bit = (i + 1) * width + j + 1;
                    up[bit / 64] |= 1 << (bit % 64);
                    above[j + 1]
                } else {
                    row[j]
                };
            }
            std::mem::swap(&mut above, &mut row);
        }
        Ok(Self { len: above[b.len()], width, up })
    }

    /// The contiguous parts of the subsequence, the last one first.
    pub(super) fn matches(&self, a: &[u8], b: &[u8]) -> Vec<Match> {
        let (mut i, mut j) = (a.len(), b.len());
        let mut matches: Vec<Match> = Vec::new();
        while i > 0 && j > 0 {
            if a[i - 1] == b[j - 1] {
                match matches.last_mut() {
                    Some(part) if part.a == i && part.b == j => {
                        *part = Match { a: i - 1, b: j - 1, len: part.len + 1 };
                    }
                    _ => matches.push(Match { a: i - 1, b: j - 1, len: 1 }),
                }
                (i, j) = (i - 1, j - 1);
            } else if self.goes_up(i, j) {
                i -= 1;
            } else {
                j -= 1;
            }
        }
        matches
    }

    fn goes_up(&self, i: usize, j: usize) -> bool {
        let bit = i * self.width + j;
        self.up[bit / 64] >> (bit % 64) & 1 == 1
    }
}

fn zeros<T: Clone + Default>(len: usize) -> Result<Vec<T>, ReplyError> {
    let mut zeros = Vec::new();
    zeros.try_reserve_exact(len).map_err(|_| {
        ReplyError::Static("ERR Insufficient memory, failed allocating transient memory for LCS")
    })?;
    zeros.resize(len, T::default());
    Ok(zeros)
}

#[cfg(test)]
mod tests;
