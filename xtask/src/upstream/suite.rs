//! Running one file of the suite: a private copy of the suite, a server, a time limit.
//!
//! The copy is in the target folder, since the suite writes into its own tree; it is removed at the
//! end. In external mode every file gets a fresh server, so that a crash affects no other file.
//! Servers and suite run in process groups of their own and end with the file.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::output::Report;
use super::{Mode, copy_tree, sentinel};
use crate::process::{Group, output, target_dir};
use crate::server::Server;
use crate::setup::Peers;

/// The longest file, of partial resynchronisations, takes four minutes.
const FILE_LIMIT: Duration = Duration::from_secs(600);

/// Replaces `source`: an error outside of any test ends only the top-level command that it is in,
/// such as a whole `start_server` block, and not the file.
const SOURCE_BY_COMMAND: &str = r#"
proc source_by_command {path} {
    set channel [open $path]
    set text [read $channel]
    close $channel
    set command ""
    foreach line [split $text "\n"] {
        append command $line "\n"
        if {![info complete $command]} continue
        set tags $::tags
        set code [catch {uplevel 1 $command} error]
        set command ""
        if {$code == 2} return
        if {$code != 1} continue
        foreach server $::servers { catch {kill_server $server} }
        set ::servers {}
        set ::tags $tags
        incr ::num_failed
        send_data_packet $::test_server_fd err $error
    }
}
"#;

/// The server under test.
pub(super) struct Target {
    pub(super) program: PathBuf,
    /// `None` for a real server, which does not know the directive.
    pub(super) worker_threads: Option<u32>,
}

pub(super) struct Suite {
    mode: Mode,
    target: Target,
    /// The copy; removed on drop.
    dir: PathBuf,
    ports: Ports,
    /// An older server, for tests of replication between versions.
    other_server: Option<PathBuf>,
    /// Tags for the suite to run or, after a minus, to exclude.
    pub(super) tags: String,
}

/// The result of running one file.
pub(super) struct FileRun {
    pub(super) report: Report,
    pub(super) elapsed: Duration,
    /// Why the file did not run to its end, if it did not.
    pub(super) trouble: Option<String>,
    pub(super) server_died: bool,
}

/// Where the output of suite and server is kept, by file.
pub(super) fn logs() -> PathBuf {
    target_dir().join("upstream/logs")
}

impl Suite {
    pub(super) fn copy(place: &Path, mode: Mode, target: Target, peers: &Peers) -> Result<Self> {
        let parent = target_dir().join("upstream");
        fs::create_dir_all(logs())?;
        remove_stale(&parent);
        let dir = parent.join(format!("run-{}", std::process::id()));
        output(&mut copy_tree(place, &dir))?;
        let ports = Ports::claim()?;
        let other_server = peers.get("REDIX_REDIS7").cloned();
        let suite = Self { mode, target, dir, ports, other_server, tags: String::new() };
        suite.put_programs(peers)?;
        if mode == Mode::Tls {
            suite.make_certificates()?;
        }
        match mode {
            Mode::Sentinel => sentinel::prepare(&suite.dir, peers, suite.ports.base)?,
            Mode::External | Mode::Normal | Mode::Tls => suite.source_by_command()?,
        }
        Ok(suite)
    }

    /// Makes the suite's certificates. Parameters that it would search for, which takes half a
    /// minute, are taken from a standard.
    fn make_certificates(&self) -> Result<()> {
        fs::create_dir_all(self.dir.join("tests/tls"))?;
        let standard = ["-algorithm", "DH", "-pkeyopt", "dh_param:ffdhe2048"];
        let mut parameters = Command::new("openssl");
        parameters.args(["genpkey", "-genparam"]).args(standard);
        parameters.args(["-out", "tests/tls/valkey.dh"]).current_dir(&self.dir);
        output(&mut parameters)?;
        output(Command::new("./utils/gen-test-certs.sh").current_dir(&self.dir)).map(drop)
    }

    /// Makes each command of a file run by itself: see [`SOURCE_BY_COMMAND`].
    fn source_by_command(&self) -> Result<()> {
        let path = self.dir.join("tests/test_helper.tcl");
        let text = fs::read_to_string(&path)?;
        let Some((before, after)) = text.split_once("\n    source $path\n") else {
            bail!("{} does not source the files as expected", path.display());
        };
        let Some((head, start)) = before.rsplit_once("\nproc ") else {
            bail!("{}: no procedure around source", path.display());
        };
        let patched = format!(
            "{head}\n{SOURCE_BY_COMMAND}\nproc {start}\n    source_by_command $path\n{after}"
        );
        Ok(fs::write(&path, patched)?)
    }

    /// Installs programs where the suite looks for its own.
    fn put_programs(&self, peers: &Peers) -> Result<()> {
        let src = self.dir.join("src");
        fs::create_dir_all(&src)?;
        for (name, key) in
            [("valkey-cli", "REDIX_REDIS_CLI"), ("valkey-benchmark", "REDIX_REDIS_BENCHMARK")]
        {
            if let Some(path) = peers.get(key) {
                symlink(path, src.join(name))?;
            }
        }
        // The program under test is its own check tool.
        for name in ["valkey-check-rdb", "valkey-check-aof"] {
            symlink(std::path::absolute(&self.target.program)?, src.join(name))?;
        }
        // `exec` keeps the process id, by which the suite knows its servers, and the name, which is
        // in their title. Where the suite tests arguments, none are added.
        let threads = self.threads_args().join(" ");
        let script = src.join("valkey-server");
        let program = self.target.program.display();
        let text = format!(
            "#!/bin/bash\n[[ $1 == -* ]] || set -- \"$@\" {threads}\n\
             exec -a \"$0\" '{program}' \"$@\"\n"
        );
        fs::write(&script, text)?;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o755))?;
        Ok(())
    }

    /// The file for the output of `what`. Concurrent runs in the other mode write to others.
    fn log(&self, what: &str) -> PathBuf {
        let mode = match self.mode {
            Mode::External => "external",
            Mode::Normal => "normal",
            Mode::Sentinel => "sentinel",
            Mode::Tls => "tls",
        };
        logs().join(format!("{what}.{mode}.log"))
    }

    fn threads_args(&self) -> Vec<String> {
        match self.target.worker_threads {
            Some(n) => vec!["--worker-threads".to_owned(), n.to_string()],
            None => Vec::new(),
        }
    }

    /// The names of all files of the suite.
    pub(super) fn list(&self) -> Result<Vec<String>> {
        if self.mode == Mode::Sentinel {
            return sentinel::files(&self.dir);
        }
        let list = output(Command::new("./runtest").arg("--list-tests").current_dir(&self.dir))?;
        let mut files: Vec<String> = list.lines().map(str::to_owned).collect();
        files.sort();
        Ok(files)
    }

    /// Runs `file` without the tests `skips` and, if `only` names any, with no others.
    pub(super) fn run(&self, file: &str, skips: &[String], only: &[String]) -> Result<FileRun> {
        if !self.dir.join(format!("tests/{file}.tcl")).exists() {
            bail!("the suite has no file {file}");
        }
        let start = Instant::now();
        let name = file.replace('/', ".");
        let again = if only.is_empty() { "" } else { ".again" };
        let log = self.log(&format!("{name}{again}"));
        let mut suite = match self.mode {
            Mode::Sentinel => sentinel::command(file),
            Mode::External | Mode::Normal | Mode::Tls => self.runtest(file, skips, only),
        };
        suite.current_dir(&self.dir);
        let mut server = None;
        if self.mode == Mode::External {
            let log = self.log(&format!("{name}.server"));
            let started = Server::start(&self.target.program, &self.threads_args(), &log)?;
            suite.args(["--host", "127.0.0.1", "--port", &started.port.to_string()]);
            server = Some(started);
        }
        let mut group = Group::spawn(&mut suite, &log)?;
        let ended = group.wait(FILE_LIMIT).is_some();
        let mut trouble = None;
        if let Some(server) = &mut server {
            trouble = server.trouble();
        }
        let server_died = trouble.is_some();
        drop(group);
        let text = String::from_utf8_lossy(&fs::read(&log)?).into_owned();
        let report = match self.mode {
            Mode::Sentinel => sentinel::parse(&text),
            Mode::External | Mode::Normal | Mode::Tls => Report::parse(&text),
        };
        if !ended {
            trouble = Some(format!("still running after {} s", FILE_LIMIT.as_secs()));
        } else if trouble.is_none() {
            trouble = report.troubles.first().cloned();
        }
        if trouble.is_none() && !report.finished {
            trouble = Some("the suite ended early".to_owned());
        }
        Ok(FileRun { report, elapsed: start.elapsed(), trouble, server_died })
    }

    /// The command that runs `file`, as [`Suite::run`] has to.
    fn runtest(&self, file: &str, skips: &[String], only: &[String]) -> Command {
        let mut suite = Command::new("./runtest");
        suite.args(["--single", file, "--durable", "--clients", "1"]);
        suite.args(["--timeout", &FILE_LIMIT.as_secs().to_string()]);
        suite.args(["--baseport", &self.ports.base.to_string(), "--portcount", "900"]);
        if self.mode == Mode::Tls {
            suite.arg("--tls");
        }
        if self.mode != Mode::External
            && let Some(older) = &self.other_server
        {
            suite.arg("--other-server-path").arg(older);
        }
        if !self.tags.is_empty() {
            suite.args(["--tags", &self.tags]);
        }
        for skip in skips {
            suite.args(["--skiptest", skip]);
        }
        for test in only {
            suite.args(["--only", test]);
        }
        suite
    }
}

/// A thousand ports, below the ephemeral range: the suite listens on one of the 32 before `base`
/// and looks for its servers' in the 900 from there. Holding the last one keeps other runs away.
struct Ports {
    base: u16,
    _last: TcpListener,
}

impl Ports {
    fn claim() -> Result<Self> {
        for first in (12_000..32_000).step_by(1000) {
            if let Ok(last) = TcpListener::bind(("127.0.0.1", first + 999)) {
                return Ok(Self { base: first + 32, _last: last });
            }
        }
        bail!("no range of ports is free")
    }
}

impl Drop for Suite {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}

/// Removes copies of runs that were killed.
fn remove_stale(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for path in entries.filter_map(|entry| Some(entry.ok()?.path())) {
        let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let Some(pid) = name.split('-').nth(1) else { continue };
        if !Path::new("/proc").join(pid).exists() {
            let _ = fs::remove_dir_all(&path);
        }
    }
}
