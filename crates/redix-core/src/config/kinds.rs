//! The kinds of parameter: how each is parsed from arguments, shown by CONFIG GET and written to a
//! file.
//!
//! The error texts are those of the real servers, since clients and tests match them.

use std::fmt::Display;
use std::str::FromStr;

use super::bytes::ByteString;
use super::syntax::{
    memory_text, parse_integer, parse_loosely, parse_memory, quote, quote_unless_plain,
};
use super::types::{BytesOrPercent, OutputLimit, OutputLimits, ShutdownOn, notify};

/// The reason of an error, which follows `- ` in the error of CONFIG SET.
pub(super) type Reason = String;

const WRONG_COUNT: &str = "wrong number of arguments";

/// One line that CONFIG REWRITE would write for a parameter.
#[derive(PartialEq, Eq)]
pub(super) struct FileLine {
    /// What follows the name, quoted where needed.
    pub(super) args: Vec<u8>,
    /// Whether the line is needed even if the file has none for this parameter.
    pub(super) differs_from_default: bool,
}

/// The textual forms of one kind of parameter with values of type `T`.
pub(super) trait Kind<T> {
    /// Whether an argument may hold several values, separated by blanks: `CONFIG SET save "900 1"`.
    const SPLITS: bool = false;

    /// Whether a value may contain NUL bytes, which end it for most kinds.
    const TAKES_NUL: bool = false;

    /// Parses the value. `current` is the present one, for kinds whose text changes a part of it.
    fn parse(&self, args: &[Vec<u8>], current: &T) -> Result<T, Reason>;

    /// The value as CONFIG GET shows it.
    fn text(&self, value: &T) -> Vec<u8>;

    /// The value as a file has it, without the name.
    fn file_text(&self, value: &T) -> Vec<u8> {
        self.text(value)
    }

    /// The lines of a file that give `value`.
    fn lines(&self, value: &T, default: &T) -> Vec<FileLine> {
        let differs_from_default = self.text(value) != self.text(default);
        vec![FileLine { args: self.file_text(value), differs_from_default }]
    }

    /// The accepted values, for the documentation.
    fn describe(&self) -> String;
}

fn single(args: &[Vec<u8>]) -> Result<&[u8], Reason> {
    match args {
        [only] => Ok(only),
        _ => Err(WRONG_COUNT.into()),
    }
}

/// Parses `text` by its type's notation.
fn number<T: FromStr>(text: &[u8]) -> Option<T> {
    str::from_utf8(text).ok()?.parse().ok()
}

fn unless_empty(text: Vec<u8>) -> Vec<u8> {
    if text.is_empty() { "\"\"".into() } else { text }
}

/// `yes` or `no`.
pub(super) struct Bool;

impl Kind<bool> for Bool {
    fn parse(&self, args: &[Vec<u8>], _: &bool) -> Result<bool, Reason> {
        match single(args)?.to_ascii_lowercase().as_slice() {
            b"yes" => Ok(true),
            b"no" => Ok(false),
            _ => Err("argument must be 'yes' or 'no'".into()),
        }
    }

    fn text(&self, value: &bool) -> Vec<u8> {
        if *value { "yes" } else { "no" }.into()
    }

    fn describe(&self) -> String {
        "yes, no".into()
    }
}

/// A whole number from the first to the last bound, both included.
pub(super) struct Int(pub(super) i64, pub(super) i64);

impl<T: Copy + Display + TryFrom<i64>> Kind<T> for Int {
    const TAKES_NUL: bool = true;

    fn parse(&self, args: &[Vec<u8>], _: &T) -> Result<T, Reason> {
        let number =
            parse_integer(single(args)?).ok_or("argument couldn't be parsed into an integer")?;
        in_range(number, self.0, self.1)
    }

    fn text(&self, value: &T) -> Vec<u8> {
        value.to_string().into()
    }

    fn describe(&self) -> String {
        describe_range(self.0, self.1)
    }
}

fn in_range<T: TryFrom<i64>>(number: i64, low: i64, high: i64) -> Result<T, Reason> {
    let outside = || format!("argument must be between {low} and {high} inclusive");
    if !(low..=high).contains(&number) {
        return Err(outside());
    }
    T::try_from(number).map_err(|_| outside())
}

fn describe_range(low: i64, high: i64) -> String {
    match (low, high) {
        (i64::MIN, i64::MAX) => "a whole number".into(),
        (_, i64::MAX) => format!("{low} or more"),
        _ => format!("{low} to {high}"),
    }
}

/// An integer that is clamped to its bounds: any of `0..=i32::MAX` is accepted.
pub(super) struct Clamped(pub(super) u32, pub(super) u32);

impl Kind<u32> for Clamped {
    const TAKES_NUL: bool = true;

    fn parse(&self, args: &[Vec<u8>], current: &u32) -> Result<u32, Reason> {
        let number: u32 = Int(0, i64::from(i32::MAX)).parse(args, current)?;
        Ok(number.clamp(self.0, self.1))
    }

    fn text(&self, value: &u32) -> Vec<u8> {
        value.to_string().into()
    }

    fn describe(&self) -> String {
        format!("{} to {}; beyond, the nearest", self.0, self.1)
    }
}

/// A size in bytes with an optional unit, within bounds.
pub(super) struct Memory(pub(super) u64, pub(super) u64);

impl<T: Copy + Display + TryFrom<u64> + TryInto<u64>> Kind<T> for Memory {
    fn parse(&self, args: &[Vec<u8>], _: &T) -> Result<T, Reason> {
        let outside = || format!("argument must be between {} and {} inclusive", self.0, self.1);
        let bytes = parse_memory(single(args)?).ok_or("argument must be a memory value")?;
        if !(self.0..=self.1).contains(&bytes) {
            return Err(outside());
        }
        T::try_from(bytes).map_err(|_| outside())
    }

    fn text(&self, value: &T) -> Vec<u8> {
        value.to_string().into()
    }

    fn file_text(&self, value: &T) -> Vec<u8> {
        (*value).try_into().map_or_else(|_| value.to_string(), memory_text).into()
    }

    fn describe(&self) -> String {
        if self.0 == 0 { "size".into() } else { format!("size, at least {}", memory_text(self.0)) }
    }
}

/// A size in bytes with an optional unit, or a negative number of bytes that is at least the bound.
pub(super) struct SignedMemory(pub(super) i64);

impl Kind<i64> for SignedMemory {
    fn parse(&self, args: &[Vec<u8>], _: &i64) -> Result<i64, Reason> {
        let text = single(args)?;
        let bytes = match text.strip_prefix(b"-") {
            Some(_) => parse_integer(text),
            None => parse_memory(text).map(|bytes| i64::try_from(bytes).unwrap_or(i64::MIN)),
        };
        match bytes {
            None => Err("argument must be a memory value".into()),
            Some(bytes) if bytes >= self.0 => Ok(bytes),
            Some(_) => {
                Err(format!("argument must be between {} and {} inclusive", self.0, i64::MAX))
            }
        }
    }

    fn text(&self, value: &i64) -> Vec<u8> {
        value.to_string().into()
    }

    fn file_text(&self, value: &i64) -> Vec<u8> {
        u64::try_from(*value).map_or_else(|_| value.to_string(), memory_text).into()
    }

    fn describe(&self) -> String {
        format!("size, or down to {}", self.0)
    }
}

/// A size of at least one byte, raised to a minimum.
pub(super) struct MemoryFloor(pub(super) u64);

impl Kind<u64> for MemoryFloor {
    fn parse(&self, args: &[Vec<u8>], current: &u64) -> Result<u64, Reason> {
        Ok(Memory(1, i64::MAX as u64).parse(args, current)?.max(self.0))
    }

    fn text(&self, value: &u64) -> Vec<u8> {
        value.to_string().into()
    }

    fn file_text(&self, value: &u64) -> Vec<u8> {
        memory_text(*value).into()
    }

    fn describe(&self) -> String {
        format!("size; below {}, that", memory_text(self.0))
    }
}

/// A size or a percentage.
pub(super) struct MemoryOrPercent;

impl Kind<BytesOrPercent> for MemoryOrPercent {
    fn parse(&self, args: &[Vec<u8>], _: &BytesOrPercent) -> Result<BytesOrPercent, Reason> {
        let text = single(args)?;
        let malformed = || Reason::from("argument must be a memory or percent value");
        let Some(percent) = text.strip_suffix(b"%") else {
            return parse_memory(text).map(BytesOrPercent::Bytes).ok_or_else(malformed);
        };
        match parse_integer(percent) {
            Some(0) => Ok(BytesOrPercent::Bytes(0)),
            Some(number @ 1..=100) => Ok(BytesOrPercent::Percent(number as u8)),
            Some(101..) => Err("percentage argument must be less or equal to 100".into()),
            _ => Err(malformed()),
        }
    }

    fn text(&self, value: &BytesOrPercent) -> Vec<u8> {
        match value {
            BytesOrPercent::Bytes(bytes) => bytes.to_string().into(),
            BytesOrPercent::Percent(percent) => format!("{percent}%").into(),
        }
    }

    fn describe(&self) -> String {
        "size, or per cent of maxmemory".into()
    }
}

/// File permission bits, written in octal; 0 leaves them to the umask.
pub(super) struct Octal;

impl Kind<u32> for Octal {
    fn parse(&self, args: &[Vec<u8>], _: &u32) -> Result<u32, Reason> {
        let text = single(args)?;
        let digits = str::from_utf8(text).ok().filter(|_| text.iter().all(u8::is_ascii_digit));
        let bits = digits
            .and_then(|digits| u32::from_str_radix(digits, 8).ok())
            .ok_or("argument couldn't be parsed as an octal number")?;
        if bits > 0o777 {
            return Err("argument must be between 0 and 777 inclusive".into());
        }
        Ok(bits)
    }

    fn text(&self, value: &u32) -> Vec<u8> {
        format!("{value:o}").into()
    }

    fn describe(&self) -> String {
        "octal, 0 to 777".into()
    }
}

/// An enum with a keyword per value.
pub trait Words: Copy + PartialEq + 'static {
    /// Every keyword and its value, in the order in which errors list them.
    const WORDS: &'static [(&'static str, Self)];

    /// The keyword of this value.
    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, value)| *value == self).map_or("", |(word, _)| word)
    }
}

/// One keyword of a list.
pub(super) struct Word;

impl<T: Words> Kind<T> for Word {
    fn parse(&self, args: &[Vec<u8>], _: &T) -> Result<T, Reason> {
        let text = single(args)?;
        T::WORDS
            .iter()
            .find(|(word, _)| text.eq_ignore_ascii_case(word.as_bytes()))
            .map(|(_, value)| *value)
            .ok_or_else(|| one_of(T::WORDS.iter().map(|(word, _)| *word)))
    }

    fn text(&self, value: &T) -> Vec<u8> {
        value.word().into()
    }

    fn describe(&self) -> String {
        join(T::WORDS.iter().map(|(word, _)| *word), ", ")
    }
}

fn one_of<'a>(words: impl Iterator<Item = &'a str>) -> Reason {
    format!("argument(s) must be one of the following: {}", join(words, ", "))
}

fn join<'a>(words: impl Iterator<Item = &'a str>, between: &str) -> String {
    words.collect::<Vec<_>>().join(between)
}

/// Any text, or text that a check accepts.
pub(super) struct Text(pub(super) fn(&[u8]) -> Result<(), &'static str>);

/// Text without restrictions.
pub(super) const ANY: Text = Text(|_| Ok(()));

/// Whether `text` names a path outside of the working directory.
fn is_path(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, b'/' | b'\\'))
}

/// A file's name without a directory.
pub(super) const FILE_NAME: Text = Text(|text| match text {
    b"" => Err("dbfilename can't be empty"),
    _ if is_path(text) => Err("dbfilename can't be a path, just a filename"),
    _ => Ok(()),
});
/// The name of the append-only files.
pub(super) const AOF_FILE_NAME: Text = Text(|text| match text {
    b"" => Err("appendfilename can't be empty"),
    _ if is_path(text) => Err("appendfilename can't be a path, just a filename"),
    _ => Ok(()),
});
/// The name of the directory of append-only files.
pub(super) const AOF_DIR_NAME: Text = Text(|text| match text {
    b"" => Err("appenddirname can't be empty"),
    _ if is_path(text) => Err("appenddirname can't be a path, just a dirname"),
    _ => Ok(()),
});
/// A host name.
pub(super) const HOST_NAME: Text = Text(|text| {
    let fits = text.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    match text.len() {
        256.. => Err("Hostnames must be less than 256 characters"),
        _ if !fits => Err("Hostnames may only contain alphanumeric characters, hyphens or dots"),
        _ => Ok(()),
    }
});
/// A human-readable name of a cluster node.
pub(super) const NODE_NAME: Text = Text(|text| {
    if is_announceable(text) {
        Ok(())
    } else {
        Err("Announced human node name contained invalid character")
    }
});
/// The address of a cluster node.
pub(super) const NODE_ADDRESS: Text = Text(|text| {
    if is_announceable(text) {
        Ok(())
    } else {
        Err("cluster-announce-ip contains invalid character")
    }
});

/// Whether `text` may stand in the cluster's file, whose fields end at blanks and commas.
fn is_announceable(text: &[u8]) -> bool {
    text.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':'))
}

/// An IPv4 address or nothing.
pub(super) const IPV4: Text = Text(|text| {
    let fits = text.is_empty() || number::<std::net::Ipv4Addr>(text).is_some();
    if fits { Ok(()) } else { Err("Invalid IPv4 address") }
});
/// An IPv6 address or nothing.
pub(super) const IPV6: Text = Text(|text| {
    let fits = text.is_empty() || number::<std::net::Ipv6Addr>(text).is_some();
    if fits { Ok(()) } else { Err("Invalid IPv6 address") }
});
/// The template of the process title.
pub(super) const TITLE: Text = Text(|text| {
    const NAMES: &[&str] =
        &["title", "listen-addr", "server-mode", "port", "tls-port", "config-file", "unixsocket"];
    let is_name = |name: &[u8]| NAMES.iter().any(|known| known.as_bytes() == name);
    let begins_with_name = |part: &[u8]| {
        part.iter().position(|byte| *byte == b'}').is_some_and(|end| is_name(&part[..end]))
    };
    let all_known = text.split(|byte| *byte == b'{').skip(1).all(begins_with_name);
    match all_known && !text.trim_ascii().is_empty() {
        true => Ok(()),
        false => Err("template format is invalid or contains unknown variables"),
    }
});

impl Kind<ByteString> for Text {
    fn parse(&self, args: &[Vec<u8>], _: &ByteString) -> Result<ByteString, Reason> {
        let text = single(args)?;
        (self.0)(text)?;
        Ok(text.into())
    }

    fn text(&self, value: &ByteString) -> Vec<u8> {
        value.to_vec()
    }

    fn file_text(&self, value: &ByteString) -> Vec<u8> {
        quote(value).into()
    }

    fn describe(&self) -> String {
        "text".into()
    }
}

/// Text that may hold NUL bytes, as passwords may.
pub(super) struct Binary;

impl Kind<ByteString> for Binary {
    const TAKES_NUL: bool = true;

    fn parse(&self, args: &[Vec<u8>], current: &ByteString) -> Result<ByteString, Reason> {
        ANY.parse(args, current)
    }

    fn text(&self, value: &ByteString) -> Vec<u8> {
        ANY.text(value)
    }

    fn file_text(&self, value: &ByteString) -> Vec<u8> {
        ANY.file_text(value)
    }

    fn describe(&self) -> String {
        Kind::<ByteString>::describe(&ANY)
    }
}

/// Several addresses.
pub(super) struct Addresses;

impl Addresses {
    /// The most addresses that a server may listen on.
    const COUNT_MAX: usize = 16;
}

impl Kind<Vec<ByteString>> for Addresses {
    const SPLITS: bool = true;

    fn parse(&self, args: &[Vec<u8>], _: &Vec<ByteString>) -> Result<Vec<ByteString>, Reason> {
        let words = args.iter().flat_map(|arg| arg.split(|byte| *byte == b' '));
        let addresses: Vec<ByteString> =
            words.filter(|word| !word.is_empty()).map(Into::into).collect();
        if addresses.len() > Self::COUNT_MAX {
            return Err("Too many bind addresses specified.".into());
        }
        Ok(addresses)
    }

    fn text(&self, value: &Vec<ByteString>) -> Vec<u8> {
        value.iter().map(ByteString::as_bytes).collect::<Vec<_>>().join(&b' ')
    }

    fn file_text(&self, value: &Vec<ByteString>) -> Vec<u8> {
        unless_empty(
            value.iter().map(|word| quote_unless_plain(word)).collect::<Vec<_>>().join(&b' '),
        )
    }

    fn describe(&self) -> String {
        "addresses; - before one: may be absent; * and ::* mean all".into()
    }
}

/// Save points: pairs of seconds and changes.
pub(super) struct SavePoints;

impl Kind<Vec<(u64, u64)>> for SavePoints {
    const SPLITS: bool = true;

    fn parse(&self, args: &[Vec<u8>], _: &Vec<(u64, u64)>) -> Result<Vec<(u64, u64)>, Reason> {
        let invalid = || Reason::from("Invalid save parameters");
        match args {
            [] => return Err(WRONG_COUNT.into()),
            [only] if only.is_empty() => return Ok(Vec::new()),
            _ => {}
        }
        let (pairs, rest) = args.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(invalid());
        }
        pairs
            .iter()
            .map(|[seconds, changes]| match (parse_loosely(seconds), parse_loosely(changes)) {
                (Some(s @ 1..), Some(c @ 0..)) => Ok((s.unsigned_abs(), c.unsigned_abs())),
                _ => Err(invalid()),
            })
            .collect()
    }

    fn text(&self, value: &Vec<(u64, u64)>) -> Vec<u8> {
        value.iter().map(|(s, c)| format!("{s} {c}")).collect::<Vec<_>>().join(" ").into()
    }

    fn file_text(&self, value: &Vec<(u64, u64)>) -> Vec<u8> {
        unless_empty(self.text(value))
    }

    fn describe(&self) -> String {
        "pairs of seconds and changes; \"\": none".into()
    }
}

/// Limits by client class: class, hard size, soft size, soft seconds, and so on.
pub(super) struct Limits;

impl Kind<OutputLimits> for Limits {
    const SPLITS: bool = true;

    fn parse(&self, args: &[Vec<u8>], current: &OutputLimits) -> Result<OutputLimits, Reason> {
        let (groups, rest) = args.as_chunks::<4>();
        if !rest.is_empty() && !matches!(args, [only] if only.is_empty()) {
            return Err("Wrong number of arguments in buffer limit configuration.".into());
        }
        let mut limits = *current;
        for [class, hard, soft, seconds] in groups {
            let place = match class.to_ascii_lowercase().as_slice() {
                b"normal" => &mut limits.normal,
                b"slave" | b"replica" => &mut limits.replica,
                b"pubsub" => &mut limits.pubsub,
                _ => {
                    return Err(
                        "Invalid client class specified in buffer limit configuration.".into()
                    );
                }
            };
            let (Some(hard_bytes), Some(soft_bytes), Some(soft_seconds)) = (
                parse_memory(hard),
                parse_memory(soft),
                parse_loosely(seconds).and_then(|n| u32::try_from(i32::try_from(n).ok()?).ok()),
            ) else {
                return Err(
                    "Error in hard, soft or soft_seconds setting in buffer limit configuration."
                        .into(),
                );
            };
            *place = OutputLimit { hard_bytes, soft_bytes, soft_seconds };
        }
        Ok(limits)
    }

    fn text(&self, value: &OutputLimits) -> Vec<u8> {
        // CONFIG GET keeps the class name "slave", which clients look for.
        let class = |name: &str, limit: &OutputLimit| {
            format!("{name} {} {} {}", limit.hard_bytes, limit.soft_bytes, limit.soft_seconds)
        };
        [
            class("normal", &value.normal),
            class("slave", &value.replica),
            class("pubsub", &value.pubsub),
        ]
        .join(" ")
        .into()
    }

    fn lines(&self, value: &OutputLimits, default: &OutputLimits) -> Vec<FileLine> {
        let line = |class: &str, limit: &OutputLimit, default: &OutputLimit| FileLine {
            args: format!(
                "{class} {} {} {}",
                memory_text(limit.hard_bytes),
                memory_text(limit.soft_bytes),
                limit.soft_seconds
            )
            .into(),
            differs_from_default: limit != default,
        };
        vec![
            line("normal", &value.normal, &default.normal),
            line("replica", &value.replica, &default.replica),
            line("pubsub", &value.pubsub, &default.pubsub),
        ]
    }

    fn describe(&self) -> String {
        "class (normal, replica, pubsub), hard size, soft size, seconds; repeated".into()
    }
}

/// The classes of keyspace notifications, as the bits of [`notify`].
pub(super) struct Notify;

impl Kind<u32> for Notify {
    fn parse(&self, args: &[Vec<u8>], _: &u32) -> Result<u32, Reason> {
        single(args)?.iter().try_fold(0, |bits, letter| {
            let letter = char::from(*letter);
            let class = match letter {
                'A' => Some(notify::ALL),
                _ => notify::LETTERS.iter().find(|(l, _)| *l == letter).map(|(_, bit)| *bit),
            };
            class
                .map(|class| bits | class)
                .ok_or_else(|| "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".into())
        })
    }

    fn text(&self, value: &u32) -> Vec<u8> {
        let all = value & notify::ALL == notify::ALL;
        let mut text = String::from(if all { "A" } else { "" });
        // The real servers omit `n` too once `A` is written.
        let covered = if all { notify::ALL | notify::NEW } else { 0 };
        text.extend(
            notify::LETTERS.iter().filter(|(_, bit)| value & bit & !covered != 0).map(|(l, _)| l),
        );
        text.into()
    }

    fn file_text(&self, value: &u32) -> Vec<u8> {
        // A rewrite must keep what CONFIG GET omits.
        let mut text = self.text(value);
        if value & notify::NEW != 0 && !text.contains(&b'n') {
            text.push(b'n');
        }
        quote(&text).into()
    }

    fn describe(&self) -> String {
        "letters of Ag$lshzxeKEtmdn".into()
    }
}

/// Percentiles between 0 and 100.
pub(super) struct Percentiles;

impl Kind<Vec<f64>> for Percentiles {
    const SPLITS: bool = true;

    fn parse(&self, args: &[Vec<u8>], _: &Vec<f64>) -> Result<Vec<f64>, Reason> {
        if matches!(args, [only] if only.is_empty()) {
            return Ok(Vec::new());
        }
        args.iter()
            .map(|text| match number::<f64>(text) {
                Some(number) if (0.0..=100.0).contains(&number) => Ok(number),
                Some(number) if !number.is_nan() => Err(
                    "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"
                        .into(),
                ),
                _ => Err("Invalid latency-tracking-info-percentiles parameters".into()),
            })
            .collect()
    }

    fn text(&self, value: &Vec<f64>) -> Vec<u8> {
        value.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ").into()
    }

    fn file_text(&self, value: &Vec<f64>) -> Vec<u8> {
        unless_empty(self.text(value))
    }

    fn describe(&self) -> String {
        "numbers from 0 to 100; \"\": none".into()
    }
}

/// Three out-of-memory scores: primary, replica, background work.
pub(super) struct OomValues;

impl Kind<[i32; 3]> for OomValues {
    const SPLITS: bool = true;

    fn parse(&self, args: &[Vec<u8>], _: &[i32; 3]) -> Result<[i32; 3], Reason> {
        let args: &[Vec<u8>; 3] = args.try_into().map_err(|_| WRONG_COUNT)?;
        let mut values = [0; 3];
        for (value, text) in values.iter_mut().zip(args) {
            *value = parse_loosely(text)
                .filter(|number| (-2000..=2000).contains(number))
                .and_then(|number| i32::try_from(number).ok())
                .ok_or("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")?;
        }
        Ok(values)
    }

    fn text(&self, value: &[i32; 3]) -> Vec<u8> {
        value.map(|number| number.to_string()).join(" ").into()
    }

    fn describe(&self) -> String {
        "three numbers from -2000 to 2000".into()
    }
}

/// The options of a shutdown by signal.
pub(super) struct ShutdownWords;

impl ShutdownWords {
    const WORDS: [&'static str; 7] =
        ["default", "save", "nosave", "now", "force", "safe", "failover"];
}

impl Kind<ShutdownOn> for ShutdownWords {
    const SPLITS: bool = true;

    fn parse(&self, args: &[Vec<u8>], _: &ShutdownOn) -> Result<ShutdownOn, Reason> {
        let mut on = ShutdownOn::default();
        if args.is_empty() {
            return Err(one_of(Self::WORDS.into_iter()));
        }
        for word in args {
            match word.to_ascii_lowercase().as_slice() {
                b"default" => {}
                b"save" => on.save = true,
                b"nosave" => on.nosave = true,
                b"now" => on.now = true,
                b"force" => on.force = true,
                b"safe" => on.safe = true,
                b"failover" => on.failover = true,
                _ => return Err(one_of(Self::WORDS.into_iter())),
            }
        }
        if on.save && on.nosave {
            return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".into());
        }
        Ok(on)
    }

    fn text(&self, value: &ShutdownOn) -> Vec<u8> {
        let set = [value.save, value.nosave, value.now, value.force, value.safe, value.failover];
        let words = Self::WORDS[1..].iter().zip(set).filter(|(_, on)| *on).map(|(word, _)| *word);
        let text = join(words, " ");
        if text.is_empty() { "default".into() } else { text.into() }
    }

    fn describe(&self) -> String {
        join(Self::WORDS.into_iter(), ", ") + "; several"
    }
}

/// Host and port of a primary, or nothing.
pub(super) struct HostPort;

impl Kind<Option<(ByteString, u16)>> for HostPort {
    const SPLITS: bool = true;

    fn parse(
        &self,
        args: &[Vec<u8>],
        _: &Option<(ByteString, u16)>,
    ) -> Result<Option<(ByteString, u16)>, Reason> {
        let [host, port] = args else { return Err(WRONG_COUNT.into()) };
        if host.eq_ignore_ascii_case(b"no") && port.eq_ignore_ascii_case(b"one") {
            return Ok(None);
        }
        let port = parse_integer(port).and_then(|n| u16::try_from(n).ok());
        port.map(|port| Some((host.as_slice().into(), port)))
            .ok_or_else(|| "Invalid primary port".into())
    }

    fn text(&self, value: &Option<(ByteString, u16)>) -> Vec<u8> {
        let joined = |(host, port): &(ByteString, u16)| {
            [host, &b" "[..], port.to_string().as_bytes()].concat()
        };
        value.as_ref().map_or_else(Vec::new, joined)
    }

    fn file_text(&self, value: &Option<(ByteString, u16)>) -> Vec<u8> {
        let joined = |(host, port): &(ByteString, u16)| {
            [&quote_unless_plain(host), &b" "[..], port.to_string().as_bytes()].concat()
        };
        value.as_ref().map_or_else(|| "no one".into(), joined)
    }

    fn describe(&self) -> String {
        "host port, or no one".into()
    }
}
