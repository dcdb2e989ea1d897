//! CLUSTER: every subcommand replies that cluster mode is off.

use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{ArgKind, ArgSpec, CommandSpec, Group, flag};
use crate::error::{CommandResult, ReplyError};

/// Command: CLUSTER and its subcommands.
pub const COMMANDS: &[CommandSpec] =
    &[CommandSpec::plain("cluster", Group::Cluster, -2, container)
        .since("3.0.0")
        .complexity("Depends on subcommand.")
        .doc("Groups the commands about the cluster.")
        .subcommands(SUBCOMMANDS)];

const SUBCOMMANDS: &[CommandSpec] = &[
    CommandSpec::plain("addslots", Group::Cluster, -3, refuse)
        .flags(CHANGING)
        .since("3.0.0")
        .complexity(PER_SLOT)
        .doc("Gives hash slots to this node.")
        .args(&[ArgSpec::new("slot", ArgKind::Integer).multiple()]),
    CommandSpec::plain("addslotsrange", Group::Cluster, -4, refuse)
        .flags(CHANGING)
        .since("7.0.0")
        .complexity(PER_SLOT_OF_RANGES)
        .doc("Gives ranges of hash slots to this node.")
        .args(&[ArgSpec::new("range", SLOT_RANGE).multiple()]),
    CommandSpec::plain("bumpepoch", Group::Cluster, 2, refuse)
        .flags(CHANGING)
        .since("3.0.0")
        .doc("Raises the configuration epoch.")
        .tips(&["nondeterministic_output"]),
    CommandSpec::plain("count-failure-reports", Group::Cluster, 3, refuse)
        .flags(flag::ADMIN | flag::STALE)
        .since("3.0.0")
        .complexity("O(N) where N is the number of failure reports")
        .doc("Counts the reports that a node has failed.")
        .history(&[("9.0.0", "Reports about a node that has failed already do not count.")])
        .tips(&["nondeterministic_output"])
        .args(&[ArgSpec::new("node-id", ArgKind::String)]),
    CommandSpec::plain("countkeysinslot", Group::Cluster, 3, refuse)
        .flags(flag::STALE)
        .since("3.0.0")
        .doc("Counts the keys of a hash slot.")
        .args(&[ArgSpec::new("slot", ArgKind::Integer)]),
    CommandSpec::plain("delslots", Group::Cluster, -3, refuse)
        .flags(CHANGING)
        .since("3.0.0")
        .complexity(PER_SLOT)
        .doc("Takes hash slots from this node.")
        .args(&[ArgSpec::new("slot", ArgKind::Integer).multiple()]),
    CommandSpec::plain("delslotsrange", Group::Cluster, -4, refuse)
        .flags(CHANGING)
        .since("7.0.0")
        .complexity(PER_SLOT_OF_RANGES)
        .doc("Takes ranges of hash slots from this node.")
        .args(&[ArgSpec::new("range", SLOT_RANGE).multiple()]),
    CommandSpec::plain("failover", Group::Cluster, -2, refuse)
        .flags(CHANGING)
        .since("3.0.0")
        .doc("Makes a replica take over from its primary.")
        .args(&[ArgSpec::new(
            "options",
            ArgKind::OneOf(&[
                ArgSpec::word("force", "FORCE"),
                ArgSpec::word("takeover", "TAKEOVER"),
            ]),
        )
        .optional()]),
    CommandSpec::plain("flushslots", Group::Cluster, 2, refuse)
        .flags(CHANGING)
        .since("3.0.0")
        .doc("Takes every hash slot from this node."),
    CommandSpec::plain("forget", Group::Cluster, 3, refuse)
        .flags(CHANGING)
        .since("3.0.0")
        .doc("Removes a node from this node's table.")
        .args(&[ArgSpec::new("node-id", ArgKind::String)]),
    CommandSpec::plain("getkeysinslot", Group::Cluster, 4, refuse)
        .flags(flag::STALE)
        .since("3.0.0")
        .complexity("O(N) where N is the number of requested keys")
        .doc("Returns keys of a hash slot.")
        .tips(&["nondeterministic_output"])
        .args(&[ArgSpec::new("slot", ArgKind::Integer), ArgSpec::new("count", ArgKind::Integer)]),
    CommandSpec::plain("help", Group::Cluster, 2, refuse)
        .flags(flag::LOADING | flag::STALE)
        .since("5.0.0")
        .doc("Lists the subcommands."),
    CommandSpec::plain("info", Group::Cluster, 2, refuse)
        .flags(flag::LOADING | flag::STALE)
        .since("3.0.0")
        .doc("Tells the state of the cluster.")
        .tips(&["nondeterministic_output"]),
    CommandSpec::plain("keyslot", Group::Cluster, 3, refuse)
        .flags(flag::STALE)
        .since("3.0.0")
        .complexity("O(N) where N is the number of bytes in the key")
        .doc("Tells the hash slot of a key.")
        .args(&[ArgSpec::new("key", ArgKind::String)]),
    CommandSpec::plain("links", Group::Cluster, 2, refuse)
        .flags(flag::STALE)
        .since("7.0.0")
        .complexity(PER_NODE)
        .doc("Lists the links between nodes.")
        .tips(&["nondeterministic_output"]),
    CommandSpec::plain("meet", Group::Cluster, -4, refuse)
        .flags(CHANGING)
        .since("3.0.0")
        .doc("Makes two nodes know each other.")
        .history(&[("4.0.0", "The port of the cluster bus.")])
        .args(&[
            ArgSpec::new("ip", ArgKind::String),
            ArgSpec::new("port", ArgKind::Integer),
            ArgSpec::new("cluster-bus-port", ArgKind::Integer).optional().since("4.0.0"),
        ]),
    CommandSpec::plain("myid", Group::Cluster, 2, refuse)
        .flags(flag::LOADING | flag::STALE)
        .since("3.0.0")
        .doc("Tells the id of this node."),
    CommandSpec::plain("myshardid", Group::Cluster, 2, refuse)
        .flags(flag::LOADING | flag::STALE)
        .since("7.2.0")
        .doc("Tells the id of this node's shard.")
        .tips(&["nondeterministic_output"]),
    CommandSpec::plain("nodes", Group::Cluster, 2, refuse)
        .flags(flag::LOADING | flag::STALE)
        .since("3.0.0")
        .complexity(PER_NODE)
        .doc("Describes the nodes as this one sees them.")
        .tips(&["nondeterministic_output"]),
    CommandSpec::plain("replicas", Group::Cluster, 3, refuse)
        .flags(flag::ADMIN | flag::STALE)
        .since("5.0.0")
        .complexity("O(N) where N is the number of replicas.")
        .doc("Lists the replicas of a node.")
        .tips(&["nondeterministic_output"])
        .args(&[ArgSpec::new("node-id", ArgKind::String)]),
    CommandSpec::plain("replicate", Group::Cluster, -3, refuse)
        .flags(CHANGING)
        .since("3.0.0")
        .doc("Makes this node a replica of another.")
        .history(&[("9.0.0", "The words `NO ONE`.")])
        .args(&[ArgSpec::new(
            "args",
            ArgKind::OneOf(&[
                ArgSpec::new("node-id", ArgKind::String),
                ArgSpec::new(
                    "no-one",
                    ArgKind::Block(&[ArgSpec::word("no", "NO"), ArgSpec::word("one", "ONE")]),
                )
                .since("9.0.0"),
            ]),
        )]),
    CommandSpec::plain("reset", Group::Cluster, -2, refuse)
        .flags(flag::ADMIN | flag::STALE | flag::NOSCRIPT)
        .since("3.0.0")
        .complexity(OF_RESET)
        .doc("Makes this node forget the cluster.")
        .args(&[ArgSpec::new(
            "reset-type",
            ArgKind::OneOf(&[ArgSpec::word("hard", "HARD"), ArgSpec::word("soft", "SOFT")]),
        )
        .optional()]),
    CommandSpec::plain("saveconfig", Group::Cluster, 2, refuse)
        .flags(CHANGING)
        .since("3.0.0")
        .doc("Writes the node's configuration file."),
    CommandSpec::plain("set-config-epoch", Group::Cluster, 3, refuse)
        .flags(CHANGING)
        .since("3.0.0")
        .doc("Sets the epoch of a new node.")
        .args(&[ArgSpec::new("config-epoch", ArgKind::Integer)]),
    CommandSpec::plain("setslot", Group::Cluster, -4, refuse)
        .flags(CHANGING)
        .since("3.0.0")
        .doc("Binds a hash slot to a node.")
        .history(&[("8.0.0", "The word `TIMEOUT`.")])
        .args(&[
            ArgSpec::new("slot", ArgKind::Integer),
            ArgSpec::new(
                "subcommand",
                ArgKind::OneOf(&[
                    ArgSpec::new("importing", ArgKind::String)
                        .token("IMPORTING")
                        .display("node-id"),
                    ArgSpec::new("migrating", ArgKind::String)
                        .token("MIGRATING")
                        .display("node-id"),
                    ArgSpec::new("node", ArgKind::String).token("NODE").display("node-id"),
                    ArgSpec::word("stable", "STABLE"),
                ]),
            ),
            ArgSpec::new("timeout", ArgKind::Integer).token("TIMEOUT").optional().since("8.0.0"),
        ]),
    CommandSpec::plain("shards", Group::Cluster, 2, refuse)
        .flags(flag::LOADING | flag::STALE)
        .since("7.0.0")
        .complexity("O(N) where N is the total number of cluster nodes")
        .doc("Maps hash slots to shards.")
        .history(&[("9.1.0", "The ids of shards and the availability zones of nodes.")])
        .tips(&["nondeterministic_output"]),
    CommandSpec::plain("slaves", Group::Cluster, 3, refuse)
        .flags(flag::ADMIN | flag::STALE)
        .since("3.0.0")
        .complexity("O(N) where N is the number of replicas.")
        .doc("Lists the replicas of a node.")
        .tips(&["nondeterministic_output"])
        .args(&[ArgSpec::new("node-id", ArgKind::String)])
        .deprecated("5.0.0", "`CLUSTER REPLICAS`"),
    CommandSpec::plain("slot-stats", Group::Cluster, -4, refuse)
        .flags(flag::STALE | flag::LOADING)
        .since("8.0.0")
        .complexity(OF_SLOT_STATS)
        .doc("Returns usage figures of hash slots.")
        .tips(&["nondeterministic_output", "request_policy:all_shards"])
        .args(&[ArgSpec::new(
            "filter",
            ArgKind::OneOf(&[
                ArgSpec::new("slotsrange", SLOT_RANGE).token("SLOTSRANGE"),
                ArgSpec::new(
                    "orderby",
                    ArgKind::Block(&[
                        ArgSpec::new("metric", ArgKind::String),
                        ArgSpec::new("limit", ArgKind::Integer).token("LIMIT").optional(),
                        ArgSpec::new(
                            "order",
                            ArgKind::OneOf(&[
                                ArgSpec::word("asc", "ASC"),
                                ArgSpec::word("desc", "DESC"),
                            ]),
                        )
                        .optional(),
                    ]),
                )
                .token("ORDERBY"),
            ]),
        )]),
    CommandSpec::plain("slots", Group::Cluster, 2, refuse)
        .flags(flag::LOADING | flag::STALE)
        .since("3.0.0")
        .complexity(PER_NODE)
        .doc("Maps hash slots to nodes.")
        .history(&[
            ("4.0.0", "The ids of nodes."),
            ("7.0.0", "More about how a node is reached."),
            ("9.1.0", "The availability zones of nodes."),
        ])
        .tips(&["nondeterministic_output"]),
];

const CHANGING: u32 = flag::NO_ASYNC_LOADING | flag::ADMIN | flag::STALE;
const SLOT_RANGE: ArgKind = ArgKind::Block(&[
    ArgSpec::new("start-slot", ArgKind::Integer),
    ArgSpec::new("end-slot", ArgKind::Integer),
]);
const PER_SLOT_OF_RANGES: &str =
    "O(N) where N is the total number of the slots between the start slot and end slot arguments.";
const PER_SLOT: &str = "O(N) where N is the total number of hash slot arguments";
const PER_NODE: &str = "O(N) where N is the total number of Cluster nodes";
const OF_RESET: &str = "O(N) where N is the number of known nodes. The command may execute a FLUSHALL as a side \
     effect.";
const OF_SLOT_STATS: &str = "O(N) where N is the total number of slots based on arguments. O(N*log(N)) with ORDERBY \
     subcommand.";

/// Never called: the arity asks for a subcommand, and unknown ones are refused before.
fn container(_: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    Err(ReplyError::WrongArity("cluster".into()))
}

/// Every subcommand -> an error.
fn refuse(_: &mut Ctx<'_, '_>, _: Args<'_>) -> CommandResult {
    Err(ReplyError::Static("ERR This instance has cluster support disabled"))
}
