//! What COMMAND DOCS tells about the stream commands.

use crate::command::spec::{ArgKind, ArgSpec, Docs};

pub(super) const XACK: Docs = Docs::new(
    "5.0.0",
    "O(1) for each message ID processed.",
    "Counts entries as done that were delivered to a group of consumers.",
)
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("group", ArgKind::String),
    ArgSpec::new("id", ArgKind::String).multiple(),
]);

pub(super) const XADD: Docs = Docs::new(
    "5.0.0",
    "O(1), and O(N) for N entries that trimming drops.",
    "Adds an entry to a stream, which is created if need be.",
)
.history(&[
    ("6.2.0", "Options NOMKSTREAM and LIMIT; trimming by MINID."),
    ("7.0.0", "IDs of which only the time is given."),
])
.args(&[
    ArgSpec::key("key"),
    ArgSpec::word("nomkstream", "NOMKSTREAM").since("6.2.0").optional(),
    REFERENCES,
    ArgSpec::new(
        "idmp",
        ArgKind::OneOf(&[
            ArgSpec::new("producer-id", ArgKind::String).token("IDMPAUTO"),
            ArgSpec::new(
                "idmp-block",
                ArgKind::Block(&[
                    ArgSpec::new("producer-id", ArgKind::String),
                    ArgSpec::new("idempotent-id", ArgKind::String),
                ]),
            )
            .token("IDMP"),
        ]),
    )
    .since("8.6.0")
    .optional(),
    ArgSpec::new(
        "trim",
        ArgKind::Block(&[
            ArgSpec::new(
                "strategy",
                ArgKind::OneOf(&[
                    ArgSpec::word("maxlen", "MAXLEN"),
                    ArgSpec::word("minid", "MINID").since("6.2.0"),
                ]),
            ),
            ArgSpec::new(
                "operator",
                ArgKind::OneOf(&[ArgSpec::word("equal", "="), ArgSpec::word("approximately", "~")]),
            )
            .optional(),
            ArgSpec::new("threshold", ArgKind::String),
            ArgSpec::new("count", ArgKind::Integer).token("LIMIT").since("6.2.0").optional(),
        ]),
    )
    .optional(),
    ArgSpec::new(
        "id-selector",
        ArgKind::OneOf(&[ArgSpec::word("auto-id", "*"), ArgSpec::new("id", ArgKind::String)]),
    ),
    ArgSpec::new(
        "data",
        ArgKind::Block(&[
            ArgSpec::new("field", ArgKind::String),
            ArgSpec::new("value", ArgKind::String),
        ]),
    )
    .multiple(),
])
.tips(&["nondeterministic_output"]);

pub(super) const XAUTOCLAIM: Docs = Docs::new(
    "6.2.0",
    "O(1) if COUNT is small.",
    "Takes over entries that other consumers of a group have left pending.",
)
.history(&[("7.0.0", "Replies the IDs of entries that were pending but deleted.")])
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("group", ArgKind::String),
    ArgSpec::new("consumer", ArgKind::String),
    ArgSpec::new("min-idle-time", ArgKind::String),
    ArgSpec::new("start", ArgKind::String),
    ArgSpec::new("count", ArgKind::Integer).token("COUNT").optional(),
    ArgSpec::word("justid", "JUSTID").optional(),
])
.tips(&["nondeterministic_output"]);

pub(super) const XCLAIM: Docs = Docs::new(
    "5.0.0",
    "O(log N) for N pending entries of the group.",
    "Makes a consumer the owner of pending entries of its group.",
)
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("group", ArgKind::String),
    ArgSpec::new("consumer", ArgKind::String),
    ArgSpec::new("min-idle-time", ArgKind::String),
    ArgSpec::new("id", ArgKind::String).multiple(),
    ArgSpec::new("ms", ArgKind::Integer).token("IDLE").optional(),
    ArgSpec::new("unix-time-milliseconds", ArgKind::UnixTime).token("TIME").optional(),
    ArgSpec::new("count", ArgKind::Integer).token("RETRYCOUNT").optional(),
    ArgSpec::word("force", "FORCE").optional(),
    ArgSpec::word("justid", "JUSTID").optional(),
    ArgSpec::new("lastid", ArgKind::String).token("LASTID").optional(),
])
.tips(&["nondeterministic_output"]);

pub(super) const XDEL: Docs = Docs::new(
    "5.0.0",
    "O(N) for the entries of the node that holds it, for each entry.",
    "Deletes entries of a stream.",
)
.args(&[ArgSpec::key("key"), ArgSpec::new("id", ArgKind::String).multiple()]);

pub(super) const XGROUP: Docs =
    Docs::new("5.0.0", "Depends on subcommand.", "Groups the commands about groups of consumers.");

pub(super) const XGROUP_CREATE: Docs = Docs::new("5.0.0", "O(1)", "Creates a group of consumers.")
    .history(&[("7.0.0", "Option ENTRIESREAD.")])
    .args(&[
        ArgSpec::key("key"),
        ArgSpec::new("group", ArgKind::String),
        ArgSpec::new(
            "id-selector",
            ArgKind::OneOf(&[ArgSpec::new("id", ArgKind::String), ArgSpec::word("new-id", "$")]),
        ),
        ArgSpec::word("mkstream", "MKSTREAM").optional(),
        ArgSpec::new("entriesread", ArgKind::Integer)
            .token("ENTRIESREAD")
            .display("entries-read")
            .optional(),
    ]);

pub(super) const XGROUP_CREATECONSUMER: Docs =
    Docs::new("6.2.0", "O(1)", "Creates a consumer in a group.").args(&[
        ArgSpec::key("key"),
        ArgSpec::new("group", ArgKind::String),
        ArgSpec::new("consumer", ArgKind::String),
    ]);

pub(super) const XGROUP_DELCONSUMER: Docs =
    Docs::new("5.0.0", "O(1)", "Deletes a consumer of a group.").args(&[
        ArgSpec::key("key"),
        ArgSpec::new("group", ArgKind::String),
        ArgSpec::new("consumer", ArgKind::String),
    ]);

pub(super) const XGROUP_DESTROY: Docs =
    Docs::new("5.0.0", "O(N) for N pending entries of the group.", "Deletes a group of consumers.")
        .args(&[ArgSpec::key("key"), ArgSpec::new("group", ArgKind::String)]);

pub(super) const XGROUP_HELP: Docs = Docs::new("5.0.0", "O(1)", "Lists the subcommands.");

pub(super) const XGROUP_SETID: Docs =
    Docs::new("5.0.0", "O(1)", "Sets the ID of the last entry that was delivered to a group.")
        .history(&[("7.0.0", "Option ENTRIESREAD.")])
        .args(&[
            ArgSpec::key("key"),
            ArgSpec::new("group", ArgKind::String),
            ArgSpec::new(
                "id-selector",
                ArgKind::OneOf(&[
                    ArgSpec::new("id", ArgKind::String),
                    ArgSpec::word("new-id", "$"),
                ]),
            ),
            ArgSpec::new("entriesread", ArgKind::Integer)
                .token("ENTRIESREAD")
                .display("entries-read")
                .optional(),
        ]);

pub(super) const XINFO: Docs =
    Docs::new("5.0.0", "Depends on subcommand.", "Groups the commands that describe streams.");

pub(super) const XINFO_CONSUMERS: Docs =
    Docs::new("5.0.0", "O(1)", "Lists the consumers of a group.")
        .history(&[("7.2.0", "Field `inactive`; `idle` means attempts.")])
        .args(&[ArgSpec::key("key"), ArgSpec::new("group", ArgKind::String)])
        .tips(&["nondeterministic_output"]);

pub(super) const XINFO_GROUPS: Docs =
    Docs::new("5.0.0", "O(1)", "Lists the groups of consumers of a stream.")
        .history(&[("7.0.0", "Fields `entries-read` and `lag`.")])
        .args(&[ArgSpec::key("key")]);

pub(super) const XINFO_HELP: Docs = Docs::new("5.0.0", "O(1)", "Lists the subcommands.");

pub(super) const XINFO_STREAM: Docs = Docs::new("5.0.0", "O(1)", "Describes a stream.")
    .history(&[
        ("6.0.0", "Option FULL."),
        ("7.0.0", "More about the past of the stream and the progress of groups."),
        ("7.2.0", "Field `active-time`; `seen-time` means attempts."),
    ])
    .args(&[
        ArgSpec::key("key"),
        ArgSpec::new(
            "full-block",
            ArgKind::Block(&[
                ArgSpec::word("full", "FULL"),
                ArgSpec::new("count", ArgKind::Integer).token("COUNT").optional(),
            ]),
        )
        .optional(),
    ]);

pub(super) const XLEN: Docs = Docs::new("5.0.0", "O(1)", "Returns how many entries a stream has.")
    .args(&[ArgSpec::key("key")]);

pub(super) const XPENDING: Docs = Docs::new(
    "5.0.0",
    "O(N) for N entries looked at, or N consumers without a range.",
    "Lists what was delivered to a group and not counted as done.",
)
.history(&[("6.2.0", "Option IDLE, and exclusive ranges.")])
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("group", ArgKind::String),
    ArgSpec::new(
        "filters",
        ArgKind::Block(&[
            ArgSpec::new("min-idle-time", ArgKind::Integer).token("IDLE").since("6.2.0").optional(),
            ArgSpec::new("start", ArgKind::String),
            ArgSpec::new("end", ArgKind::String),
            ArgSpec::new("count", ArgKind::Integer),
            ArgSpec::new("consumer", ArgKind::String).optional(),
        ]),
    )
    .optional(),
])
.tips(&["nondeterministic_output"]);

pub(super) const XRANGE: Docs = Docs::new(
    "5.0.0",
    "O(N) for N entries returned.",
    "Returns the entries of a stream between two IDs.",
)
.history(&[("6.2.0", "Exclusive ranges.")])
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("start", ArgKind::String),
    ArgSpec::new("end", ArgKind::String),
    ArgSpec::new("count", ArgKind::Integer).token("COUNT").optional(),
]);

pub(super) const XREAD: Docs = Docs::new(
    "5.0.0",
    "O(N) for N entries returned.",
    "Returns the entries of streams behind an ID, waiting for some if there are none.",
)
.args(&[
    ArgSpec::new("count", ArgKind::Integer).token("COUNT").optional(),
    ArgSpec::new("milliseconds", ArgKind::Integer).token("BLOCK").optional(),
    ArgSpec::new(
        "streams",
        ArgKind::Block(&[
            ArgSpec::key("key").multiple(),
            ArgSpec::new("id", ArgKind::String).multiple(),
        ]),
    )
    .token("STREAMS"),
]);

pub(super) const XREADGROUP: Docs = Docs::new(
    "5.0.0",
    "O(N) for N entries returned.",
    "Returns entries that no other consumer of the group gets, waiting if there are none.",
)
.args(&[
    ArgSpec::new(
        "group-block",
        ArgKind::Block(&[
            ArgSpec::new("group", ArgKind::String),
            ArgSpec::new("consumer", ArgKind::String),
        ]),
    )
    .token("GROUP"),
    ArgSpec::new("count", ArgKind::Integer).token("COUNT").optional(),
    ArgSpec::new("milliseconds", ArgKind::Integer).token("BLOCK").optional(),
    ArgSpec::new("min-idle-time", ArgKind::Integer).token("CLAIM").since("8.4.0").optional(),
    ArgSpec::word("noack", "NOACK").optional(),
    ArgSpec::new(
        "streams",
        ArgKind::Block(&[
            ArgSpec::key("key").multiple(),
            ArgSpec::new("id", ArgKind::String).multiple(),
        ]),
    )
    .token("STREAMS"),
]);

pub(super) const XREVRANGE: Docs = Docs::new(
    "5.0.0",
    "O(N) for N entries returned.",
    "Returns the entries of a stream between two IDs, the last one first.",
)
.history(&[("6.2.0", "Exclusive ranges.")])
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("end", ArgKind::String),
    ArgSpec::new("start", ArgKind::String),
    ArgSpec::new("count", ArgKind::Integer).token("COUNT").optional(),
]);

pub(super) const XSETID: Docs =
    Docs::new("5.0.0", "O(1)", "Sets what a stream remembers of its past.")
        .history(&[("7.0.0", "Options ENTRIESADDED and MAXDELETEDID.")])
        .args(&[
            ArgSpec::key("key"),
            ArgSpec::new("last-id", ArgKind::String),
            ArgSpec::new("entries-added", ArgKind::Integer)
                .token("ENTRIESADDED")
                .since("7.0.0")
                .optional(),
            ArgSpec::new("max-deleted-id", ArgKind::String)
                .token("MAXDELETEDID")
                .since("7.0.0")
                .optional(),
        ]);

pub(super) const XTRIM: Docs = Docs::new(
    "5.0.0",
    "O(N) for N entries dropped, most of them many at once.",
    "Drops the oldest entries of a stream.",
)
.history(&[("6.2.0", "Trimming by MINID, and option LIMIT.")])
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new(
        "trim",
        ArgKind::Block(&[
            ArgSpec::new(
                "strategy",
                ArgKind::OneOf(&[
                    ArgSpec::word("maxlen", "MAXLEN"),
                    ArgSpec::word("minid", "MINID").since("6.2.0"),
                ]),
            ),
            ArgSpec::new(
                "operator",
                ArgKind::OneOf(&[ArgSpec::word("equal", "="), ArgSpec::word("approximately", "~")]),
            )
            .optional(),
            ArgSpec::new("threshold", ArgKind::String),
            ArgSpec::new("count", ArgKind::Integer).token("LIMIT").since("6.2.0").optional(),
        ]),
    ),
])
.tips(&["nondeterministic_output"]);

/// What becomes of groups that refer to an entry which is deleted.
const REFERENCES: ArgSpec = ArgSpec::new(
    "condition",
    ArgKind::OneOf(&[
        ArgSpec::word("keepref", "KEEPREF"),
        ArgSpec::word("delref", "DELREF"),
        ArgSpec::word("acked", "ACKED"),
    ]),
)
.optional();

const IDS: ArgSpec = ArgSpec::new(
    "ids",
    ArgKind::Block(&[
        ArgSpec::new("numids", ArgKind::Integer),
        ArgSpec::new("id", ArgKind::String).multiple(),
    ]),
)
.token("IDS");

pub(super) const XACKDEL: Docs = Docs::new(
    "8.2.0",
    "O(1) for each message ID processed.",
    "Counts entries as done that were delivered to a group of consumers, and deletes them.",
)
.args(&[ArgSpec::key("key"), ArgSpec::new("group", ArgKind::String), REFERENCES, IDS]);

pub(super) const XDELEX: Docs = Docs::new(
    "8.2.0",
    "O(N) for the entries of the node that holds it, for each entry.",
    "Deletes entries of a stream with regard to the groups that refer to them.",
)
.args(&[ArgSpec::key("key"), REFERENCES, IDS]);

pub(super) const XNACK: Docs = Docs::new(
    "8.8.0",
    "O(log n) for each message ID processed, n being the number of pending entries.",
    "Gives entries back that were delivered to a consumer, for others of its group to claim.",
)
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("group", ArgKind::String),
    ArgSpec::new(
        "mode",
        ArgKind::OneOf(&[
            ArgSpec::word("silent", "SILENT"),
            ArgSpec::word("fail", "FAIL"),
            ArgSpec::word("fatal", "FATAL"),
        ]),
    ),
    IDS,
    ArgSpec::new("count", ArgKind::Integer).token("RETRYCOUNT").optional(),
    ArgSpec::word("force", "FORCE").optional(),
]);

pub(super) const XCFGSET: Docs = Docs::new(
    "8.6.0",
    "O(1), and O(N) for N identifiers that a change forgets.",
    "Sets for how long, and how many, identifiers of producers a stream knows.",
)
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("idmp-duration", ArgKind::Integer).token("IDMP-DURATION").optional(),
    ArgSpec::new("idmp-maxsize", ArgKind::Integer).token("IDMP-MAXSIZE").optional(),
]);

pub(super) const XIDMPRECORD: Docs = Docs::new(
    "8.6.2",
    "O(log n), n being the number of identifiers of all producers.",
    "States which producer has added an entry of a stream, and under which identifier.",
)
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("pid", ArgKind::String),
    ArgSpec::new("iid", ArgKind::String),
    ArgSpec::new("stream-id", ArgKind::String),
]);
