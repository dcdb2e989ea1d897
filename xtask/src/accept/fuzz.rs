//! Fuzzing on the stable toolchain: the targets of `fuzz/` are built with LLVM's coverage counters,
//! without a sanitizer (the code they reach is safe Rust), and run as libFuzzer programs.
//!
//! Findings are kept in `fuzz/artifacts`; inputs that reach new code in `target/fuzz/corpus`, where
//! the next run begins. Inputs under `fuzz/corpus`, if any, are read and never written.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

use super::Progress;
use crate::process::{command, output, root, run as run_command, target_dir};

/// The instrumentation that libFuzzer needs; see LLVM's SanitizerCoverage.
const FLAGS: &[&str] = &[
    "--cfg=fuzzing",
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=4",
    "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters",
    "-Cllvm-args=-sanitizer-coverage-pc-table",
    "-Cllvm-args=-sanitizer-coverage-trace-compares",
    "-Ccodegen-units=1",
    "-Clink-dead-code",
];

pub(super) fn run(progress: &mut Progress) -> Result<()> {
    let manifest = fs::read_to_string(root().join("fuzz/Cargo.toml")).context("fuzz/Cargo.toml")?;
    let targets = targets(&manifest);
    if targets.is_empty() {
        bail!("fuzz/Cargo.toml names no target");
    }
    let host = output(&mut command("rustc", &["-vV"]))?;
    let host = host.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc -vV")?;
    let place = target_dir().join("fuzz");
    // With a target named, the flags do not reach build scripts.
    let mut build = command("cargo", &["build", "--release", "--target", host]);
    build.args(["--manifest-path", "fuzz/Cargo.toml", "--target-dir"]).arg(&place);
    run_command(build.env("RUSTFLAGS", FLAGS.join(" ")))?;

    let seconds = progress.minutes * 60 / targets.len() as u64;
    for target in targets {
        progress.unit(&format!("{target} {seconds}s"), || {
            fuzz(&place.join(host).join("release"), &place, &target, seconds)
        })?;
    }
    Ok(())
}

/// The names of the programs in fuzz/Cargo.toml.
pub(super) fn targets(manifest: &str) -> Vec<String> {
    let programs = manifest.split("[[bin]]").skip(1);
    let names = programs.filter_map(|text| text.split("name = \"").nth(1)?.split('"').next());
    names.map(str::to_owned).collect()
}

fn fuzz(programs: &Path, place: &Path, target: &str, seconds: u64) -> Result<String> {
    let corpus = place.join("corpus").join(target);
    let artifacts = root().join("fuzz/artifacts").join(target);
    fs::create_dir_all(&corpus)?;
    fs::create_dir_all(&artifacts)?;
    let mut fuzzer = command(&programs.join(target).to_string_lossy(), &[]);
    fuzzer.arg(format!("-max_total_time={seconds}"));
    fuzzer.arg(format!("-artifact_prefix={}/", artifacts.display()));
    fuzzer.args(["-rss_limit_mb=2048", "-timeout=10", "-print_final_stats=1"]);
    let words = root().join(format!("fuzz/dictionaries/{target}.dict"));
    if words.exists() {
        fuzzer.arg(format!("-dict={}", words.display()));
    }
    fuzzer.arg(&corpus);
    let kept = root().join("fuzz/corpus").join(target);
    if kept.exists() {
        fuzzer.arg(kept);
    }
    let out = fuzzer.output().with_context(|| format!("cannot start {target}"))?;
    let log = String::from_utf8_lossy(&out.stderr);
    let log_file = place.join(format!("{target}.log"));
    fs::write(&log_file, log.as_bytes())?;
    let stat = |name: &str| log.lines().find_map(|line| line.strip_prefix(name));
    if !out.status.success() {
        let what = log.lines().find(|line| line.contains("ERROR:") || line.contains("panicked"));
        bail!("{}; see {}", what.unwrap_or("it stopped"), log_file.display());
    }
    let runs =
        stat("stat::number_of_executed_units:").context("it did not say how often it ran")?;
    Ok(format!("{} inputs", runs.trim()))
}
