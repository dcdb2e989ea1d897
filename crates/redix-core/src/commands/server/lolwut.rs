//! LOLWUT: generative art, and the version.

use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, flag};
use crate::config::REDIS_VERSION;
use crate::error::{CommandResult, ReplyError};

/// Command: LOLWUT.
pub const COMMANDS: &[CommandSpec] =
    &[CommandSpec::read("lolwut", Group::Server, -1, const { &[] }, lolwut)
        .flags(flag::FAST)
        .since("5.0.0")
        .complexity("")
        .doc("Draws something and tells the version.")
        .args(&[ArgSpec::new("version", ArgKind::Integer).token("VERSION").optional()])];

const COLUMNS_MAX: usize = 160;
const ROWS_MAX: usize = 60;

/// `LOLWUT [VERSION version] [columns [rows]]` -> verbatim text. Every version draws the same maze,
/// of random diagonals. Errors: an argument is not a number.
fn lolwut(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let first = if args.is(1, "version") { 3 } else { 1 };
    if args.len() < first {
        return Err(ReplyError::Syntax);
    }
    if first == 3 {
        args.int(2)?;
    }
    let size = |index: usize, default: usize, max: usize| match args.try_get(index) {
        None => Ok(default),
        Some(_) => args.int(index).map(|n| n.clamp(1, max as i64) as usize),
    };
    let columns = size(first, 66, COLUMNS_MAX)?;
    let rows = size(first + 1, 12, ROWS_MAX)?;
    let mut text = String::with_capacity((columns + 1) * rows + 64);
    for _ in 0..rows {
        for _ in 0..columns {
            text.push(if cx.keys.random() & 1 == 0 { '/' } else { '\\' });
        }
        text.push('\n');
    }
    text.push_str("\nThere is a way through, or there is not. ");
    text.push_str(&format!("Redix {}, Redis ver. {REDIS_VERSION}\n", env!("CARGO_PKG_VERSION")));
    cx.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}
