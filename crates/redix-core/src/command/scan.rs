//! Cursor and options that SCAN shares with SSCAN, HSCAN and ZSCAN.

use redix_types::entry::Kind;
use redix_types::glob::{self, Case};
use redix_types::num;

use super::args::Options;
use crate::error::ReplyError;

/// Elements visited per call unless COUNT says otherwise.
const COUNT_DEFAULT: usize = 10;

const KINDS: [Kind; 6] =
    [Kind::String, Kind::List, Kind::Set, Kind::Zset, Kind::Hash, Kind::Stream];

/// What is scanned: the options depend on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Walked {
    /// The keys of a database.
    Keys,
    /// A hash.
    Hash,
    /// A sorted set.
    SortedSet,
    /// Another collection.
    Members,
}

/// The options of one call.
pub struct ScanOptions<'a> {
    /// `None` also for `*`, which matches everything.
    pattern: Option<&'a [u8]>,
    /// How many elements to visit, approximately; never 0.
    pub count: usize,
    /// Keys of this kind only.
    pub kind: Option<Kind>,
    /// NOVALUES and NOSCORES: fields without values, members without scores.
    pub no_values: bool,
}

impl<'a> ScanOptions<'a> {
    /// Parses the options; later ones replace earlier ones of the same name.
    pub fn parse(mut options: Options<'a>, walked: Walked) -> Result<Self, ReplyError> {
        let mut parsed = Self { pattern: None, count: COUNT_DEFAULT, kind: None, no_values: false };
        while options.more() {
            if let Some(count) = options.eat_value("COUNT") {
                let count = num::parse_i64(count).ok_or(ReplyError::NotInteger)?;
                parsed.count =
                    usize::try_from(count).ok().filter(|n| *n > 0).ok_or(ReplyError::Syntax)?;
            } else if let Some(pattern) = options.eat_value("MATCH") {
                parsed.pattern = (pattern != b"*").then_some(pattern);
            } else if walked == Walked::Keys
                && let Some(name) = options.eat_value("TYPE")
            {
                parsed.kind = Some(kind_named(name)?);
            } else if options.eat("NOVALUES") {
                if walked != Walked::Hash {
                    return Err(ReplyError::Static(
                        "ERR NOVALUES option can only be used in HSCAN",
                    ));
                }
                parsed.no_values = true;
            } else if options.eat("NOSCORES") {
                if walked != Walked::SortedSet {
                    return Err(ReplyError::Static(
                        "ERR NOSCORES option can only be used in ZSCAN",
                    ));
                }
                parsed.no_values = true;
            } else {
                return Err(ReplyError::Syntax);
            }
        }
        Ok(parsed)
    }

    /// Whether a name matches MATCH.
    pub fn matches(&self, name: &[u8]) -> bool {
        self.pattern.is_none_or(|pattern| glob::matches(pattern, name, Case::Sensitive))
    }
}

fn kind_named(name: &[u8]) -> Result<Kind, ReplyError> {
    let named = |kind: &Kind| name.eq_ignore_ascii_case(kind.name().as_bytes());
    KINDS
        .into_iter()
        .find(named)
        .ok_or_else(|| ReplyError::quoting("unknown type name '", name, "'"))
}

/// Parses a cursor as leniently as the real servers: blanks and a plus sign may precede the digits,
/// which must fit 64 bits.
pub fn parse_cursor(word: &[u8]) -> Result<u64, ReplyError> {
    let digits = word.trim_ascii_start();
    let digits = digits.strip_prefix(b"+").unwrap_or(digits);
    let text = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'));
    text.and_then(|text| text.parse().ok()).ok_or(ReplyError::Static("ERR invalid cursor"))
}
