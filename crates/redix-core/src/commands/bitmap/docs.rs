//! COMMAND DOCS entries of the bitmap commands.

use crate::command::spec::{ArgKind, ArgSpec, Docs};

pub(super) const BITCOUNT: Docs =
    Docs::new("2.6.0", "O(N)", "Counts the bits that are set in a string or in part of it.")
        .history(&[
            ("7.0.0", "Option BYTE or BIT."),
            ("8.0.0", "The end of the range may be left out."),
        ])
        .args(&[
            ArgSpec::key("key"),
            ArgSpec::new(
                "range",
                ArgKind::Block(&[
                    ArgSpec::new("start", ArgKind::Integer),
                    ArgSpec::new(
                        "end-unit-block",
                        ArgKind::Block(&[
                            ArgSpec::new("end", ArgKind::Integer),
                            ArgSpec::new(
                                "unit",
                                ArgKind::OneOf(&[
                                    ArgSpec::word("byte", "BYTE"),
                                    ArgSpec::word("bit", "BIT"),
                                ]),
                            )
                            .since("7.0.0")
                            .optional(),
                        ]),
                    )
                    .optional(),
                ]),
            )
            .optional(),
        ]);

pub(super) const BITFIELD: Docs = Docs::new(
    "3.2.0",
    "O(1) for each operation",
    "Reads, sets and adds to integers of any width within a string.",
)
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new(
        "operation",
        ArgKind::OneOf(&[
            ArgSpec::new(
                "get-block",
                ArgKind::Block(&[
                    ArgSpec::new("encoding", ArgKind::String),
                    ArgSpec::new("offset", ArgKind::Integer),
                ]),
            )
            .token("GET"),
            ArgSpec::new(
                "write",
                ArgKind::Block(&[
                    ArgSpec::new(
                        "overflow-block",
                        ArgKind::OneOf(&[
                            ArgSpec::word("wrap", "WRAP"),
                            ArgSpec::word("sat", "SAT"),
                            ArgSpec::word("fail", "FAIL"),
                        ]),
                    )
                    .token("OVERFLOW")
                    .optional(),
                    ArgSpec::new(
                        "write-operation",
                        ArgKind::OneOf(&[
                            ArgSpec::new(
                                "set-block",
                                ArgKind::Block(&[
                                    ArgSpec::new("encoding", ArgKind::String),
                                    ArgSpec::new("offset", ArgKind::Integer),
                                    ArgSpec::new("value", ArgKind::Integer),
                                ]),
                            )
                            .token("SET"),
                            ArgSpec::new(
                                "incrby-block",
                                ArgKind::Block(&[
                                    ArgSpec::new("encoding", ArgKind::String),
                                    ArgSpec::new("offset", ArgKind::Integer),
                                    ArgSpec::new("increment", ArgKind::Integer),
                                ]),
                            )
                            .token("INCRBY"),
                        ]),
                    ),
                ]),
            ),
        ]),
    )
    .optional()
    .multiple(),
]);

pub(super) const BITFIELD_RO: Docs =
    Docs::new("6.0.0", "O(1) for each operation", "Reads integers of any width within a string.")
        .args(&[
            ArgSpec::key("key"),
            ArgSpec::new(
                "get-block",
                ArgKind::Block(&[
                    ArgSpec::new("encoding", ArgKind::String),
                    ArgSpec::new("offset", ArgKind::Integer),
                ]),
            )
            .token("GET")
            .optional()
            .multiple_token(),
        ]);

pub(super) const BITOP: Docs =
    Docs::new("2.6.0", "O(N)", "Combines strings bit by bit and stores the result.").args(&[
        ArgSpec::new(
            "operation",
            ArgKind::OneOf(&[
                ArgSpec::word("and", "AND"),
                ArgSpec::word("or", "OR"),
                ArgSpec::word("xor", "XOR"),
                ArgSpec::word("not", "NOT"),
                ArgSpec::word("diff", "DIFF").since("8.2.0"),
                ArgSpec::word("diff1", "DIFF1").since("8.2.0"),
                ArgSpec::word("andor", "ANDOR").since("8.2.0"),
                ArgSpec::word("one", "ONE").since("8.2.0"),
            ]),
        ),
        ArgSpec::key("destkey"),
        ArgSpec::new("key", ArgKind::Key(1)).multiple(),
    ]);

pub(super) const BITPOS: Docs = Docs::new(
    "2.8.7",
    "O(N)",
    "Finds the first bit that is set, or clear, in a string or in part of it.",
)
.history(&[("7.0.0", "Option BYTE or BIT.")])
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("bit", ArgKind::Integer),
    ArgSpec::new(
        "range",
        ArgKind::Block(&[
            ArgSpec::new("start", ArgKind::Integer),
            ArgSpec::new(
                "end-unit-block",
                ArgKind::Block(&[
                    ArgSpec::new("end", ArgKind::Integer),
                    ArgSpec::new(
                        "unit",
                        ArgKind::OneOf(&[
                            ArgSpec::word("byte", "BYTE"),
                            ArgSpec::word("bit", "BIT"),
                        ]),
                    )
                    .since("7.0.0")
                    .optional(),
                ]),
            )
            .optional(),
        ]),
    )
    .optional(),
]);

pub(super) const GETBIT: Docs =
    Docs::new("2.2.0", "O(1)", "Returns the bit at an offset of the string at a key.")
        .args(&[ArgSpec::key("key"), ArgSpec::new("offset", ArgKind::Integer)]);

pub(super) const SETBIT: Docs = Docs::new(
    "2.2.0",
    "O(1)",
    "Sets or clears the bit at an offset of the string at a key, which grows if need be.",
)
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new("offset", ArgKind::Integer),
    ArgSpec::new("value", ArgKind::Integer),
]);
