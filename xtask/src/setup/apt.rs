//! Debian packages: programs, and the sources of Redis and Valkey for their test suites.
//!
//! Sources are fetched with an apt state of our own (source list, package lists and cache in the
//! folder of peers), so that the machine's own is not changed. The archive's address is that of
//! this machine's sources; signatures are checked with Debian's keyring.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::process::{find_program, output};

const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Installs `packages`, updating the package lists if necessary.
pub(super) fn install(packages: &[&str]) -> Result<()> {
    if find_program("apt-get").is_none() {
        bail!("this machine has no apt-get");
    }
    let args = ["install", "-y", "-qq", "--no-install-recommends"];
    println!("setup: installing {}", packages.join(" "));
    let first = output(as_root("apt-get")?.args(args).args(packages));
    if first.is_err() {
        output(as_root("apt-get")?.args(["update", "-qq"]))?;
        output(as_root("apt-get")?.args(args).args(packages))?;
    }
    Ok(())
}

/// `program` with root privileges.
fn as_root(program: &str) -> Result<Command> {
    let mut command;
    if output(Command::new("id").arg("-u"))?.trim() == "0" {
        command = Command::new(program);
    } else if output(Command::new("sudo").args(["-n", "true"])).is_ok() {
        command = Command::new("sudo");
        command.args(["-n", program]);
    } else {
        bail!("not root, and sudo would ask for a password");
    }
    // With a runlevel set, packages do not start their services.
    command.env("DEBIAN_FRONTEND", "noninteractive").env("RUNLEVEL", "1");
    Ok(command)
}

/// Unpacks the test suite of `package` in Debian's `release` to `place`, unless it is there.
pub(super) fn fetch_suite(dir: &Path, place: &Path, package: &str, release: &str) -> Result<()> {
    if place.join("runtest").exists() {
        return Ok(());
    }
    println!("setup: fetching the sources of {package} from {release}");
    let work = dir.join(format!("fetch-{package}"));
    let _ = fs::remove_dir_all(&work);
    for folder in ["lists/partial", "cache/archives/partial", "tree"] {
        fs::create_dir_all(work.join(folder))?;
    }
    let address = archive_address()?;
    let line = format!("deb-src [signed-by={KEYRING}] {address} {release} main\n");
    fs::write(work.join("sources.list"), line)?;
    output(apt(&work).args(["update", "-qq"]))?;
    // Only the upstream tar: Debian's changes do not affect the tests.
    let wanted = format!("{package}/{release}");
    output(apt(&work).args(["source", "--tar-only", "--download-only", "-qq", &wanted]))?;
    unpack(&work, place, package)?;
    fs::remove_dir_all(&work).context("cannot remove what was fetched")
}

fn apt(work: &Path) -> Command {
    let mut command = Command::new("apt-get");
    let at = |folder: &str| work.join(folder).display().to_string();
    for option in [
        format!("Dir::Etc::sourcelist={}", at("sources.list")),
        "Dir::Etc::sourceparts=/dev/null".to_owned(),
        format!("Dir::State::lists={}", at("lists")),
        format!("Dir::Cache={}", at("cache")),
        "APT::Sandbox::User=root".to_owned(),
    ] {
        command.args(["-o", &option]);
    }
    command.current_dir(work);
    command
}

/// Keeps only the parts of the source that the suite needs.
fn unpack(work: &Path, place: &Path, package: &str) -> Result<()> {
    let tar = fs::read_dir(work)?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .find(|path| path.to_string_lossy().contains(".orig.tar."))
        .context("apt-get brought no source")?;
    let tree = work.join("tree");
    output(
        Command::new("tar").arg("-xf").arg(&tar).arg("-C").arg(&tree).arg("--strip-components=1"),
    )?;
    let fresh = work.join("suite");
    fs::create_dir_all(&fresh)?;
    for name in ["tests", "utils", "runtest", "COPYING", "src/commands"] {
        let to = fresh.join(name);
        fs::create_dir_all(to.parent().expect("a joined path has a parent"))?;
        if tree.join(name).exists() {
            fs::rename(tree.join(name), to)?;
        }
    }
    let version = tar.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    println!("setup: the suite of {package} is that of {version}");
    fs::write(fresh.join("VERSION"), format!("{package}: {version}\n"))?;
    let _ = fs::remove_dir_all(place);
    fs::rename(fresh, place).context("cannot put the suite in place")
}

/// The address of the Debian archive in this machine's source list.
fn archive_address() -> Result<String> {
    let mut files = vec![Path::new("/etc/apt/sources.list").to_path_buf()];
    if let Ok(parts) = fs::read_dir("/etc/apt/sources.list.d") {
        files.extend(parts.filter_map(|entry| Some(entry.ok()?.path())));
    }
    files.sort();
    let texts = files
        .iter()
        .filter(|file| file.extension().is_some_and(|end| end == "list" || end == "sources"));
    texts
        .filter_map(|file| fs::read_to_string(file).ok())
        .find_map(|text| address_in(&text))
        .context("this machine's list of apt sources names no Debian archive")
}

/// The first address that ends in `/debian`, in either format of sources.
pub(super) fn address_in(text: &str) -> Option<String> {
    let lines = text.lines().filter(|line| line.starts_with("deb ") || line.starts_with("URIs:"));
    lines
        .flat_map(str::split_whitespace)
        .find(|word| word.contains("://") && word.trim_end_matches('/').ends_with("/debian"))
        .map(str::to_owned)
}
