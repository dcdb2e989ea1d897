//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::contender::{self, Contender};
use crate::requests::Op;

pub(crate) const USAGE: &str = "\
usage: cargo xtask bench [OPTIONS]            throughput and memory
       cargo xtask bench commands [OPTIONS]   throughput of commands on collections and others
       cargo xtask bench elements [OPTIONS]   memory of the elements of collections
       cargo xtask bench pauses [OPTIONS]     what large things cost other clients, against a bar
       cargo xtask bench latency [OPTIONS]    open loop, with a disturbance in the middle
       cargo xtask bench unpipelined [OPTIONS] one request at a time: speed, cost and waiting
       cargo xtask bench hostile [OPTIONS]    what a user within its quota costs others, against a bar
       cargo xtask bench catch-up [OPTIONS]   a replica that has to apply 2 SETs for each key
  --contenders A,B,…  the subject first: redix redix2 valkey redis7 redis8 redix+replica
                      valkey+replica (the first four)
  --only WHAT,…       of: get set memory; for commands, elements, hostile and pauses parts of names
  --depths N,…        pipeline depths (1,16,64; unpipelined: 1,16)
  --pairs N           interleaved rounds (7)
  --window SECONDS    measured time of one cell (4), after a quarter of it to warm up
  --keys N            keys (1000000)
  --value BYTES       value size (64)
  --connections N     connections (50)
  --with ARGS         further arguments of all servers, such as '--appendonly yes'
  --foreign PERCENT   repeat a cell while others use more of the machine than this (3; 100: never)
  --quick             2 pairs, windows of 0.5 s, no repeats, memory at one size: not for publishing
  --json PATH         also write the figures there
unpipelined only:
  --place WHERE       of: pinned unpinned
latency and unpipelined:
  --rate N            requests a second (half of what the slowest contender can do)
latency only:
  --sets PERCENT      share of SET among GET (50)
  --action COMMAND    sent in the middle, such as BGSAVE; `replica`: one attaches
";

/// Which measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    Throughput,
    Latency,
    Unpipelined,
    CatchUp,
    Commands,
    Elements,
    Hostile,
    Pauses,
}

impl Mode {
    /// The depths measured if none are named.
    fn depths(self) -> &'static [usize] {
        if self == Self::Unpipelined { &[1, 16] } else { &[1, 16, 64] }
    }
}

/// Everything the command line decides.
#[derive(Clone, Debug)]
pub(crate) struct Options {
    pub(crate) mode: Mode,
    pub(crate) contenders: Vec<Contender>,
    /// Operation and pipeline depth of each throughput measurement.
    pub(crate) cells: Vec<(Op, usize)>,
    pub(crate) memory: bool,
    /// Parts of the names of what is measured; none: everything.
    pub(crate) only: Vec<String>,
    /// A tenth of everything, to see whether it works.
    pub(crate) quick: bool,
    pub(crate) memory_keys: Vec<usize>,
    pub(crate) pairs: usize,
    pub(crate) window: Duration,
    pub(crate) connections: usize,
    pub(crate) keys: usize,
    pub(crate) value_len: usize,
    pub(crate) foreign_percent_max: f64,
    pub(crate) json: Option<PathBuf>,
    pub(crate) rate: Option<f64>,
    pub(crate) sets_percent: usize,
    pub(crate) action: Option<Vec<String>>,
    /// Further arguments of all servers.
    pub(crate) with: Vec<String>,
    /// Where server and client run: `pinned`, `unpinned`; none: both.
    pub(crate) place: Option<String>,
}

impl Options {
    /// `None`: the user asked for help.
    pub(crate) fn parse(args: &[String]) -> Result<Option<Options>> {
        let mut options = Options::defaults();
        let mut only = None;
        let mut depths = None;
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            let mut value = || args.next().with_context(|| format!("{arg} needs a value"));
            match arg.as_str() {
                "latency" => options.mode = Mode::Latency,
                "unpipelined" => options.mode = Mode::Unpipelined,
                "catch-up" => options.mode = Mode::CatchUp,
                "commands" => options.mode = Mode::Commands,
                "elements" => options.mode = Mode::Elements,
                "hostile" => options.mode = Mode::Hostile,
                "pauses" => options.mode = Mode::Pauses,
                "--contenders" => options.contenders = contender::parse_list(value()?)?,
                "--only" => only = Some(value()?),
                "--depths" => depths = Some(parse_list(value()?)?),
                "--pairs" => options.pairs = value()?.parse()?,
                "--window" => options.window = Duration::try_from_secs_f64(value()?.parse()?)?,
                "--keys" => options.keys = value()?.parse()?,
                "--value" => options.value_len = value()?.parse()?,
                "--connections" => options.connections = value()?.parse()?,
                "--with" => options.with = value()?.split_whitespace().map(str::to_owned).collect(),
                "--foreign" => options.foreign_percent_max = value()?.parse()?,
                "--json" => options.json = Some(value()?.into()),
                "--rate" => options.rate = Some(value()?.parse()?),
                "--place" => options.place = Some(value()?.clone()),
                "--sets" => options.sets_percent = value()?.parse()?,
                "--action" => {
                    options.action = Some(value()?.split_whitespace().map(str::to_owned).collect());
                }
                "--quick" => {
                    options.quick = true;
                    options.pairs = 2;
                    options.window = Duration::from_millis(500);
                    options.foreign_percent_max = 100.0;
                    options.memory_keys = vec![500_000];
                }
                "--help" | "-h" => return Ok(None),
                _ => bail!("{arg} is not an option; try --help"),
            }
        }
        let depths = depths.unwrap_or_else(|| options.mode.depths().to_vec());
        let mut ops = vec![Op::Get, Op::Set];
        match (options.mode, only) {
            (_, None) => {}
            (Mode::Commands | Mode::Elements | Mode::Hostile | Mode::Pauses, Some(only)) => {
                options.only = only.split(',').map(str::to_lowercase).collect();
            }
            (_, Some(only)) => (ops, options.memory) = parse_only(only)?,
        }
        for op in ops {
            options.cells.extend(depths.iter().map(|&depth| (op, depth)));
        }
        if options.contenders.is_empty() {
            options.contenders = contender::installed(options.mode);
        }
        options.check()?;
        Ok(Some(options))
    }

    fn defaults() -> Options {
        Options {
            mode: Mode::Throughput,
            contenders: Vec::new(),
            cells: Vec::new(),
            memory: true,
            only: Vec::new(),
            quick: false,
            memory_keys: vec![500_000, 700_000, 1_000_000],
            pairs: 7,
            window: Duration::from_secs(4),
            connections: 50,
            keys: 1_000_000,
            value_len: 64,
            foreign_percent_max: 3.0,
            json: None,
            rate: None,
            sets_percent: 50,
            action: None,
            with: Vec::new(),
            place: None,
        }
    }

    /// Whether something of this name is to be measured.
    pub(crate) fn wants(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        self.only.is_empty() || self.only.iter().any(|part| name.contains(part))
    }

    /// Whether server and client are to run there.
    pub(crate) fn wants_place(&self, place: &str) -> bool {
        self.place.as_ref().is_none_or(|wanted| wanted == place)
    }

    fn check(&self) -> Result<()> {
        ensure!(!self.contenders.is_empty(), "no server found: run `cargo xtask setup`");
        ensure!((1..=1000).contains(&self.pairs), "--pairs: 1 to 1000");
        ensure!(self.keys >= 1000, "--keys: at least 1000");
        ensure!((1..=1 << 20).contains(&self.value_len), "--value: 1 byte to 1 MiB");
        ensure!(self.sets_percent <= 100, "--sets: 0 to 100");
        ensure!(self.rate.is_none_or(|rate| rate >= 1.0), "--rate: at least 1");
        ensure!((1..=10_000).contains(&self.connections), "--connections: 1 to 10000");
        let place = self.place.as_deref();
        ensure!(matches!(place, None | Some("pinned" | "unpinned")), "--place: pinned or unpinned");
        ensure!(self.action.as_ref().is_none_or(|a| !a.is_empty()), "--action: a command");
        ensure!(self.cells.iter().all(|cell| (1..=1000).contains(&cell.1)), "--depths: 1 to 1000");
        Ok(())
    }
}

fn parse_only(text: &str) -> Result<(Vec<Op>, bool)> {
    let (mut ops, mut memory) = (Vec::new(), false);
    for word in text.split(',') {
        match word {
            "get" => ops.push(Op::Get),
            "set" => ops.push(Op::Set),
            "memory" => memory = true,
            _ => bail!("--only: get, set or memory, not {word:?}"),
        }
    }
    Ok((ops, memory))
}

fn parse_list(text: &str) -> Result<Vec<usize>> {
    text.split(',').map(|word| word.parse().with_context(|| format!("{word:?}"))).collect()
}
