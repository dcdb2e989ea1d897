//! COMMAND DOCS entries of the list commands.

use crate::command::spec::{ArgKind, ArgSpec, Docs};

pub(super) const BLMOVE: Docs = Docs::new(
    "6.2.0",
    "O(1)",
    "Moves an element from one list to another, waiting for one if the first list is empty.",
)
.args(&[
    ArgSpec::key("source"),
    ArgSpec::new("destination", ArgKind::Key(1)),
    ArgSpec::new(
        "wherefrom",
        ArgKind::OneOf(&[ArgSpec::word("left", "LEFT"), ArgSpec::word("right", "RIGHT")]),
    ),
    ArgSpec::new(
        "whereto",
        ArgKind::OneOf(&[ArgSpec::word("left", "LEFT"), ArgSpec::word("right", "RIGHT")]),
    ),
    ArgSpec::new("timeout", ArgKind::Double),
]);

pub(super) const BLMOVEM: Docs = Docs::new(
    "8.10.0",
    "O(N) where N is how many elements are moved.",
    "Moves several elements from one list to another, waiting until there are enough.",
)
.args(&[
    ArgSpec::key("source"),
    ArgSpec::new("destination", ArgKind::Key(1)),
    ArgSpec::new(
        "wherefrom",
        ArgKind::OneOf(&[ArgSpec::word("left", "LEFT"), ArgSpec::word("right", "RIGHT")]),
    ),
    ArgSpec::new(
        "whereto",
        ArgKind::OneOf(&[ArgSpec::word("left", "LEFT"), ArgSpec::word("right", "RIGHT")]),
    ),
    ArgSpec::new("timeout", ArgKind::Double),
    HOW_MANY,
]);

pub(super) const BLMPOP: Docs = Docs::new(
    "7.0.0",
    "O(N+M) for N keys and M elements taken.",
    "Takes elements from the first of several lists that has any, waiting until one has.",
)
.args(&[
    ArgSpec::new("timeout", ArgKind::Double),
    ArgSpec::new("numkeys", ArgKind::Integer),
    ArgSpec::key("key").multiple(),
    ArgSpec::new(
        "where",
        ArgKind::OneOf(&[ArgSpec::word("left", "LEFT"), ArgSpec::word("right", "RIGHT")]),
    ),
    ArgSpec::new("count", ArgKind::Integer).token("COUNT").optional(),
]);

pub(super) const BLPOP: Docs = Docs::new(
    "2.0.0",
    "O(N) for N keys.",
    "Takes the first element of the first of several lists that has any, waiting until one has.",
)
.history(&[("6.0.0", "The timeout may have a fraction.")])
.args(&[ArgSpec::key("key").multiple(), ArgSpec::new("timeout", ArgKind::Double)]);

pub(super) const BRPOP: Docs = Docs::new(
    "2.0.0",
    "O(N) for N keys.",
    "Takes the last element of the first of several lists that has any, waiting until one has.",
)
.history(&[("6.0.0", "The timeout may have a fraction.")])
.args(&[ArgSpec::key("key").multiple(), ArgSpec::new("timeout", ArgKind::Double)]);

pub(super) const BRPOPLPUSH: Docs = Docs::new(
    "2.2.0",
    "O(1)",
    "Moves the last element of a list to the front of another, waiting for one if there is none.",
)
.history(&[("6.0.0", "The timeout may have a fraction.")])
.args(&[
    ArgSpec::key("source"),
    ArgSpec::new("destination", ArgKind::Key(1)),
    ArgSpec::new("timeout", ArgKind::Double),
]);

pub(super) const LINDEX: Docs = Docs::new(
    "1.0.0",
    "O(N) for N elements within the node that holds it; nodes are found by counts.",
    "Returns the element of a list at an index.",
)
.args(&[ArgSpec::key("key"), ArgSpec::new("index", ArgKind::Integer)]);

pub(super) const LINSERT: Docs = Docs::new(
    "2.2.0",
    "O(N) for N elements in front of the pivot.",
    "Inserts an element before or after the first one that equals a pivot.",
)
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new(
        "where",
        ArgKind::OneOf(&[ArgSpec::word("before", "BEFORE"), ArgSpec::word("after", "AFTER")]),
    ),
    ArgSpec::new("pivot", ArgKind::String),
    ArgSpec::new("element", ArgKind::String),
]);

pub(super) const LLEN: Docs = Docs::new("1.0.0", "O(1)", "Returns how many elements a list has.")
    .args(&[ArgSpec::key("key")]);

pub(super) const LMOVE: Docs =
    Docs::new("6.2.0", "O(1)", "Moves an element from an end of one list to an end of another.")
        .args(&[
            ArgSpec::key("source"),
            ArgSpec::new("destination", ArgKind::Key(1)),
            ArgSpec::new(
                "wherefrom",
                ArgKind::OneOf(&[ArgSpec::word("left", "LEFT"), ArgSpec::word("right", "RIGHT")]),
            ),
            ArgSpec::new(
                "whereto",
                ArgKind::OneOf(&[ArgSpec::word("left", "LEFT"), ArgSpec::word("right", "RIGHT")]),
            ),
        ]);

pub(super) const LMOVEM: Docs = Docs::new(
    "8.10.0",
    "O(N) where N is how many elements are moved.",
    "Moves several elements from an end of one list to an end of another.",
)
.args(&[
    ArgSpec::key("source"),
    ArgSpec::new("destination", ArgKind::Key(1)),
    ArgSpec::new(
        "wherefrom",
        ArgKind::OneOf(&[ArgSpec::word("left", "LEFT"), ArgSpec::word("right", "RIGHT")]),
    ),
    ArgSpec::new(
        "whereto",
        ArgKind::OneOf(&[ArgSpec::word("left", "LEFT"), ArgSpec::word("right", "RIGHT")]),
    ),
    HOW_MANY,
]);

/// How many elements LMOVEM moves, and how.
const HOW_MANY: ArgSpec = ArgSpec::new(
    "how-many",
    ArgKind::Block(&[
        ArgSpec::new(
            "selector",
            ArgKind::OneOf(&[
                ArgSpec::new("count", ArgKind::Integer).token("COUNT"),
                ArgSpec::new("exactly", ArgKind::Integer).token("EXACTLY"),
            ]),
        ),
        ArgSpec::new(
            "ordering",
            ArgKind::OneOf(&[ArgSpec::word("obo", "OBO"), ArgSpec::word("bulk", "BULK")]),
        ),
    ]),
)
.optional();

pub(super) const LMPOP: Docs = Docs::new(
    "7.0.0",
    "O(N+M) for N keys and M elements taken.",
    "Takes elements from the first of several lists that has any.",
)
.args(&[
    ArgSpec::new("numkeys", ArgKind::Integer),
    ArgSpec::key("key").multiple(),
    ArgSpec::new(
        "where",
        ArgKind::OneOf(&[ArgSpec::word("left", "LEFT"), ArgSpec::word("right", "RIGHT")]),
    ),
    ArgSpec::new("count", ArgKind::Integer).token("COUNT").optional(),
]);

pub(super) const LPOP: Docs =
    Docs::new("1.0.0", "O(N) for N elements taken.", "Takes elements from the front of a list.")
        .history(&[("6.2.0", "Takes a count.")])
        .args(&[
            ArgSpec::key("key"),
            ArgSpec::new("count", ArgKind::Integer).since("6.2.0").optional(),
        ]);

pub(super) const LPOS: Docs = Docs::new(
    "6.0.6",
    "O(N) for N elements looked at, which MAXLEN limits.",
    "Returns the indexes of the elements that equal a given one.",
)
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("element", ArgKind::String),
    ArgSpec::new("rank", ArgKind::Integer).token("RANK").optional(),
    ArgSpec::new("num-matches", ArgKind::Integer).token("COUNT").optional(),
    ArgSpec::new("len", ArgKind::Integer).token("MAXLEN").optional(),
]);

pub(super) const LPUSH: Docs = Docs::new(
    "1.0.0",
    "O(1) for each element.",
    "Adds elements to the front of a list, which is created if need be.",
)
.history(&[("2.4.0", "Takes several elements.")])
.args(&[ArgSpec::key("key"), ArgSpec::new("element", ArgKind::String).multiple()]);

pub(super) const LPUSHX: Docs = Docs::new(
    "2.2.0",
    "O(1) for each element.",
    "Adds elements to the front of a list if it exists.",
)
.history(&[("4.0.0", "Takes several elements.")])
.args(&[ArgSpec::key("key"), ArgSpec::new("element", ArgKind::String).multiple()]);

pub(super) const LRANGE: Docs = Docs::new(
    "1.0.0",
    "O(S+N) for N elements, S being the way within the node of the first.",
    "Returns the elements of a list between two indexes.",
)
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("start", ArgKind::Integer),
    ArgSpec::new("stop", ArgKind::Integer),
]);

pub(super) const LREM: Docs = Docs::new(
    "1.0.0",
    "O(N+M) for a list of N elements, M of them deleted.",
    "Deletes elements that equal a given one from a list.",
)
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("count", ArgKind::Integer),
    ArgSpec::new("element", ArgKind::String),
]);

pub(super) const LSET: Docs = Docs::new(
    "1.0.0",
    "O(N) for N elements within the node that holds it.",
    "Replaces the element of a list at an index.",
)
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("index", ArgKind::Integer),
    ArgSpec::new("element", ArgKind::String),
]);

pub(super) const LTRIM: Docs = Docs::new(
    "1.0.0",
    "O(N) for N elements deleted.",
    "Deletes all elements of a list but those between two indexes.",
)
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("start", ArgKind::Integer),
    ArgSpec::new("stop", ArgKind::Integer),
]);

pub(super) const RPOP: Docs =
    Docs::new("1.0.0", "O(N) for N elements taken.", "Takes elements from the end of a list.")
        .history(&[("6.2.0", "Takes a count.")])
        .args(&[
            ArgSpec::key("key"),
            ArgSpec::new("count", ArgKind::Integer).since("6.2.0").optional(),
        ]);

pub(super) const RPOPLPUSH: Docs =
    Docs::new("1.2.0", "O(1)", "Moves the last element of a list to the front of another.")
        .args(&[ArgSpec::key("source"), ArgSpec::new("destination", ArgKind::Key(1))]);

pub(super) const RPUSH: Docs = Docs::new(
    "1.0.0",
    "O(1) for each element.",
    "Adds elements to the end of a list, which is created if need be.",
)
.history(&[("2.4.0", "Takes several elements.")])
.args(&[ArgSpec::key("key"), ArgSpec::new("element", ArgKind::String).multiple()]);

pub(super) const RPUSHX: Docs = Docs::new(
    "2.2.0",
    "O(1) for each element.",
    "Adds elements to the end of a list if it exists.",
)
.history(&[("4.0.0", "Takes several elements.")])
.args(&[ArgSpec::key("key"), ArgSpec::new("element", ArgKind::String).multiple()]);
