//! One line of CLIENT LIST.
//!
//! Fields and order are those of Valkey 9.1. A connection has one growing reply buffer, where Redis
//! has a fixed one followed by a list: what fits in Redis' fixed buffer is shown as `obl`, a larger
//! reply as one node of the list. `DEBUG CLIENT-ENFORCE-REPLY-LIST 1` shows all of it as the list.

use std::io::Write as _;

use super::args::Args;
use super::context::{Caller, ClientCx};
use super::table::Command;
use crate::engine::Engine;
use crate::registry::{ClientShared, client_flag};
use crate::sync::atomic::Ordering;
use crate::sync::lock;

/// Size of Redis' fixed reply buffer, beyond which it begins a list.
const FIXED_OUTPUT_BYTES: usize = 16 * 1024;

fn fixed_output_bytes(engine: &Engine) -> usize {
    if engine.reply_buffers.listed.load(Ordering::Relaxed) { 0 } else { FIXED_OUTPUT_BYTES }
}

/// The command that a connection is executing.
struct Doing {
    /// The command's name; empty: none yet.
    command: String,
    /// Bytes of its arguments.
    argv_bytes: usize,
    idle_ms: i64,
}

/// The text before its first zero byte.
pub fn up_to_nul(text: &[u8]) -> &[u8] {
    text.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A name as it is shown: the part that was checked to be printable ASCII when it was set.
fn shown(name: &[u8]) -> String {
    String::from_utf8_lossy(up_to_nul(name)).into_owned()
}

/// The flags of a connection, `N` if it has none.
pub fn letters(client: &ClientShared) -> String {
    let shown = client_flag::LETTERS.iter().filter(|(bit, _)| client.has_flag(*bit));
    let letters: String = shown.map(|(_, letter)| *letter).collect();
    if letters.is_empty() { "N".to_owned() } else { letters }
}

/// The connection that receives a client's invalidations: 0: itself, -1: none, it does not track.
pub fn redirection(client: &ClientShared) -> i64 {
    if client.has_flag(client_flag::TRACKING) {
        client.redirect.load(Ordering::Relaxed) as i64
    } else {
        -1
    }
}

/// Appends the line of the client that executes the command.
pub fn write_own(out: &mut Vec<u8>, cx: &ClientCx<'_, '_>, args: Args<'_>) {
    let argv_bytes = args.iter_from(0).map(<[u8]>::len).sum();
    let command = match cx.caller {
        Caller::Exec => "exec".to_owned(),
        _ => cx.command_name(),
    };
    let doing = Doing { command, argv_bytes, idle_ms: 0 };
    append(out, cx.shared, cx.now_ms(), fixed_output_bytes(cx.engine), &doing);
}

/// The line of a client that calls a command, without its line end.
pub fn describe_calling(
    client: &ClientShared,
    engine: &Engine,
    now_ms: i64,
    command: Command,
    args: Args<'_>,
) -> String {
    let mut line = Vec::new();
    let argv_bytes = args.iter_from(0).map(<[u8]>::len).sum();
    let doing = Doing { command: engine.commands.full_name(command), argv_bytes, idle_ms: 0 };
    append(&mut line, client, now_ms, fixed_output_bytes(engine), &doing);
    String::from_utf8_lossy(line.trim_ascii_end()).into_owned()
}

/// Appends the line of another client.
pub fn write(out: &mut Vec<u8>, client: &ClientShared, cx: &ClientCx<'_, '_>) {
    append_seen(out, client, cx.engine, cx.now_ms());
}

/// The line of a client without its line end, for the log.
pub fn describe(client: &ClientShared, engine: &Engine, now_ms: i64) -> String {
    let mut line = Vec::new();
    append_seen(&mut line, client, engine, now_ms);
    String::from_utf8_lossy(line.trim_ascii_end()).into_owned()
}

fn append_seen(out: &mut Vec<u8>, client: &ClientShared, engine: &Engine, now_ms: i64) {
    let command = match client.last_command.load(Ordering::Relaxed) {
        u16::MAX => "NULL".to_owned(),
        id => engine.commands.full_name(engine.commands.by_id(id)),
    };
    let idle_ms = now_ms.saturating_sub(client.last_active_ms.load(Ordering::Relaxed));
    let doing = Doing { command, argv_bytes: 0, idle_ms };
    append(out, client, now_ms, fixed_output_bytes(engine), &doing);
}

fn append(
    out: &mut Vec<u8>,
    client: &ClientShared,
    now_ms: i64,
    fixed_bytes: usize,
    doing: &Doing,
) {
    let get = |counter: &crate::sync::atomic::AtomicUsize| counter.load(Ordering::Relaxed);
    let (query, query_free) = (get(&client.query_bytes), get(&client.query_free));
    let (output, room) = (get(&client.output_bytes), get(&client.output_capacity));
    let multi_bytes = get(&client.multi_bytes);
    let (fixed, nodes, listed) = if client.has_flag(client_flag::REPLICA) {
        // Pending output of a replica is in the log.
        (0, usize::from(output > 0), output)
    } else if output <= fixed_bytes {
        (output, 0, 0)
    } else {
        (0, 1, room)
    };
    let texts = lock(&client.texts).clone();
    let total = client.memory_bytes() + doing.argv_bytes;
    let [channels, patterns, shard_channels] = &client.subscriptions;
    let result = writeln!(
        out,
        "id={} addr={} laddr={} fd={} name={} age={} idle={} flags={} capa={} db={} sub={} psub={} \
         ssub={} multi={} watch={} qbuf={query} qbuf-free={query_free} argv-mem={} \
         multi-mem={multi_bytes} rbs={room} rbp={} obl={fixed} oll={nodes} omem={listed} \
         tot-mem={total} events={} cmd={} user={} redir={} resp={} lib-name={} lib-ver={} \
         tot-net-in={} tot-net-out={} tot-cmds={}",
        client.id,
        client.addr,
        client.laddr,
        client.fd,
        shown(&texts.name),
        now_ms.saturating_sub(client.created_ms).max(0) / 1000,
        doing.idle_ms.max(0) / 1000,
        letters(client),
        if client.has_flag(client_flag::CAN_REDIRECT) { "r" } else { "" },
        client.db.load(Ordering::Relaxed),
        channels.load(Ordering::Relaxed),
        patterns.load(Ordering::Relaxed),
        shard_channels.load(Ordering::Relaxed),
        client.multi.load(Ordering::Relaxed),
        client.watched_keys(),
        get(&client.argv_bytes) + doing.argv_bytes,
        get(&client.output_peak),
        if output > 0 { "rw" } else { "r" },
        doing.command,
        String::from_utf8_lossy(&texts.user),
        redirection(client),
        client.resp.load(Ordering::Relaxed),
        shown(&texts.lib_name),
        shown(&texts.lib_ver),
        client.net_in.load(Ordering::Relaxed),
        client.net_out.load(Ordering::Relaxed),
        client.commands.load(Ordering::Relaxed),
    );
    result.expect("a vector takes all that is written");
}
