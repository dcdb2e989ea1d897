//! What COMMAND DOCS tells about the commands on HyperLogLogs.

use crate::command::spec::{ArgKind, ArgSpec, Docs};

pub(super) const PFADD: Docs = Docs::new(
    "2.8.9",
    "O(1) for each element.",
    "Adds elements to a HyperLogLog, which is created if need be.",
)
.args(&[ArgSpec::key("key"), ArgSpec::new("element", ArgKind::String).optional().multiple()]);

pub(super) const PFCOUNT: Docs = Docs::new(
    "2.8.9",
    "O(1) for one key; O(N) for N keys, about as much work for each as to count it anew.",
    "Estimates how many different elements were added to a HyperLogLog, or to several together.",
)
.args(&[ArgSpec::key("key").multiple()]);

pub(super) const PFDEBUG: Docs =
    Docs::new("2.8.9", "N/A", "Shows how a HyperLogLog is represented, and converts it.")
        .args(&[ArgSpec::new("subcommand", ArgKind::String), ArgSpec::key("key")]);

pub(super) const PFMERGE: Docs =
    Docs::new("2.8.9", "O(N) for N keys.", "Merges HyperLogLogs into one.").args(&[
        ArgSpec::key("destkey"),
        ArgSpec::new("sourcekey", ArgKind::Key(1)).optional().multiple(),
    ]);

pub(super) const PFSELFTEST: Docs =
    Docs::new("2.8.9", "N/A", "Checks the registers and the estimates of HyperLogLogs.");
