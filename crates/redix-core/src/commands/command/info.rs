//! One element of COMMAND INFO.

use redix_resp::reply::Reply;

use crate::command::spec::{Begin, CommandSpec, Find, KeySpec, access, acl, flag};

/// Writes the description of a command, or of a subcommand of `container`.
pub(super) fn write(reply: &mut Reply, spec: &CommandSpec, container: Option<&CommandSpec>) {
    let range = LegacyRange::of(spec);
    let flags = spec.flags | if range.is_incomplete { flag::MOVABLEKEYS } else { 0 };
    reply.array(10);
    match container {
        Some(container) => reply.bulk_str(&format!("{}|{}", container.name, spec.name)),
        None => reply.bulk_str(spec.name),
    }
    reply.int(i64::from(spec.arity));
    write_words(reply, flags, flag::WORDS, "");
    reply.int(i64::from(range.first));
    reply.int(i64::from(range.last));
    reply.int(i64::from(range.step));
    write_words(reply, spec.categories(), acl::WORDS, "@");
    reply.set(spec.docs.tips.len());
    spec.docs.tips.iter().for_each(|tip| reply.bulk_str(tip));
    reply.set(spec.keys.len());
    spec.keys.iter().for_each(|key_spec| write_key_spec(reply, key_spec));
    reply.array(spec.subcommands.len());
    spec.subcommands.iter().for_each(|sub| write(reply, sub, Some(spec)));
}

/// Writes the flags of a key as a set.
pub(super) fn write_access(reply: &mut Reply, bits: u32) {
    write_words(reply, bits, access::WORDS, "");
}

/// Writes the names of `bits`, except those that are not shown.
fn write_words(reply: &mut Reply, bits: u32, words: &[(u32, &str)], prefix: &str) {
    let shown = || words.iter().filter(|(bit, word)| bits & bit != 0 && !word.is_empty());
    reply.set(shown().count());
    shown().for_each(|(_, word)| reply.simple(&format!("{prefix}{word}")));
}

fn write_key_spec(reply: &mut Reply, spec: &KeySpec) {
    reply.map(if spec.notes.is_some() { 4 } else { 3 });
    if let Some(notes) = spec.notes {
        reply.bulk_str("notes");
        reply.bulk_str(notes);
    }
    reply.bulk_str("flags");
    write_access(reply, spec.access);
    reply.bulk_str("begin_search");
    match spec.begin {
        Begin::Index(index) => write_search(reply, "index", &[("index", i64::from(index))]),
        Begin::Keyword(word, from) => {
            write_search_head(reply, "keyword", 2);
            reply.bulk_str("keyword");
            reply.bulk_str(word);
            reply.bulk_str("startfrom");
            reply.int(i64::from(from));
        }
        Begin::Unknown => write_search(reply, "unknown", &[]),
    }
    reply.bulk_str("find_keys");
    match spec.find {
        Find::Range { last, step, limit } => write_search(
            reply,
            "range",
            &[("lastkey", i64::from(last)), ("keystep", step.into()), ("limit", limit.into())],
        ),
        Find::KeyNum { keynum, first, step } => write_search(
            reply,
            "keynum",
            &[("keynumidx", keynum.into()), ("firstkey", first.into()), ("keystep", step.into())],
        ),
        Find::Unknown => write_search(reply, "unknown", &[]),
    }
}

fn write_search_head(reply: &mut Reply, kind: &str, fields: usize) {
    reply.map(2);
    reply.bulk_str("type");
    reply.bulk_str(kind);
    reply.bulk_str("spec");
    reply.map(fields);
}

fn write_search(reply: &mut Reply, kind: &str, fields: &[(&str, i64)]) {
    write_search_head(reply, kind, fields.len());
    for (name, value) in fields {
        reply.bulk_str(name);
        reply.int(*value);
    }
}

/// Keys as first, last and step: all that clients older than key specifications know.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct LegacyRange {
    first: i32,
    last: i32,
    step: i32,
    /// There are keys that these three numbers do not cover.
    is_incomplete: bool,
}

impl LegacyRange {
    /// One range is taken as it is; of several those that adjoin each other with step 1 are joined.
    fn of(spec: &CommandSpec) -> Self {
        let ranges: Vec<_> = spec.keys.iter().map(Self::of_one).collect();
        if let [Some(range)] = ranges.as_slice() {
            return *range;
        }
        let mut joined: Option<Self> = None;
        let mut is_incomplete = false;
        for range in ranges {
            match (range, &mut joined) {
                (Some(range), None) if range.step == 1 => joined = Some(range),
                (Some(range), Some(joined))
                    if range.step == 1 && range.first == joined.last + 1 =>
                {
                    joined.last = range.last;
                    joined.is_incomplete |= range.is_incomplete;
                }
                _ => is_incomplete = true,
            }
        }
        let mut range = joined.unwrap_or_default();
        range.is_incomplete |= is_incomplete;
        range
    }

    fn of_one(spec: &KeySpec) -> Option<Self> {
        let (Begin::Index(index), Find::Range { last, step, .. }) = (spec.begin, spec.find) else {
            return None;
        };
        let first = index as i32;
        let last = if last >= 0 { first + last } else { last };
        let is_incomplete = spec.access & access::INCOMPLETE != 0;
        Some(Self { first, last, step: step as i32, is_incomplete })
    }
}
