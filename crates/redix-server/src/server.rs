//! The process: shared state, startup, accepting connections, applying a changed configuration.
//!
//! The main thread accepts and assigns each connection to the worker with the fewest; it never
//! reads from one. A changed configuration is applied by the thread that runs CONFIG SET, which
//! holds the world.
//!
//! **Invariants.** After a failed accept the next attempt follows after `RETRY_MS`, not in a busy
//! loop. No lock of this module is held while waiting for anything but another accept.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;
use std::time::Duration;

use mio::net::{TcpStream, UnixStream};
use mio::{Events, Poll, Registry};
use parking_lot::Mutex;
use redix_core::config::{Apply, ByteString, Config, ConfigSetError};
use redix_core::effects::Request;
use redix_core::engine::Engine;
use redix_core::registry::{ClientShared, client_flag};
use redix_core::repl::status::Target;
use socket2::{SockRef, TcpKeepalive};

use crate::backend::Backend;
use crate::conn::Stream;
use crate::listen::{self, Listener};
use crate::migrator::Migrator;
use crate::oom::OomScore;
use crate::process::{self, PidFile, Supervisor};
use crate::saver::{self, SaverHandle};
use crate::startup::{Startup, VERSION};
use crate::sys::TitleArea;
use crate::tls::reload::Reload;
use crate::tls::stream::TlsStream;
use crate::tls::{self, Contexts, Tls};
use crate::worker::{Arrival, EventLoop, Handle, Requests};
use crate::{aof, audit, crash, env, link, log, shutdown, spiller, sys};

/// The pause after accept has failed.
const RETRY_MS: u64 = 100;
/// Unanswered keep-alive probes after which the kernel closes a connection.
const KEEPALIVE_PROBES: u32 = 3;

/// State shared by the threads of the process, beside the engine.
pub struct Server {
    /// The engine.
    pub engine: Arc<Engine>,
    /// The thread of background work.
    pub saver: SaverHandle,
    migrator: Arc<Migrator>,
    handles: Vec<Arc<Handle>>,
    listeners: Mutex<Listeners>,
    registry: Registry,
    pid_file: Option<PidFile>,
    supervisor: Supervisor,
    title: Mutex<Option<TitleArea>>,
    program: Vec<u8>,
    oom_score: OomScore,
    tls: Arc<Tls>,
    reload: Arc<Reload>,
}

/// The listening sockets by their tokens in the main thread's poll. Tokens are not reused.
#[derive(Default)]
struct Listeners {
    open: Vec<(usize, Listener)>,
    next_token: usize,
}

impl Listeners {
    fn add(&mut self, mut listener: Listener, registry: &Registry) -> io::Result<()> {
        listener.register(registry, self.next_token)?;
        self.open.push((self.next_token, listener));
        self.next_token += 1;
        Ok(())
    }

    fn close(&mut self, which: Which, registry: &Registry) {
        self.open.retain_mut(|(_, listener)| {
            let is_meant = match listener {
                Listener::Tcp(_) => which.plain,
                Listener::Tls(_) => which.tls,
                Listener::Unix(_) => false,
            };
            if is_meant {
                listener.deregister(registry);
            }
            !is_meant
        });
    }

    /// Opens those of a configuration.
    fn open(&mut self, which: Which, config: &Config, registry: &Registry) -> io::Result<()> {
        let plain = if which.plain { listen::open_tcp(config)? } else { Vec::new() };
        let tls = if which.tls { listen::open_tls(config)? } else { Vec::new() };
        plain.into_iter().chain(tls).try_for_each(|listener| self.add(listener, registry))
    }
}

/// Which of the TCP listening sockets are meant.
#[derive(Clone, Copy)]
struct Which {
    plain: bool,
    tls: bool,
}

/// The engine, with the path of its configuration file and the users of its ACL file, and what
/// workers read and write sockets with.
fn make_engine(
    config: Config,
    file: Option<&Path>,
    workers: usize,
) -> Result<(Arc<Engine>, Backend), String> {
    let backend = Backend::choose(config.io_backend, workers)?;
    let engine = Engine::new(env::system(backend.name()), config, workers)?;
    if let Some(path) = file {
        engine.set_config_path(path.into());
    }
    engine.load_users().map_err(|text| {
        format!("Aborting startup because of ACL errors: {}", String::from_utf8_lossy(&text))
    })?;
    Ok((Arc::new(engine), backend))
}

/// Runs a server until the process ends; returns only if it cannot start, after logging why.
pub fn run(startup: Startup) -> Result<(), String> {
    let Startup { mut config, ignored, file } = startup;
    log::configure(&config);
    let supervisor = Supervisor::find(&config);
    let background = config.daemonize && supervisor == Supervisor::Nobody;
    if background {
        sys::daemonize().map_err(|error| format!("Can't go to the background: {error}"))?;
    }
    crash::report_signals(&config);
    announce_start(&config, &ignored, file.is_some());
    let workers = config.worker_count(thread::available_parallelism().map_or(1, usize::from));
    process::make_room_for_clients(&mut config, workers)?;
    let title = if config.set_proc_title { TitleArea::find() } else { None };
    PidFile::name(&mut config, background);
    let pid_file = PidFile::write(&config);
    show_banner(&config);
    process::remove_leftovers(config.dir.as_ref());

    let contexts = load_tls(&config)?;
    let poll = Poll::new().map_err(|error| error.to_string())?;
    let listeners = open_listeners(&config, poll.registry())?;
    let (engine, mut backend) = make_engine(config, file.as_deref(), workers)?;
    let loops = (0..workers)
        .map(|index| EventLoop::new(Arc::clone(&engine), index, backend.take_ring()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(|error| format!("Can't make an event loop: {error}"))?;
    engine.startup_memory.store(engine.env.memory.used_bytes(), Ordering::Relaxed);
    let server = Arc::new(Server {
        engine: Arc::clone(&engine),
        saver: SaverHandle::default(),
        migrator: Arc::default(),
        handles: loops.iter().map(|(_, handle)| Arc::clone(handle)).collect(),
        listeners: Mutex::new(listeners),
        registry: poll.registry().try_clone().map_err(|error| error.to_string())?,
        pid_file,
        supervisor,
        title: Mutex::new(title),
        program: std::env::args_os().next().map_or_else(|| "redix".into(), OsString::into_vec),
        oom_score: OomScore::default(),
        tls: Arc::default(),
        reload: Arc::default(),
    });
    server.tls.replace(contexts, &engine);
    server.reload.follow(&engine.config(), &engine, &server.tls);
    engine.set_applier(Arc::new(Applier(Arc::clone(&server))));
    server.show_title(&engine.config());
    // Ignored: it was logged, and does not prevent serving.
    server.oom_score.follow(&engine.config()).ok();
    shutdown::listen_for_signals(&server)
        .map_err(|error| format!("Can't handle signals: {error}"))?;
    for (index, (event_loop, _)) in loops.into_iter().enumerate() {
        let server = Arc::clone(&server);
        let requests =
            move |request: &Request, client: &ClientShared| server.carry_out(request, client);
        thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(move || serve(event_loop, &requests))
            .map_err(|error| format!("Can't start a thread: {error}"))?;
    }
    log::notice("Server initialized");
    if let Some((host, port)) = engine.config().replicaof.clone() {
        let _world = engine.keyspace.gates().world();
        engine.follow(Target { host, port });
    }
    aof::start(&engine)?;
    saver::start(&server)?;
    link::start(&engine, &server.tls)?;
    spiller::start(&engine)?;
    server.accept_forever(poll)
}

/// What TLS connections are made with, if there are any.
fn load_tls(config: &Config) -> Result<Option<Contexts>, String> {
    let loaded = config.uses_tls().then(|| Contexts::load(config)).transpose();
    loaded.map_err(|reason| {
        log::warning(&reason);
        "Failed to configure TLS. Check logs for more info.".into()
    })
}

/// The main function of a worker thread. The process exits if its event loop fails.
fn serve(event_loop: EventLoop, requests: &Requests) {
    if let Err(error) = event_loop.run(requests) {
        log::warning(&format!("A worker can't wait for its clients: {error}"));
        std::process::exit(1);
    }
}

fn announce_start(config: &Config, ignored: &[(&str, &str)], has_file: bool) {
    log::notice("oO0OoO0OoO0Oo Redix is starting oO0OoO0OoO0Oo");
    log::notice(&format!(
        "Redix version={VERSION}, bits={}, pid={}, just started",
        usize::BITS,
        std::process::id()
    ));
    if has_file || *config != Config::default() {
        log::notice("Configuration loaded");
    } else {
        log::warning(
            "Warning: no config file specified, using the default config. In order to specify a \
             config file use redix /path/to/redix.conf",
        );
    }
    for (name, why) in ignored {
        log::warning(&format!("The directive '{name}' has no effect: {why}"));
    }
}

/// The logo on a terminal or if configured, else a line; tools parse both.
fn show_banner(config: &Config) {
    let on_terminal = config.logfile.is_empty() && io::stdout().is_terminal();
    if !on_terminal && !config.always_show_logo {
        log::notice(&format!("Running mode=standalone, port={}.", config.shown_port()));
        return;
    }
    let bits = usize::BITS;
    log::write_raw(&format!(
        "\n\
         \x20    ____           ___\n\
         \x20   / __ \\___  ____/ (_)_  __   Redix {VERSION} {bits} bit\n\
         \x20  / /_/ / _ \\/ __  / / |/_/\n\
         \x20 / _, _/  __/ /_/ / />  <      Running in standalone mode\n\
         \x20/_/ |_|\\___/\\__,_/_/_/|_|      Port: {}\n\
         \x20                               PID: {}\n\n",
        config.shown_port(),
        std::process::id()
    ));
}

fn open_listeners(config: &Config, registry: &Registry) -> Result<Listeners, String> {
    let mut listeners = Listeners::default();
    let tcp = listen::open_tcp(config)
        .map_err(|_| format!("Failed listening on port {} (tcp), aborting.", config.port))?;
    if tcp.is_empty() && config.port != 0 {
        return Err(format!("Failed listening on port {} (tcp), aborting.", config.port));
    }
    let tls = listen::open_tls(config)
        .map_err(|_| format!("Failed listening on port {} (tls), aborting.", config.tls_port))?;
    if tls.is_empty() && config.tls_port != 0 {
        return Err(format!("Failed listening on port {} (tls), aborting.", config.tls_port));
    }
    let unix = listen::open_unix(config)
        .map_err(|reason| format!("Failed opening Unix socket: {reason}"))?;
    for listener in tcp.into_iter().chain(tls).chain(unix) {
        listeners.add(listener, registry).map_err(|error| error.to_string())?;
    }
    if listeners.open.is_empty() {
        return Err("Configured to not listen anywhere, exiting.".into());
    }
    Ok(listeners)
}

impl Server {
    /// Carries out a command's request; called by the worker that ran the command.
    fn carry_out(&self, request: &Request, client: &ClientShared) -> Result<(), &'static str> {
        match request {
            Request::Shutdown(how) => {
                let ClientShared { id, addr, laddr, fd, .. } = client;
                let texts = client.texts.lock().clone();
                let client = format!(
                    "id={id} addr={addr} laddr={laddr} fd={fd} name={} user={} lib-name={} \
                     lib-ver={}",
                    texts.name.escape_ascii(),
                    String::from_utf8_lossy(&texts.user),
                    texts.lib_name.escape_ascii(),
                    texts.lib_ver.escape_ascii()
                );
                shutdown::shut_down(self, how, Some(&client));
                Err("ERR Errors trying to SHUTDOWN. Check logs.")
            }
            Request::BgSave => {
                self.saver.wake();
                Ok(())
            }
            Request::Migrate => {
                self.migrator.work(&self.engine, &self.tls);
                Ok(())
            }
            Request::Warn(text) => {
                log::warning(text);
                Ok(())
            }
            Request::LoadAof => {
                let loaded = self.engine.reload_aof(client.worker, &aof::TwoThreads);
                loaded.map_err(|error| {
                    log::warning(&error.to_string());
                    "ERR Error trying to load the AOF files, check server logs."
                })
            }
            // The worker itself carries it out.
            Request::Feed | Request::Deliver | Request::Overflow => Ok(()),
        }
    }

    /// Logs and notifies that the server is ready: the data set is loaded.
    pub fn announce_ready(&self) {
        let listeners = self.listeners.lock();
        if listeners.open.iter().any(|(_, listener)| matches!(listener, Listener::Tcp(_))) {
            log::notice("Ready to accept connections tcp");
        }
        if listeners.open.iter().any(|(_, listener)| matches!(listener, Listener::Unix(_))) {
            log::notice("Ready to accept connections unix");
        }
        if listeners.open.iter().any(|(_, listener)| matches!(listener, Listener::Tls(_))) {
            log::notice("Ready to accept connections tls");
        }
        drop(listeners);
        self.supervisor.ready();
    }

    /// Cleans up at exit: removes the pid file and notifies the supervisor.
    pub fn say_goodbye(&self) {
        self.supervisor.tell("STOPPING=1\n");
        // First: whoever sees its connection closed must not be able to make another one.
        self.listeners.lock().open.clear();
        if let Some(pid_file) = &self.pid_file {
            pid_file.remove();
        }
        let unix_socket = &self.engine.config().unixsocket;
        if !unix_socket.is_empty() {
            log::notice("Removing the unix socket file.");
            std::fs::remove_file(unix_socket).ok();
        }
    }

    fn show_title(&self, config: &Config) {
        if let Some(area) = &mut *self.title.lock() {
            let file = self.engine.config_path().map_or(&b""[..], ByteString::as_bytes);
            area.set(&process::title(config, &self.program, file));
        }
    }

    fn accept_forever(&self, mut poll: Poll) -> Result<(), String> {
        let mut events = Events::with_capacity(64);
        // Listeners with a pending connection that could not be accepted.
        let mut again: Vec<usize> = Vec::new();
        loop {
            let timeout = if again.is_empty() { None } else { Some(RETRY_MS) };
            match poll.poll(&mut events, timeout.map(Duration::from_millis)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => other.map_err(|error| format!("Can't wait for connections: {error}"))?,
            }
            let mut tokens = std::mem::take(&mut again);
            tokens.extend(events.iter().map(|event| event.token().0));
            for token in tokens {
                if self.accept_all(token).is_err() {
                    again.push(token);
                }
            }
        }
    }

    /// Accepts every pending connection of a listener. Errors: one could not be accepted.
    fn accept_all(&self, token: usize) -> Result<(), ()> {
        loop {
            let listeners = self.listeners.lock();
            let Some((_, listener)) = listeners.open.iter().find(|(other, _)| *other == token)
            else {
                return Ok(());
            };
            let accepted = match listener {
                Listener::Tcp(listener) => {
                    listener.accept().map(|(stream, peer)| Accepted::Tcp(stream, peer))
                }
                Listener::Unix(listener) => {
                    listener.accept().map(|(stream, _)| Accepted::Unix(stream))
                }
                Listener::Tls(listener) => {
                    listener.accept().map(|(stream, peer)| Accepted::Tls(stream, peer))
                }
            };
            drop(listeners);
            match accepted {
                Ok(accepted) => self.admit(accepted),
                Err(error) => match error.kind() {
                    io::ErrorKind::WouldBlock => return Ok(()),
                    io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted => {}
                    _ => {
                        let reason = sys::error_text(&error);
                        log::warning(&format!("Accepting client connection: {reason}"));
                        return Err(());
                    }
                },
            }
        }
    }

    /// Assigns a new connection to a worker, or refuses it.
    fn admit(&self, accepted: Accepted) {
        let config = self.engine.config();
        let loads = || self.handles.iter().map(|handle| handle.load.load(Ordering::Relaxed));
        if loads().sum::<usize>() >= config.maxclients as usize {
            self.turn_away(accepted, b"-ERR max number of clients reached\r\n");
            return;
        }
        let denied = config.protected_mode
            && self.engine.acl.default_takes_any_password()
            && !accepted.is_local();
        // Over TLS the reason can only be told after the handshake.
        if denied && !matches!(accepted, Accepted::Tls(..)) {
            self.turn_away(accepted, DENIED.as_bytes());
            return;
        }
        let (index, handle) = self
            .handles
            .iter()
            .enumerate()
            .min_by_key(|(_, handle)| handle.load.load(Ordering::Relaxed))
            .expect("there is a worker");
        let (addr, laddr) = accepted.names(&config);
        let fd = accepted.fd();
        if log::enabled(redix_core::env::Level::Verbose) {
            log::verbose(&format!("Accepted {addr}"));
        }
        let now_ms = self.engine.env.clock.unix_us() / 1000;
        let id = self.engine.registry.next_id();
        let shared = ClientShared::new(id, addr, laddr, fd, now_ms, index);
        let stream = match accepted {
            Accepted::Tcp(stream, _) => {
                prepare_tcp(&stream, &config);
                Stream::Tcp(stream)
            }
            Accepted::Unix(stream) => {
                shared.set_flag(client_flag::UNIX, true);
                Stream::Unix(stream)
            }
            Accepted::Tls(stream, _) => {
                prepare_tcp(&stream, &config);
                let Some(stream) = self.wrap(stream) else { return };
                Stream::Tls(Box::new(stream))
            }
        };
        let authenticated = self.engine.acl.default_is_open();
        let refusal = denied.then_some(DENIED);
        handle.hand_over(Arrival { stream, shared: Arc::new(shared), authenticated, refusal });
    }

    /// Makes a TLS connection of a socket; it is closed if that fails.
    fn wrap(&self, socket: TcpStream) -> Option<TlsStream> {
        let contexts = self.tls.contexts()?;
        TlsStream::new(socket, &contexts.server)
            .inspect_err(|error| log::warning(&format!("Can't make a TLS session: {error}")))
            .ok()
    }

    /// Sends the reason of a refusal, as far as the socket accepts it at once.
    fn turn_away(&self, accepted: Accepted, words: &[u8]) {
        // Counted first: a client that was refused may read the counter at once.
        let cell = &self.engine.stats.thread(self.engine.background_thread()).cell;
        cell.rejected_connections.bump();
        match accepted {
            Accepted::Tcp(mut stream, _) => stream.write(words).ok(),
            Accepted::Unix(mut stream) => stream.write(words).ok(),
            // Its handshake has not been made, so that it would not be understood.
            Accepted::Tls(..) => None,
        };
    }

    /// Listens on the addresses of a changed configuration; `name` is the directive that changed
    /// them. On failure the old ones stay open.
    fn listen_anew(
        &self,
        old: &Config,
        new: &Config,
        which: Which,
        name: &'static str,
    ) -> Result<(), ConfigSetError> {
        let mut listeners = self.listeners.lock();
        listeners.close(which, &self.registry);
        if listeners.open(which, new, &self.registry).is_ok() {
            return Ok(());
        }
        log::warning(&format!(
            "Failed applying new configuration. Possibly related to new {name} setting. Restoring \
             previous settings."
        ));
        listeners.close(which, &self.registry);
        if let Err(error) = listeners.open(which, old, &self.registry) {
            log::warning(&format!("Failed restoring the old listening sockets: {error}"));
        }
        Err(ConfigSetError::Refused {
            name: name.into(),
            reason: match name {
                "bind" => "Failed to bind to specified addresses.".into(),
                _ => "Unable to listen on this port. Check server logs.".into(),
            },
        })
    }
}

/// A connection that was just accepted.
enum Accepted {
    Tcp(TcpStream, SocketAddr),
    Unix(UnixStream),
    Tls(TcpStream, SocketAddr),
}

impl Accepted {
    fn is_local(&self) -> bool {
        match self {
            Self::Tcp(_, peer) | Self::Tls(_, peer) => peer.ip().is_loopback(),
            Self::Unix(_) => true,
        }
    }

    fn fd(&self) -> i32 {
        match self {
            Self::Tcp(stream, _) | Self::Tls(stream, _) => stream.as_raw_fd(),
            Self::Unix(stream) => stream.as_raw_fd(),
        }
    }

    /// The addresses of the peer and of this end, as shown.
    fn names(&self, config: &Config) -> (String, String) {
        match self {
            Self::Tcp(stream, peer) | Self::Tls(stream, peer) => {
                let own =
                    stream.local_addr().map_or_else(|_| "?:0".into(), |addr| addr.to_string());
                (peer.to_string(), own)
            }
            Self::Unix(_) => {
                let name = format!("{}:0", config.unixsocket);
                (name.clone(), name)
            }
        }
    }
}

/// Sets the configured options of a TCP connection. A failure means that the connection has failed,
/// which its worker will notice.
fn prepare_tcp(stream: &TcpStream, config: &Config) {
    stream.set_nodelay(true).ok();
    if config.tcp_keepalive == 0 {
        return;
    }
    let interval = (config.tcp_keepalive / KEEPALIVE_PROBES).max(1);
    let keepalive = TcpKeepalive::new()
        .with_time(Duration::from_secs(config.tcp_keepalive.into()))
        .with_interval(Duration::from_secs(interval.into()))
        .with_retries(KEEPALIVE_PROBES);
    SockRef::from(stream).set_tcp_keepalive(&keepalive).ok();
}

/// The reply to remote clients in protected mode, in the wording of the real servers, since people
/// search for it.
const DENIED: &str = "-DENIED Running in protected mode because protected mode is enabled and no \
    password is set for the default user. In this mode connections are only accepted from the \
    loopback interface. If you want to connect from external computers, you may adopt one of the \
    following solutions: 1) Just disable protected mode sending the command 'CONFIG SET \
    protected-mode no' from the loopback interface by connecting from the same host the server is \
    running, however MAKE SURE it's not publicly accessible from internet if you do so. Use CONFIG \
    REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode \
    by editing the configuration file, and setting the protected mode option to 'no', and then \
    restarting the server. 3) If you started the server manually just for testing, restart it with \
    the '--protected-mode no' option. 4) Set up an authentication password for the default user. \
    NOTE: You only need to do one of the above things in order for the server to start accepting \
    connections from the outside.\r\n";

/// What TLS connections are made with as of a changed configuration; `None` if it need not be made
/// anew.
fn load_changed_tls(
    new: &Config,
    changed: &[&'static str],
) -> Result<Option<Contexts>, ConfigSetError> {
    let name = changed.iter().find(|name| tls::DIRECTIVES.contains(name));
    let (Some(name), true) = (name, new.uses_tls()) else { return Ok(None) };
    Contexts::load(new).map(Some).map_err(|reason| {
        log::warning(&reason);
        ConfigSetError::Refused {
            name: (*name).into(),
            reason: "Unable to update TLS configuration. Check server logs.".into(),
        }
    })
}

/// Applies CONFIG SET to sockets, limits, the log and the title.
struct Applier(Arc<Server>);

impl Apply for Applier {
    fn apply(
        &self,
        old: &Config,
        new: &mut Config,
        changed: &[&'static str],
    ) -> Result<(), ConfigSetError> {
        let server = &self.0;
        let is_changed = |name: &str| changed.contains(&name);
        let refused =
            |name: &str, reason: String| ConfigSetError::Refused { name: name.into(), reason };
        let contexts = load_changed_tls(new, changed)?;
        if is_changed("maxclients") {
            let fits = process::clients_that_fit(new.maxclients, server.handles.len());
            if fits < new.maxclients {
                let reason = format!(
                    "The operating system is not able to handle the specified number of clients, \
                     try with {fits}"
                );
                return Err(refused("maxclients", reason));
            }
        }
        if is_changed("audit-log-file")
            && let Err(error) = audit::check(&new.audit_log_file)
        {
            return Err(refused("audit-log-file", sys::error_text(&error)));
        }
        let oom =
            ["oom-score-adj", "oom-score-adj-values"].into_iter().find(|name| is_changed(name));
        if let Some(name) = oom
            && server.oom_score.follow(new).is_err()
        {
            let reason = "Failed to set current oom_score_adj. Check server logs.";
            return Err(refused(name, reason.into()));
        }
        if is_changed("dir") {
            let moved = std::env::set_current_dir(&new.dir).and_then(|()| std::env::current_dir());
            let dir = moved.map_err(|error| {
                server.oom_score.follow(old).ok();
                refused("dir", sys::error_text(&error))
            })?;
            new.dir = dir.as_path().into();
        }
        let name = ["port", "tls-port", "bind"].into_iter().find(|name| is_changed(name));
        let which = Which {
            plain: is_changed("port") || is_changed("bind"),
            tls: is_changed("tls-port") || is_changed("bind"),
        };
        if let Some(name) = name
            && let Err(error) = server.listen_anew(old, new, which, name)
        {
            // Ignored: if the old directory no longer exists, the new one is as good.
            std::env::set_current_dir(&old.dir).ok();
            server.oom_score.follow(old).ok();
            return Err(error);
        }
        if !new.uses_tls() {
            server.tls.replace(None, &server.engine);
        } else if contexts.is_some() {
            server.tls.replace(contexts, &server.engine);
        }
        server.reload.follow(new, &server.engine, &server.tls);
        log::configure(new);
        crash::follow(new);
        if ["proc-title-template", "port", "tls-port", "bind"].into_iter().any(is_changed) {
            server.show_title(new);
        }
        Ok(())
    }

    fn apply_role(&self, config: &Config) {
        // Ignored: it was logged.
        self.0.oom_score.follow(config).ok();
    }
}
