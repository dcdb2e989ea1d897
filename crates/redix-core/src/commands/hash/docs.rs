//! COMMAND DOCS entries of the hash commands.

use crate::command::spec::{ArgKind, ArgSpec, Docs};
use crate::commands::keys::expire::CONDITION;
use crate::commands::string::options::{EXPIRE_OR_KEEP, EXPIRE_OR_PERSIST};

/// The words that name fields: `FIELDS numfields field [field ...]`.
const FIELDS: ArgSpec = ArgSpec::new(
    "fields",
    ArgKind::Block(&[
        ArgSpec::new("numfields", ArgKind::KeyInteger(0)),
        ArgSpec::new("field", ArgKind::String).multiple(),
    ]),
)
.token("FIELDS");

const EACH_FIELD: &str = "O(N) for N fields.";

pub(super) const HDEL: Docs = Docs::new(
    "2.0.0",
    "O(N) for N fields to remove.",
    "Removes fields from a hash, and the hash with its last field.",
)
.history(&[("2.4.0", "Takes more than one field.")])
.args(&[ArgSpec::key("key"), ArgSpec::new("field", ArgKind::String).multiple()]);

pub(super) const HEXISTS: Docs = Docs::new("2.0.0", "O(1)", "Tells whether a hash has a field.")
    .args(&[ArgSpec::key("key"), ArgSpec::new("field", ArgKind::String)]);

pub(super) const HEXPIRE: Docs =
    Docs::new("9.0.0", EACH_FIELD, "Lets fields of a hash expire after some seconds.").args(&[
        ArgSpec::key("key"),
        ArgSpec::new("seconds", ArgKind::Integer),
        CONDITION,
        ArgSpec::new(
            "fields",
            ArgKind::Block(&[
                ArgSpec::new("numfields", ArgKind::Integer),
                ArgSpec::new("field", ArgKind::String).multiple(),
            ]),
        )
        .token("FIELDS"),
    ]);

pub(super) const HEXPIREAT: Docs =
    Docs::new("9.0.0", EACH_FIELD, "Lets fields of a hash expire at a Unix time in seconds.").args(
        &[
            ArgSpec::key("key"),
            ArgSpec::new("unix-time-seconds", ArgKind::Integer),
            CONDITION.since("9.0.0"),
            FIELDS,
        ],
    );

pub(super) const HEXPIRETIME: Docs = Docs::new(
    "9.0.0",
    EACH_FIELD,
    "Returns when fields of a hash expire, as Unix times in seconds.",
)
.args(&[ArgSpec::key("key"), FIELDS]);

pub(super) const HGET: Docs = Docs::new("2.0.0", "O(1)", "Returns the value of a field of a hash.")
    .args(&[ArgSpec::key("key"), ArgSpec::new("field", ArgKind::String)]);

pub(super) const HGETALL: Docs = Docs::new(
    "2.0.0",
    "O(N) for a hash of N fields.",
    "Returns all fields of a hash with their values.",
)
.args(&[ArgSpec::key("key")])
.tips(&["nondeterministic_output_order"]);

pub(super) const HGETDEL: Docs =
    Docs::new("9.1.0", EACH_FIELD, "Removes fields of a hash and returns their values.")
        .args(&[ArgSpec::key("key"), FIELDS]);

pub(super) const HGETEX: Docs = Docs::new(
    "9.0.0",
    EACH_FIELD,
    "Returns the values of fields of a hash, and sets or removes their expiry.",
)
.args(&[ArgSpec::key("key"), EXPIRE_OR_PERSIST, FIELDS]);

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

pub(super) const HPERSIST: Docs =
    Docs::new("9.0.0", EACH_FIELD, "Removes the expiry of fields of a hash.")
        .args(&[ArgSpec::key("key"), FIELDS]);

pub(super) const HPEXPIRE: Docs =
    Docs::new("9.0.0", EACH_FIELD, "Lets fields of a hash expire after some milliseconds.").args(
        &[
            ArgSpec::key("key"),
            ArgSpec::new("milliseconds", ArgKind::Integer),
            CONDITION.since("9.0.0"),
            FIELDS,
        ],
    );

pub(super) const HPEXPIREAT: Docs =
    Docs::new("9.0.0", EACH_FIELD, "Lets fields of a hash expire at a Unix time in milliseconds.")
        .args(&[
            ArgSpec::key("key"),
            ArgSpec::new("unix-time-milliseconds", ArgKind::Integer),
            CONDITION.since("9.0.0"),
            FIELDS,
        ]);

pub(super) const HPEXPIRETIME: Docs = Docs::new(
    "9.0.0",
    EACH_FIELD,
    "Returns when fields of a hash expire, as Unix times in milliseconds.",
)
.args(&[ArgSpec::key("key"), FIELDS]);

pub(super) const HPTTL: Docs =
    Docs::new("9.0.0", EACH_FIELD, "Returns the milliseconds until fields of a hash expire.")
        .args(&[ArgSpec::key("key"), FIELDS]);

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

pub(super) const HSETEX: Docs =
    Docs::new("9.0.0", EACH_FIELD, "Sets fields of a hash with their expiry.").args(&[
        ArgSpec::key("key"),
        ArgSpec::new(
            "key-condition",
            ArgKind::OneOf(&[ArgSpec::word("nx", "NX"), ArgSpec::word("xx", "XX")]),
        )
        .optional(),
        ArgSpec::new(
            "fields-condition",
            ArgKind::OneOf(&[ArgSpec::word("fnx", "FNX"), ArgSpec::word("fxx", "FXX")]),
        )
        .optional(),
        EXPIRE_OR_KEEP,
        ArgSpec::new(
            "fields",
            ArgKind::Block(&[
                ArgSpec::new("numfields", ArgKind::KeyInteger(0)),
                ArgSpec::new(
                    "data",
                    ArgKind::Block(&[
                        ArgSpec::new("field", ArgKind::String),
                        ArgSpec::new("value", ArgKind::String),
                    ]),
                )
                .multiple(),
            ]),
        )
        .token("FIELDS"),
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

pub(super) const HTTL: Docs =
    Docs::new("9.0.0", EACH_FIELD, "Returns the seconds until fields of a hash expire.")
        .args(&[ArgSpec::key("key"), FIELDS]);

pub(super) const HVALS: Docs =
    Docs::new("2.0.0", "O(N) for a hash of N fields.", "Returns the values of a hash.")
        .args(&[ArgSpec::key("key")])
        .tips(&["nondeterministic_output_order"]);
