//! The kinds of parameter: how each is read from arguments, shown by CONFIG GET and written to a
//! file.
//!
//! The reasons given on failure are the words of the real servers, since clients and tests match
//! them.

use std::fmt::Display;

use super::types::{BytesOrPercent, OutputLimit, OutputLimits, ShutdownOn, notify};
use super::words::{memory_text, parse_integer, parse_memory, quote};

/// A reason, in the words that follow `- ` in the error of CONFIG SET.
pub(super) type Reason = String;

const WRONG_COUNT: &str = "wrong number of arguments";

/// One line that CONFIG REWRITE would write for a parameter.
pub(super) struct FileLine {
    /// What follows the name, quoted where needed.
    pub(super) args: String,
    /// Whether the line is needed even if the file has none for this parameter.
    pub(super) differs_from_default: bool,
}

/// How one kind of parameter with values of type `T` looks in text.
pub(super) trait Kind<T> {
    /// Whether a single argument holds several, separated by blanks: `CONFIG SET save "900 1"`.
    const SPLITS: bool = false;

    /// Reads the value. `current` is what it replaces, for kinds whose text names only a part.
    fn parse(&self, args: &[String], current: &T) -> Result<T, Reason>;

    /// The value as CONFIG GET shows it.
    fn text(&self, value: &T) -> String;

    /// The value as a file has it, without the name.
    fn file_text(&self, value: &T) -> String {
        self.text(value)
    }

    /// The lines of a file that give `value`.
    fn lines(&self, value: &T, default: &T) -> Vec<FileLine> {
        let differs_from_default = self.text(value) != self.text(default);
        vec![FileLine { args: self.file_text(value), differs_from_default }]
    }

    /// What may be written, for the documentation.
    fn describe(&self) -> String;
}

fn single(args: &[String]) -> Result<&str, Reason> {
    match args {
        [only] => Ok(only),
        _ => Err(WRONG_COUNT.into()),
    }
}

fn unless_empty(text: String) -> String {
    if text.is_empty() { "\"\"".into() } else { text }
}

/// `yes` or `no`.
pub(super) struct Bool;

impl Kind<bool> for Bool {
    fn parse(&self, args: &[String], _: &bool) -> Result<bool, Reason> {
        match single(args)?.to_ascii_lowercase().as_str() {
            "yes" => Ok(true),
            "no" => Ok(false),
            _ => Err("argument must be 'yes' or 'no'".into()),
        }
    }

    fn text(&self, value: &bool) -> String {
        if *value { "yes" } else { "no" }.into()
    }

    fn describe(&self) -> String {
        "yes, no".into()
    }
}

/// A whole number from the first to the last bound, both included.
pub(super) struct Int(pub(super) i64, pub(super) i64);

impl<T: Copy + Display + TryFrom<i64>> Kind<T> for Int {
    fn parse(&self, args: &[String], _: &T) -> Result<T, Reason> {
        let number =
            parse_integer(single(args)?).ok_or("argument couldn't be parsed into an integer")?;
        in_range(number, self.0, self.1)
    }

    fn text(&self, value: &T) -> String {
        value.to_string()
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

/// A whole number that is pulled into its bounds rather than refused: `0..=i32::MAX` is accepted.
pub(super) struct Clamped(pub(super) u32, pub(super) u32);

impl Kind<u32> for Clamped {
    fn parse(&self, args: &[String], current: &u32) -> Result<u32, Reason> {
        let number: u32 = Int(0, i64::from(i32::MAX)).parse(args, current)?;
        Ok(number.clamp(self.0, self.1))
    }

    fn text(&self, value: &u32) -> String {
        value.to_string()
    }

    fn describe(&self) -> String {
        format!("{} to {}; beyond, the nearest", self.0, self.1)
    }
}

/// A size in bytes with an optional unit, within bounds.
pub(super) struct Memory(pub(super) u64, pub(super) u64);

impl<T: Copy + Display + TryFrom<u64> + TryInto<u64>> Kind<T> for Memory {
    fn parse(&self, args: &[String], _: &T) -> Result<T, Reason> {
        let outside = || format!("argument must be between {} and {} inclusive", self.0, self.1);
        let bytes = parse_memory(single(args)?).ok_or("argument must be a memory value")?;
        if !(self.0..=self.1).contains(&bytes) {
            return Err(outside());
        }
        T::try_from(bytes).map_err(|_| outside())
    }

    fn text(&self, value: &T) -> String {
        value.to_string()
    }

    fn file_text(&self, value: &T) -> String {
        (*value).try_into().map_or_else(|_| value.to_string(), memory_text)
    }

    fn describe(&self) -> String {
        if self.0 == 0 { "size".into() } else { format!("size, at least {}", memory_text(self.0)) }
    }
}

/// A size of at least one byte that is raised to a floor.
pub(super) struct MemoryFloor(pub(super) u64);

impl Kind<u64> for MemoryFloor {
    fn parse(&self, args: &[String], current: &u64) -> Result<u64, Reason> {
        Ok(Memory(1, i64::MAX as u64).parse(args, current)?.max(self.0))
    }

    fn text(&self, value: &u64) -> String {
        value.to_string()
    }

    fn file_text(&self, value: &u64) -> String {
        memory_text(*value)
    }

    fn describe(&self) -> String {
        format!("size; below {}, that", memory_text(self.0))
    }
}

/// A size or a percentage.
pub(super) struct MemoryOrPercent;

impl Kind<BytesOrPercent> for MemoryOrPercent {
    fn parse(&self, args: &[String], _: &BytesOrPercent) -> Result<BytesOrPercent, Reason> {
        let text = single(args)?;
        let malformed = || Reason::from("argument must be a memory or percent value");
        let Some(percent) = text.strip_suffix('%') else {
            return parse_memory(text).map(BytesOrPercent::Bytes).ok_or_else(malformed);
        };
        match parse_integer(percent) {
            Some(number @ 0..=100) => Ok(BytesOrPercent::Percent(number as u8)),
            Some(101..) => Err("percentage argument must be less or equal to 100".into()),
            _ => Err(malformed()),
        }
    }

    fn text(&self, value: &BytesOrPercent) -> String {
        match value {
            BytesOrPercent::Bytes(bytes) => bytes.to_string(),
            BytesOrPercent::Percent(percent) => format!("{percent}%"),
        }
    }

    fn describe(&self) -> String {
        "size, or per cent of maxmemory".into()
    }
}

/// File permission bits, written in octal; 0 leaves them to the umask.
pub(super) struct Octal;

impl Kind<u32> for Octal {
    fn parse(&self, args: &[String], _: &u32) -> Result<u32, Reason> {
        let text = single(args)?;
        let bits = u32::from_str_radix(text, 8)
            .ok()
            .filter(|_| text.bytes().all(|b| b.is_ascii_digit()))
            .ok_or("argument couldn't be parsed as an octal number")?;
        if bits > 0o777 {
            return Err("argument must be between 0 and 777 inclusive".into());
        }
        Ok(bits)
    }

    fn text(&self, value: &u32) -> String {
        format!("{value:o}")
    }

    fn describe(&self) -> String {
        "octal, 0 to 777".into()
    }
}

/// An enum that is written as a word.
pub trait Words: Copy + PartialEq + 'static {
    /// Every word and what it means, in the order in which errors list them.
    const WORDS: &'static [(&'static str, Self)];

    /// The word for this value.
    fn word(self) -> &'static str {
        Self::WORDS.iter().find(|(_, value)| *value == self).map_or("", |(word, _)| word)
    }
}

/// One word of a list.
pub(super) struct Word;

impl<T: Words> Kind<T> for Word {
    fn parse(&self, args: &[String], _: &T) -> Result<T, Reason> {
        let text = single(args)?;
        T::WORDS
            .iter()
            .find(|(word, _)| word.eq_ignore_ascii_case(text))
            .map(|(_, value)| *value)
            .ok_or_else(|| one_of(T::WORDS.iter().map(|(word, _)| *word)))
    }

    fn text(&self, value: &T) -> String {
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
pub(super) struct Text(pub(super) fn(&str) -> Result<(), &'static str>);

/// Text without restrictions.
pub(super) const ANY: Text = Text(|_| Ok(()));
/// A file's name without a directory.
pub(super) const FILE_NAME: Text = Text(|text| match text {
    "" => Err("dbfilename can't be empty"),
    _ if text.contains(['/', '\\']) => Err("dbfilename can't be a path, just a filename"),
    _ => Ok(()),
});
/// The name of the append-only files.
pub(super) const AOF_FILE_NAME: Text = Text(|text| match text {
    "" => Err("appendfilename can't be empty"),
    _ if text.contains(['/', '\\']) => Err("appendfilename can't be a path, just a filename"),
    _ => Ok(()),
});
/// The name of the directory of append-only files.
pub(super) const AOF_DIR_NAME: Text = Text(|text| match text {
    "" => Err("appenddirname can't be empty"),
    _ if text.contains(['/', '\\']) => Err("appenddirname can't be a path, just a dirname"),
    _ => Ok(()),
});
/// A host name.
pub(super) const HOST_NAME: Text = Text(|text| {
    let fits = text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.'));
    match text.len() {
        256.. => Err("Hostnames must be less than 256 characters"),
        _ if !fits => Err("Hostnames may only contain alphanumeric characters, hyphens or dots"),
        _ => Ok(()),
    }
});
/// A name of a cluster node meant for people.
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

/// Whether `text` can stand in the file of a cluster, whose fields end at blanks and commas.
fn is_announceable(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_' | b':'))
}

/// An IPv4 address or nothing.
pub(super) const IPV4: Text = Text(|text| {
    let fits = text.is_empty() || text.parse::<std::net::Ipv4Addr>().is_ok();
    if fits { Ok(()) } else { Err("Invalid IPv4 address") }
});
/// An IPv6 address or nothing.
pub(super) const IPV6: Text = Text(|text| {
    let fits = text.is_empty() || text.parse::<std::net::Ipv6Addr>().is_ok();
    if fits { Ok(()) } else { Err("Invalid IPv6 address") }
});
/// The template of the process title.
pub(super) const TITLE: Text = Text(|text| {
    const NAMES: &[&str] =
        &["title", "listen-addr", "server-mode", "port", "tls-port", "config-file", "unixsocket"];
    let mut rest = text;
    while let Some((_, after)) = rest.split_once('{') {
        match after.split_once('}') {
            Some((name, tail)) if NAMES.contains(&name) => rest = tail,
            _ => return Err("template format is invalid or contains unknown variables"),
        }
    }
    let blank = text.trim().is_empty();
    if blank { Err("template format is invalid or contains unknown variables") } else { Ok(()) }
});

impl Kind<String> for Text {
    fn parse(&self, args: &[String], _: &String) -> Result<String, Reason> {
        let text = single(args)?;
        (self.0)(text)?;
        Ok(text.into())
    }

    fn text(&self, value: &String) -> String {
        value.clone()
    }

    fn file_text(&self, value: &String) -> String {
        quote(value.as_bytes())
    }

    fn describe(&self) -> String {
        "text".into()
    }
}

/// Several addresses.
pub(super) struct Addresses;

impl Addresses {
    /// How many addresses one server may listen on.
    const COUNT_MAX: usize = 16;
}

impl Kind<Vec<String>> for Addresses {
    const SPLITS: bool = true;

    fn parse(&self, args: &[String], _: &Vec<String>) -> Result<Vec<String>, Reason> {
        let words = args.iter().flat_map(|arg| arg.split(' ')).filter(|word| !word.is_empty());
        let addresses: Vec<String> = words.map(Into::into).collect();
        if addresses.len() > Self::COUNT_MAX {
            return Err("Too many bind addresses specified.".into());
        }
        Ok(addresses)
    }

    fn text(&self, value: &Vec<String>) -> String {
        value.join(" ")
    }

    fn file_text(&self, value: &Vec<String>) -> String {
        let plain = |b: u8| b.is_ascii_graphic() && !matches!(b, b'"' | b'\'' | b'\\');
        let word = |text: &String| {
            if text.bytes().all(plain) { text.clone() } else { quote(text.as_bytes()) }
        };
        unless_empty(value.iter().map(word).collect::<Vec<_>>().join(" "))
    }

    fn describe(&self) -> String {
        "addresses; - before one: may be absent; * and ::* mean all".into()
    }
}

/// Save points: pairs of seconds and changes.
pub(super) struct SavePoints;

impl Kind<Vec<(u64, u64)>> for SavePoints {
    const SPLITS: bool = true;

    fn parse(&self, args: &[String], _: &Vec<(u64, u64)>) -> Result<Vec<(u64, u64)>, Reason> {
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
            .map(|[seconds, changes]| match (parse_integer(seconds), parse_integer(changes)) {
                (Some(s @ 1..), Some(c @ 0..)) => Ok((s.unsigned_abs(), c.unsigned_abs())),
                _ => Err(invalid()),
            })
            .collect()
    }

    fn text(&self, value: &Vec<(u64, u64)>) -> String {
        value.iter().map(|(s, c)| format!("{s} {c}")).collect::<Vec<_>>().join(" ")
    }

    fn file_text(&self, value: &Vec<(u64, u64)>) -> String {
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

    fn parse(&self, args: &[String], current: &OutputLimits) -> Result<OutputLimits, Reason> {
        let (groups, rest) = args.as_chunks::<4>();
        if !rest.is_empty() && !matches!(args, [only] if only.is_empty()) {
            return Err("Wrong number of arguments in buffer limit configuration.".into());
        }
        let mut limits = *current;
        for [class, hard, soft, seconds] in groups {
            let place = match class.to_ascii_lowercase().as_str() {
                "normal" => &mut limits.normal,
                "slave" | "replica" => &mut limits.replica,
                "pubsub" => &mut limits.pubsub,
                _ => {
                    return Err(
                        "Invalid client class specified in buffer limit configuration.".into()
                    );
                }
            };
            let (Some(hard_bytes), Some(soft_bytes), Some(soft_seconds)) = (
                parse_memory(hard),
                parse_memory(soft),
                parse_integer(seconds).and_then(|n| u32::try_from(n).ok()),
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

    fn text(&self, value: &OutputLimits) -> String {
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
    }

    fn lines(&self, value: &OutputLimits, default: &OutputLimits) -> Vec<FileLine> {
        let line = |class: &str, limit: &OutputLimit, default: &OutputLimit| FileLine {
            args: format!(
                "{class} {} {} {}",
                memory_text(limit.hard_bytes),
                memory_text(limit.soft_bytes),
                limit.soft_seconds
            ),
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
    fn parse(&self, args: &[String], _: &u32) -> Result<u32, Reason> {
        single(args)?.chars().try_fold(0, |bits, letter| {
            let class = match letter {
                'A' => Some(notify::ALL),
                _ => notify::LETTERS.iter().find(|(l, _)| *l == letter).map(|(_, bit)| *bit),
            };
            class
                .map(|class| bits | class)
                .ok_or_else(|| "Invalid event class character. Use 'Ag$lshzxeKEtmdn'.".into())
        })
    }

    fn text(&self, value: &u32) -> String {
        let all = value & notify::ALL == notify::ALL;
        let mut text = String::from(if all { "A" } else { "" });
        // The real servers leave out `n` too once `A` is written.
        let covered = if all { notify::ALL | notify::NEW } else { 0 };
        text.extend(
            notify::LETTERS.iter().filter(|(_, bit)| value & bit & !covered != 0).map(|(l, _)| l),
        );
        text
    }

    fn file_text(&self, value: &u32) -> String {
        // What CONFIG GET leaves out must not be lost by a rewrite.
        let text = self.text(value);
        let dropped = value & notify::NEW != 0 && !text.contains('n');
        quote(if dropped { format!("{text}n") } else { text }.as_bytes())
    }

    fn describe(&self) -> String {
        "letters of Ag$lshzxeKEtmdn".into()
    }
}

/// Percentiles between 0 and 100.
pub(super) struct Percentiles;

impl Kind<Vec<f64>> for Percentiles {
    const SPLITS: bool = true;

    fn parse(&self, args: &[String], _: &Vec<f64>) -> Result<Vec<f64>, Reason> {
        if matches!(args, [only] if only.is_empty()) {
            return Ok(Vec::new());
        }
        args.iter()
            .map(|text| match text.parse::<f64>() {
                Ok(number) if (0.0..=100.0).contains(&number) => Ok(number),
                Ok(number) if !number.is_nan() => Err(
                    "latency-tracking-info-percentiles parameters should sit between [0.0,100.0]"
                        .into(),
                ),
                _ => Err("Invalid latency-tracking-info-percentiles parameters".into()),
            })
            .collect()
    }

    fn text(&self, value: &Vec<f64>) -> String {
        value.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    fn file_text(&self, value: &Vec<f64>) -> String {
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

    fn parse(&self, args: &[String], _: &[i32; 3]) -> Result<[i32; 3], Reason> {
        let args: &[String; 3] = args.try_into().map_err(|_| WRONG_COUNT)?;
        let mut values = [0; 3];
        for (value, text) in values.iter_mut().zip(args) {
            *value = parse_integer(text)
                .filter(|number| (-2000..=2000).contains(number))
                .and_then(|number| i32::try_from(number).ok())
                .ok_or("Invalid oom-score-adj-values, elements must be between -2000 and 2000.")?;
        }
        Ok(values)
    }

    fn text(&self, value: &[i32; 3]) -> String {
        value.map(|number| number.to_string()).join(" ")
    }

    fn describe(&self) -> String {
        "three numbers from -2000 to 2000".into()
    }
}

/// The manner of a shutdown by signal.
pub(super) struct ShutdownWords;

impl ShutdownWords {
    const WORDS: [&'static str; 7] =
        ["default", "save", "nosave", "now", "force", "safe", "failover"];
}

impl Kind<ShutdownOn> for ShutdownWords {
    const SPLITS: bool = true;

    fn parse(&self, args: &[String], _: &ShutdownOn) -> Result<ShutdownOn, Reason> {
        let mut on = ShutdownOn::default();
        if args.is_empty() {
            return Err(WRONG_COUNT.into());
        }
        for word in args {
            match word.to_ascii_lowercase().as_str() {
                "default" => {}
                "save" => on.save = true,
                "nosave" => on.nosave = true,
                "now" => on.now = true,
                "force" => on.force = true,
                "safe" => on.safe = true,
                "failover" => on.failover = true,
                _ => return Err(one_of(Self::WORDS.into_iter())),
            }
        }
        if on.save && on.nosave {
            return Err("shutdown options SAVE and NOSAVE can't be used simultaneously".into());
        }
        Ok(on)
    }

    fn text(&self, value: &ShutdownOn) -> String {
        let set = [value.save, value.nosave, value.now, value.force, value.safe, value.failover];
        let words = Self::WORDS[1..].iter().zip(set).filter(|(_, on)| *on).map(|(word, _)| *word);
        let text = join(words, " ");
        if text.is_empty() { "default".into() } else { text }
    }

    fn describe(&self) -> String {
        join(Self::WORDS.into_iter(), ", ") + "; several"
    }
}

/// Host and port of a primary, or nothing.
pub(super) struct HostPort;

impl Kind<Option<(String, u16)>> for HostPort {
    const SPLITS: bool = true;

    fn parse(
        &self,
        args: &[String],
        _: &Option<(String, u16)>,
    ) -> Result<Option<(String, u16)>, Reason> {
        let [host, port] = args else { return Err(WRONG_COUNT.into()) };
        if host.eq_ignore_ascii_case("no") && port.eq_ignore_ascii_case("one") {
            return Ok(None);
        }
        let port = parse_integer(port).and_then(|n| u16::try_from(n).ok());
        port.map(|port| Some((host.clone(), port))).ok_or_else(|| "Invalid master port".into())
    }

    fn text(&self, value: &Option<(String, u16)>) -> String {
        value.as_ref().map_or_else(String::new, |(host, port)| format!("{host} {port}"))
    }

    fn file_text(&self, value: &Option<(String, u16)>) -> String {
        let quoted = |(host, port): &(String, u16)| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".:-_".contains(&byte);
            match host.is_empty() || !host.bytes().all(plain) {
                true => format!("{} {port}", quote(host.as_bytes())),
                false => format!("{host} {port}"),
            }
        };
        value.as_ref().map_or_else(|| "no one".into(), quoted)
    }

    fn describe(&self) -> String {
        "host port, or no one".into()
    }
}
