//! COMMAND DOCS entries of SORT and SORT_RO.

use crate::command::spec::{ArgKind, ArgSpec, Docs};

const COST: &str = "O(N+M*log(M)) where N is how many elements the key holds and M how many are \
                    returned; O(N) where they are not sorted.";

const KEY: ArgSpec = ArgSpec::key("key");
const BY: ArgSpec =
    ArgSpec::new("by-pattern", ArgKind::KeyPattern(1)).token("BY").display("pattern").optional();
const LIMIT: ArgSpec = ArgSpec::new(
    "limit",
    ArgKind::Block(&[
        ArgSpec::new("offset", ArgKind::Integer),
        ArgSpec::new("count", ArgKind::Integer),
    ]),
)
.token("LIMIT")
.optional();
const GET: ArgSpec = ArgSpec::new("get-pattern", ArgKind::KeyPattern(1))
    .token("GET")
    .display("pattern")
    .optional()
    .multiple_token();
const ORDER: ArgSpec = ArgSpec::new(
    "order",
    ArgKind::OneOf(&[ArgSpec::word("asc", "ASC"), ArgSpec::word("desc", "DESC")]),
)
.optional();
const SORTING: ArgSpec = ArgSpec::word("sorting", "ALPHA").optional();

pub(super) const SORT: Docs = Docs::new(
    "1.0.0",
    COST,
    "Sorts the elements of a list, set or sorted set, and returns or stores them.",
)
.args(&[
    KEY,
    BY,
    LIMIT,
    GET,
    ORDER,
    SORTING,
    ArgSpec::new("destination", ArgKind::Key(2)).token("STORE").optional(),
]);

pub(super) const SORT_RO: Docs =
    Docs::new("7.0.0", COST, "Returns the elements of a list, set or sorted set sorted.")
        .args(&[KEY, BY, LIMIT, GET, ORDER, SORTING]);
