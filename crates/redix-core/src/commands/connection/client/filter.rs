//! The filters of CLIENT LIST and CLIENT KILL.

use redix_types::num::parse_i64;

use crate::command::args::Args;
use crate::command::context::ClientCx;
use crate::command::line::{self, up_to_nul};
use crate::command::spec::{ArgKind, ArgSpec};
use crate::error::ReplyError;
use crate::registry::{ClientShared, client_flag};
use crate::sync::atomic::Ordering;
use crate::sync::lock;

// tidy: table
/// The arguments of CLIENT KILL.
pub(super) const KILL_ARGS: &[ArgSpec] = &[ArgSpec::new(
    "filter",
    ArgKind::OneOf(&[
        ArgSpec::new("old-format", ArgKind::String).display("ip:port").deprecated("2.8.12"),
        ArgSpec::new(
            "new-format",
            ArgKind::OneOf(&[
                ArgSpec::new("client-id", ArgKind::Integer)
                    .token("ID")
                    .since("2.8.12")
                    .optional()
                    .multiple(),
                ArgSpec::new(
                    "client-type",
                    ArgKind::OneOf(&[
                        ArgSpec::word("normal", "NORMAL"),
                        ArgSpec::word("master", "MASTER").since("3.2.0"),
                        ArgSpec::word("primary", "PRIMARY").since("8.0.0"),
                        ArgSpec::word("slave", "SLAVE"),
                        ArgSpec::word("replica", "REPLICA").since("5.0.0"),
                        ArgSpec::word("pubsub", "PUBSUB"),
                    ]),
                )
                .token("TYPE")
                .since("2.8.12")
                .optional(),
                ArgSpec::new("username", ArgKind::String).token("USER").optional(),
                ArgSpec::new("addr", ArgKind::String).token("ADDR").display("ip:port").optional(),
                ArgSpec::new("laddr", ArgKind::String)
                    .token("LADDR")
                    .display("ip:port")
                    .since("6.2.0")
                    .optional(),
                ArgSpec::new(
                    "skipme",
                    ArgKind::OneOf(&[ArgSpec::word("yes", "YES"), ArgSpec::word("no", "NO")]),
                )
                .token("SKIPME")
                .optional(),
                ArgSpec::new("maxage", ArgKind::Integer).token("MAXAGE").since("8.0.0").optional(),
                ArgSpec::new("name", ArgKind::String).token("NAME").since("9.0.0").optional(),
                ArgSpec::new("idle", ArgKind::Integer).token("IDLE").since("9.0.0").optional(),
                ArgSpec::new("flags", ArgKind::String).token("FLAGS").since("9.0.0").optional(),
                ArgSpec::new("lib-name", ArgKind::String)
                    .token("LIB-NAME")
                    .since("9.0.0")
                    .optional(),
                ArgSpec::new("lib-ver", ArgKind::String).token("LIB-VER").since("9.0.0").optional(),
                ArgSpec::new("db", ArgKind::Integer).token("DB").since("9.0.0").optional(),
                ArgSpec::new("capa", ArgKind::String).token("CAPA").since("9.0.0").optional(),
                ArgSpec::new("ip", ArgKind::String).token("IP").since("9.0.0").optional(),
                ArgSpec::new(
                    "not-client-type",
                    ArgKind::OneOf(&[
                        ArgSpec::word("normal", "NORMAL"),
                        ArgSpec::word("master", "MASTER"),
                        ArgSpec::word("primary", "PRIMARY"),
                        ArgSpec::word("slave", "SLAVE"),
                        ArgSpec::word("replica", "REPLICA"),
                        ArgSpec::word("pubsub", "PUBSUB"),
                    ]),
                )
                .token("NOT-TYPE")
                .since("9.0.0")
                .optional(),
                ArgSpec::new("not-client-id", ArgKind::Integer)
                    .token("NOT-ID")
                    .since("9.0.0")
                    .optional()
                    .multiple(),
                ArgSpec::new("not-username", ArgKind::String)
                    .token("NOT-USER")
                    .since("9.0.0")
                    .optional(),
                ArgSpec::new("not-addr", ArgKind::String)
                    .token("NOT-ADDR")
                    .display("ip:port")
                    .since("9.0.0")
                    .optional(),
                ArgSpec::new("not-laddr", ArgKind::String)
                    .token("NOT-LADDR")
                    .display("ip:port")
                    .since("9.0.0")
                    .optional(),
                ArgSpec::new("not-name", ArgKind::String)
                    .token("NOT-NAME")
                    .since("9.0.0")
                    .optional(),
                ArgSpec::new("not-flags", ArgKind::String)
                    .token("NOT-FLAGS")
                    .since("9.0.0")
                    .optional(),
                ArgSpec::new("not-lib-name", ArgKind::String)
                    .token("NOT-LIB-NAME")
                    .since("9.0.0")
                    .optional(),
                ArgSpec::new("not-lib-ver", ArgKind::String)
                    .token("NOT-LIB-VER")
                    .since("9.0.0")
                    .optional(),
                ArgSpec::new("not-db", ArgKind::Integer).token("NOT-DB").since("9.0.0").optional(),
                ArgSpec::new("not-capa", ArgKind::String)
                    .token("NOT-CAPA")
                    .since("9.0.0")
                    .optional(),
                ArgSpec::new("not-ip", ArgKind::String).token("NOT-IP").since("9.0.0").optional(),
            ]),
        )
        .multiple(),
    ]),
)];

// tidy: table
/// The arguments of CLIENT LIST.
pub(super) const LIST_ARGS: &[ArgSpec] = &[
    ArgSpec::new(
        "client-type",
        ArgKind::OneOf(&[
            ArgSpec::word("normal", "NORMAL"),
            ArgSpec::word("master", "MASTER"),
            ArgSpec::word("replica", "REPLICA"),
            ArgSpec::word("pubsub", "PUBSUB"),
        ]),
    )
    .token("TYPE")
    .since("5.0.0")
    .optional(),
    ArgSpec::new("client-id", ArgKind::Integer).token("ID").since("6.2.0").optional().multiple(),
    ArgSpec::new("username", ArgKind::String).token("USER").since("8.1.0").optional(),
    ArgSpec::new("addr", ArgKind::String)
        .token("ADDR")
        .display("ip:port")
        .since("8.1.0")
        .optional(),
    ArgSpec::new("laddr", ArgKind::String)
        .token("LADDR")
        .display("ip:port")
        .since("8.1.0")
        .optional(),
    ArgSpec::new(
        "skipme",
        ArgKind::OneOf(&[ArgSpec::word("yes", "YES"), ArgSpec::word("no", "NO")]),
    )
    .token("SKIPME")
    .since("8.1.0")
    .optional(),
    ArgSpec::new("maxage", ArgKind::Integer).token("MAXAGE").since("8.1.0").optional(),
    ArgSpec::new("name", ArgKind::String).token("NAME").since("9.0.0").optional(),
    ArgSpec::new("idle", ArgKind::Integer).token("IDLE").since("9.0.0").optional(),
    ArgSpec::new("flags", ArgKind::String).token("FLAGS").since("9.0.0").optional(),
    ArgSpec::new("lib-name", ArgKind::String).token("LIB-NAME").since("9.0.0").optional(),
    ArgSpec::new("lib-ver", ArgKind::String).token("LIB-VER").since("9.0.0").optional(),
    ArgSpec::new("db", ArgKind::Integer).token("DB").since("9.0.0").optional(),
    ArgSpec::new("capa", ArgKind::String).token("CAPA").since("9.0.0").optional(),
    ArgSpec::new("ip", ArgKind::String).token("IP").since("9.0.0").optional(),
    ArgSpec::new(
        "not-client-type",
        ArgKind::OneOf(&[
            ArgSpec::word("normal", "NORMAL"),
            ArgSpec::word("master", "MASTER"),
            ArgSpec::word("replica", "REPLICA"),
            ArgSpec::word("pubsub", "PUBSUB"),
        ]),
    )
    .token("NOT-TYPE")
    .since("9.0.0")
    .optional(),
    ArgSpec::new("not-client-id", ArgKind::Integer)
        .token("NOT-ID")
        .since("9.0.0")
        .optional()
        .multiple(),
    ArgSpec::new("not-username", ArgKind::String).token("NOT-USER").since("9.0.0").optional(),
    ArgSpec::new("not-addr", ArgKind::String)
        .token("NOT-ADDR")
        .display("ip:port")
        .since("9.0.0")
        .optional(),
    ArgSpec::new("not-laddr", ArgKind::String)
        .token("NOT-LADDR")
        .display("ip:port")
        .since("9.0.0")
        .optional(),
    ArgSpec::new("not-name", ArgKind::String).token("NOT-NAME").since("9.0.0").optional(),
    ArgSpec::new("not-flags", ArgKind::String).token("NOT-FLAGS").since("9.0.0").optional(),
    ArgSpec::new("not-lib-name", ArgKind::String).token("NOT-LIB-NAME").since("9.0.0").optional(),
    ArgSpec::new("not-lib-ver", ArgKind::String).token("NOT-LIB-VER").since("9.0.0").optional(),
    ArgSpec::new("not-db", ArgKind::Integer).token("NOT-DB").since("9.0.0").optional(),
    ArgSpec::new("not-capa", ArgKind::String).token("NOT-CAPA").since("9.0.0").optional(),
    ArgSpec::new("not-ip", ArgKind::String).token("NOT-IP").since("9.0.0").optional(),
];

/// The flags that a filter may name, including those that no connection here ever has.
const LETTERS: &[u8] = b"ABEIMNOPRSTUbcdeirtux";

/// A class of connections, in the terms of TYPE.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Normal,
    Primary,
    Replica,
    Pubsub,
}

impl Kind {
    fn of(client: &ClientShared) -> Self {
        if client.has_flag(client_flag::PRIMARY) {
            Self::Primary
        } else if client.has_flag(client_flag::REPLICA) {
            Self::Replica
        } else if client.has_flag(client_flag::PUBSUB) {
            Self::Pubsub
        } else {
            Self::Normal
        }
    }

    fn parse(word: &[u8]) -> Option<Self> {
        Some(match word.to_ascii_lowercase().as_slice() {
            b"normal" => Self::Normal,
            b"primary" | b"master" => Self::Primary,
            b"replica" | b"slave" => Self::Replica,
            b"pubsub" => Self::Pubsub,
            _ => return None,
        })
    }
}

/// One condition on a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    Id(Vec<u64>),
    Kind(Kind),
    User(Vec<u8>),
    Addr(Vec<u8>),
    LocalAddr(Vec<u8>),
    Ip(Vec<u8>),
    Name(Vec<u8>),
    LibName(Vec<u8>),
    LibVer(Vec<u8>),
    Flags(Vec<u8>),
    Capa(Vec<u8>),
    Db(u32),
    AgeSeconds(i64),
    IdleSeconds(i64),
}

impl Test {
    fn matches(&self, client: &ClientShared, now_ms: i64) -> bool {
        let seconds_since = |ms: i64| now_ms.saturating_sub(ms) / 1000;
        let texts = || lock(&client.texts);
        match self {
            Self::Id(ids) => ids.contains(&client.id),
            Self::Kind(kind) => *kind == Kind::of(client),
            Self::User(user) => texts().user == *user,
            Self::Addr(addr) => client.addr.as_bytes() == *addr,
            Self::LocalAddr(addr) => client.laddr.as_bytes() == *addr,
            Self::Ip(ip) => ip_of(&client.addr).as_bytes() == *ip,
            Self::Name(name) => is_set_to(&texts().name, name),
            Self::LibName(name) => is_set_to(&texts().lib_name, name),
            Self::LibVer(version) => is_set_to(&texts().lib_ver, version),
            Self::Flags(letters) => {
                let has = line::letters(client);
                letters.iter().all(|letter| has.as_bytes().contains(letter))
            }
            Self::Capa(letters) => letters.is_empty() || client.has_flag(client_flag::CAN_REDIRECT),
            Self::Db(db) => client.db.load(Ordering::Relaxed) == *db,
            Self::AgeSeconds(seconds) => seconds_since(client.created_ms) >= *seconds,
            Self::IdleSeconds(seconds) => {
                seconds_since(client.last_active_ms.load(Ordering::Relaxed)) >= *seconds
            }
        }
    }
}

/// A text that was never set equals nothing, not even an empty one.
fn is_set_to(text: &[u8], wanted: &[u8]) -> bool {
    !text.is_empty() && text == wanted
}

fn ip_of(addr: &str) -> &str {
    let ip = addr.rsplit_once(':').map_or(addr, |(ip, _)| ip);
    ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')).unwrap_or(ip)
}

/// All conditions on a connection.
#[derive(Debug, Default)]
pub(super) struct Filter {
    /// The conditions, and whether each is negated.
    tests: Vec<(Test, bool)>,
    /// SKIPME, if given.
    pub(super) skip_me: Option<bool>,
}

impl Filter {
    /// Parses the arguments from `first` on. Of a filter given twice the last counts, but ids
    /// accumulate.
    pub(super) fn parse(
        cx: &ClientCx<'_, '_>,
        args: Args<'_>,
        first: usize,
    ) -> Result<Self, ReplyError> {
        let mut filter = Self::default();
        let mut next = first;
        // A single argument is no filter, not even ID, which may stand without ids among others.
        if args.len() == first + 1 {
            return Err(ReplyError::Syntax);
        }
        while next < args.len() {
            let word = args.get(next).to_ascii_uppercase();
            next += 1;
            if matches!(&word[..], b"ID" | b"NOT-ID") {
                filter.add(Test::Id(parse_ids(args, &mut next)?), word.starts_with(b"NOT-"));
                continue;
            }
            let value = args.try_get(next).ok_or(ReplyError::Syntax)?;
            next += 1;
            if word == b"SKIPME" {
                filter.skip_me = Some(match value.to_ascii_uppercase().as_slice() {
                    b"YES" => true,
                    b"NO" => false,
                    _ => return Err(ReplyError::Syntax),
                });
                continue;
            }
            let (name, negated) = match word.strip_prefix(b"NOT-") {
                Some(name) => (name, true),
                None => (&word[..], false),
            };
            filter.add(parse_test(cx, name, negated, value)?, negated);
        }
        Ok(filter)
    }

    fn add(&mut self, test: Test, negated: bool) {
        let same = |(other, other_negated): &&mut (Test, bool)| {
            *other_negated == negated
                && std::mem::discriminant(other) == std::mem::discriminant(&test)
        };
        match (self.tests.iter_mut().find(same), test) {
            (Some((Test::Id(ids), _)), Test::Id(more)) => ids.extend(more),
            (Some((old, _)), test) => *old = test,
            (None, test) => self.tests.push((test, negated)),
        }
    }

    /// Whether a connection matches, SKIPME apart.
    pub(super) fn matches(&self, client: &ClientShared, now_ms: i64) -> bool {
        self.tests.iter().all(|(test, negated)| test.matches(client, now_ms) != *negated)
    }
}

/// The ids from argument `next` up to one that is no number.
fn parse_ids(args: Args<'_>, next: &mut usize) -> Result<Vec<u64>, ReplyError> {
    let mut ids = Vec::new();
    while let Some(id) = args.try_get(*next).and_then(parse_i64) {
        let id = u64::try_from(id).ok().filter(|id| *id > 0);
        ids.push(id.ok_or(ReplyError::Static("ERR client-id should be greater than 0"))?);
        *next += 1;
    }
    Ok(ids)
}

fn parse_test(
    cx: &ClientCx<'_, '_>,
    name: &[u8],
    negated: bool,
    value: &[u8],
) -> Result<Test, ReplyError> {
    let text = || value.to_vec();
    // The real servers read letters up to a zero byte.
    let letters = up_to_nul(value);
    Ok(match name {
        b"TYPE" => Test::Kind(
            Kind::parse(value)
                .ok_or_else(|| ReplyError::quoting("Unknown client type '", value, "'"))?,
        ),
        b"USER" if cx.engine.acl.get(value).is_some() => Test::User(text()),
        b"USER" => return Err(ReplyError::quoting("No such user '", value, "'")),
        b"ADDR" => Test::Addr(text()),
        b"LADDR" => Test::LocalAddr(text()),
        b"IP" => Test::Ip(text()),
        b"NAME" => Test::Name(text()),
        b"LIB-NAME" => Test::LibName(text()),
        b"LIB-VER" => Test::LibVer(text()),
        b"FLAGS" if letters.iter().all(|letter| LETTERS.contains(letter)) => {
            Test::Flags(letters.to_vec())
        }
        b"FLAGS" => return Err(unknown_letters("flags", "NOT-FLAGS", negated, letters)),
        b"CAPA" if letters.iter().all(|letter| *letter == b'r') => Test::Capa(letters.to_vec()),
        b"CAPA" => return Err(unknown_letters("capa", "NOT-CAPA", negated, letters)),
        b"DB" => Test::Db(parse_db(cx, if negated { "NOT-DB" } else { "DB" }, value)?),
        b"MAXAGE" if !negated => Test::AgeSeconds(parse_seconds("maxage", value)?),
        b"IDLE" if !negated => Test::IdleSeconds(parse_seconds("idle", value)?),
        _ => return Err(ReplyError::Syntax),
    })
}

fn unknown_letters(what: &str, negated_as: &str, negated: bool, value: &[u8]) -> ReplyError {
    let place = if negated { negated_as } else { "provided" };
    ReplyError::quoting(&format!("Unknown {what} found in the {place} filter: "), value, "")
}

fn parse_db(cx: &ClientCx<'_, '_>, name: &str, value: &[u8]) -> Result<u32, ReplyError> {
    let number = parse_i64(value)
        .and_then(|number| i32::try_from(number).ok())
        .ok_or_else(|| ReplyError::err(format!("{name} is not an integer or out of range")))?;
    let databases = cx.engine.keyspace.databases();
    u32::try_from(number).ok().filter(|db| *db < databases).ok_or_else(|| {
        ReplyError::err(format!("{name} number should be between 0 and {}", databases - 1))
    })
}

fn parse_seconds(name: &str, value: &[u8]) -> Result<i64, ReplyError> {
    match parse_i64(value) {
        None => Err(ReplyError::err(format!("{name} is not an integer or out of range"))),
        Some(seconds) if seconds <= 0 => {
            Err(ReplyError::err(format!("{name} should be greater than 0")))
        }
        Some(seconds) => Ok(seconds),
    }
}
