//! Scripts: the cache of their sources, and a virtual machine for each thread that runs them; the
//! libraries of functions, which have a machine of their own.
//!
//! A source is compiled once and its prototype shared by all threads. A machine is made when its
//! thread first runs a script; SCRIPT FLUSH has every thread make a new one.
//!
//! **Invariants.** Of the scripts that EVAL has brought, the [`EVAL_SCRIPTS_MAX`] used last are
//! kept; those of SCRIPT LOAD are kept until SCRIPT FLUSH. A thread that runs a script has taken
//! its machine out of its slot.

pub mod api;
pub mod busy;
pub mod functions;
pub mod library;
pub mod shebang;

use std::collections::{HashMap, VecDeque};

use redix_lua::{Engine as Lua, Options, Pin, Proto};
use redix_types::sha1::sha1;

pub use self::functions::Functions;
use crate::env::Env;
use crate::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use crate::sync::{Arc, Mutex, lock};

/// Scripts of EVAL that are kept.
pub const EVAL_SCRIPTS_MAX: usize = 500;
/// Functions that a machine keeps besides those that are in the cache.
const STALE_MAX: usize = 1000;
/// The garbage in bytes that an idle machine may keep, if it is more than what the machine needs.
/// To collect it costs a machine without data 2 microseconds.
const GARBAGE_MIN: usize = 32 << 10;

/// The digest that names a script: SHA-1 of its source.
pub type Sha = [u8; 20];

/// Hexadecimal digits of a digest.
pub const SHA_DIGITS: usize = 40;

/// Flags of a script's shebang line.
pub mod script_flag {
    /// It writes nothing.
    pub const NO_WRITES: u32 = 1 << 0;
    /// It may run while memory is short.
    pub const ALLOW_OOM: u32 = 1 << 1;
    /// It may run on a replica whose link is down.
    pub const ALLOW_STALE: u32 = 1 << 2;
    /// It does not run in a cluster.
    pub const NO_CLUSTER: u32 = 1 << 3;
    /// Its keys may be of several slots.
    pub const ALLOW_CROSS_SLOT_KEYS: u32 = 1 << 4;

    /// The flags by name.
    pub const NAMES: &[(&str, u32)] = &[
        ("no-writes", NO_WRITES),
        ("allow-oom", ALLOW_OOM),
        ("allow-stale", ALLOW_STALE),
        ("no-cluster", NO_CLUSTER),
        ("allow-cross-slot-keys", ALLOW_CROSS_SLOT_KEYS),
    ];
}

/// A script that was compiled.
#[derive(Debug)]
pub struct Script {
    /// Its name.
    pub sha: Sha,
    /// Its source, shebang included.
    pub source: Vec<u8>,
    /// What it was compiled to.
    pub proto: Arc<Proto>,
    /// Its flags, bits of [`script_flag`]; `None` without a shebang line.
    pub flags: Option<u32>,
}

#[derive(Debug)]
struct Cached {
    script: Arc<Script>,
    /// When EVAL used it last; `None`: it is kept.
    used: Option<u64>,
}

#[derive(Debug, Default)]
struct Cache {
    scripts: HashMap<Sha, Cached>,
    /// Uses by EVAL, oldest first. Those that are not the script's last are skipped.
    uses: VecDeque<(u64, Sha)>,
    clock: u64,
    /// Scripts that EVAL has brought.
    of_eval: usize,
    bytes: usize,
    evicted: u64,
}

impl Cache {
    /// Notes that EVAL uses a script that it has brought.
    fn touch(&mut self, sha: Sha) {
        self.clock += 1;
        let clock = self.clock;
        let Some(Cached { used: Some(used), .. }) = self.scripts.get_mut(&sha) else { return };
        *used = clock;
        self.uses.push_back((clock, sha));
        if self.uses.len() > 4 * EVAL_SCRIPTS_MAX {
            let scripts = &self.scripts;
            self.uses.retain(|(use_, sha)| {
                scripts.get(sha).is_some_and(|cached| cached.used == Some(*use_))
            });
        }
    }

    /// Removes the script of EVAL that was used longest ago.
    fn evict(&mut self) {
        while let Some((use_, sha)) = self.uses.pop_front() {
            if self.scripts.get(&sha).is_some_and(|cached| cached.used == Some(use_)) {
                let gone = self.scripts.remove(&sha).expect("it was just seen");
                self.bytes -= size_of_script(&gone.script);
                self.of_eval -= 1;
                self.evicted += 1;
                return;
            }
        }
    }
}

/// The bytes that a cached script takes, approximately.
fn size_of_script(script: &Script) -> usize {
    size_of::<Cached>() + size_of::<Script>() + script.source.len()
}

/// Numbers about scripts, for INFO.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ScriptTotals {
    /// Scripts in the cache.
    pub scripts: usize,
    /// Bytes of their sources and records.
    pub scripts_bytes: usize,
    /// Scripts that were evicted.
    pub evicted: u64,
    /// Bytes of all machines.
    pub machine_bytes: u64,
}

/// A virtual machine with the functions that it has loaded.
pub struct Machine {
    /// The engine.
    pub lua: Lua,
    /// Values that are made once: what KEYS and ARGV are set through, tables of globals.
    pub names: Vec<Pin>,
    /// Whether it has the globals that running code sees.
    pub is_open: bool,
    loaded: HashMap<Sha, Pin>,
    epoch: u64,
    /// What it needed when [`Self::tidy`] last collected garbage.
    live_bytes: usize,
}

impl Machine {
    /// A machine around an engine; `epoch` tells whether it is still of use.
    pub fn new(lua: Lua, names: Vec<Pin>, epoch: u64) -> Self {
        Self { lua, names, is_open: false, loaded: HashMap::new(), epoch, live_bytes: 0 }
    }

    /// Collects garbage if there may be much of it: an engine does so only when scripts allocate.
    fn tidy(&mut self) {
        if self.lua.memory_bytes() > self.live_bytes + self.live_bytes.max(GARBAGE_MIN) {
            self.lua.collect();
            self.live_bytes = self.lua.memory_bytes();
        }
    }

    /// The function of a script; loads it if that has not been done. `None`: memory is short.
    pub fn function(&mut self, script: &Script, scripting: &Scripting) -> Option<Pin> {
        if let Some(pin) = self.loaded.get(&script.sha) {
            return Some(*pin);
        }
        if self.loaded.len() > EVAL_SCRIPTS_MAX + STALE_MAX {
            let cache = lock(&scripting.cache);
            let lua = &mut self.lua;
            self.loaded.retain(|sha, pin| {
                let keep = cache.scripts.contains_key(sha);
                if !keep {
                    lua.unpin(*pin);
                }
                keep
            });
        }
        let pin = self.lua.load(&script.proto).ok()?;
        self.loaded.insert(script.sha, pin);
        Some(pin)
    }
}

/// A thread's place for its machine.
#[derive(Default)]
struct Slot {
    machine: Mutex<Option<Box<Machine>>>,
    bytes: AtomicU64,
}

/// The scripts of a server.
pub struct Scripting {
    cache: Mutex<Cache>,
    slots: Box<[Slot]>,
    /// Incremented by SCRIPT FLUSH.
    epoch: AtomicU64,
    /// A script that declares flags was added since the last flush.
    some_declare: AtomicBool,
    /// The script that runs for too long.
    busy: Mutex<Option<Arc<busy::Busy>>>,
    /// The libraries of functions.
    pub functions: Functions,
    /// Whether scripts may call CLIENT LIST, DEBUG PROTOCOL and DEBUG SLEEP, for tests.
    pub may_ask: AtomicBool,
}

impl Scripting {
    /// Nothing yet, for so many threads.
    pub fn new(threads: usize) -> Self {
        Self {
            cache: Mutex::default(),
            slots: (0..threads).map(|_| Slot::default()).collect(),
            epoch: AtomicU64::new(0),
            some_declare: AtomicBool::new(false),
            busy: Mutex::default(),
            functions: Functions::default(),
            may_ask: AtomicBool::new(false),
        }
    }

    /// What a new machine for scripts is to be marked with.
    pub fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    /// The script of a digest.
    pub fn find(&self, sha: &Sha) -> Option<Arc<Script>> {
        lock(&self.cache).scripts.get(sha).map(|cached| Arc::clone(&cached.script))
    }

    /// The flags that a script declares in its shebang line; `text`: its source or its digest.
    pub fn declared_flags(&self, text: &[u8], is_digest: bool) -> Option<u32> {
        if is_digest {
            let some = self.some_declare.load(Ordering::Relaxed);
            return if some { self.find(&parse_sha(text)?)?.flags } else { None };
        }
        shebang::parse(text).ok()?.0
    }

    /// The script of a digest, for EVAL.
    pub fn find_for_eval(&self, sha: &Sha) -> Option<Arc<Script>> {
        let mut cache = lock(&self.cache);
        let script = Arc::clone(&cache.scripts.get(sha)?.script);
        cache.touch(*sha);
        Some(script)
    }

    /// Adds a script; `kept`: until SCRIPT FLUSH, or else as long as EVAL uses it.
    pub fn add(&self, script: Arc<Script>, kept: bool) {
        let mut cache = lock(&self.cache);
        let sha = script.sha;
        if !kept && cache.of_eval >= EVAL_SCRIPTS_MAX {
            cache.evict();
        }
        if script.flags.is_some() {
            self.some_declare.store(true, Ordering::Relaxed);
        }
        cache.bytes += size_of_script(&script);
        let cached = Cached { script, used: (!kept).then_some(0) };
        if let Some(old) = cache.scripts.insert(sha, cached) {
            cache.bytes -= size_of_script(&old.script);
            cache.of_eval -= usize::from(old.used.is_some());
        }
        if !kept {
            cache.of_eval += 1;
            cache.touch(sha);
        }
    }

    /// Keeps a script until SCRIPT FLUSH. Returns false if there is no such script.
    pub fn keep(&self, sha: &Sha) -> bool {
        let mut cache = lock(&self.cache);
        let Some(cached) = cache.scripts.get_mut(sha) else { return false };
        let was_of_eval = cached.used.take().is_some();
        cache.of_eval -= usize::from(was_of_eval);
        true
    }

    /// Removes every script. The machines are made anew when they are next used.
    pub fn flush(&self) {
        let mut cache = lock(&self.cache);
        *cache = Cache { evicted: cache.evicted, ..Cache::default() };
        self.some_declare.store(false, Ordering::Relaxed);
        self.epoch.fetch_add(1, Ordering::AcqRel);
        drop(cache);
        for slot in &self.slots {
            *lock(&slot.machine) = None;
            slot.bytes.store(0, Ordering::Relaxed);
        }
    }

    /// Takes a thread's machine, if there is one that was made since the last flush.
    pub fn take_machine(&self, thread: usize) -> Option<Box<Machine>> {
        let machine = lock(&self.slots[thread].machine).take()?;
        (machine.epoch == self.epoch.load(Ordering::Acquire)).then_some(machine)
    }

    /// Gives a thread's machine back.
    pub fn put_machine(&self, thread: usize, mut machine: Box<Machine>) {
        machine.tidy();
        let slot = &self.slots[thread];
        slot.bytes.store(machine.lua.memory_bytes() as u64, Ordering::Relaxed);
        *lock(&slot.machine) = Some(machine);
    }

    /// Counts the scripts that are evicted from 0 again.
    pub fn reset_evicted(&self) {
        lock(&self.cache).evicted = 0;
    }

    /// Numbers for INFO.
    pub fn totals(&self) -> ScriptTotals {
        let cache = lock(&self.cache);
        ScriptTotals {
            scripts: cache.scripts.len(),
            scripts_bytes: cache.bytes,
            evicted: cache.evicted,
            machine_bytes: self.slots.iter().map(|slot| slot.bytes.load(Ordering::Relaxed)).sum(),
        }
    }
}

/// The options of an engine.
pub fn engine_options(env: &Env) -> Options {
    let seed = || env.entropy.next_u64();
    Options { hash_seed: (seed(), seed()), unwrap_errors: true, ..Options::default() }
}

/// The digest of a source.
pub fn sha_of(source: &[u8]) -> Sha {
    sha1(source)
}

/// The digest that 40 hexadecimal digits say.
pub fn parse_sha(text: &[u8]) -> Option<Sha> {
    if text.len() != SHA_DIGITS {
        return None;
    }
    let (mut sha, mut others) = (Sha::default(), 0);
    for (byte, pair) in sha.iter_mut().zip(text.as_chunks().0) {
        let [high, low] = pair.map(|digit| HEX[usize::from(digit)]);
        *byte = high << 4 | low & 0xf;
        others |= high | low;
    }
    (others < 16).then_some(sha)
}

/// The value of each hexadecimal digit; of every other byte, more than 15.
const HEX: [u8; 256] = {
    let (mut values, mut digit) = ([0xff; 256], 0);
    while digit < 16 {
        values[b"0123456789abcdef"[digit] as usize] = digit as u8;
        values[b"0123456789ABCDEF"[digit] as usize] = digit as u8;
        digit += 1;
    }
    values
};

/// A digest as 40 lower-case hexadecimal digits.
pub fn sha_text(sha: &Sha) -> String {
    sha.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(number: usize) -> Arc<Script> {
        let source = format!("return {number}").into_bytes();
        let proto = redix_lua::compile(&source, b"@user_script").expect("it is Lua");
        Arc::new(Script { sha: sha_of(&source), source, proto, flags: None })
    }

    #[test]
    fn the_scripts_used_last_are_kept() {
        let scripting = Scripting::new(1);
        let kept = script(0);
        scripting.add(Arc::clone(&kept), true);
        let first = script(1);
        scripting.add(Arc::clone(&first), false);
        for number in 2..=EVAL_SCRIPTS_MAX {
            scripting.add(script(number), false);
        }
        for _ in 0..10 * EVAL_SCRIPTS_MAX {
            assert!(scripting.find_for_eval(&first.sha).is_some());
        }
        scripting.add(script(EVAL_SCRIPTS_MAX + 1), false);
        assert!(scripting.find(&first.sha).is_some(), "it was used");
        assert!(scripting.find(&script(2).sha).is_none(), "it was used longest ago");
        assert!(scripting.find(&kept.sha).is_some());
        let totals = scripting.totals();
        assert_eq!((totals.scripts, totals.evicted), (EVAL_SCRIPTS_MAX + 1, 1));
        scripting.flush();
        assert_eq!(scripting.totals(), ScriptTotals { evicted: 1, ..ScriptTotals::default() });
    }

    #[test]
    fn digests_are_read_in_any_case() {
        let text = b"E0E1F9FABFC9D4800C877A703B823AC0578FF8DB";
        let sha = parse_sha(text).expect("40 digits");
        assert_eq!(sha, sha_of(b"return 1"));
        assert_eq!(sha_text(&sha).as_bytes(), text.to_ascii_lowercase());
        assert_eq!(parse_sha(&text[1..]), None);
        assert_eq!(parse_sha(b"g0E1F9FABFC9D4800C877A703B823AC0578FF8DB"), None);
    }
}
