//! COMMAND DOCS entries of the hash commands.

use crate::command::spec::{ArgKind, ArgSpec, Docs};

pub(super) const HDEL: Docs = Docs::new(
    "2.0.0",
    "O(N) for N fields to remove.",
    "Removes fields from a hash, and the hash with its last field.",
)
.history(&[("2.4.0", "Takes more than one field.")])
.args(&[ArgSpec::key("key"), ArgSpec::new("field", ArgKind::String).multiple()]);

pub(super) const HEXISTS: Docs = Docs::new("2.0.0", "O(1)", "Tells whether a hash has a field.")
    .args(&[ArgSpec::key("key"), ArgSpec::new("field", ArgKind::String)]);

pub(super) const HGET: Docs = Docs::new("2.0.0", "O(1)", "Returns the value of a field of a hash.")
    .args(&[ArgSpec::key("key"), ArgSpec::new("field", ArgKind::String)]);

pub(super) const HGETALL: Docs = Docs::new(
    "2.0.0",
    "O(N) for a hash of N fields.",
    "Returns all fields of a hash with their values.",
)
.args(&[ArgSpec::key("key")])
.tips(&["nondeterministic_output_order"]);

pub(super) const HINCRBY: Docs = Docs::new(
    "2.0.0",
    "O(1)",
    "Adds to the integer in a field of a hash; a missing field counts as 0.",
)
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("field", ArgKind::String),
    ArgSpec::new("increment", ArgKind::Integer),
]);

pub(super) const HINCRBYFLOAT: Docs = Docs::new(
    "2.6.0",
    "O(1)",
    "Adds to the number in a field of a hash; a missing field counts as 0.",
)
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("field", ArgKind::String),
    ArgSpec::new("increment", ArgKind::Double),
]);

pub(super) const HKEYS: Docs =
    Docs::new("2.0.0", "O(N) for a hash of N fields.", "Returns the fields of a hash.")
        .args(&[ArgSpec::key("key")])
        .tips(&["nondeterministic_output_order"]);

pub(super) const HLEN: Docs =
    Docs::new("2.0.0", "O(1)", "Returns how many fields a hash has.").args(&[ArgSpec::key("key")]);

pub(super) const HMGET: Docs = Docs::new(
    "2.0.0",
    "O(N) for N fields that are asked for.",
    "Returns the values of several fields of a hash.",
)
.args(&[ArgSpec::key("key"), ArgSpec::new("field", ArgKind::String).multiple()]);

pub(super) const HMSET: Docs = Docs::new(
    "2.0.0",
    "O(N) for N fields that are set.",
    "Sets the values of several fields of a hash.",
)
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new(
        "data",
        ArgKind::Block(&[
            ArgSpec::new("field", ArgKind::String),
            ArgSpec::new("value", ArgKind::String),
        ]),
    )
    .multiple(),
]);

pub(super) const HRANDFIELD: Docs = Docs::new(
    "6.2.0",
    "O(N) for N fields that are returned.",
    "Returns fields of a hash, chosen at random.",
)
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new(
        "options",
        ArgKind::Block(&[
            ArgSpec::new("count", ArgKind::Integer),
            ArgSpec::word("withvalues", "WITHVALUES").optional(),
        ]),
    )
    .optional(),
])
.tips(&["nondeterministic_output"]);

pub(super) const HSCAN: Docs = Docs::new(
    "2.8.0",
    "O(1) for each call, O(N) for a walk through a hash of N fields.",
    "Walks through the fields of a hash, some with each call.",
)
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("cursor", ArgKind::Integer),
    ArgSpec::new("pattern", ArgKind::Pattern).token("MATCH").optional(),
    ArgSpec::new("count", ArgKind::Integer).token("COUNT").optional(),
    ArgSpec::word("novalues", "NOVALUES").optional(),
])
.tips(&["nondeterministic_output"]);

pub(super) const HSET: Docs = Docs::new(
    "2.0.0",
    "O(1) for each field, O(N) for N of them.",
    "Sets fields of a hash, which is created if need be.",
)
.history(&[("4.0.0", "Takes more than one field with its value.")])
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new(
        "data",
        ArgKind::Block(&[
            ArgSpec::new("field", ArgKind::String),
            ArgSpec::new("value", ArgKind::String),
        ]),
    )
    .multiple(),
]);

pub(super) const HSETNX: Docs =
    Docs::new("2.0.0", "O(1)", "Sets a field of a hash unless the hash has it already.").args(&[
        ArgSpec::key("key"),
        ArgSpec::new("field", ArgKind::String),
        ArgSpec::new("value", ArgKind::String),
    ]);

pub(super) const HSTRLEN: Docs =
    Docs::new("3.2.0", "O(1)", "Returns the length of the value of a field.")
        .args(&[ArgSpec::key("key"), ArgSpec::new("field", ArgKind::String)]);

pub(super) const HVALS: Docs =
    Docs::new("2.0.0", "O(N) for a hash of N fields.", "Returns the values of a hash.")
        .args(&[ArgSpec::key("key")])
        .tips(&["nondeterministic_output_order"]);
