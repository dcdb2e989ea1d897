//! Resident bytes per key: (resident memory loaded - resident memory empty) / keys, the mean over
//! several numbers of keys, because tables that double look best just before they do.

use std::time::{Duration, Instant};

use anyhow::Result;
use redix_testkit::Server;

use crate::contender::{self, Contender, Placement};
use crate::host;
use crate::options::Options;
use crate::report::{Figure, Section};
use crate::requests::{KEY_LEN, Op};
use crate::throughput::fill;

/// Value size in bytes and whether keys have an expiry.
const SHAPES: [(Op, usize); 3] = [(Op::Set, 8), (Op::Set, 64), (Op::SetTtl, 64)];
const SETTLE_STEP: Duration = Duration::from_millis(300);
const SETTLE_LIMIT: Duration = Duration::from_secs(6);

/// Measures every shape and size on every contender.
pub(crate) fn run(options: &Options) -> Result<Section> {
    // The number of workers does not change what a key costs.
    let mut contenders = options.contenders.clone();
    contenders.retain(|contender| contender.workers == 1);
    if contenders.is_empty() {
        contenders.clone_from(&options.contenders);
    }
    let labels = contender::labels(&contenders);
    let mut columns = vec!["shape".to_owned(), "server".to_owned()];
    columns.extend(options.memory_keys.iter().map(|keys| format!("{}k", keys / 1000)));
    columns.extend(["mean".to_owned(), format!("{} / it", labels[0])]);
    let note = "Resident bytes per key, (loaded - empty) / keys; a fresh server for each number.";
    let mut section = Section::new("memory", note, columns);
    for (op, value_len) in SHAPES {
        let ttl = if op == Op::SetTtl { " with TTL" } else { "" };
        let shape = format!("{KEY_LEN} B + {value_len} B{ttl}");
        let mut subject_mean = None;
        for (contender, label) in contenders.iter().zip(&labels) {
            let per_key: Vec<f64> = options
                .memory_keys
                .iter()
                .map(|&keys| bytes_per_key(contender, op, keys, value_len))
                .collect::<Result<_>>()?;
            let mean = per_key.iter().sum::<f64>() / per_key.len() as f64;
            let subject = *subject_mean.get_or_insert(mean);
            let mut row = vec![Figure::text(shape.as_str()), Figure::text(label)];
            row.extend(per_key.iter().map(|&bytes| Figure::number(bytes, 1)));
            row.push(Figure::number(mean, 1));
            row.push(Figure::number(subject / mean, 3));
            section.push(row);
        }
    }
    Ok(section)
}

fn bytes_per_key(contender: &Contender, op: Op, keys: usize, value_len: usize) -> Result<f64> {
    host::pin_self(contender::ALL_CPUS)?;
    let server = contender.start(Placement::ByWorkers, &[])?;
    let empty_kb = settled_rss_kb(&server)?;
    fill(&server, op, keys, value_len)?;
    let loaded_kb = settled_rss_kb(&server)?;
    Ok((loaded_kb as f64 - empty_kb as f64) * 1024.0 / keys as f64)
}

/// Resident memory once it has stopped changing: rehashing goes on and freed tables are returned
/// for some time after the last command.
pub(crate) fn settled_rss_kb(server: &Server) -> Result<u64> {
    let deadline = Instant::now() + SETTLE_LIMIT;
    let mut last_kb = server.rss_kb()?;
    let mut same = 0;
    while same < 3 && Instant::now() < deadline {
        std::thread::sleep(SETTLE_STEP);
        let now_kb = server.rss_kb()?;
        same = if now_kb.abs_diff(last_kb) <= 16 { same + 1 } else { 0 };
        last_kb = now_kb;
    }
    Ok(last_kb)
}
