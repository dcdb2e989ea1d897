//! COMMAND DOCS entries of the set commands.

use crate::command::spec::{ArgKind, ArgSpec, Docs};

pub(super) const SADD: Docs = Docs::new(
    "1.0.0",
    "O(N) where N is how many members are given, each of them O(1).",
    "Adds members to a set, which is created if need be.",
)
.history(&[("2.4.0", "Several members at once.")])
.args(&[ArgSpec::key("key"), ArgSpec::new("member", ArgKind::String).multiple()]);

pub(super) const SCARD: Docs =
    Docs::new("1.0.0", "O(1)", "Returns how many members a set has.").args(&[ArgSpec::key("key")]);

pub(super) const SDIFF: Docs = Docs::new(
    "1.0.0",
    "O(N) where N is how many members all given sets have together.",
    "Returns the members of the first set that none of the others has.",
)
.args(&[ArgSpec::key("key").multiple()])
.tips(&["nondeterministic_output_order"]);

pub(super) const SDIFFSTORE: Docs = Docs::new(
    "1.0.0",
    "O(N) where N is how many members all given sets have together.",
    "Stores the members of the first set that none of the others has under a key.",
)
.args(&[ArgSpec::key("destination"), ArgSpec::new("key", ArgKind::Key(1)).multiple()]);

pub(super) const SINTER: Docs = Docs::new(
    "1.0.0",
    "O(N*M) at worst, for M sets of which the smallest has N members.",
    "Returns the members that all given sets have.",
)
.args(&[ArgSpec::key("key").multiple()])
.tips(&["nondeterministic_output_order"]);

pub(super) const SINTERCARD: Docs = Docs::new(
    "7.0.0",
    "O(N*M) at worst, for M sets of which the smallest has N members.",
    "Returns how many members all given sets have in common, counted up to a limit if wanted.",
)
.args(&[
    ArgSpec::new("numkeys", ArgKind::Integer),
    ArgSpec::key("key").multiple(),
    ArgSpec::new("limit", ArgKind::Integer).token("LIMIT").optional(),
]);

pub(super) const SINTERSTORE: Docs = Docs::new(
    "1.0.0",
    "O(N*M) at worst, for M sets of which the smallest has N members.",
    "Stores the members that all given sets have under a key.",
)
.args(&[ArgSpec::key("destination"), ArgSpec::new("key", ArgKind::Key(1)).multiple()]);

pub(super) const SISMEMBER: Docs = Docs::new("1.0.0", "O(1)", "Says whether a set has a member.")
    .args(&[ArgSpec::key("key"), ArgSpec::new("member", ArgKind::String)]);

pub(super) const SMEMBERS: Docs = Docs::new(
    "1.0.0",
    "O(N) where N is how many members the set has.",
    "Returns all members of a set.",
)
.args(&[ArgSpec::key("key")])
.tips(&["nondeterministic_output_order"]);

pub(super) const SMISMEMBER: Docs = Docs::new(
    "6.2.0",
    "O(N) where N is how many members are asked about.",
    "Says of each of several strings whether a set has it as a member.",
)
.args(&[ArgSpec::key("key"), ArgSpec::new("member", ArgKind::String).multiple()]);

pub(super) const SMOVE: Docs =
    Docs::new("1.0.0", "O(1)", "Moves a member from one set to another.").args(&[
        ArgSpec::key("source"),
        ArgSpec::new("destination", ArgKind::Key(1)),
        ArgSpec::new("member", ArgKind::String),
    ]);

pub(super) const SPOP: Docs = Docs::new(
    "1.0.0",
    "O(N) where N is how many members are taken, one without `count`.",
    "Takes members out of a set at random and returns them; the key goes with the last one.",
)
.history(&[("3.2.0", "`count`.")])
.args(&[ArgSpec::key("key"), ArgSpec::new("count", ArgKind::Integer).since("3.2.0").optional()])
.tips(&["nondeterministic_output"]);

pub(super) const SRANDMEMBER: Docs = Docs::new(
    "1.0.0",
    "O(N) where N is the absolute value of `count`, one without it.",
    "Returns members of a set chosen at random, different ones unless `count` is negative.",
)
.history(&[("2.6.0", "`count`.")])
.args(&[ArgSpec::key("key"), ArgSpec::new("count", ArgKind::Integer).since("2.6.0").optional()])
.tips(&["nondeterministic_output"]);

pub(super) const SREM: Docs = Docs::new(
    "1.0.0",
    "O(N) where N is how many members are given.",
    "Removes members from a set; the key goes with the last one.",
)
.history(&[("2.4.0", "Several members at once.")])
.args(&[ArgSpec::key("key"), ArgSpec::new("member", ArgKind::String).multiple()]);

pub(super) const SSCAN: Docs = Docs::new(
    "2.8.0",
    "O(1) per call; O(N) for a whole iteration, N being the number of members.",
    "Lists the members of a set in portions.",
)
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("cursor", ArgKind::Integer),
    ArgSpec::new("pattern", ArgKind::Pattern).token("MATCH").optional(),
    ArgSpec::new("count", ArgKind::Integer).token("COUNT").optional(),
])
.tips(&["nondeterministic_output"]);

pub(super) const SUNION: Docs = Docs::new(
    "1.0.0",
    "O(N) where N is how many members all given sets have together.",
    "Returns the members that any of the given sets has.",
)
.args(&[ArgSpec::key("key").multiple()])
.tips(&["nondeterministic_output_order"]);

pub(super) const SUNIONSTORE: Docs = Docs::new(
    "1.0.0",
    "O(N) where N is how many members all given sets have together.",
    "Stores the members that any of the given sets has under a key.",
)
.args(&[ArgSpec::key("destination"), ArgSpec::new("key", ArgKind::Key(1)).multiple()]);
