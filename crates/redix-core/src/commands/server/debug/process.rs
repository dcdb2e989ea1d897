//! DEBUG subcommands on the process.

use redix_types::glob::{Case, matches};

use super::switch;
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::dispatch::done;
use crate::engine::PEAK_RESET_MS;
use crate::env::Level;
use crate::error::{CommandResult, ReplyError};
use crate::sync::atomic::Ordering;

/// `DEBUG ASSERT`, `OOM`, `PANIC`, `SEGFAULT` -> nothing: the process aborts, with a core dump if
/// the system writes one.
pub(super) fn crash(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let how = String::from_utf8_lossy(args.get(1)).to_ascii_uppercase();
    let text = format!("=== REDIX CRASH REPORT: asked for by DEBUG {how} ===");
    cx.engine.env.log(Level::Warning, &text);
    std::process::abort()
}

/// `DEBUG AOF-FLUSH-SLEEP microseconds` -> OK. Errors: not a number.
pub(super) fn aof_flush_sleep(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let us = u64::try_from(args.int(2)?).unwrap_or(0);
    cx.engine.aof.flush_delay_us.store(us, Ordering::Relaxed);
    done(cx.reply)
}

/// `DEBUG CHANGE-REPL-ID` -> OK. Connected replicas continue until they reconnect.
pub(super) fn change_repl_id(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    let engine = cx.engine;
    engine.env.log(Level::Notice, "Changing replication IDs after receiving change-repl-id");
    engine.repl.log.disown(&*engine.env.entropy);
    done(cx.reply)
}

/// The greatest size of the first group of `DEBUG CLIENT-EVICTION`, and the number of groups.
/// Source: Valkey 9.1, the output of the command.
const FIRST_GROUP_BYTES: usize = 32 * 1024;
const GROUPS: usize = 19;

/// `DEBUG CLIENT-EVICTION` -> verbatim text: the clients that may be evicted, grouped by their
/// memory, each group up to twice as much as the one before. Errors: no `maxmemory-clients`.
pub(super) fn client_eviction(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    let registry = &cx.engine.registry;
    if !registry.limits_memory() {
        return Err(ReplyError::Static("ERR maxmemory-clients is disabled."));
    }
    let mut groups = [(0usize, 0u32); GROUPS];
    for client in registry.all().iter().filter(|client| client.may_be_evicted()) {
        let bytes = client.memory_bytes();
        let doublings = (bytes / FIRST_GROUP_BYTES).checked_ilog2().map_or(0, |log| log + 1);
        let (total, count) = &mut groups[(doublings as usize).min(GROUPS - 1)];
        *total += bytes;
        *count += 1;
    }
    let mut text = String::new();
    for (at, (total, count)) in groups.iter().enumerate() {
        let first = if at == 0 { 0 } else { FIRST_GROUP_BYTES << (at - 1) };
        let range = if at == GROUPS - 1 {
            format!("{first:10}+            ")
        } else {
            format!("{first:10} - {:10}", (FIRST_GROUP_BYTES << at) - 1)
        };
        text.push_str(&format!("bucket {range}: tot-mem: {total:10}, clients: {count}\n"));
    }
    cx.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

/// `DEBUG ERROR text` -> that error.
pub(super) fn error(_: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    Err(ReplyError::Text(args.get(2).to_vec()))
}

/// Patterns that `DEBUG STRINGMATCH-TEST` tries.
const GLOB_ROUNDS: usize = 20_000;

/// `DEBUG STRINGMATCH-TEST` -> a status, after random patterns were matched with random texts.
pub(super) fn test_glob(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    // Few distinct bytes, so that many patterns have special characters and some match.
    let of = |bytes: &[u8; 8], random: u8| bytes[usize::from(random % 8)];
    for _ in 0..GLOB_ROUNDS {
        let mut random = [0; 32];
        cx.engine.env.entropy.fill(&mut random);
        let pattern: [u8; 16] = std::array::from_fn(|at| of(b"*?[]^-\\a", random[at]));
        let text: [u8; 16] = std::array::from_fn(|at| of(b"aaabAB-]", random[16 + at]));
        for case in [Case::Sensitive, Case::Insensitive] {
            std::hint::black_box(matches(&pattern, &text, case));
        }
    }
    cx.reply.simple("Apparently the server did not crash: test passed");
    Ok(())
}

/// `DEBUG LOG message` -> OK.
pub(super) fn log(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let message = String::from_utf8_lossy(args.get(2));
    cx.engine.env.log(Level::Warning, &format!("DEBUG LOG: {message}"));
    done(cx.reply)
}

/// `DEBUG SLEEP seconds` -> OK. An argument that is not a number is 0.
pub(super) fn sleep(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let text = String::from_utf8_lossy(args.get(2));
    let seconds: f64 = text.trim_start().parse().unwrap_or(0.0);
    // A cast from a float saturates, and makes 0 of NaN.
    cx.engine.env.clock.sleep_us((seconds * 1e6) as u64);
    done(cx.reply)
}

/// `DEBUG SET-ACTIVE-EXPIRE 0|1` -> OK.
pub(super) fn set_active_expire(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    cx.engine.active_expire.store(switch(args.get(2)), Ordering::Relaxed);
    done(cx.reply)
}

/// `DEBUG CLIENT-ENFORCE-REPLY-LIST 0|1` -> OK. There is only one reply buffer: CLIENT LIST then
/// shows its bytes as `oll` and `omem` instead of `obl`, and any reply exceeds the output limit of
/// an unauthenticated client, as a node of the reply list does.
pub(super) fn enforce_reply_list(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    cx.engine.reply_buffers.listed.store(switch(args.get(2)), Ordering::Relaxed);
    done(cx.reply)
}

/// `DEBUG REPLYBUFFER PEAK-RESET-TIME NEVER|RESET|milliseconds` -> OK.
/// `DEBUG REPLYBUFFER RESIZING 0|1` -> OK. Errors: no number, another word.
pub(super) fn reply_buffer(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let buffers = &cx.engine.reply_buffers;
    if args.is(2, "PEAK-RESET-TIME") {
        let ms = match () {
            () if args.is(3, "NEVER") => -1,
            () if args.is(3, "RESET") => PEAK_RESET_MS,
            () => args.int(3)?,
        };
        buffers.peak_reset_ms.store(ms, Ordering::Relaxed);
    } else if args.is(2, "RESIZING") {
        buffers.resizing.store(switch(args.get(3)), Ordering::Relaxed);
    } else {
        return Err(super::unknown(args));
    }
    done(cx.reply)
}

/// `DEBUG CONFIG-REWRITE-FORCE-ALL` -> OK. Errors: as CONFIG REWRITE.
pub(super) fn rewrite_config(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    let rewritten = cx.engine.rewrite_config_file(crate::config::rewrite_all);
    rewritten.map_err(|error| ReplyError::err(error.to_string()))?;
    done(cx.reply)
}

/// `DEBUG PAUSE-CRON 0|1` -> OK.
pub(super) fn pause_cron(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    cx.engine.cron_paused.store(switch(args.get(2)), Ordering::Relaxed);
    done(cx.reply)
}

/// `DEBUG SET-DISABLE-DENY-SCRIPTS 0|1` -> OK.
pub(super) fn set_scripts_may_ask(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    cx.engine.scripting.may_ask.store(switch(args.get(2)), Ordering::Relaxed);
    done(cx.reply)
}

/// `DEBUG SET-SKIP-CHECKSUM-VALIDATION 0|1` -> OK.
pub(super) fn set_skip_checksums(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    cx.engine.skip_checksums.store(switch(args.get(2)), Ordering::Relaxed);
    done(cx.reply)
}
