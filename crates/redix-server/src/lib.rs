//! The server: the only crate with threads, sockets, files and signals.
//!
//! Reading order: [`run`] starts the process, [`worker`] is the event loop of one thread, [`conn`]
//! one connection's socket, [`mod@env`] the engine's environment.

pub mod alloc;
pub mod conn;
pub mod env;
pub mod log;
pub mod sys;
pub mod worker;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread;

use redix_core::config::Config;
use redix_core::engine::Engine;
use redix_core::registry::ClientShared;

use conn::Stream;
use worker::{Arrival, EventLoop, Handle};

/// Runs a server until the process ends.
pub fn run(config: Config) -> std::io::Result<()> {
    let workers = config.worker_count(thread::available_parallelism()?.get());
    let port = config.port;
    let engine = Engine::new(env::system(), config, workers).map_err(std::io::Error::other)?;
    let engine = Arc::new(engine);
    let mut handles: Vec<Arc<Handle>> = Vec::new();
    for index in 0..workers {
        let (event_loop, handle) =
            EventLoop::new(Arc::clone(&engine), index, Arc::new(|_request| {}))?;
        handles.push(handle);
        thread::Builder::new()
            .name(format!("worker-{index}"))
            .spawn(move || event_loop.run().expect("the event loop ends with the process"))?;
    }
    let listener = TcpListener::bind(("127.0.0.1", port))?;
    loop {
        let (stream, peer) = listener.accept()?;
        stream.set_nonblocking(true)?;
        stream.set_nodelay(true)?;
        let handle = handles
            .iter()
            .enumerate()
            .min_by_key(|(_, handle)| handle.load.load(Ordering::Relaxed))
            .expect("there is a worker");
        let now_ms = engine.env.clock.unix_us() / 1000;
        let shared = ClientShared::new(
            engine.registry.next_id(),
            peer.to_string(),
            stream.local_addr()?.to_string(),
            std::os::fd::AsRawFd::as_raw_fd(&stream),
            now_ms,
            handle.0,
        );
        let stream = Stream::Tcp(mio::net::TcpStream::from_std(stream));
        handle.1.hand_over(Arrival { stream, shared: Arc::new(shared), authenticated: true });
    }
}

/// The process: a command line in, an exit code out.
pub fn main() -> std::process::ExitCode {
    let mut config = Config::default();
    if let Some(n) = std::env::args().nth(1) {
        config.port = n.parse().expect("a port");
    }
    if let Some(n) = std::env::args().nth(2) {
        config.worker_threads = n.parse().expect("a number");
    }
    match run(config) {
        Ok(()) => std::process::ExitCode::SUCCESS,
        Err(_) => std::process::ExitCode::FAILURE,
    }
}
