//! DEBUG subcommands on keys and tables.

use redix_types::entry::{Encoding, EntryBox, EntryRef};
use redix_types::list::{List, NodeRef};
use redix_types::value::{HeapValue, ValueRef};

use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::dispatch::done;
use crate::commands::string::encode_text;
use crate::config::parse_memory;
use crate::effects::Request;
use crate::env::Level;
use crate::error::{CommandResult, ReplyError};
use crate::keyspace::SHARDS;
use crate::keyspace::access::{Access, LRU_MASK, lfu_decay};
use crate::keyspace::flush::{Emptied, Freeing, flush};
use crate::rdb::write::RecordEncoder;
use crate::scripting::functions::Libraries;
use crate::sync::atomic::Ordering;

/// An entry of the selected database, even if it has expired.
pub(super) fn raw<'a>(keys: &'a mut Access<'_>, key: &[u8]) -> Option<EntryRef<'a>> {
    let key = keys.key(key);
    let db = keys.db;
    let table = &keys.held.shard(key.shard()).db(db)?.table;
    Some(table.get(table.find(key.hash, key.bytes)?))
}

fn existing<'a>(cx: &'a mut Ctx<'_, '_>, args: Args<'_>) -> Result<EntryRef<'a>, ReplyError> {
    raw(cx.keys, args.get(2)).ok_or(ReplyError::NoSuchKey)
}

/// `DEBUG OBJECT key [fast]` -> status. Errors: no such key.
pub(super) fn object(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let fast = args.is(3, "fast");
    let (ageing, now_ms, clock) = (cx.keys.ageing, cx.now_ms(), cx.keys.lru_clock());
    let config = cx.engine.config();
    let (compress_depth, version) = (config.list_compress_depth, config.rdb_version);
    let entry = existing(cx, args)?;
    let mut text = format!(
        "Value at:{:p} refcount:1 encoding:{}",
        entry.key().as_ptr(),
        entry.encoding().name()
    );
    if !fast {
        let saved = RecordEncoder::new(version, true).encoded_len(entry.value());
        text.push_str(&format!(" serializedlength:{saved}"));
    }
    if ageing.lfu {
        let counter = lfu_decay(entry.lru(), now_ms, ageing.lfu_decay_minutes);
        text.push_str(&format!(" lru:{} lru_seconds_idle:0 freq:{counter}", entry.lru()));
    } else {
        let idle = clock.wrapping_sub(entry.lru()) & LRU_MASK;
        text.push_str(&format!(" lru:{} lru_seconds_idle:{idle}", entry.lru()));
    }
    if let ValueRef::Large(HeapValue::List(list)) = entry.value() {
        text.push_str(&nodes_of(list, compress_depth, fast));
    }
    cx.reply.simple(&text);
    Ok(())
}

/// What DEBUG OBJECT says about the nodes of a list, which are compressed in files only.
fn nodes_of(list: &List, compress_depth: u32, fast: bool) -> String {
    let mut text = format!(
        " ql_nodes:{} ql_avg_node:{:.2} ql_listpack_max:{} ql_compressed:{}",
        list.node_count(),
        list.len() as f64 / list.node_count() as f64,
        list.fill().directive(),
        u8::from(compress_depth != 0)
    );
    if !fast {
        let bytes = list.nodes().map(|node| match node {
            NodeRef::Packed(bytes) | NodeRef::Plain(bytes) => bytes.len(),
        });
        text.push_str(&format!(" ql_uncompressed_size:{}", bytes.sum::<usize>()));
    }
    text
}

/// `DEBUG LISTPACK key` -> status. Nothing is printed. Errors: no such key, not a listpack.
pub(super) fn listpack(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    if existing(cx, args)?.encoding() != Encoding::Listpack {
        return Err(ReplyError::Static("ERR Not a listpack encoded object."));
    }
    cx.reply.simple("Listpack structure printed on stdout");
    Ok(())
}

/// `DEBUG QUICKLIST key` -> status. Nothing is printed. Errors: no such key, not a quicklist.
pub(super) fn quicklist(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    if existing(cx, args)?.encoding() != Encoding::Quicklist {
        return Err(ReplyError::Static("ERR Not a quicklist encoded object."));
    }
    cx.reply.simple("Quicklist structure printed on stdout");
    Ok(())
}

/// `DEBUG QUICKLIST-PACKED-THRESHOLD bytes` -> OK. An element of at least so many bytes gets a list
/// node of its own; 0: as `list-max-listpack-size` says. Errors: out of range.
pub(super) fn plain_from(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let bytes = parse_memory(args.get(2)).and_then(|bytes| u32::try_from(bytes).ok());
    let bytes = bytes.ok_or(ReplyError::Static(
        "ERR argument must be a memory value bigger than 1 and smaller than 4gb",
    ))?;
    cx.engine.list_plain_from.store(bytes, Ordering::Relaxed);
    done(cx.reply)
}

/// `DEBUG LOADAOF` -> OK, once the data set has been replaced by that of the append-only file.
/// Errors: there is none, or it cannot be loaded; the data set is empty then.
pub(super) fn loadaof(cx: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    cx.requests.push(Request::LoadAof);
    Ok(())
}

/// `DEBUG HTSTATS dbid [full]` -> verbatim text. Errors: no such database.
pub(super) fn htstats(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let db = u32::try_from(args.int(2)?).ok().filter(|db| *db < cx.engine.keyspace.databases());
    let db = db.ok_or(ReplyError::Static("ERR Out of range database"))?;
    let full = args.is(3, "full");
    let (mut items, mut buckets, mut bytes, mut longest) = (0, 0, 0, 0);
    for index in 0..SHARDS {
        let Some(part) = cx.keys.held.shard(index).db(db) else { continue };
        let stats = part.table.stats();
        items += stats.items;
        buckets += stats.buckets;
        bytes += stats.memory_bytes;
        longest = longest.max(stats.longest_chain);
    }
    let mut text = String::from("[Dictionary HT]\n");
    if items > 0 {
        text.push_str(&format!(
            "Hash table 0 stats (main hash table):\n table size: {buckets}\n number of entries: \
             {items}\n"
        ));
        if full {
            text.push_str(&format!(" longest chain: {longest}\n bytes: {bytes}\n"));
        }
    }
    // Expiries are part of the entries.
    text.push_str("[Expires HT]\n");
    cx.reply.verbatim(b"txt", text.as_bytes());
    Ok(())
}

/// `DEBUG HTSTATS-KEY key [full]` -> an error: no value has a hash table of that kind.
pub(super) fn htstats_key(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    existing(cx, args)?;
    Err(ReplyError::Static(
        "ERR The value stored at the specified key is not represented using an hash table",
    ))
}

/// `DEBUG POPULATE count [prefix] [size]` -> OK. Creates the keys `prefix:0` and so on that do not
/// exist, with the values `value:0` and so on, truncated or padded with zero bytes to `size`.
/// Counts no change and logs nothing.
pub(super) fn populate(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    if args.len() > 5 {
        return Err(super::unknown(args));
    }
    let positive = |index: usize| {
        let number = args.int(index).ok().and_then(|number| usize::try_from(number).ok());
        number.ok_or(ReplyError::Static("ERR value is out of range, must be positive"))
    };
    let count = positive(2)?;
    let prefix = args.try_get(3).unwrap_or(b"key");
    let size = if args.len() == 5 { positive(4)? } else { 0 };
    if size as i64 > cx.config.proto_max_bulk_len {
        return Err(ReplyError::StringTooLong);
    }
    let db = cx.keys.db;
    for number in 0..count {
        let name = [prefix, format!(":{number}").as_bytes()].concat();
        if raw(cx.keys, &name).is_some() {
            continue;
        }
        let mut value = format!("value:{number}").into_bytes();
        if size > 0 {
            value.resize(size, 0);
        }
        let age = cx.keys.new_age();
        let entry = EntryBox::new(&name, encode_text(&value)?, None, age);
        cx.keys.insert_in(db, entry);
    }
    done(cx.reply)
}

/// `DEBUG RELOAD [NOSAVE] [NOFLUSH] [MERGE]` -> OK. Errors: another option; saving or loading
/// failed, or there is no file. The data set is only replaced by a file that was found to be
/// loadable.
pub(super) fn reload(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let (mut save, mut empty, mut merge) = (true, true, false);
    let mut options = args.options(2);
    while options.more() {
        if options.eat("nosave") {
            save = false;
        } else if options.eat("noflush") {
            empty = false;
        } else if options.eat("merge") {
            merge = true;
        } else {
            return Err(ReplyError::Static(
                "ERR DEBUG RELOAD only supports the MERGE, NOFLUSH and NOSAVE options.",
            ));
        }
    }
    cx.keys.held.release_in_world();
    if save && cx.engine.save_now().is_err() {
        return Err(ReplyError::Static("ERR"));
    }
    let loaded = cx.engine.inspect_file().and_then(|()| {
        if empty {
            flush(cx.keys, Emptied::Each, Freeing::AtOnce);
            cx.engine.scripting.functions.install(Libraries::default());
        } else {
            // The file may replace keys.
            cx.keys.effects.note_flushed();
        }
        if merge { cx.engine.merge_now() } else { cx.engine.load_now() }
    });
    if let Err(error) = loaded {
        cx.engine.env.log(Level::Warning, &error.to_string());
        return Err(ReplyError::Static(
            "ERR Error trying to load the RDB dump, check server logs.",
        ));
    }
    cx.engine.env.log(Level::Warning, "DB reloaded by DEBUG RELOAD");
    done(cx.reply)
}
