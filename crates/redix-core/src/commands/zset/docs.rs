//! COMMAND DOCS entries of the sorted set commands.

use crate::command::spec::{ArgKind, ArgSpec, Docs};

pub(super) const BZMPOP: Docs = Docs::new(
    "7.0.0",
    "O(K) + O(M*log(N)), K being the number of keys, M that of members taken, N that of \
     members.",
    "Takes members with the lowest or highest scores from the first of several sorted \
     sets, waiting until there is one.",
)
.args(&[
    ArgSpec::new("timeout", ArgKind::Double),
    ArgSpec::new("numkeys", ArgKind::Integer),
    ArgSpec::key("key").multiple(),
    ArgSpec::new(
        "where",
        ArgKind::OneOf(&[ArgSpec::word("min", "MIN"), ArgSpec::word("max", "MAX")]),
    ),
    ArgSpec::new("count", ArgKind::Integer).token("COUNT").optional(),
]);

pub(super) const BZPOPMAX: Docs = Docs::new(
    "5.0.0",
    "O(log(N)), N being the number of members.",
    "Takes the member with the highest score from the first of several sorted sets, \
     waiting until there is one.",
)
.history(&[("6.0.0", "The timeout may have a fraction.")])
.args(&[ArgSpec::key("key").multiple(), ArgSpec::new("timeout", ArgKind::Double)]);

pub(super) const BZPOPMIN: Docs = Docs::new(
    "5.0.0",
    "O(log(N)), N being the number of members.",
    "Takes the member with the lowest score from the first of several sorted sets, \
     waiting until there is one.",
)
.history(&[("6.0.0", "The timeout may have a fraction.")])
.args(&[ArgSpec::key("key").multiple(), ArgSpec::new("timeout", ArgKind::Double)]);

pub(super) const ZADD: Docs = Docs::new(
    "1.2.0",
    "O(log(N)) for each member, N being the number of members.",
    "Adds members to a sorted set or changes their scores.",
)
.history(&[
    ("2.4.0", "Several members."),
    ("3.0.2", "Options XX, NX, CH and INCR."),
    ("6.2.0", "Options GT and LT."),
])
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new(
        "condition",
        ArgKind::OneOf(&[ArgSpec::word("nx", "NX"), ArgSpec::word("xx", "XX")]),
    )
    .since("3.0.2")
    .optional(),
    ArgSpec::new(
        "comparison",
        ArgKind::OneOf(&[ArgSpec::word("gt", "GT"), ArgSpec::word("lt", "LT")]),
    )
    .since("6.2.0")
    .optional(),
    ArgSpec::word("change", "CH").since("3.0.2").optional(),
    ArgSpec::word("increment", "INCR").since("3.0.2").optional(),
    ArgSpec::new(
        "data",
        ArgKind::Block(&[
            ArgSpec::new("score", ArgKind::Double),
            ArgSpec::new("member", ArgKind::String),
        ]),
    )
    .multiple(),
]);

pub(super) const ZCARD: Docs =
    Docs::new("1.2.0", "O(1)", "Returns the number of members of a sorted set.")
        .args(&[ArgSpec::key("key")]);

pub(super) const ZCOUNT: Docs = Docs::new(
    "2.0.0",
    "O(log(N)), N being the number of members.",
    "Counts the members of a sorted set with scores in a range.",
)
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("min", ArgKind::Double),
    ArgSpec::new("max", ArgKind::Double),
]);

pub(super) const ZDIFF: Docs = Docs::new(
    "6.2.0",
    "O(L + (N-K)log(N)), L being the members of all sets, N those of the first, K those \
     of the result.",
    "Returns the members of the first sorted set that none of the others has.",
)
.args(&[
    ArgSpec::new("numkeys", ArgKind::Integer),
    ArgSpec::key("key").multiple(),
    ArgSpec::word("withscores", "WITHSCORES").optional(),
]);

pub(super) const ZDIFFSTORE: Docs = Docs::new(
    "6.2.0",
    "O(L + (N-K)log(N)), L being the members of all sets, N those of the first, K those \
     of the result.",
    "Stores the members of the first sorted set that none of the others has.",
)
.args(&[
    ArgSpec::key("destination"),
    ArgSpec::new("numkeys", ArgKind::Integer),
    ArgSpec::new("key", ArgKind::Key(1)).multiple(),
]);

pub(super) const ZINCRBY: Docs = Docs::new(
    "1.2.0",
    "O(log(N)), N being the number of members.",
    "Adds an amount to the score of a member, which is added if it is missing.",
)
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("increment", ArgKind::Integer),
    ArgSpec::new("member", ArgKind::String),
]);

pub(super) const ZINTER: Docs = Docs::new(
    "6.2.0",
    "O(N*K) + O(M*log(M)), N being the members of the smallest set, K the number of sets, \
     M the members of the result.",
    "Returns the members that all of several sorted sets have.",
)
.args(&[
    ArgSpec::new("numkeys", ArgKind::Integer),
    ArgSpec::key("key").multiple(),
    ArgSpec::new("weight", ArgKind::Integer).token("WEIGHTS").optional().multiple(),
    ArgSpec::new(
        "aggregate",
        ArgKind::OneOf(&[
            ArgSpec::word("sum", "SUM"),
            ArgSpec::word("min", "MIN"),
            ArgSpec::word("max", "MAX"),
        ]),
    )
    .token("AGGREGATE")
    .optional(),
    ArgSpec::word("withscores", "WITHSCORES").optional(),
]);

pub(super) const ZINTERCARD: Docs = Docs::new(
    "7.0.0",
    "O(N*K), N being the members of the smallest set, K the number of sets.",
    "Counts the members that all of several sorted sets have.",
)
.args(&[
    ArgSpec::new("numkeys", ArgKind::Integer),
    ArgSpec::key("key").multiple(),
    ArgSpec::new("limit", ArgKind::Integer).token("LIMIT").optional(),
]);

pub(super) const ZINTERSTORE: Docs = Docs::new(
    "2.0.0",
    "O(N*K) + O(M*log(M)), N being the members of the smallest set, K the number of sets, \
     M the members of the result.",
    "Stores the members that all of several sorted sets have.",
)
.args(&[
    ArgSpec::key("destination"),
    ArgSpec::new("numkeys", ArgKind::Integer),
    ArgSpec::new("key", ArgKind::Key(1)).multiple(),
    ArgSpec::new("weight", ArgKind::Integer).token("WEIGHTS").optional().multiple(),
    ArgSpec::new(
        "aggregate",
        ArgKind::OneOf(&[
            ArgSpec::word("sum", "SUM"),
            ArgSpec::word("min", "MIN"),
            ArgSpec::word("max", "MAX"),
        ]),
    )
    .token("AGGREGATE")
    .optional(),
]);

pub(super) const ZLEXCOUNT: Docs = Docs::new(
    "2.8.9",
    "O(log(N)), N being the number of members.",
    "Counts the members of a sorted set in a lexicographic range.",
)
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("min", ArgKind::String),
    ArgSpec::new("max", ArgKind::String),
]);

pub(super) const ZMPOP: Docs = Docs::new(
    "7.0.0",
    "O(K) + O(M*log(N)), K being the number of keys, M that of members taken, N that of \
     members.",
    "Takes members with the lowest or highest scores from the first of several sorted \
     sets.",
)
.args(&[
    ArgSpec::new("numkeys", ArgKind::Integer),
    ArgSpec::key("key").multiple(),
    ArgSpec::new(
        "where",
        ArgKind::OneOf(&[ArgSpec::word("min", "MIN"), ArgSpec::word("max", "MAX")]),
    ),
    ArgSpec::new("count", ArgKind::Integer).token("COUNT").optional(),
]);

pub(super) const ZMSCORE: Docs = Docs::new(
    "6.2.0",
    "O(N), N being the number of members asked for.",
    "Returns the scores of several members of a sorted set.",
)
.args(&[ArgSpec::key("key"), ArgSpec::new("member", ArgKind::String).multiple()]);

pub(super) const ZPOPMAX: Docs = Docs::new(
    "5.0.0",
    "O(log(N)*M), N being the number of members, M that of members taken.",
    "Takes the members with the highest scores from a sorted set.",
)
.args(&[ArgSpec::key("key"), ArgSpec::new("count", ArgKind::Integer).optional()]);

pub(super) const ZPOPMIN: Docs = Docs::new(
    "5.0.0",
    "O(log(N)*M), N being the number of members, M that of members taken.",
    "Takes the members with the lowest scores from a sorted set.",
)
.args(&[ArgSpec::key("key"), ArgSpec::new("count", ArgKind::Integer).optional()]);

pub(super) const ZRANDMEMBER: Docs = Docs::new(
    "6.2.0",
    "O(N), N being the number of members returned.",
    "Returns random members of a sorted set.",
)
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new(
        "options",
        ArgKind::Block(&[
            ArgSpec::new("count", ArgKind::Integer),
            ArgSpec::word("withscores", "WITHSCORES").optional(),
        ]),
    )
    .optional(),
])
.tips(&["nondeterministic_output"]);

pub(super) const ZRANGE: Docs = Docs::new(
    "1.2.0",
    "O(log(N)+M), N being the number of members, M that of members returned.",
    "Returns the members of a sorted set in a range of ranks, scores or names.",
)
.history(&[("6.2.0", "Options REV, BYSCORE, BYLEX and LIMIT.")])
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("start", ArgKind::String),
    ArgSpec::new("stop", ArgKind::String),
    ArgSpec::new(
        "sortby",
        ArgKind::OneOf(&[ArgSpec::word("byscore", "BYSCORE"), ArgSpec::word("bylex", "BYLEX")]),
    )
    .since("6.2.0")
    .optional(),
    ArgSpec::word("rev", "REV").since("6.2.0").optional(),
    ArgSpec::new(
        "limit",
        ArgKind::Block(&[
            ArgSpec::new("offset", ArgKind::Integer),
            ArgSpec::new("count", ArgKind::Integer),
        ]),
    )
    .token("LIMIT")
    .since("6.2.0")
    .optional(),
    ArgSpec::word("withscores", "WITHSCORES").optional(),
]);

pub(super) const ZRANGEBYLEX: Docs = Docs::new(
    "2.8.9",
    "O(log(N)+M), N being the number of members, M that of members returned.",
    "Returns the members of a sorted set in a lexicographic range.",
)
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("min", ArgKind::String),
    ArgSpec::new("max", ArgKind::String),
    ArgSpec::new(
        "limit",
        ArgKind::Block(&[
            ArgSpec::new("offset", ArgKind::Integer),
            ArgSpec::new("count", ArgKind::Integer),
        ]),
    )
    .token("LIMIT")
    .optional(),
]);

pub(super) const ZRANGEBYSCORE: Docs = Docs::new(
    "1.0.5",
    "O(log(N)+M), N being the number of members, M that of members returned.",
    "Returns the members of a sorted set with scores in a range.",
)
.history(&[("2.0.0", "Option WITHSCORES.")])
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("min", ArgKind::Double),
    ArgSpec::new("max", ArgKind::Double),
    ArgSpec::word("withscores", "WITHSCORES").since("2.0.0").optional(),
    ArgSpec::new(
        "limit",
        ArgKind::Block(&[
            ArgSpec::new("offset", ArgKind::Integer),
            ArgSpec::new("count", ArgKind::Integer),
        ]),
    )
    .token("LIMIT")
    .optional(),
]);

pub(super) const ZRANGESTORE: Docs = Docs::new(
    "6.2.0",
    "O(log(N)+M), N being the number of members, M that of members stored.",
    "Stores the members of a sorted set in a range of ranks, scores or names.",
)
.args(&[
    ArgSpec::key("dst"),
    ArgSpec::new("src", ArgKind::Key(1)),
    ArgSpec::new("min", ArgKind::String),
    ArgSpec::new("max", ArgKind::String),
    ArgSpec::new(
        "sortby",
        ArgKind::OneOf(&[ArgSpec::word("byscore", "BYSCORE"), ArgSpec::word("bylex", "BYLEX")]),
    )
    .optional(),
    ArgSpec::word("rev", "REV").optional(),
    ArgSpec::new(
        "limit",
        ArgKind::Block(&[
            ArgSpec::new("offset", ArgKind::Integer),
            ArgSpec::new("count", ArgKind::Integer),
        ]),
    )
    .token("LIMIT")
    .optional(),
]);

pub(super) const ZRANK: Docs = Docs::new(
    "2.0.0",
    "O(log(N)), N being the number of members.",
    "Returns how many members of a sorted set are before one.",
)
.history(&[("7.2.0", "Option WITHSCORE.")])
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("member", ArgKind::String),
    ArgSpec::word("withscore", "WITHSCORE").optional(),
]);

pub(super) const ZREM: Docs = Docs::new(
    "1.2.0",
    "O(M*log(N)), N being the number of members, M that of members removed.",
    "Removes members from a sorted set.",
)
.history(&[("2.4.0", "Several members.")])
.args(&[ArgSpec::key("key"), ArgSpec::new("member", ArgKind::String).multiple()]);

pub(super) const ZREMRANGEBYLEX: Docs = Docs::new(
    "2.8.9",
    "O(log(N)+M), N being the number of members, M that of members removed.",
    "Removes the members of a sorted set in a lexicographic range.",
)
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("min", ArgKind::String),
    ArgSpec::new("max", ArgKind::String),
]);

pub(super) const ZREMRANGEBYRANK: Docs = Docs::new(
    "2.0.0",
    "O(log(N)+M), N being the number of members, M that of members removed.",
    "Removes the members of a sorted set in a range of ranks.",
)
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("start", ArgKind::Integer),
    ArgSpec::new("stop", ArgKind::Integer),
]);

pub(super) const ZREMRANGEBYSCORE: Docs = Docs::new(
    "1.2.0",
    "O(log(N)+M), N being the number of members, M that of members removed.",
    "Removes the members of a sorted set with scores in a range.",
)
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("min", ArgKind::Double),
    ArgSpec::new("max", ArgKind::Double),
]);

pub(super) const ZREVRANGE: Docs = Docs::new(
    "1.2.0",
    "O(log(N)+M), N being the number of members, M that of members returned.",
    "Returns the members of a sorted set in a range of ranks, highest scores first.",
)
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("start", ArgKind::Integer),
    ArgSpec::new("stop", ArgKind::Integer),
    ArgSpec::word("withscores", "WITHSCORES").optional(),
]);

pub(super) const ZREVRANGEBYLEX: Docs = Docs::new(
    "2.8.9",
    "O(log(N)+M), N being the number of members, M that of members returned.",
    "Returns the members of a sorted set in a lexicographic range, last first.",
)
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("max", ArgKind::String),
    ArgSpec::new("min", ArgKind::String),
    ArgSpec::new(
        "limit",
        ArgKind::Block(&[
            ArgSpec::new("offset", ArgKind::Integer),
            ArgSpec::new("count", ArgKind::Integer),
        ]),
    )
    .token("LIMIT")
    .optional(),
]);

pub(super) const ZREVRANGEBYSCORE: Docs = Docs::new(
    "2.2.0",
    "O(log(N)+M), N being the number of members, M that of members returned.",
    "Returns the members of a sorted set with scores in a range, highest first.",
)
.history(&[("2.1.6", "The bounds may be exclusive.")])
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("max", ArgKind::Double),
    ArgSpec::new("min", ArgKind::Double),
    ArgSpec::word("withscores", "WITHSCORES").optional(),
    ArgSpec::new(
        "limit",
        ArgKind::Block(&[
            ArgSpec::new("offset", ArgKind::Integer),
            ArgSpec::new("count", ArgKind::Integer),
        ]),
    )
    .token("LIMIT")
    .optional(),
]);

pub(super) const ZREVRANK: Docs = Docs::new(
    "2.0.0",
    "O(log(N)), N being the number of members.",
    "Returns how many members of a sorted set are behind one.",
)
.history(&[("7.2.0", "Option WITHSCORE.")])
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("member", ArgKind::String),
    ArgSpec::word("withscore", "WITHSCORE").optional(),
]);

pub(super) const ZSCAN: Docs = Docs::new(
    "2.8.0",
    "O(1) per call; O(N) for a whole iteration, N being the number of members.",
    "Lists the members of a sorted set and their scores in portions.",
)
.history(&[("8.0.0", "Option NOSCORES.")])
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("cursor", ArgKind::Integer),
    ArgSpec::new("pattern", ArgKind::Pattern).token("MATCH").optional(),
    ArgSpec::new("count", ArgKind::Integer).token("COUNT").optional(),
    ArgSpec::word("noscores", "NOSCORES").optional(),
])
.tips(&["nondeterministic_output"]);

pub(super) const ZSCORE: Docs =
    Docs::new("1.2.0", "O(1)", "Returns the score of a member of a sorted set.")
        .args(&[ArgSpec::key("key"), ArgSpec::new("member", ArgKind::String)]);

pub(super) const ZUNION: Docs = Docs::new(
    "6.2.0",
    "O(N) + O(M*log(M)), N being the members of all sets, M those of the result.",
    "Returns the members that any of several sorted sets has.",
)
.args(&[
    ArgSpec::new("numkeys", ArgKind::Integer),
    ArgSpec::key("key").multiple(),
    ArgSpec::new("weight", ArgKind::Integer).token("WEIGHTS").optional().multiple(),
    ArgSpec::new(
        "aggregate",
        ArgKind::OneOf(&[
            ArgSpec::word("sum", "SUM"),
            ArgSpec::word("min", "MIN"),
            ArgSpec::word("max", "MAX"),
        ]),
    )
    .token("AGGREGATE")
    .optional(),
    ArgSpec::word("withscores", "WITHSCORES").optional(),
]);

pub(super) const ZUNIONSTORE: Docs = Docs::new(
    "2.0.0",
    "O(N) + O(M*log(M)), N being the members of all sets, M those of the result.",
    "Stores the members that any of several sorted sets has.",
)
.args(&[
    ArgSpec::key("destination"),
    ArgSpec::new("numkeys", ArgKind::Integer),
    ArgSpec::new("key", ArgKind::Key(1)).multiple(),
    ArgSpec::new("weight", ArgKind::Integer).token("WEIGHTS").optional().multiple(),
    ArgSpec::new(
        "aggregate",
        ArgKind::OneOf(&[
            ArgSpec::word("sum", "SUM"),
            ArgSpec::word("min", "MIN"),
            ArgSpec::word("max", "MAX"),
        ]),
    )
    .token("AGGREGATE")
    .optional(),
]);
