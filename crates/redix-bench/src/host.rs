//! The machine: foreign load, and the processors of this process.

use std::fs;
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};

/// The unit of `/proc/stat` and `/proc/PID/stat` is 10 ms on every Linux platform that Rust
/// supports.
const TICK: Duration = Duration::from_millis(10);

/// Time used on all processors since boot.
#[derive(Clone, Copy, Debug)]
pub(crate) struct HostTime {
    /// By any process.
    pub(crate) busy: Duration,
    /// Taken by the hypervisor.
    pub(crate) stolen: Duration,
    /// All there was.
    pub(crate) total: Duration,
}

impl HostTime {
    pub(crate) fn now() -> Result<HostTime> {
        let text = fs::read_to_string("/proc/stat")?;
        let line = text.lines().next().context("/proc/stat is empty")?;
        let ticks: Vec<u32> =
            line.split_whitespace().skip(1).map(|word| word.parse().unwrap_or(0)).collect();
        ensure!(ticks.len() >= 8, "/proc/stat: {line}");
        // user nice system idle iowait irq softirq steal
        let (idle, stolen) = (ticks[3] + ticks[4], ticks[7]);
        let total: u32 = ticks[..8].iter().sum();
        Ok(HostTime {
            busy: TICK * (total - idle - stolen),
            stolen: TICK * stolen,
            total: TICK * total,
        })
    }

    /// The share, in percent, that neither we nor the server used since `earlier`.
    pub(crate) fn foreign_percent(self, earlier: HostTime, ours: Duration) -> f64 {
        let busy = (self.busy - earlier.busy).saturating_sub(ours);
        let foreign = busy + (self.stolen - earlier.stolen);
        100.0 * foreign.as_secs_f64() / (self.total - earlier.total).as_secs_f64().max(1e-3)
    }
}

/// Processor time of this process.
pub(crate) fn own_cpu_time() -> Result<Duration> {
    let text = fs::read_to_string("/proc/self/stat")?;
    let (_, fields) = text.rsplit_once(')').context("/proc/self/stat")?;
    let ticks: u32 =
        fields.split_whitespace().skip(11).take(2).filter_map(|f| f.parse::<u32>().ok()).sum();
    Ok(TICK * ticks)
}

/// Confines this process (its only thread, and children to come) to these processors.
pub(crate) fn pin_self(cpus: &str) -> Result<()> {
    let pid = std::process::id().to_string();
    let status = Command::new("taskset")
        .args(["-c", "-p", cpus, &pid])
        .stdout(Stdio::null())
        .status()
        .context("taskset")?;
    ensure!(status.success(), "taskset: {status}");
    Ok(())
}

/// Kernel release.
pub(crate) fn kernel() -> String {
    let text = fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
    text.trim().to_owned()
}

/// The processor's name and how many there are.
pub(crate) fn processors() -> String {
    let text = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let mut names = text.lines().filter_map(|line| line.strip_prefix("model name"));
    let name = names.next().unwrap_or("processor").trim_matches(['\t', ':', ' ']).to_owned();
    format!("{} x {name}", names.count() + 1)
}

/// Today, in UTC, by `date`.
pub(crate) fn date() -> String {
    let output = Command::new("date").args(["-u", "+%Y-%m-%d %H:%M UTC"]).output();
    let text = output.map(|o| String::from_utf8_lossy(&o.stdout).trim().to_owned());
    text.unwrap_or_else(|_| "date unknown".into())
}
