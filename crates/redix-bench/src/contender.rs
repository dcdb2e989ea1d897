//! The servers that are measured, and their flags: one worker thread each, nothing written to disk.

use anyhow::{Context, Result, ensure};
use redix_testkit::{Launch, Peer, Server};

use crate::options::Mode;
use crate::replica::Replica;

/// The processor of one-threaded servers; the client has [`CLIENT_CPUS`].
pub(crate) const SERVER_CPUS: &str = "0";
pub(crate) const CLIENT_CPUS: &str = "1";
/// Both, for servers with two workers, and for the client beside them.
pub(crate) const ALL_CPUS: &str = "0,1";

/// A server in a configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Contender {
    pub(crate) name: &'static str,
    peer: Peer,
    args: &'static [&'static str],
    pub(crate) workers: usize,
    /// A replica is attached to it.
    replica: bool,
    /// Its executable was built with the C library's allocator, which no distribution does.
    jemalloc: bool,
}

const CONTENDERS: [Contender; 7] = [
    Contender {
        name: "redix",
        peer: Peer::Redix,
        args: &["--worker-threads", "1"],
        workers: 1,
        replica: false,
        jemalloc: false,
    },
    Contender {
        name: "redix2",
        peer: Peer::Redix,
        args: &["--worker-threads", "2"],
        workers: 2,
        replica: false,
        jemalloc: false,
    },
    Contender {
        name: "valkey",
        peer: Peer::Valkey,
        args: &["--io-threads", "1"],
        workers: 1,
        replica: false,
        jemalloc: true,
    },
    Contender {
        name: "redis7",
        peer: Peer::Redis7,
        args: &["--io-threads", "1"],
        workers: 1,
        replica: false,
        jemalloc: false,
    },
    Contender {
        name: "redis8",
        peer: Peer::Redis8,
        args: &["--io-threads", "1"],
        workers: 1,
        replica: false,
        jemalloc: false,
    },
    Contender {
        name: "redix+replica",
        peer: Peer::Redix,
        args: &["--worker-threads", "1"],
        workers: 1,
        replica: true,
        jemalloc: false,
    },
    Contender {
        name: "valkey+replica",
        peer: Peer::Valkey,
        args: &["--io-threads", "1"],
        workers: 1,
        replica: true,
        jemalloc: true,
    },
];

/// Names separated by commas; a name may come twice, which measures the noise.
pub(crate) fn parse_list(text: &str) -> Result<Vec<Contender>> {
    text.split(',')
        .map(|name| {
            let found = CONTENDERS.iter().find(|contender| contender.name == name);
            let contender = found.with_context(|| format!("--contenders: who is {name:?}?"))?;
            ensure!(contender.peer.available(), "{name} is not installed");
            Ok(*contender)
        })
        .collect()
}

/// The default contenders.
pub(crate) fn installed(mode: Mode) -> Vec<Contender> {
    let names: &[&str] = match mode {
        Mode::Throughput => &["redix", "redix2", "valkey", "redis7"],
        Mode::Latency | Mode::Pauses => &["redix2", "valkey"],
        Mode::Commands | Mode::Elements => &["redix", "valkey"],
        Mode::Unpipelined => &["redix", "valkey"],
        Mode::CatchUp | Mode::Hostile => &["redix"],
    };
    let wanted = names.iter().filter_map(|name| CONTENDERS.iter().find(|c| c.name == *name));
    wanted.filter(|contender| contender.peer.available()).copied().collect()
}

/// How the server and the client share the processors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Placement {
    /// A one-threaded server has a processor of its own, others both.
    ByWorkers,
    /// Everything may run on all processors, as on a user's machine: includes background work.
    Anywhere,
}

impl Contender {
    /// A fresh, empty server, with these arguments besides.
    pub(crate) fn start(&self, placement: Placement, with: &[String]) -> Result<Server> {
        let own = placement == Placement::ByWorkers && self.workers == 1;
        self.start_on(if own { SERVER_CPUS } else { ALL_CPUS }, with)
    }

    /// A fresh, empty server on these processors, with these arguments besides.
    pub(crate) fn start_on<S: AsRef<str>>(&self, cpus: &str, args: &[S]) -> Result<Server> {
        let launch = self.launch(cpus)?.args(args);
        launch.start().with_context(|| format!("starting {}", self.name))
    }

    /// A fresh, empty server whose allocator takes no huge pages, for small amounts of memory.
    pub(crate) fn start_with_small_pages(&self) -> Result<Server> {
        let launch = self.launch(ALL_CPUS)?.env("MIMALLOC_ALLOW_THP", "0");
        launch.start().with_context(|| format!("starting {}", self.name))
    }

    fn launch(&self, cpus: &str) -> Result<Launch> {
        let launch = Launch::new(self.peer)?.args(self.args).on_cpus(cpus);
        if self.jemalloc { launch.with_jemalloc() } else { Ok(launch) }
    }

    /// The replica that belongs to the configuration, synchronised.
    pub(crate) fn attach_replica(&self, server: &Server) -> Result<Option<Replica>> {
        if !self.replica {
            return Ok(None);
        }
        let replica = Replica::attach(server.addr())?;
        replica.wait_synced().with_context(|| format!("a replica of {}", self.name))?;
        Ok(Some(replica))
    }

    /// The processors the client may use beside it.
    pub(crate) fn client_cpus(&self) -> &'static str {
        if self.workers == 1 { CLIENT_CPUS } else { ALL_CPUS }
    }

    /// Version and flags, for the conditions line.
    pub(crate) fn describe(&self) -> String {
        let version = self.peer.version().unwrap_or_else(|| "of unknown version".into());
        let replica = if self.replica { ", with a replica that only listens" } else { "" };
        let preload = if self.jemalloc { ", LD_PRELOAD=libjemalloc.so.2" } else { "" };
        let (peer, args) = (self.peer.name(), self.args.join(" "));
        format!("{} = {peer} {version} {args}{preload}{replica}", self.name)
    }
}

/// Labels for a table: a name that comes again gets a number.
pub(crate) fn labels(contenders: &[Contender]) -> Vec<String> {
    let numbered = contenders.iter().enumerate().map(|(index, contender)| {
        let before = contenders[..index].iter().filter(|other| other.name == contender.name);
        match before.count() {
            0 => contender.name.to_owned(),
            count => format!("{}#{}", contender.name, count + 1),
        }
    });
    numbered.collect()
}
