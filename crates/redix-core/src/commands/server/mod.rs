//! Server commands.

pub mod cluster;
pub mod commandlog;
pub mod dataset;
pub mod debug;
pub mod info;
pub mod latency;
pub mod lolwut;
pub mod memory;
pub mod modules;
pub mod monitor;
pub mod slowlog;

use crate::command::context::Ctx;
use crate::error::CommandResult;

/// Writes the reply of a container's HELP: an array of status lines, each subcommand followed by
/// its explanation.
pub fn help(cx: &mut Ctx<'_, '_>, container: &str, subcommands: &[(&str, &str)]) -> CommandResult {
    let title = format!("{container} <subcommand> [<arg> [value] [opt] ...]. Subcommands are:");
    cx.reply.array(subcommands.len() * 2 + 3);
    cx.reply.simple(&title);
    for (subcommand, explanation) in subcommands {
        cx.reply.simple(subcommand);
        cx.reply.simple(&format!("    {explanation}"));
    }
    cx.reply.simple("HELP");
    cx.reply.simple("    Print this help.");
    Ok(())
}
