//! Paths of the real servers and tools.
//!
//! A path comes from the environment (`REDIX_VALKEY=…`), else from `.peers/peers.env` at the root
//! of the repository (`NAME=path` lines), else from `PATH`. A server found in `PATH` counts only if
//! it reports the version that the peer stands for.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A server that speaks the protocol: Redix itself, or one it is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Peer {
    Redix,
    Redis7,
    Redis8,
    Valkey,
}

impl Peer {
    /// The real servers, the leading one first.
    pub const ORACLES: [Peer; 3] = [Peer::Valkey, Peer::Redis7, Peer::Redis8];

    /// The name used in golden scripts, in `DIFFERS.txt` and on command lines.
    pub fn name(self) -> &'static str {
        match self {
            Peer::Redix => "redix",
            Peer::Redis7 => "redis7",
            Peer::Redis8 => "redis8",
            Peer::Valkey => "valkey",
        }
    }

    /// The peer of that name.
    pub fn from_name(name: &str) -> Option<Peer> {
        [Peer::Redix, Peer::Redis7, Peer::Redis8, Peer::Valkey]
            .into_iter()
            .find(|peer| peer.name() == name)
    }

    /// The executable, if it is installed.
    pub fn path(self) -> Option<PathBuf> {
        match self {
            Peer::Redix => redix_path(),
            Peer::Redis7 => configured("REDIX_REDIS7")
                .or_else(|| in_path("redis-server").filter(|p| reports(p, "v=7."))),
            Peer::Redis8 => configured("REDIX_REDIS8")
                .or_else(|| in_path("redis-server").filter(|p| reports(p, "v=8."))),
            Peer::Valkey => configured("REDIX_VALKEY").or_else(|| in_path("valkey-server")),
        }
    }

    /// Whether it is installed.
    pub fn available(self) -> bool {
        self.path().is_some()
    }

    /// Whether a test that needs the peer can run. Says so if not; where `CI=true`, a missing peer
    /// is a failure, so that nothing is ever skipped there without notice.
    ///
    /// # Panics
    /// If the peer is missing and `CI=true`.
    pub fn available_or_skip(self) -> bool {
        if self.available() {
            return true;
        }
        let reason = format!("not run: {} is not installed", self.name());
        assert!(std::env::var("CI").as_deref() != Ok("true"), "{reason}");
        eprintln!("{reason}");
        false
    }

    /// The version it reports with `--version`, such as `7.0.15`.
    pub fn version(self) -> Option<String> {
        let text = version_text(&self.path()?)?;
        let version = text.split_whitespace().find_map(|word| word.strip_prefix("v="));
        version.or_else(|| text.split_whitespace().last()).map(str::to_owned)
    }
}

/// A tool, other than a server, that tests use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tool {
    RedisCli,
    CheckRdb,
    /// The shared object that is preloaded into a server built with the C library's allocator.
    Jemalloc,
    Python,
}

impl Tool {
    /// Its path, if it is installed.
    pub fn path(self) -> Option<PathBuf> {
        match self {
            Tool::RedisCli => configured("REDIX_REDIS_CLI").or_else(|| in_path("redis-cli")),
            Tool::CheckRdb => configured("REDIX_CHECK_RDB").or_else(|| in_path("redis-check-rdb")),
            Tool::Jemalloc => configured("REDIX_JEMALLOC").or_else(system_jemalloc),
            Tool::Python => configured("REDIX_PYTHON").or_else(|| in_path("python3")),
        }
    }
}

/// The root of the repository this was built from.
pub fn repo_root() -> &'static Path {
    let crate_dir = Path::new(env!("CARGO_MANIFEST_DIR"));
    crate_dir.parent().and_then(Path::parent).unwrap_or(crate_dir)
}

fn redix_path() -> Option<PathBuf> {
    if let Some(path) = configured("REDIX_BIN") {
        return Some(path);
    }
    let target = std::env::var_os("CARGO_TARGET_DIR")
        .map_or_else(|| repo_root().join("target"), PathBuf::from);
    ["release", "debug"]
        .iter()
        .map(|profile| target.join(profile).join("redix"))
        .find(|path| path.is_file())
}

fn configured(name: &str) -> Option<PathBuf> {
    static FILE: OnceLock<Vec<(String, String)>> = OnceLock::new();
    if let Some(value) = std::env::var_os(name).filter(|value| !value.is_empty()) {
        return Some(PathBuf::from(value));
    }
    let file = FILE.get_or_init(|| {
        let text = std::fs::read_to_string(repo_root().join(".peers/peers.env"));
        parse_env(&text.unwrap_or_default())
    });
    let (_, value) = file.iter().find(|(key, _)| key == name)?;
    Some(PathBuf::from(value)).filter(|path| path.is_file())
}

/// `NAME=value` lines; `export`, quotes and `#` comments as a shell would take them.
fn parse_env(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().map(str::trim).filter(|line| !line.starts_with('#'));
    lines
        .filter_map(|line| line.strip_prefix("export ").unwrap_or(line).split_once('='))
        .map(|(key, value)| {
            (key.trim().to_owned(), value.trim().trim_matches(['"', '\'']).to_owned())
        })
        .filter(|(_, value)| !value.is_empty())
        .collect()
}

fn in_path(name: &str) -> Option<PathBuf> {
    let dirs = std::env::var_os("PATH")?;
    std::env::split_paths(&dirs).map(|dir| dir.join(name)).find(|path| path.is_file())
}

fn reports(path: &Path, version_prefix: &str) -> bool {
    version_text(path).is_some_and(|text| text.contains(version_prefix))
}

fn version_text(path: &Path) -> Option<String> {
    let output = Command::new(path).arg("--version").output().ok()?;
    String::from_utf8(output.stdout).ok()
}

fn system_jemalloc() -> Option<PathBuf> {
    let arch = std::env::consts::ARCH;
    [format!("/usr/lib/{arch}-linux-gnu"), "/usr/lib64".into(), "/usr/lib".into()]
        .into_iter()
        .map(|dir| Path::new(&dir).join("libjemalloc.so.2"))
        .find(|path| path.is_file())
}

#[cfg(test)]
mod tests;
