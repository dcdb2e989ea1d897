//! The entry of one command in COMMAND DOCS.

use redix_resp::reply::Reply;

use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, flag};

/// Writes the entry of a command, those of its subcommands nested in it.
pub(super) fn write(reply: &mut Reply, spec: &CommandSpec) {
    let place = reply.deferred();
    let mut fields = 0;
    let mut field = |reply: &mut Reply, name: &str| {
        reply.bulk_str(name);
        fields += 1;
    };
    for (name, text) in
        [("summary", spec.docs.doc), ("since", spec.docs.since), ("group", spec.group.word())]
    {
        field(reply, name);
        reply.bulk_str(text);
    }
    if !spec.docs.complexity.is_empty() {
        field(reply, "complexity");
        reply.bulk_str(spec.docs.complexity);
    }
    if spec.has(flag::SYSCMD) {
        field(reply, "doc_flags");
        reply.set(1);
        reply.simple("syscmd");
    }
    if let Some((since, instead)) = spec.docs.deprecated {
        field(reply, "doc_flags");
        reply.set(1);
        reply.simple("deprecated");
        field(reply, "deprecated_since");
        reply.bulk_str(since);
        field(reply, "replaced_by");
        reply.bulk_str(instead);
    }
    if !spec.docs.history.is_empty() {
        field(reply, "history");
        reply.set(spec.docs.history.len());
        for (version, change) in spec.docs.history {
            reply.array(2);
            reply.bulk_str(version);
            reply.bulk_str(change);
        }
    }
    if !spec.docs.args.is_empty() {
        field(reply, "arguments");
        write_args(reply, spec.docs.args);
    }
    if !spec.subcommands.is_empty() {
        field(reply, "subcommands");
        reply.map(spec.subcommands.len());
        for sub in spec.subcommands {
            reply.bulk_str(&format!("{}|{}", spec.name, sub.name));
            write(reply, sub);
        }
    }
    reply.finish_map(place, fields);
}

fn write_args(reply: &mut Reply, args: &[ArgSpec]) {
    reply.array(args.len());
    args.iter().for_each(|arg| write_arg(reply, arg));
}

fn write_arg(reply: &mut Reply, arg: &ArgSpec) {
    let (kind, nested) = kind_of(arg.kind);
    let place = reply.deferred();
    let mut fields = 2;
    reply.bulk_str("name");
    reply.bulk_str(arg.name);
    reply.bulk_str("type");
    reply.bulk_str(kind);
    fields +=
        write_text(reply, "display_text", arg.display.or(nested.is_empty().then_some(arg.name)));
    if let ArgKind::Key(index) | ArgKind::KeyInteger(index) | ArgKind::KeyPattern(index) = arg.kind
    {
        reply.bulk_str("key_spec_index");
        reply.int(i64::from(index));
        fields += 1;
    }
    fields += write_text(reply, "token", arg.token);
    fields += write_text(reply, "summary", arg.summary);
    fields += write_text(reply, "since", arg.since);
    fields += write_text(reply, "deprecated_since", arg.deprecated_since);
    fields += write_arg_flags(reply, arg);
    if !nested.is_empty() {
        reply.bulk_str("arguments");
        write_args(reply, nested);
        fields += 1;
    }
    reply.finish_map(place, fields);
}

/// Writes a field, if it has a text; returns the number of fields written.
fn write_text(reply: &mut Reply, name: &str, text: Option<&str>) -> usize {
    if let Some(text) = text {
        reply.bulk_str(name);
        reply.bulk_str(text);
    }
    usize::from(text.is_some())
}

fn write_arg_flags(reply: &mut Reply, arg: &ArgSpec) -> usize {
    let words = [
        (arg.optional, "optional"),
        (arg.multiple, "multiple"),
        (arg.multiple_token, "multiple_token"),
    ];
    let set = || words.iter().filter(|(set, _)| *set);
    if set().count() == 0 {
        return 0;
    }
    reply.bulk_str("flags");
    reply.set(set().count());
    set().for_each(|(_, word)| reply.simple(word));
    1
}

/// The name of a kind, and the arguments nested in it.
fn kind_of(kind: ArgKind) -> (&'static str, &'static [ArgSpec]) {
    match kind {
        ArgKind::String => ("string", &[]),
        ArgKind::Integer | ArgKind::KeyInteger(_) => ("integer", &[]),
        ArgKind::Double => ("double", &[]),
        ArgKind::Key(_) => ("key", &[]),
        ArgKind::Pattern | ArgKind::KeyPattern(_) => ("pattern", &[]),
        ArgKind::UnixTime => ("unix-time", &[]),
        ArgKind::PureToken => ("pure-token", &[]),
        ArgKind::OneOf(nested) => ("oneof", nested),
        ArgKind::Block(nested) => ("block", nested),
    }
}
