//! A server of the Redis family as a child process, for chores that talk to one.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use crate::process::{Group, free_port, target_dir};

const START_LIMIT: Duration = Duration::from_secs(10);
const PING_LIMIT: Duration = Duration::from_secs(5);

/// A server on the loopback address with a folder of its own; dropping this ends both.
pub(crate) struct Server {
    group: Group,
    pub(crate) port: u16,
    dir: PathBuf,
}

impl Server {
    /// Starts `program` without saving, with the features that tests need enabled, and with `args`.
    /// Returns once it replies.
    pub(crate) fn start(program: &Path, args: &[String], log: &Path) -> Result<Self> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let port = free_port()?;
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let name = format!("upstream/data-{}-{number}", std::process::id());
        let dir = target_dir().join(name);
        fs::create_dir_all(&dir)?;
        let mut command = Command::new(program);
        command.current_dir(&dir).arg("--dir").arg(&dir).args(["--port", &port.to_string()]);
        command.args(["--bind", "127.0.0.1", "--save", ""]);
        for directive in ["debug-command", "protected-configs", "module-command"] {
            command.args([&format!("--enable-{directive}"), "yes"]);
        }
        command.args(args);
        let group = Group::spawn(&mut command, log)?;
        let mut server = Self { group, port, dir };
        let start = Instant::now();
        while !server.answers_ping(Duration::from_millis(200)) {
            if let Some(status) = server.group.exited() {
                bail!("{}: {status} at start, see {}", program.display(), log.display());
            }
            if start.elapsed() > START_LIMIT {
                bail!("{} does not answer, see {}", program.display(), log.display());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }

    /// A connection with a timeout of a few seconds.
    pub(crate) fn connect(&self) -> std::io::Result<TcpStream> {
        self.connect_within(PING_LIMIT)
    }

    fn connect_within(&self, limit: Duration) -> std::io::Result<TcpStream> {
        let stream = TcpStream::connect_timeout(&([127, 0, 0, 1], self.port).into(), limit)?;
        stream.set_read_timeout(Some(limit))?;
        Ok(stream)
    }

    fn answers_ping(&self, limit: Duration) -> bool {
        let ask = || -> std::io::Result<bool> {
            let mut stream = self.connect_within(limit)?;
            stream.write_all(b"PING\r\n")?;
            let mut reply = [0; 1];
            stream.read_exact(&mut reply)?;
            Ok(reply[0] == b'+' || reply[0] == b'-')
        };
        ask().unwrap_or(false)
    }

    /// Why the server is not usable, if it is not.
    pub(crate) fn trouble(&mut self) -> Option<String> {
        if let Some(status) = self.group.exited() {
            return Some(format!("the server ended: {status}"));
        }
        (!self.answers_ping(PING_LIMIT)).then(|| "the server does not answer".to_owned())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.dir);
    }
}
