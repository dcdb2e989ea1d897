//! `cargo xtask test`: everything a change must pass, cheap steps first, stopping at the first
//! failure. Tests are built before they are run, so that the two times are shown separately.

use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result};

use crate::process::{command, find_program, no_more, run, take_flag, target_dir};
use crate::{bench, docs, setup, tidy};

/// Tests that need a real server, kill processes or take long; `--quick` excludes them.
const SLOW_PREFIXES: &[&str] =
    &["oracle_", "oracle::", "crash_", "crash::", "slow_", "slow::", "wire::", "replication::"];

/// Tests that are also run without io_uring.
const EPOLL_PREFIXES: &[&str] = &["abuse::", "clients::", "connections::", "pubsub::", "tls::"];

pub(crate) fn main(args: &[String]) -> Result<()> {
    let mut args = args.to_vec();
    let quick = take_flag(&mut args, "--quick");
    let filter = if args.is_empty() { None } else { Some(args.remove(0)) };
    no_more(&args)?;
    let filter = filter.as_deref();

    let mut peers = setup::Peers::new();
    if !quick {
        step("setup", || {
            peers = setup::ensure()?;
            Ok(())
        })?;
    }
    step("fmt", || run(&mut command("cargo", &["fmt", "--all", "--", "--check"])))?;
    if !quick {
        step("clippy", || run(&mut cargo("clippy --workspace --all-targets -- -D warnings")))?;
    }
    step("tidy", || tidy::main(&[]))?;
    let runner = if find_program("cargo-nextest").is_some() { nextest } else { cargo_test };
    step("build", || runner(quick, filter, Phase::Build))?;
    step("tests", || runner(quick, filter, Phase::Run))?;
    if quick {
        return Ok(());
    }
    if filter.is_none() {
        step("tests without io_uring", tests_on_epoll)?;
    }
    step("docs", || docs::main(&["--check".to_owned()]))?;
    step("schedules", schedules)?;
    step("doc", || {
        // Private items are documented too, so that links to them resolve.
        let mut doc = cargo("doc --workspace --no-deps --document-private-items");
        run(doc.env("RUSTDOCFLAGS", "-Dwarnings -Arustdoc::private_intra_doc_links"))
    })?;
    // The fuzz targets are a workspace of their own, which no step above compiles.
    step("fuzz targets", || {
        let mut check = cargo("check --quiet --manifest-path fuzz/Cargo.toml --target-dir");
        run(check.arg(target_dir().join("fuzz")))
    })?;
    step("bench", bench::check)?;
    match peers.get(setup::CARGO_DENY) {
        Some(program) => step("deny", || deny(program)),
        // Under CI the first step has failed then.
        None => {
            println!("xtask test: deny: not run (cargo-deny could not be installed)");
            Ok(())
        }
    }
}

/// Licences, duplicates and sources of the dependencies, on all platforms. Advisories are not
/// checked: their database is in no package registry.
fn deny(program: &Path) -> Result<()> {
    let args = ["check", "licenses", "bans", "sources"];
    run(&mut command(&program.to_string_lossy(), &args))
}

/// The tests under the model checker's schedules, built apart because `--cfg shuttle` changes the
/// locks of the whole engine.
fn schedules() -> Result<()> {
    let mut test = cargo("test --package redix-core --test schedules");
    test.env("RUSTFLAGS", "--cfg shuttle");
    test.env("CARGO_TARGET_DIR", target_dir().join("shuttle"));
    run(&mut test)
}

/// Runs one step and prints its name and time.
fn step(name: &str, body: impl FnOnce() -> Result<()>) -> Result<()> {
    println!("xtask test: {name} …");
    let start = Instant::now();
    body().with_context(|| format!("step {name}"))?;
    println!("xtask test: {name} ok ({:.1} s)", start.elapsed().as_secs_f64());
    Ok(())
}

/// What clients do to connections, where each transfer is a system call: the tests above have used
/// io_uring, unless the kernel refuses it.
fn tests_on_epoll() -> Result<()> {
    let mut tests = match find_program("cargo-nextest") {
        Some(_) => cargo("nextest run --package redix-server --test it --"),
        None => cargo("test --package redix-server --test it --"),
    };
    run(tests.args(EPOLL_PREFIXES).env("REDIX_IO_BACKEND", "epoll"))
}

#[derive(Clone, Copy, PartialEq)]
enum Phase {
    Build,
    Run,
}

fn cargo(words: &str) -> std::process::Command {
    command("cargo", &words.split_whitespace().collect::<Vec<_>>())
}

fn nextest(quick: bool, filter: Option<&str>, phase: Phase) -> Result<()> {
    if phase == Phase::Build {
        return run(&mut cargo("nextest run --workspace --no-run"));
    }
    let mut tests = cargo("nextest run --workspace --no-fail-fast");
    if quick {
        let slow: Vec<String> = SLOW_PREFIXES.iter().map(|p| format!("test({p})")).collect();
        tests.args(["-E", &format!("not ({})", slow.join(" + "))]);
    }
    run(tests.args(filter))
}

/// The same with cargo alone, whose test runners print their own summaries.
fn cargo_test(quick: bool, filter: Option<&str>, phase: Phase) -> Result<()> {
    if phase == Phase::Build {
        return run(&mut cargo("test --workspace --no-run"));
    }
    let mut tests = cargo("test --workspace --no-fail-fast");
    tests.args(filter);
    if quick {
        tests.arg("--");
        for prefix in SLOW_PREFIXES {
            tests.args(["--skip", prefix]);
        }
    }
    run(&mut tests)
}
