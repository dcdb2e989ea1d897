//! The check tools beside the real ones, which are the servers called through links: exit codes,
//! verdicts and repairs are the same, but where a test says why not.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use redix_testkit::server::TempDir;
use redix_testkit::{Client, Launch, Peer, Rng, encodings};

use super::program;

const PEERS: [Peer; 3] = [Peer::Valkey, Peer::Redis7, Peer::Redis8];

const SET: &[u8] = b"*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n";
const MULTI: &[u8] = b"*1\r\n$5\r\nMULTI\r\n";
const EXEC: &[u8] = b"*1\r\n$4\r\nEXEC\r\n";
/// The start of a command.
const START: &[u8] = b"*3\r\n$";

const MANIFEST: &str = "appendonly.aof.manifest";
const BASE: &str = "file base seq 1 type b\n";
const FIRST: &str = "file first seq 1 type i\n";
const SECOND: &str = "file second seq 2 type i\n";

fn time(seconds: u32) -> Vec<u8> {
    format!("#TS:{seconds}\r\n").into_bytes()
}

type Files<'a> = &'a [(&'a str, &'a [u8])];

/// What a tool did.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    code: Option<i32>,
    verdicts: Vec<String>,
    files: BTreeMap<String, Vec<u8>>,
}

/// A directory with links through which the tools are called.
struct Kit {
    dir: TempDir,
}

impl Kit {
    fn new() -> Self {
        Self { dir: TempDir::new("tools").unwrap() }
    }

    /// The tool `name` of a server.
    fn tool(&self, peer: Peer, name: &str) -> PathBuf {
        let dir = self.dir.path().join(peer.name());
        let link = dir.join(format!("redis-{name}"));
        if !link.exists() {
            fs::create_dir_all(&dir).unwrap();
            let target = if peer == Peer::Redix { program().into() } else { peer.path().unwrap() };
            symlink(fs::canonicalize(target).unwrap(), &link).unwrap();
        }
        link
    }

    /// Runs a tool among these files.
    fn run(&self, peer: Peer, name: &str, args: &[&str], files: Files<'_>, input: &str) -> Outcome {
        let place = TempDir::new("tools-files").unwrap();
        for (name, bytes) in files {
            fs::write(place.path().join(name), bytes).unwrap();
        }
        let given = place.path().join("input.stdin");
        fs::write(&given, input).unwrap();
        let mut command = Command::new(self.tool(peer, name));
        command.args(args).current_dir(place.path()).stdin(fs::File::open(&given).unwrap());
        let output = command.stderr(Stdio::null()).output().unwrap();
        let read = |(name, _): &(&str, _)| {
            ((*name).to_owned(), fs::read(place.path().join(name)).unwrap())
        };
        Outcome {
            code: output.status.code(),
            verdicts: verdicts(&String::from_utf8_lossy(&output.stdout)),
            files: files.iter().map(read).collect(),
        }
    }

    /// Ours does what the tools of these servers do; the result.
    #[track_caller]
    fn same(&self, peers: &[Peer], args: &[&str], files: Files<'_>, input: &str) -> Outcome {
        let ours = self.run(Peer::Redix, "check-aof", args, files, input);
        for peer in peers.iter().filter(|peer| peer.available_or_skip()) {
            let real = self.run(*peer, "check-aof", args, files, input);
            let shown: Vec<_> = files
                .iter()
                .map(|(name, bytes)| format!("{name}: {}", bytes.escape_ascii()))
                .collect();
            assert_eq!(ours, real, "{} {args:?} {shown:?}", peer.name());
        }
        ours
    }
}

/// The lines of a report that scripts look for. Not the diagnosis of a fault: of that only where it
/// is counts.
fn verdicts(report: &str) -> Vec<String> {
    let is_verdict = |line: &&str| {
        let starts = [
            "AOF ",
            "BASE ",
            "INCR ",
            "All ",
            "Start",
            "RDB preamble",
            "Success",
            "Failed",
            "This ",
            "Continue",
            "Truncate ",
            "Cannot ",
            "Invalid ",
            "*** FATAL",
            "--- RDB",
        ];
        starts.iter().any(|start| line.starts_with(start)) || line.contains("RDB looks OK")
    };
    report.lines().filter(is_verdict).map(str::to_owned).collect()
}

fn old_style(bytes: &[u8]) -> [(&str, &[u8]); 1] {
    [("x.aof", bytes)]
}

/// A small RDB file of a real server.
fn rdb() -> Vec<u8> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../redix-core/tests/data");
    fs::read(data.join("redis-7.0.15-lru.rdb")).unwrap()
}

#[test]
fn a_file_cut_at_any_byte_is_repaired_alike() {
    let kit = Kit::new();
    let whole = [&time(100), SET, MULTI, SET, EXEC, &time(200), SET].concat();
    for cut in 0..=whole.len() {
        let bytes = &whole[..cut];
        let in_annotation = bytes
            .iter()
            .rposition(|byte| *byte == b'#')
            .filter(|at| !bytes[*at..].contains(&b'\n'));
        if let Some(at) = in_annotation {
            // The real tools keep it, and the server's next command becomes a part of that line.
            let found =
                kit.run(Peer::Redix, "check-aof", &["--fix", "x.aof"], &old_style(bytes), "y\n");
            assert_eq!((found.code, found.files["x.aof"].len()), (Some(0), at), "{cut}");
            continue;
        }
        kit.same(&PEERS, &["--fix", "x.aof"], &old_style(bytes), "y\n");
        kit.same(&[Peer::Valkey], &["x.aof"], &old_style(bytes), "");
        kit.same(
            &[Peer::Valkey],
            &["--truncate-to-timestamp", "150", "x.aof"],
            &old_style(bytes),
            "",
        );
    }
}

#[test]
fn a_damaged_file_is_repaired_alike() {
    let kit = Kit::new();
    let seed = 14;
    let mut rng = Rng::new(seed);
    let long: &[u8] = b"*2\r\n$12\r\nabcdefghijkl\r\n$0\r\n\r\n";
    let whole = [SET, MULTI, SET, EXEC, long, SET].concat();
    for _ in 0..200 {
        let mut bytes = whole.clone();
        let at = rng.below(bytes.len());
        bytes[at] = *rng.pick(b"*$#\r\n123 x\0\xff");
        let args = ["--fix", "x.aof"];
        let mut ours = kit.run(Peer::Redix, "check-aof", &args, &old_style(&bytes), "y\n");
        if !Peer::Valkey.available_or_skip() {
            return;
        }
        let mut real = kit.run(Peer::Valkey, "check-aof", &args, &old_style(&bytes), "y\n");
        // Which part of a broken command is at fault is a matter of taste.
        for outcome in [&mut ours, &mut real] {
            outcome.verdicts.retain(|line| !line.contains("format error"));
            for line in &mut outcome.verdicts {
                if let Some((head, tail)) = line.split_once("ok_up_to_line=") {
                    *line =
                        format!("{head}{}", tail.trim_start_matches(|c: char| c.is_ascii_digit()));
                }
            }
        }
        assert_eq!(ours, real, "seed {seed}: {}", bytes.escape_ascii());
    }
}

#[test]
fn single_files() {
    let kit = Kit::new();
    let same =
        |args: &[&str], bytes: &[u8], input| kit.same(&PEERS, args, &old_style(bytes), input);
    let broken = [SET, START].concat();
    for bytes in
        [&b""[..], SET, b"#x\n", b"hello", b"file", b"fil", b"REDIS", b"FILE a seq 1 type b\n"]
    {
        same(&["x.aof"], bytes, "");
    }
    // What is asked, and what is not an agreement.
    for (input, len) in [("y\n", 27), ("Y", 27), ("yes\n", 27), ("n\n", 32), ("", 32), (" y\n", 32)]
    {
        let found = same(&["--fix", "x.aof"], &broken, input);
        assert_eq!(found.files["x.aof"].len(), len, "{input:?}");
    }
    for args in [
        &["y.aof"][..],
        &["."],
        &["--fix"],
        &["--fix", "y.aof"],
        &["--truncate-to-timestamp", "x", "x.aof"],
        &["--truncate-to-timestamp", "1x", "x.aof"],
        &["--truncate-to-timestamp", "99999999999999999999", "x.aof"],
        &["--truncate-to-timestamp", "", "x.aof"],
    ] {
        same(args, &broken, "y\n");
    }
    for args in [&[][..], &["--bad", "x.aof"], &["x.aof", "--fix"], &["--fix", "x.aof", "y"]] {
        let found = kit.run(Peer::Redix, "check-aof", args, &old_style(SET), "");
        assert_eq!((found.code, found.verdicts), (Some(1), vec![]), "{args:?}");
    }
}

#[test]
fn truncation_to_a_time() {
    let kit = Kit::new();
    let whole = [&time(100), SET, &time(200), SET, &time(300), SET].concat();
    for until in ["-1", "0", "50", "100", "150", "200", "299", "300", " 250", "+250", "9999"] {
        kit.same(&PEERS, &["--truncate-to-timestamp", until, "x.aof"], &old_style(&whole), "");
    }
    for line in [&b"#TS:x\r\n"[..], b"#TS:5x\r\n", b"#TS:5\n", b"#ts:500\r\n", b"#else\r\n"] {
        let bytes = [SET, line, SET].concat();
        kit.same(&PEERS, &["--truncate-to-timestamp", "150", "x.aof"], &old_style(&bytes), "");
    }
    // Inside a transaction: the real tools leave its first part in the file, without its EXEC.
    let bytes = [SET, MULTI, SET, &time(200), SET, EXEC].concat();
    let args = ["--truncate-to-timestamp", "150", "x.aof"];
    let found = kit.run(Peer::Redix, "check-aof", &args, &old_style(&bytes), "");
    assert_eq!((found.code, &found.files["x.aof"][..]), (Some(0), SET));
}

#[test]
fn several_parts() {
    let kit = Kit::new();
    let broken = [SET, START].concat();
    let timed = [&time(100), SET, &time(200), SET].concat();
    let later = [&time(300), SET, &time(400), SET].concat();
    let three = [BASE, FIRST, SECOND].concat();
    let history = ["file gone seq 1 type h\n", BASE, FIRST].concat();
    let sets: [(&str, [&[u8]; 3]); 10] = [
        (&three, [SET, SET, SET]),
        (&three, [b"", SET, b""]),
        (&three, [&broken, SET, SET]),
        (&three, [SET, &broken, SET]),
        (&three, [SET, SET, &broken]),
        (&three, [&timed, &later, SET]),
        (&[BASE, FIRST].concat(), [&timed, &later, b""]),
        (&history, [SET, SET, b""]),
        (BASE, [&broken, b"", b""]),
        (FIRST, [b"", &broken, b""]),
    ];
    for (manifest, [base, first, second]) in sets {
        let files =
            [(MANIFEST, manifest.as_bytes()), ("base", base), ("first", first), ("second", second)];
        for args in [
            &[MANIFEST][..],
            &["--fix", MANIFEST],
            &["--truncate-to-timestamp", "150", MANIFEST],
            &["--truncate-to-timestamp", "250", MANIFEST],
            &["--truncate-to-timestamp", "350", MANIFEST],
        ] {
            kit.same(&PEERS, args, &files, "y\n");
        }
    }
    // It need not have that name, and may begin with a comment.
    let manifest = [b"#x\n#y\n", BASE.as_bytes(), FIRST.as_bytes()].concat();
    kit.same(&PEERS, &["m"], &[("m", &manifest), ("base", SET), ("first", &broken)], "");
    // A missing file, no file at all, and a manifest that is refused.
    kit.same(&PEERS, &["m"], &[("m", three.as_bytes()), ("base", SET)], "");
    kit.same(&PEERS, &["m"], &[("m", three.as_bytes()), ("first", SET)], "");
    kit.same(&PEERS, &["m"], &[("m", b"file gone seq 1 type h\n")], "");
    for manifest in [[BASE, BASE].concat(), format!("{BASE}!!!\n"), "file ".to_owned()] {
        let files = [("m", manifest.as_bytes()), ("base", SET)];
        let found = kit.run(Peer::Redix, "check-aof", &["--fix", "m"], &files, "y\n");
        assert_eq!(found.code, Some(1), "{manifest}");
        assert_eq!(found.verdicts[1], "*** FATAL AOF MANIFEST FILE ERROR ***", "{manifest}");
    }
}

#[test]
fn an_rdb_file_comes_first() {
    let kit = Kit::new();
    let rdb = rdb();
    let broken = [&rdb, SET, START].concat();
    let timed = [&rdb, &time(100)[..], SET, &time(200), SET].concat();
    for bytes in [&rdb, &[&rdb, SET].concat(), &broken, &rdb[..rdb.len() - 5].to_vec()] {
        kit.same(&PEERS, &["x.aof"], &old_style(bytes), "");
        kit.same(&PEERS, &["--fix", "x.aof"], &old_style(bytes), "y\n");
    }
    for until in ["50", "150", "250"] {
        kit.same(&PEERS, &["--truncate-to-timestamp", until, "x.aof"], &old_style(&timed), "");
    }
    let manifest = [BASE, FIRST].concat();
    for (base, first) in [(&rdb, SET), (&broken, SET), (&rdb, &rdb), (&rdb, &broken[rdb.len()..])] {
        let files = [(MANIFEST, manifest.as_bytes()), ("base", base), ("first", first)];
        kit.same(&PEERS, &["--fix", MANIFEST], &files, "y\n");
    }
}

/// What servers have written is sound, and so is an RDB file of Valkey in front of commands, which
/// the tool of Valkey 9.1.2 takes for garbage.
#[test]
fn files_of_servers() {
    let kit = Kit::new();
    for peer in [Peer::Redix].into_iter().chain(PEERS).filter(|peer| peer.available_or_skip()) {
        let server = launch(peer)
            .args(&["--appendonly", "yes", "--appendfsync", "always"])
            .args(&["--aof-timestamp-enabled", "yes"])
            .start()
            .unwrap();
        let mut client = Client::connect(server.addr()).unwrap();
        client.must(&["SET", "k", "v"]).unwrap();
        client.must(&["BGREWRITEAOF"]).unwrap();
        super::eventually("the rewrite", || {
            let info = client.must(&["INFO", "persistence"]).unwrap().pretty();
            info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0")
        });
        for words in [&["MULTI"][..], &["INCR", "n"], &["INCR", "n"], &["EXEC"]] {
            client.must(words).unwrap();
        }
        let manifest = server.dir().join("appendonlydir").join(MANIFEST);
        let judges = [Peer::Redix, Peer::Valkey, Peer::Redis8];
        let judges = if peer == Peer::Redix { &judges[..] } else { &judges[..1] };
        for judge in judges.iter().filter(|judge| judge.available_or_skip()) {
            let tool = kit.tool(*judge, "check-aof");
            let output = Command::new(tool).arg(&manifest).output().unwrap();
            let text = String::from_utf8_lossy(&output.stdout);
            let what = format!("{} of {}: {text}", judge.name(), peer.name());
            assert_eq!(output.status.code(), Some(0), "{what}");
            assert!(text.contains("Start to check BASE AOF (RDB format)."), "{what}");
            assert!(text.ends_with("All AOF files and manifest are valid\n"), "{what}");
        }
    }
}

fn launch(peer: Peer) -> Launch {
    match peer {
        Peer::Redix => Launch::redix(program()),
        real => Launch::new(real).unwrap(),
    }
}

/// A file with every encoding of every type.
fn every_encoding(peer: Peer) -> Vec<u8> {
    let server = launch(peer).start().unwrap();
    let mut client = Client::connect(server.addr()).unwrap();
    client.pipeline(&encodings::commands()).unwrap();
    client.must(&["SAVE"]).unwrap();
    fs::read(server.dir().join("dump.rdb")).unwrap()
}

/// The counts in a report, and whether the file is sound.
fn counts(path: &Path, tool: &Path) -> (Option<i32>, bool, Vec<String>) {
    let output = Command::new(tool).arg(path).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let counts = text.lines().filter(|line| {
        line.starts_with("[info]") && (line.contains("keys read") || line.contains("expire"))
    });
    let counts = counts.filter(|line| !line.contains("subexpires")).map(str::to_owned).collect();
    (output.status.code(), text.contains("\\o/ RDB looks OK"), counts)
}

#[test]
fn rdb_files_are_judged_alike() {
    let kit = Kit::new();
    let seed = 3;
    let mut rng = Rng::new(seed);
    let dir = TempDir::new("rdb").unwrap();
    let path = dir.path().join("dump.rdb");
    for peer in [Peer::Redix].into_iter().chain(PEERS).filter(|peer| peer.available_or_skip()) {
        let whole = every_encoding(peer);
        // Its own tool, and that of Valkey for ours.
        let judge = if peer == Peer::Redix { Peer::Valkey } else { peer };
        if !judge.available_or_skip() {
            continue;
        }
        let (ours, real) = (kit.tool(Peer::Redix, "check-rdb"), kit.tool(judge, "check-rdb"));
        for trial in 0..12 {
            let mut bytes = whole.clone();
            match trial {
                0 => {}
                1..6 => bytes.truncate(rng.below(whole.len())),
                _ => bytes[rng.below(whole.len())] ^= 0x41,
            }
            fs::write(&path, &bytes).unwrap();
            let (found, expect) = (counts(&path, &ours), counts(&path, &real));
            let what = format!("seed {seed}, {} {trial}", peer.name());
            assert_eq!((found.0, found.1), (expect.0, expect.1), "{what}");
            if trial < 6 {
                assert_eq!(found.2, expect.2, "{what}");
            }
        }
    }
}

/// The rows about keys are those of Valkey's tool; see the module for what counts as an element.
#[test]
fn statistics_of_rdb_files() {
    if !Peer::Valkey.available_or_skip() {
        return;
    }
    let kit = Kit::new();
    let dir = TempDir::new("stats").unwrap();
    let path = dir.path().join("dump.rdb");
    fs::write(&path, every_encoding(Peer::Valkey)).unwrap();
    let report = |peer, form| {
        let mut command = Command::new(kit.tool(peer, "check-rdb"));
        let output = command.arg(&path).args(["--stats", "--format", form]).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let text = String::from_utf8(output.stdout).unwrap();
        let rows = text.lines().filter(|line| {
            let start = line.trim_start_matches("[info] ");
            start.starts_with("db.0.")
                && (line.contains("key") || line.contains("already"))
                && !line.contains("value_size")
        });
        rows.map(str::to_owned).collect::<Vec<_>>()
    };
    for form in ["table", "csv", "info"] {
        let ours = report(Peer::Redix, form);
        assert!(!ours.is_empty());
        assert_eq!(ours, report(Peer::Valkey, form), "{form}");
    }
    let out = dir.path().join("stats.csv");
    let mut command = Command::new(program());
    command.arg("check-rdb").arg(&path).args(["--stats", "--format", "csv", "--output"]).arg(&out);
    assert!(command.output().unwrap().status.success());
    let text = fs::read_to_string(&out).unwrap();
    assert!(text.starts_with("db.0.type.name,string,list,set,zset,hash,module,stream\n"), "{text}");
}

#[test]
fn tools_are_chosen_by_name() {
    let dir = TempDir::new("names").unwrap();
    let run = |name: &str, args: &[&str]| {
        let link = dir.path().join(name);
        symlink(program(), &link).unwrap();
        let output = Command::new(&link).args(args).current_dir(dir.path()).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    fs::write(dir.path().join("x"), SET).unwrap();
    for name in ["redis-check-aof", "valkey-check-aof", "redix-check-aof"] {
        assert!(run(name, &["x"]).ends_with("AOF x is valid\n"), "{name}");
    }
    for name in ["redis-check-rdb", "valkey-check-rdb"] {
        assert!(run(name, &["x"]).contains("--- RDB ERROR DETECTED ---"), "{name}");
    }
    for name in ["redis-server", "valkey-server"] {
        assert!(run(name, &["--version"]).starts_with("Redix server v="), "{name}");
    }
    assert!(run("redix", &["check-rdb", "--version"]).starts_with("redix-check-rdb v="));
    assert!(run("other", &["--help"]).contains("redix check-aof [--fix|"));
}
