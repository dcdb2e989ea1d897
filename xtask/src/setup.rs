//! `cargo xtask setup`: finds or installs the servers and tools for tests, and writes their paths
//! to `.peers/peers.env` (`KEY=path` lines), which test code reads.
//!
//! Downloads are kept in `.peers/`, or in `REDIX_PEERS`. System packages are installed only as root
//! or with a `sudo` that needs no password. A missing piece is reported with the tests that are
//! skipped for it; under CI it is a failure.

mod apt;
mod python;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process::{find_program, in_ci, no_more, output, root, take_flag};

/// The keys of `peers.env`, each with the tests that are skipped without it.
const PIECES: &[(&str, &str)] = &[
    ("REDIX_REDIS7", "oracle tests against Redis 7.0.15, bench"),
    ("REDIX_REDIS8", "oracle tests against Redis 8.2.3"),
    ("REDIX_VALKEY", "oracle tests against Valkey 9.1.2, the check of COMPAT.md, bench"),
    ("REDIX_REDIS_CLI", "tests with redis-cli"),
    ("REDIX_REDIS_BENCHMARK", "tests with redis-benchmark, bench"),
    ("REDIX_CHECK_RDB", "checks of written RDB files"),
    ("REDIX_JEMALLOC", "bench with jemalloc preloaded"),
    ("REDIX_PYTHON", "tests with redis-py"),
    (CARGO_DENY, "checks of the licences and sources of dependencies"),
    ("REDIX_OPENSSL", "tests with keys and sessions of OpenSSL, upstream suite over TLS"),
    ("REDIX_TCLSH", "upstream suites"),
    (TCL_TLS, "upstream suite over TLS"),
    ("REDIX_SUITE", "upstream suite of Valkey 9.1"),
    ("REDIX_SUITE_REDIS", "upstream suite of Redis 7.0"),
];

/// The key of cargo-deny: the system's, or the one of the Python environment.
pub(crate) const CARGO_DENY: &str = "REDIX_CARGO_DENY";

/// The key of Tcl's package `tls`.
pub(crate) const TCL_TLS: &str = "REDIX_TCL_TLS";

/// The path of each piece, by its key in [`PIECES`].
pub(crate) type Peers = BTreeMap<String, PathBuf>;

pub(crate) fn main(args: &[String]) -> Result<()> {
    let mut args = args.to_vec();
    if take_flag(&mut args, "--again") {
        let _ = fs::remove_file(env_file());
    }
    no_more(&args)?;
    let peers = provide(true)?;
    for (key, path) in &peers {
        println!("{key}={}", path.display());
    }
    Ok(())
}

/// All pieces, installed if necessary; cheap when everything was found before. A failed
/// installation is retried only under CI or by `cargo xtask setup` itself.
pub(crate) fn ensure() -> Result<Peers> {
    provide(in_ci())
}

fn provide(retry: bool) -> Result<Peers> {
    let known = fs::read_to_string(env_file()).map(|text| parse_env(&text)).unwrap_or_default();
    let stale = known.is_empty() || known.values().any(|path| !path.exists());
    let peers = if stale || (retry && known.len() < PIECES.len()) {
        let found = find_all()?;
        write_env(&found)?;
        found
    } else {
        known
    };
    report_missing(&peers)?;
    Ok(peers)
}

fn report_missing(peers: &Peers) -> Result<()> {
    let missing: Vec<_> = PIECES.iter().filter(|(key, _)| !peers.contains_key(*key)).collect();
    for (key, tests) in &missing {
        println!("missing {key}: {tests} are not run");
    }
    if in_ci() && !missing.is_empty() {
        bail!("{} pieces are missing", missing.len());
    }
    Ok(())
}

/// `peers.env` is always in the repository, since test code looks for it there.
fn env_file() -> PathBuf {
    root().join(".peers/peers.env")
}

/// The folder of downloads.
fn peers_dir() -> PathBuf {
    std::env::var_os("REDIX_PEERS").map_or_else(|| root().join(".peers"), PathBuf::from)
}

fn parse_env(text: &str) -> Peers {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.split_once('='))
        .map(|(key, path)| (key.to_owned(), PathBuf::from(path)))
        .collect()
}

fn write_env(peers: &Peers) -> Result<()> {
    let mut text = String::from("# Written by `cargo xtask setup`.\n");
    for (key, path) in peers {
        text.push_str(&format!("{key}={}\n", path.display()));
    }
    let file = env_file();
    fs::create_dir_all(file.parent().expect("the file lies in a folder"))?;
    fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
}

fn find_all() -> Result<Peers> {
    let dir = peers_dir();
    fs::create_dir_all(&dir).with_context(|| format!("cannot make {}", dir.display()))?;
    let dir = dir.canonicalize()?;
    let mut peers = Peers::new();
    find_system(&dir, &mut peers);
    find_python(&dir, &mut peers);
    find_suites(&dir, &mut peers);
    Ok(peers)
}

/// System programs: installed ones are used, the rest comes from Debian packages.
fn find_system(dir: &Path, peers: &mut Peers) {
    let programs = [
        ("REDIX_REDIS_CLI", "redis-cli", "redis-tools"),
        ("REDIX_REDIS_BENCHMARK", "redis-benchmark", "redis-tools"),
        ("REDIX_CHECK_RDB", "redis-check-rdb", "redis-tools"),
        ("REDIX_OPENSSL", "openssl", "openssl"),
        ("REDIX_TCLSH", "tclsh", "tcl"),
    ];
    let mut packages: Vec<&str> =
        programs.iter().filter(|p| find_program(p.1).is_none()).map(|p| p.2).collect();
    if jemalloc().is_none() {
        packages.push("libjemalloc2");
    }
    if tcl_tls().is_none() {
        packages.push("tcl-tls");
    }
    packages.dedup();
    if !packages.is_empty()
        && let Err(error) = apt::install(&packages)
    {
        println!("setup: cannot install {}: {error:#}", packages.join(" "));
    }
    for (key, program, _) in programs {
        insert(peers, key, find_program(program));
    }
    insert(peers, "REDIX_JEMALLOC", jemalloc());
    insert(peers, TCL_TLS, tcl_tls());
    match redis7(dir) {
        Ok(path) => insert(peers, "REDIX_REDIS7", Some(path)),
        Err(error) => println!("setup: {error:#}"),
    }
}

fn insert(peers: &mut Peers, key: &str, path: Option<PathBuf>) {
    if let Some(path) = path {
        peers.insert(key.to_owned(), path);
    }
}

/// A redis-server 7.0.15. Where only redis-tools is installed (it starts no service), the server is
/// its redis-check-rdb under another name: both are one program that checks the name it was called
/// by.
fn redis7(dir: &Path) -> Result<PathBuf> {
    const WANTED: &str = "v=7.0.15 ";
    let mut server = find_program("redis-server");
    if server.is_none()
        && let Some(check) = find_program("redis-check-rdb")
    {
        let link = dir.join("redis-server");
        let _ = fs::remove_file(&link);
        std::os::unix::fs::symlink(check, &link)?;
        server = Some(link);
    }
    let server = server.context("no redis-server")?;
    let version = output(std::process::Command::new(&server).arg("--version"))?;
    if !version.contains(WANTED) {
        bail!("{} is {}, wanted {WANTED}", server.display(), version.trim());
    }
    Ok(server)
}

fn jemalloc() -> Option<PathBuf> {
    let arch = std::env::consts::ARCH;
    let folders = [format!("/usr/lib/{arch}-linux-gnu"), "/usr/lib64".into(), "/usr/lib".into()];
    folders.iter().map(|dir| Path::new(dir).join("libjemalloc.so.2")).find(|path| path.exists())
}

/// The folder of Tcl's package `tls`.
fn tcl_tls() -> Option<PathBuf> {
    let folder = format!("/usr/lib/tcltk/{}-linux-gnu", std::env::consts::ARCH);
    let entries = fs::read_dir(folder).ok()?;
    let mut paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    paths.find(|path| {
        path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"tcltls"))
    })
}

/// Valkey 9.1.2, Redis 8.2.3, redis-py and, unless the system has it, cargo-deny come as Python
/// packages.
fn find_python(dir: &Path, peers: &mut Peers) {
    insert(peers, CARGO_DENY, find_program("cargo-deny"));
    match python::environment(dir) {
        Ok(venv) => {
            peers.entry(CARGO_DENY.to_owned()).or_insert_with(|| python::cargo_deny(&venv));
            insert(peers, "REDIX_PYTHON", Some(venv.join("bin/python")));
            insert(peers, "REDIX_VALKEY", find_below(&venv.join("lib"), "valkey-server"));
            insert(peers, "REDIX_REDIS8", find_below(&venv.join("lib"), "redis-server"));
        }
        Err(error) => println!("setup: Python packages: {error:#}"),
    }
}

fn find_suites(dir: &Path, peers: &mut Peers) {
    let suites = [
        ("REDIX_SUITE", "valkey-9-suite", "valkey", "sid"),
        ("REDIX_SUITE_REDIS", "redis-suite", "redis", "bookworm"),
    ];
    for (key, folder, package, release) in suites {
        let place = dir.join(folder);
        match apt::fetch_suite(dir, &place, package, release) {
            Ok(()) => insert(peers, key, Some(place)),
            Err(error) => println!("setup: sources of {package} in {release}: {error:#}"),
        }
    }
}

/// The file called `name` somewhere below `dir`.
fn find_below(dir: &Path, name: &str) -> Option<PathBuf> {
    let mut entries: Vec<PathBuf> =
        fs::read_dir(dir).ok()?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    entries.sort();
    entries.into_iter().find_map(|path| match path.is_dir() {
        true if path.is_symlink() => None,
        true => find_below(&path, name),
        false => path.ends_with(name).then_some(path),
    })
}
