//! A server in a child process: Redix or a real one, on a free loopback port, in a directory of its
//! own.
//!
//! **Invariants.** The child is killed by its own process id when its [`Server`] is dropped, and
//! its directory is removed with it. Starting returns when the server replies. Its log is kept in
//! `server.log` of its directory and its end is part of every start failure; it is also printed
//! when a test panics.

use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::{self, net::UnixListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};

use crate::peer::{Peer, Tool};

const START_DEADLINE: Duration = Duration::from_secs(10);
const STOP_DEADLINE: Duration = Duration::from_secs(30);
const POLL_PAUSE: Duration = Duration::from_millis(5);
const LOG_TAIL_BYTES: usize = 4096;
/// Another process may take the port between choosing and binding it.
const PORT_ATTEMPTS: usize = 8;
/// The most ports that a process claims for its servers; each takes a descriptor.
const CLAIMS_MAX: usize = 128;
/// The environment variable with the `io-backend` of every Redix that is started.
const IO_BACKEND: &str = "REDIX_IO_BACKEND";
/// `USER_HZ`, the unit of times in `/proc/PID/stat`: 100 on every Linux platform that Rust
/// supports.
const TICKS_PER_SECOND: u64 = 100;

/// What to start, and how. Arguments come after the defaults `--port`, `--bind`, `--dir` and
/// `--save ""`, so that they win.
#[derive(Clone, Debug)]
pub struct Launch {
    program: PathBuf,
    name: &'static str,
    config: Option<PathBuf>,
    args: Vec<String>,
    cpus: Option<String>,
    open_files: Option<u32>,
    preload: Option<PathBuf>,
    env: Vec<(String, String)>,
}

impl Launch {
    /// The peer's executable with default arguments. Fails if this machine does not have it.
    pub fn new(peer: Peer) -> Result<Launch> {
        let program = peer.path().with_context(|| format!("{} is not installed", peer.name()))?;
        Ok(Launch::of(program, peer.name()))
    }

    /// Redix at the given path: for integration tests, `env!("CARGO_BIN_EXE_redix")`.
    pub fn redix(program: impl Into<PathBuf>) -> Launch {
        let program = std::env::var_os("REDIX_BIN").map_or_else(|| program.into(), PathBuf::from);
        Launch::of(program, Peer::Redix.name())
    }

    fn of(program: PathBuf, name: &'static str) -> Launch {
        let (config, cpus, open_files, preload) = (None, None, None, None);
        let (args, env) = (Vec::new(), Vec::new());
        Launch { program, name, config, args, cpus, open_files, preload, env }
    }

    /// Sets the configuration file, which precedes all arguments.
    pub fn config(mut self, file: impl Into<PathBuf>) -> Launch {
        self.config = Some(file.into());
        self
    }

    /// Adds arguments.
    pub fn args<S: AsRef<str>>(mut self, args: &[S]) -> Launch {
        self.args.extend(args.iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Restricts the process to these processors, as for `taskset -c`: `0`, `0,1`.
    pub fn on_cpus(mut self, cpus: &str) -> Launch {
        self.cpus = Some(cpus.to_owned());
        self
    }

    /// Limits the descriptors that the process may have open.
    pub fn with_open_files(mut self, most: u32) -> Launch {
        self.open_files = Some(most);
        self
    }

    /// Replaces the C library's allocator by jemalloc. Fails if this machine does not have it.
    pub fn with_jemalloc(mut self) -> Result<Launch> {
        self.preload = Some(Tool::Jemalloc.path().context("libjemalloc.so.2 is not installed")?);
        Ok(self)
    }

    /// Sets an environment variable.
    pub fn env(mut self, name: &str, value: &str) -> Launch {
        self.env.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts it in a new directory and waits until it replies.
    pub fn start(self) -> Result<Server> {
        Server::launch(self)
    }

    fn is_redix(&self) -> bool {
        self.name == Peer::Redix.name()
    }

    fn command(&self, port: u16, dir: &Path) -> Command {
        let mut words: Vec<OsString> = Vec::new();
        if let Some(cpus) = &self.cpus {
            words.extend(["taskset", "-c", cpus].map(OsString::from));
        }
        if let Some(most) = self.open_files {
            words.extend([OsString::from("prlimit"), format!("--nofile={most}:{most}").into()]);
        }
        words.push(self.program.clone().into());
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        if let Some(preload) = &self.preload {
            command.env("LD_PRELOAD", preload);
        }
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command.args(&self.config);
        command.args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", "", "--dir"]);
        command.arg(dir);
        if let (true, Some(backend)) = (self.is_redix(), std::env::var_os(IO_BACKEND)) {
            command.arg("--io-backend").arg(backend);
        }
        command.args(&self.args).current_dir(dir).stdin(Stdio::null());
        command
    }
}

/// A running server. See the module's documentation.
pub struct Server {
    launch: Launch,
    child: Option<Child>,
    port: u16,
    dir: TempDir,
}

/// Processor time used by all threads of a process since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CpuTime {
    pub user: Duration,
    pub system: Duration,
}

impl CpuTime {
    /// User and system time together.
    pub fn total(self) -> Duration {
        self.user + self.system
    }
}

impl Server {
    /// Starts the peer with these arguments besides the defaults of [`Launch`].
    pub fn start<S: AsRef<str>>(peer: Peer, args: &[S]) -> Result<Server> {
        Launch::new(peer)?.args(args).start()
    }

    fn launch(launch: Launch) -> Result<Server> {
        let dir = TempDir::new(launch.name)?;
        let mut server = Server { launch, child: None, port: 0, dir };
        for _ in 0..PORT_ATTEMPTS {
            server.port = free_port()?;
            match server.spawn() {
                Err(error) if server.log().contains("Address already in use") => {
                    drop(error);
                    File::create(server.log_path())?;
                }
                Err(error) => return Err(error),
                Ok(()) => return Ok(server),
            }
        }
        bail!("{PORT_ATTEMPTS} free ports in a row were taken by others");
    }

    fn spawn(&mut self) -> Result<()> {
        let log = OpenOptions::new().create(true).append(true).open(self.log_path())?;
        let mut command = self.launch.command(self.port, self.dir.path());
        command.stdout(log.try_clone()?).stderr(log);
        let child = command.spawn().with_context(|| format!("cannot run {command:?}"))?;
        self.child = Some(child);
        self.wait_until_serving()
    }

    fn wait_until_serving(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_DEADLINE;
        loop {
            if let Some(child) = &mut self.child
                && let Some(status) = child.try_wait()?
            {
                self.child = None;
                bail!("{} ended while starting: {status}\n{}", self.launch.name, self.log_tail());
            }
            if answers_ping(self.addr()) {
                return Ok(());
            }
            if Instant::now() > deadline {
                self.kill9()?;
                bail!("{} did not answer in time\n{}", self.launch.name, self.log_tail());
            }
            std::thread::sleep(POLL_PAUSE);
        }
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.port))
    }

    /// The port it listens on.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Its working directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Its process id.
    ///
    /// # Panics
    /// If it was stopped.
    pub fn pid(&self) -> u32 {
        self.child.as_ref().expect("the server runs").id()
    }

    /// Whether the process has not ended.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Sends SIGTERM and waits for the process to end. Fails after 30 s.
    pub fn stop(&mut self) -> Result<ExitStatus> {
        let pid = self.pid().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status()?;
        ensure!(sent.success(), "kill -TERM {pid}: {sent}");
        self.wait_for_exit()
    }

    /// Waits until the process ends by itself. Fails after 30 s.
    pub fn wait_for_exit(&mut self) -> Result<ExitStatus> {
        let child = self.child.as_mut().context("the server was stopped before")?;
        let deadline = Instant::now() + STOP_DEADLINE;
        loop {
            if let Some(status) = child.try_wait()? {
                self.child = None;
                return Ok(status);
            }
            ensure!(Instant::now() < deadline, "{} does not end", self.launch.name);
            std::thread::sleep(POLL_PAUSE);
        }
    }

    /// Sends SIGKILL, as a power cut would end it.
    pub fn kill9(&mut self) -> Result<()> {
        if let Some(mut child) = self.child.take() {
            child.kill()?;
            child.wait()?;
        }
        Ok(())
    }

    /// Restarts it on the same directory and port, with the same arguments; stops it first if it
    /// runs.
    pub fn restart(&mut self) -> Result<()> {
        if self.is_running() {
            self.stop()?;
        }
        self.child = None;
        self.spawn()
    }

    /// As [`Server::restart`], with other arguments.
    pub fn restart_with<S: AsRef<str>>(&mut self, args: &[S]) -> Result<()> {
        self.launch.args = args.iter().map(|arg| arg.as_ref().to_owned()).collect();
        self.restart()
    }

    /// Resident memory, in KiB.
    pub fn rss_kb(&self) -> Result<u64> {
        let path = format!("/proc/{}/status", self.pid());
        let text = fs::read_to_string(&path).context(path)?;
        let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.context("no VmRSS line")?.parse().context("VmRSS is not a number")
    }

    /// Processor time used so far by all threads; the kernel reports it in steps of 10 ms.
    pub fn cpu_time(&self) -> Result<CpuTime> {
        let path = format!("/proc/{}/stat", self.pid());
        let text = fs::read_to_string(&path).context(path)?;
        parse_stat(&text).context("unexpected /proc/PID/stat")
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&fs::read(self.log_path()).unwrap_or_default()).into_owned()
    }

    fn log_path(&self) -> PathBuf {
        self.dir.path().join("server.log")
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let start = log.len().saturating_sub(LOG_TAIL_BYTES);
        let start = (start..=log.len()).find(|&at| log.is_char_boundary(at)).unwrap_or(log.len());
        format!("--- log of {}:\n{}", self.launch.name, &log[start..])
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Ignored: a child that cannot be killed or waited for has ended already.
        let _ = self.kill9();
        if std::thread::panicking() {
            eprintln!("{}", self.log_tail());
        }
    }
}

/// A port that was free a moment ago. No other process gets it here for as long as this one lives,
/// or has asked for many others: a server may be stopped and started again on it.
pub fn free_port() -> Result<u16> {
    static CLAIMS: Mutex<VecDeque<UnixListener>> = Mutex::new(VecDeque::new());
    for _ in 0..PORT_ATTEMPTS {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
        let Some(claim) = claim(port)? else { continue };
        let mut claims = CLAIMS.lock().unwrap_or_else(PoisonError::into_inner);
        if claims.len() == CLAIMS_MAX {
            claims.pop_front();
        }
        claims.push_back(claim);
        return Ok(port);
    }
    bail!("{PORT_ATTEMPTS} free ports in a row were claimed by others");
}

/// Claims a port among the processes that ask for one; `None`: it is claimed already. By a name in
/// the kernel, which ends with its owner.
fn claim(port: u16) -> Result<Option<UnixListener>> {
    let name = unix::net::SocketAddr::from_abstract_name(format!("redix-testkit-port-{port}"))?;
    match UnixListener::bind_addr(&name) {
        Ok(claim) => Ok(Some(claim)),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Whether a server there has finished loading. `-NOAUTH` counts too.
fn answers_ping(addr: SocketAddr) -> bool {
    let ping = || -> std::io::Result<bool> {
        let mut stream = TcpStream::connect_timeout(&addr, Duration::from_millis(500))?;
        stream.set_read_timeout(Some(Duration::from_millis(500)))?;
        stream.write_all(b"PING\r\n")?;
        let mut reply = [0; 64];
        let len = match stream.read(&mut reply) {
            Err(error) if error.kind() == ErrorKind::Interrupted => 0,
            other => other?,
        };
        let answers = len > 0 && !reply[..len].starts_with(b"-LOADING");
        // Until the server has closed it too: tests count its clients.
        stream.shutdown(Shutdown::Write)?;
        while answers && stream.read(&mut reply)? > 0 {}
        Ok(answers)
    };
    ping().unwrap_or(false)
}

/// `utime` and `stime`, fields 14 and 15. The second field may hold spaces, but ends with the last
/// `)`.
fn parse_stat(text: &str) -> Option<CpuTime> {
    let (_, fields) = text.rsplit_once(')')?;
    let mut fields = fields.split_whitespace().skip(11);
    let mut ticks = || -> Option<Duration> {
        let ticks: u64 = fields.next()?.parse().ok()?;
        Some(Duration::from_millis(ticks * 1000 / TICKS_PER_SECOND))
    };
    Some(CpuTime { user: ticks()?, system: ticks()? })
}

/// A directory that is removed with its owner.
pub struct TempDir(PathBuf);

impl TempDir {
    /// Creates a directory below the system's temporary directory.
    pub fn new(name: &str) -> Result<TempDir> {
        TempDir::below(&std::env::temp_dir(), name)
    }

    /// As [`TempDir::new`], on a file system in memory if there is one: for processes that time
    /// each other, and that a slow disk would delay by seconds.
    pub fn in_memory(name: &str) -> Result<TempDir> {
        let memory = Path::new("/dev/shm");
        if memory.is_dir() { TempDir::below(memory, name) } else { TempDir::new(name) }
    }

    fn below(parent: &Path, name: &str) -> Result<TempDir> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let dir = format!("redix-test-{name}-{}-{number}", std::process::id());
            let path = parent.join(dir);
            match fs::create_dir(&path) {
                Ok(()) => return Ok(TempDir(path)),
                // Left by a process of the same number that was killed.
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => return Err(error).with_context(|| path.display().to_string()),
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempDir {
    fn drop(&mut self) {
        // Ignored: it is a temporary directory.
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests;
