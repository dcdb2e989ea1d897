//! The process as the system sees it: daemonizing, pid file, supervisor, title, limits.

use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use redix_core::config::{Config, Supervised};
use redix_core::persist::file::temporary_writer;

use crate::{log, sys};

/// Descriptors kept free for files, sockets of the server itself and the like, beside clients. The
/// number of the real servers, which have one event loop.
const RESERVED_FILES: u64 = 32;
/// The same for each further event loop: its epoll, what wakes it, its ring.
const FILES_PER_WORKER: u64 = 3;
/// The path of the pid file when daemonized without a configured one. Source: the default of Redis,
/// which its init scripts look for.
const DEFAULT_PID_FILE: &str = "/var/run/redis.pid";

/// Raises the limit of open files so that `maxclients` fit; lowers `maxclients` where the system
/// does not allow it. Errors: not even one client would fit.
pub fn make_room_for_clients(config: &mut Config, workers: usize) -> Result<(), String> {
    let reserved = reserved_files(workers);
    let wanted = u64::from(config.maxclients) + reserved;
    let limit = sys::raise_file_limit(wanted).unwrap_or(1024);
    if limit >= wanted {
        return Ok(());
    }
    if limit <= reserved {
        return Err(format!(
            "Your current 'ulimit -n' of {limit} is not enough for the server to start. Please \
             increase your open file limit to at least {wanted}. Exiting."
        ));
    }
    let fits = u32::try_from(limit - reserved).unwrap_or(config.maxclients);
    log::warning(&format!(
        "You requested maxclients of {} requiring at least {wanted} max file descriptors.",
        config.maxclients
    ));
    log::warning(&format!(
        "Server can't set maximum open files to {wanted} because of OS error: {}.",
        sys::error_text(&io::Error::from_raw_os_error(libc::EPERM))
    ));
    log::warning(&format!(
        "Current maximum open files is {limit}. maxclients has been reduced to {fits} to compensate \
         for low ulimit. If you need higher maxclients increase 'ulimit -n'."
    ));
    config.maxclients = fits;
    Ok(())
}

/// The number of clients for which there are file descriptors, after requesting enough for
/// `maxclients`.
pub fn clients_that_fit(maxclients: u32, workers: usize) -> u32 {
    let reserved = reserved_files(workers);
    let wanted = u64::from(maxclients) + reserved;
    let limit = sys::raise_file_limit(wanted).unwrap_or(1024);
    u32::try_from(limit.saturating_sub(reserved)).unwrap_or(u32::MAX).min(maxclients)
}

fn reserved_files(workers: usize) -> u64 {
    RESERVED_FILES + FILES_PER_WORKER * workers.saturating_sub(1) as u64
}

/// The pid file, removed at exit.
pub struct PidFile(PathBuf);

impl PidFile {
    /// Sets the default path if daemonized without a configured one.
    pub fn name(config: &mut Config, background: bool) {
        if background && config.pidfile.is_empty() {
            config.pidfile = DEFAULT_PID_FILE.into();
        }
    }

    /// Writes the file if the configuration names one. A failure is only logged.
    pub fn write(config: &Config) -> Option<Self> {
        if config.pidfile.is_empty() {
            return None;
        }
        let path: &Path = config.pidfile.as_ref();
        // Absolute, since `dir` may change while the server runs.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        match std::fs::write(&path, format!("{}\n", std::process::id())) {
            Ok(()) => Some(Self(path)),
            Err(error) => {
                log::warning(&format!(
                    "Failed to write PID file {}: {}",
                    path.display(),
                    sys::error_text(&error)
                ));
                None
            }
        }
    }

    /// Removes the file.
    pub fn remove(&self) {
        log::notice("Removing the pid file.");
        std::fs::remove_file(&self.0).ok();
    }
}

/// Removes temporary files in `dir` that killed processes have left: files with the name of a
/// temporary, of a process that is not running, and that are not locked. The second check is void
/// for processes of another machine or container, the third is not.
pub fn remove_leftovers(dir: &Path) {
    let Ok(entries) = std::fs::read_dir(dir) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let Some(pid) = temporary_writer(name.as_bytes()) else { continue };
        let is_running = pid != std::process::id() && Path::new(&format!("/proc/{pid}")).exists();
        // Anything but a regular file was not left by a save, and opening it may block.
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if is_running || !is_file {
            continue;
        }
        let path = entry.path();
        let is_free = File::open(&path).is_ok_and(|file| file.try_lock().is_ok());
        if is_free && std::fs::remove_file(&path).is_ok() {
            log::notice(&format!(
                "Removed {}, which a process that was killed has left",
                path.display()
            ));
        }
    }
}

/// The supervisor to be notified.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Supervisor {
    /// None.
    Nobody,
    /// Upstart: the process raises SIGSTOP once it is ready.
    Upstart,
    /// systemd: messages to the socket named by `NOTIFY_SOCKET`.
    Systemd,
}

impl Supervisor {
    /// The configured supervisor; `auto` looks at the environment.
    pub fn find(config: &Config) -> Self {
        let has = |name: &str| std::env::var_os(name).is_some();
        match config.supervised {
            Supervised::No => Self::Nobody,
            Supervised::Upstart => Self::upstart(),
            Supervised::Systemd => Self::systemd(),
            Supervised::Auto if has("UPSTART_JOB") => Self::upstart(),
            Supervised::Auto if has("NOTIFY_SOCKET") => Self::systemd(),
            Supervised::Auto => Self::Nobody,
        }
    }

    fn upstart() -> Self {
        if std::env::var_os("UPSTART_JOB").is_none() {
            log::warning("upstart supervision requested, but UPSTART_JOB not found!");
            return Self::Nobody;
        }
        log::notice("supervised by upstart, will stop to signal readiness.");
        Self::Upstart
    }

    fn systemd() -> Self {
        if std::env::var_os("NOTIFY_SOCKET").is_none() {
            log::warning(
                "systemd supervision requested or auto-detected, but NOTIFY_SOCKET not found!",
            );
            return Self::Nobody;
        }
        log::notice(
            "Supervised by systemd. Please make sure you set appropriate values for \
             TimeoutStartSec and TimeoutStopSec in your service unit.",
        );
        Self::Systemd
    }

    /// Notifies systemd, in the format of `sd_notify`; no effect with others.
    pub fn tell(self, message: &str) {
        if self == Self::Systemd
            && let Err(error) = notify_systemd(message)
        {
            log::warning(&format!("Can't notify systemd: {}", sys::error_text(&error)));
        }
    }

    /// Notifies the supervisor that the server is ready.
    pub fn ready(self) {
        self.tell("STATUS=Ready to accept connections\nREADY=1\n");
        if self == Self::Upstart {
            signal_hook::low_level::raise(libc::SIGSTOP).ok();
        }
    }
}

fn notify_systemd(message: &str) -> io::Result<()> {
    let Some(name) = std::env::var_os("NOTIFY_SOCKET") else { return Ok(()) };
    let socket = UnixDatagram::unbound()?;
    let name = name.into_encoded_bytes();
    if let Some(name) = name.strip_prefix(b"@") {
        use std::os::linux::net::SocketAddrExt;
        let addr = std::os::unix::net::SocketAddr::from_abstract_name(name)?;
        socket.connect_addr(&addr)?;
    } else {
        socket.connect(std::path::Path::new(std::ffi::OsStr::from_bytes(&name)))?;
    }
    socket.send(message.as_bytes()).map(drop)
}

/// The process title for a template. `program` is the name that it was started under.
pub fn title(config: &Config, program: &[u8], config_file: &[u8]) -> Vec<u8> {
    let port = config.shown_port().to_string();
    let tls_port = config.tls_port.to_string();
    let listen = match config.bind.first() {
        _ if config.shown_port() == 0 => [b"unixsocket:", config.unixsocket.as_bytes()].concat(),
        Some(first) => [first.strip_prefix(b"-").unwrap_or(first), b":", port.as_bytes()].concat(),
        None => [b"*:", port.as_bytes()].concat(),
    };
    let fields: [(&str, &[u8]); 7] = [
        ("{title}", program),
        ("{listen-addr}", &listen),
        ("{server-mode}", b""),
        ("{port}", port.as_bytes()),
        ("{tls-port}", tls_port.as_bytes()),
        ("{unixsocket}", &config.unixsocket),
        ("{config-file}", config_file),
    ];
    let mut out = Vec::new();
    let mut rest = config.proc_title_template.as_bytes();
    'template: while let [byte, tail @ ..] = rest {
        for (name, value) in fields {
            if let Some(after) = rest.strip_prefix(name.as_bytes()) {
                out.extend_from_slice(value);
                rest = after;
                continue 'template;
            }
        }
        out.push(*byte);
        rest = tail;
    }
    out.trim_ascii_end().to_owned()
}

#[cfg(test)]
mod tests;
