//! What COMMAND DOCS tells about the commands on positions.

use crate::command::spec::{ArgKind, ArgSpec, Docs};

const UNITS: ArgSpec = ArgSpec::new(
    "unit",
    ArgKind::OneOf(&[
        ArgSpec::word("m", "M"),
        ArgSpec::word("km", "KM"),
        ArgSpec::word("ft", "FT"),
        ArgSpec::word("mi", "MI"),
    ]),
);

const LONGITUDE: ArgSpec = ArgSpec::new("longitude", ArgKind::Double);
const LATITUDE: ArgSpec = ArgSpec::new("latitude", ArgKind::Double);
const RADIUS: ArgSpec = ArgSpec::new("radius", ArgKind::Double);
const MEMBER: ArgSpec = ArgSpec::new("member", ArgKind::String);
const WITHCOORD: ArgSpec = ArgSpec::word("withcoord", "WITHCOORD").optional();
const WITHDIST: ArgSpec = ArgSpec::word("withdist", "WITHDIST").optional();
const WITHHASH: ArgSpec = ArgSpec::word("withhash", "WITHHASH").optional();
const LIMIT: ArgSpec = ArgSpec::new("count", ArgKind::Integer).token("COUNT");
const ANY: ArgSpec = ArgSpec::word("any", "ANY");

const COUNT: ArgSpec =
    ArgSpec::new("count-block", ArgKind::Block(&[LIMIT, ANY.optional()])).optional();
const COUNT_SINCE: ArgSpec =
    ArgSpec::new("count-block", ArgKind::Block(&[LIMIT, ANY.since("6.2.0").optional()])).optional();

const ORDER: ArgSpec = ArgSpec::new(
    "order",
    ArgKind::OneOf(&[ArgSpec::word("asc", "ASC"), ArgSpec::word("desc", "DESC")]),
)
.optional();

const STORE: ArgSpec = ArgSpec::new(
    "store",
    ArgKind::OneOf(&[
        ArgSpec::new("storekey", ArgKind::Key(1)).token("STORE").display("key"),
        ArgSpec::new("storedistkey", ArgKind::Key(2)).token("STOREDIST").display("key"),
    ]),
)
.optional();

const FROM: ArgSpec = ArgSpec::new(
    "from",
    ArgKind::OneOf(&[
        MEMBER.token("FROMMEMBER"),
        ArgSpec::new("fromlonlat", ArgKind::Block(&[LONGITUDE, LATITUDE])).token("FROMLONLAT"),
    ]),
)
.optional();

const BY: ArgSpec = ArgSpec::new(
    "by",
    ArgKind::OneOf(&[
        ArgSpec::new("circle", ArgKind::Block(&[RADIUS.token("BYRADIUS"), UNITS])),
        ArgSpec::new(
            "box",
            ArgKind::Block(&[
                ArgSpec::new("width", ArgKind::Double).token("BYBOX"),
                ArgSpec::new("height", ArgKind::Double),
                UNITS,
            ]),
        ),
        ArgSpec::new(
            "polygon",
            ArgKind::Block(&[
                ArgSpec::new("num-vertices", ArgKind::Integer).token("BYPOLYGON"),
                ArgSpec::new("vertices", ArgKind::Block(&[LONGITUDE, LATITUDE])).multiple(),
            ]),
        )
        .since("9.0.0"),
    ]),
);

const COST: &str = "O(N+log(M)), N being the number of members in the boxes of the grid around the \
                    area, M that of members.";

const RADIUS_HISTORY: &[(&str, &str)] =
    &[("6.2.0", "Option ANY of COUNT."), ("7.0.0", "Units in upper case.")];
const SEARCH_HISTORY: &[(&str, &str)] =
    &[("7.0.0", "Units in upper case."), ("9.0.0", "Option BYPOLYGON.")];

pub(super) const GEOADD: Docs = Docs::new(
    "3.2.0",
    "O(log(N)) for each member, N being the number of members.",
    "Adds members with longitude and latitude to a sorted set.",
)
.history(&[("6.2.0", "Options CH, NX and XX.")])
.args(&[
    ArgSpec::key("key"),
    ArgSpec::new(
        "condition",
        ArgKind::OneOf(&[ArgSpec::word("nx", "NX"), ArgSpec::word("xx", "XX")]),
    )
    .since("6.2.0")
    .optional(),
    ArgSpec::word("change", "CH").since("6.2.0").optional(),
    ArgSpec::new(
        "data",
        ArgKind::Block(&[
            ArgSpec::new("longitude", ArgKind::Double),
            ArgSpec::new("latitude", ArgKind::Double),
            ArgSpec::new("member", ArgKind::String),
        ]),
    )
    .multiple(),
]);

pub(super) const GEODIST: Docs =
    Docs::new("3.2.0", "O(1)", "Returns the distance between two members.").args(&[
        ArgSpec::key("key"),
        ArgSpec::new("member1", ArgKind::String),
        ArgSpec::new("member2", ArgKind::String),
        UNITS.optional(),
    ]);

pub(super) const GEOHASH: Docs = Docs::new(
    "3.2.0",
    "O(1) for each member.",
    "Returns the positions of members as Geohash texts.",
)
.args(&[ArgSpec::key("key"), ArgSpec::new("member", ArgKind::String).optional().multiple()]);

pub(super) const GEOPOS: Docs =
    Docs::new("3.2.0", "O(1) for each member.", "Returns longitude and latitude of members.").args(
        &[ArgSpec::key("key"), ArgSpec::new("member", ArgKind::String).optional().multiple()],
    );

pub(super) const GEORADIUS: Docs =
    Docs::new("3.2.0", COST, "Returns or stores the members within a distance of a point.")
        .history(RADIUS_HISTORY)
        .args(&[
            ArgSpec::key("key"),
            LONGITUDE,
            LATITUDE,
            RADIUS,
            UNITS,
            WITHCOORD,
            WITHDIST,
            WITHHASH,
            COUNT_SINCE,
            ORDER,
            STORE,
        ]);

pub(super) const GEORADIUS_RO: Docs =
    Docs::new("3.2.10", COST, "Returns the members within a distance of a point.")
        .history(RADIUS_HISTORY)
        .args(&[
            ArgSpec::key("key"),
            LONGITUDE,
            LATITUDE,
            RADIUS,
            UNITS,
            WITHCOORD,
            WITHDIST,
            WITHHASH,
            COUNT_SINCE,
            ORDER,
        ]);

pub(super) const GEORADIUSBYMEMBER: Docs =
    Docs::new("3.2.0", COST, "Returns or stores the members within a distance of a member.")
        .history(RADIUS_HISTORY)
        .args(&[
            ArgSpec::key("key"),
            MEMBER,
            RADIUS,
            UNITS,
            WITHCOORD,
            WITHDIST,
            WITHHASH,
            COUNT,
            ORDER,
            STORE,
        ]);

pub(super) const GEORADIUSBYMEMBER_RO: Docs =
    Docs::new("3.2.10", COST, "Returns the members within a distance of a member.")
        .history(RADIUS_HISTORY)
        .args(&[
            ArgSpec::key("key"),
            MEMBER,
            RADIUS,
            UNITS,
            WITHCOORD,
            WITHDIST,
            WITHHASH,
            COUNT,
            ORDER,
        ]);

pub(super) const GEOSEARCH: Docs =
    Docs::new("6.2.0", COST, "Returns the members in a circle, a box or a polygon.")
        .history(SEARCH_HISTORY)
        .args(&[ArgSpec::key("key"), FROM, BY, ORDER, COUNT, WITHCOORD, WITHDIST, WITHHASH]);

pub(super) const GEOSEARCHSTORE: Docs =
    Docs::new("6.2.0", COST, "Stores the members in a circle, a box or a polygon at another key.")
        .history(SEARCH_HISTORY)
        .args(&[
            ArgSpec::key("destination"),
            ArgSpec::new("source", ArgKind::Key(1)),
            FROM,
            BY,
            ORDER,
            COUNT,
            ArgSpec::word("storedist", "STOREDIST").optional(),
        ]);
