//! REPLCONF: a replica describes itself and acknowledges offsets.

use redix_types::num::parse_i64;

use crate::command::args::Args;
use crate::command::context::ClientCx;
use crate::command::spec::{CommandSpec, Group, flag};
use crate::config::split_args;
use crate::error::{CommandResult, ReplyError};
use crate::repl::primary::{Channel, Replica, Wanted};
use crate::sync::Arc;

/// Command: REPLCONF.
pub const COMMANDS: &[CommandSpec] =
    &[CommandSpec::client("replconf", Group::Server, -1, replconf)
        .flags(
            flag::ADMIN
                | flag::NOSCRIPT
                | flag::LOADING
                | flag::STALE
                | flag::ALLOW_BUSY
                | flag::SYSCMD,
        )
        .since("3.0.0")
        .doc("Tells the primary about a replica; replicas use it.")];

/// The longest address that a replica may announce. Source: Redis, `NET_HOST_STR_LEN`.
const IP_BYTES_MAX: usize = 255;

/// The longest filter that is accepted.
const FILTER_BYTES_MAX: usize = 1024;

/// `REPLCONF option value [option value ...]` -> OK. `ACK offset [FACK offset]`, whose second
/// offset is that of the replica's append-only file, and `GETACK *` get no reply.
/// Errors: syntax; an unknown option; an invalid value.
fn replconf(cx: &mut ClientCx<'_, '_>, args: Args<'_>) -> CommandResult {
    if args.len().is_multiple_of(2) {
        return Err(ReplyError::Syntax);
    }
    for at in (1..args.len()).step_by(2) {
        let (option, value) = (args.get(at).to_ascii_lowercase(), args.get(at + 1));
        match option.as_slice() {
            b"ack" => {
                let filed = if at + 3 < args.len() && args.is(at + 2, "fack") {
                    parse_offset(args.get(at + 3))
                } else {
                    None
                };
                acknowledge(cx, value, filed);
                return Ok(());
            }
            // GETACK is meant for the stream; from a client it is ignored.
            b"getack" => return Ok(()),
            _ => announce(cx, &option, args.get(at), value)?,
        }
    }
    cx.reply.ok();
    Ok(())
}

fn parse_offset(text: &[u8]) -> Option<u64> {
    parse_i64(text).and_then(|offset| u64::try_from(offset).ok())
}

fn acknowledge(cx: &ClientCx<'_, '_>, value: &[u8], filed: Option<u64>) {
    let Some(replica) = cx.session.replica.as_ref().filter(|replica| replica.attached()) else {
        return;
    };
    if let Some(offset) = filed {
        replica.note_filed(offset);
    }
    if let Some(offset) = parse_offset(value) {
        replica.ack(offset, cx.now_ms());
        let engine = cx.engine;
        if !engine.blocking.offsets.is_empty() {
            engine.blocking.offsets.acknowledge(|wanted| engine.acknowledged(wanted));
        }
    }
}

/// This connection's record as a replica, created by its first REPLCONF.
pub(super) fn introduced<'a>(cx: &'a mut ClientCx<'_, '_>) -> &'a Arc<Replica> {
    let shared = cx.shared;
    cx.session.replica.get_or_insert_with(|| Replica::new(Arc::clone(shared)))
}

fn announce(
    cx: &mut ClientCx<'_, '_>,
    option: &[u8],
    as_said: &[u8],
    value: &[u8],
) -> CommandResult {
    match option {
        b"listening-port" => {
            let port = parse_i64(value).ok_or(ReplyError::NotInteger)?;
            // A port out of range counts as none.
            let port = u16::try_from(port).unwrap_or(0);
            introduced(cx).announce(|said| said.port = port);
        }
        b"ip-address" => {
            if value.len() > IP_BYTES_MAX {
                return Err(ReplyError::err(format!(
                    "REPLCONF ip-address provided by replica instance is too long: {} bytes",
                    value.len()
                )));
            }
            let ip = String::from_utf8_lossy(value).into_owned();
            introduced(cx).announce(|said| said.ip = ip);
        }
        b"capa" => {
            let capability = value.to_ascii_lowercase();
            introduced(cx).announce(|said| match capability.as_slice() {
                b"eof" => said.eof = true,
                b"psync2" => said.psync2 = true,
                b"dual-channel" => said.dual_channel = true,
                // Unknown capabilities are ignored.
                _ => {}
            });
        }
        b"version" => {
            let version = parse_version(value)
                .ok_or_else(|| ReplyError::quoting("Unrecognized version format: ", value, ""))?;
            introduced(cx).announce(|said| said.version = version);
        }
        b"rdb-only" => {
            let only = parse_switch(value)?;
            introduced(cx).announce(|said| said.wanted.rdb_only = only);
        }
        b"rdb-channel" => {
            let channel = if parse_switch(value)? { Channel::Snapshot } else { Channel::Both };
            introduced(cx).announce(|said| said.channel = channel);
        }
        b"set-rdb-client-id" => {
            let number = parse_i64(value).ok_or(ReplyError::NotInteger)?;
            let id = u64::try_from(number).unwrap_or(0);
            if cx.engine.repl.replicas.snapshot_channel(id).is_none() {
                return Err(ReplyError::err(format!("Unrecognized RDB client id {number}")));
            }
            introduced(cx).announce(|said| said.channel = Channel::StreamBeside(id));
        }
        b"rdb-filter-only" => {
            let (without_data, without_functions) = parse_filter(value)?;
            introduced(cx).announce(|said| {
                said.wanted = Wanted { without_data, without_functions, ..said.wanted };
            });
        }
        _ => {
            return Err(ReplyError::quoting("Unrecognized REPLCONF option: ", as_said, ""));
        }
    }
    Ok(())
}

/// Parses 0 or 1.
fn parse_switch(value: &[u8]) -> Result<bool, ReplyError> {
    match parse_i64(value) {
        Some(number @ (0 | 1)) => Ok(number == 1),
        Some(_) => Err(ReplyError::Static("ERR value is out of range, value must between 0 and 1")),
        None => Err(ReplyError::NotInteger),
    }
}

/// Parses a version such as `7.2.4` into 8 bits per part.
fn parse_version(text: &[u8]) -> Option<u32> {
    let mut parts = text.split(|byte| *byte == b'.').map(|part| {
        let number = parse_i64(part)?;
        u8::try_from(number).ok()
    });
    let mut version = 0;
    for _ in 0..3 {
        version = version << 8 | u32::from(parts.next()??);
    }
    parts.next().is_none().then_some(version)
}

/// Whether a filter excludes keys and function libraries. It lists what to include; keys cannot be
/// listed: a replica that wants them sets no filter.
fn parse_filter(value: &[u8]) -> Result<(bool, bool), ReplyError> {
    let words = if value.len() <= FILTER_BYTES_MAX { split_args(value) } else { None };
    let words = words.ok_or(ReplyError::Static("ERR Missing rdb-filter-only values"))?;
    for word in &words {
        if !word.eq_ignore_ascii_case(b"functions") {
            return Err(ReplyError::quoting("Unsupported rdb-filter-only option: ", word, ""));
        }
    }
    Ok((true, words.is_empty()))
}
