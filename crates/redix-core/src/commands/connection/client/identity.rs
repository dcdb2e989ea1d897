//! CLIENT subcommands about a connection's identity: ID, INFO, LIST, the name, the library.

use super::super::{BAD_NAME, is_plain_word};
use super::filter::Filter;
use crate::command::args::Args;
use crate::command::context::ClientCx;
use crate::command::dispatch::done;
use crate::command::line;
use crate::error::{CommandResult, ReplyError};
use crate::registry::client_flag;
use crate::sync::lock;

/// `CLIENT ID` -> integer.
pub(super) fn id(cx: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    cx.data.reply.int(cx.shared.id as i64);
    Ok(())
}

/// `CLIENT INFO` -> verbatim text, the line of CLIENT LIST about this connection.
pub(super) fn info(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    let mut text = Vec::new();
    line::write_own(&mut text, cx, args);
    cx.reply.verbatim(b"txt", &text);
    Ok(())
}

/// `CLIENT LIST [filter value …]` -> verbatim text, one line for each connection in the order of
/// the ids. Errors: an unknown filter or value.
pub(super) fn list(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    let filter = Filter::parse(cx, args, 2)?;
    let now_ms = cx.now_ms();
    let skip_me = filter.skip_me.unwrap_or(false);
    let mut text = Vec::new();
    for client in cx.engine.registry.all() {
        let own = client.id == cx.shared.id;
        if (own && skip_me) || !filter.matches(&client, now_ms) {
            continue;
        }
        if own {
            line::write_own(&mut text, cx, args);
        } else {
            line::write(&mut text, &client, cx);
        }
    }
    cx.reply.verbatim(b"txt", &text);
    Ok(())
}

/// `CLIENT GETNAME` -> bulk, or null without a name.
pub(super) fn getname(cx: &mut ClientCx<'_, '_>, _: Args<'_>) -> CommandResult {
    let texts = lock(&cx.shared.texts);
    if texts.name.is_empty() {
        cx.reply.null();
    } else {
        cx.reply.bulk(&texts.name);
    }
    Ok(())
}

/// `CLIENT SETNAME name` -> OK. Errors: a name with blanks or control characters.
pub(super) fn setname(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    let name = args.get(2);
    if !is_plain_word(name) {
        return Err(BAD_NAME);
    }
    lock(&cx.shared.texts).name = name.to_vec();
    done(cx.reply)
}

/// `CLIENT SETINFO LIB-NAME|LIB-VER value` -> OK. Errors: another attribute; a value with blanks or
/// control characters.
pub(super) fn setinfo(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    let attribute = args.get(2);
    let mut texts = lock(&cx.shared.texts);
    let place = if args.is(2, "LIB-NAME") {
        &mut texts.lib_name
    } else if args.is(2, "LIB-VER") {
        &mut texts.lib_ver
    } else {
        return Err(ReplyError::quoting("Unrecognized option '", attribute, "'"));
    };
    if !is_plain_word(args.get(3)) {
        let after = " cannot contain spaces, newlines or special characters.";
        return Err(ReplyError::quoting("", attribute, after));
    }
    *place = args.get(3).to_vec();
    drop(texts);
    done(cx.reply)
}

/// `CLIENT CAPA capability …` -> OK. Unknown capabilities are ignored.
pub(super) fn capa(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    if args.iter_from(2).any(|word| word.eq_ignore_ascii_case(b"redirect")) {
        cx.shared.set_flag(client_flag::CAN_REDIRECT, true);
    }
    done(cx.reply)
}
