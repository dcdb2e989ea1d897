//! GEOSEARCH, GEOSEARCHSTORE, GEORADIUS, GEORADIUSBYMEMBER and their _RO forms.

use redix_resp::reply::Reply;
use redix_types::geo::{Point, Search};
use redix_types::listpack::Element;
use redix_types::value::IntBuf;
use redix_types::zset::{Cut, Zset, ZsetRef};

use super::query::{Form, Order, Query, Store};
use super::{docs, reply_distance, reply_point};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{Begin, CommandSpec, Find, Group, KeySpec, access, acl, flag};
use crate::commands::zset;
use crate::error::CommandResult;

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::write(
        "georadius",
        Group::Geo,
        -6,
        const { &[READ, stored_behind("STORE", 6), stored_behind("STOREDIST", 6)] },
        georadius,
    )
    .get_keys(radius_keys)
    .flags(flag::DENYOOM | flag::MOVABLEKEYS)
    .acl(acl::GEO)
    .docs(docs::GEORADIUS),
    CommandSpec::write(
        "georadiusbymember",
        Group::Geo,
        -5,
        const { &[READ, stored_behind("STORE", 5), stored_behind("STOREDIST", 5)] },
        georadiusbymember,
    )
    .get_keys(radius_keys)
    .flags(flag::DENYOOM | flag::MOVABLEKEYS)
    .acl(acl::GEO)
    .docs(docs::GEORADIUSBYMEMBER),
    CommandSpec::read("georadius_ro", Group::Geo, -6, const { &[READ] }, georadius_ro)
        .acl(acl::GEO)
        .docs(docs::GEORADIUS_RO),
    CommandSpec::read(
        "georadiusbymember_ro",
        Group::Geo,
        -5,
        const { &[READ] },
        georadiusbymember_ro,
    )
    .acl(acl::GEO)
    .docs(docs::GEORADIUSBYMEMBER_RO),
    CommandSpec::read("geosearch", Group::Geo, -7, const { &[READ] }, geosearch)
        .acl(acl::GEO)
        .docs(docs::GEOSEARCH),
    CommandSpec::write(
        "geosearchstore",
        Group::Geo,
        -8,
        const {
            &[
                KeySpec::one(1, access::OW | access::UPDATE),
                KeySpec::one(2, access::RO | access::ACCESS),
            ]
        },
        geosearchstore,
    )
    .flags(flag::DENYOOM)
    .acl(acl::GEO)
    .docs(docs::GEOSEARCHSTORE),
];

const READ: KeySpec = KeySpec::one(1, access::RO | access::ACCESS);

/// The key behind a word, which is searched from an index on.
const fn stored_behind(word: &'static str, from: i32) -> KeySpec {
    KeySpec {
        access: access::OW | access::UPDATE | access::VARIABLE_FLAGS,
        begin: Begin::Keyword(word, from),
        find: Find::Range { last: 0, step: 1, limit: 0 },
        notes: None,
    }
}

/// The key, and the last one that STORE or STOREDIST names. Around a point they are searched from
/// the word of the unit on, as on the real servers.
fn radius_keys(args: Args<'_>, keys: &mut Vec<(usize, u32)>) -> bool {
    if args.len() < 2 {
        return false;
    }
    keys.push((1, access::RO | access::ACCESS));
    let (mut index, mut stored) = (5, None);
    while index + 1 < args.len() {
        let names = args.is(index, "STORE") || args.is(index, "STOREDIST");
        if names {
            stored = Some(index + 1);
        }
        index += 1 + usize::from(names);
    }
    keys.extend(stored.map(|index| (index, access::OW | access::UPDATE)));
    true
}

/// `GEORADIUS key longitude latitude radius M|KM|FT|MI [WITHCOORD] [WITHDIST] [WITHHASH] [COUNT
/// count [ANY]] [ASC|DESC] [STORE key | STOREDIST key]` -> array of members, each with what WITH
/// asks for; with STORE how many were stored, none deleting the key. Errors: WRONGTYPE, Syntax,
/// numbers, positions and units that are none, options that exclude one another. Event
/// `georadiusstore` or `del`.
fn georadius(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    run(cx, args, Form::Radius)
}

/// `GEORADIUSBYMEMBER key member radius M|KM|FT|MI …`: as GEORADIUS, around a member. Errors: no
/// such member too.
fn georadiusbymember(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    run(cx, args, Form::RadiusByMember)
}

/// `GEORADIUS_RO`: as GEORADIUS, without STORE and STOREDIST.
fn georadius_ro(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    run(cx, args, Form::RadiusRo)
}

/// `GEORADIUSBYMEMBER_RO`: as GEORADIUSBYMEMBER, without STORE and STOREDIST.
fn georadiusbymember_ro(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    run(cx, args, Form::RadiusByMemberRo)
}

/// `GEOSEARCH key [FROMMEMBER member | FROMLONLAT longitude latitude] BYRADIUS radius unit | BYBOX
/// width height unit | BYPOLYGON count longitude latitude … [ASC|DESC] [COUNT count [ANY]]
/// [WITHCOORD] [WITHDIST] [WITHHASH]` -> as GEORADIUS. Distances in a polygon are in metres from
/// the mean of its vertices.
fn geosearch(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    run(cx, args, Form::Search)
}

/// `GEOSEARCHSTORE destination source … [STOREDIST]`: as GEOSEARCH -> how many were stored, none
/// deleting `destination`. Event `geosearchstore` or `del`.
fn geosearchstore(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    run(cx, args, Form::SearchStore)
}

/// A member that was found.
struct Found<'a> {
    member: Element<'a>,
    score: f64,
    point: Point,
    distance_m: f64,
}

fn run(cx: &mut Ctx<'_, '_>, args: Args<'_>, form: Form) -> CommandResult {
    let (key, hasher) = (cx.key(args, form.source()), cx.keys.keyspace.hasher());
    let set = zset::read(cx.keys, key)?;
    let query = Query::parse(form, args, set, hasher)?;
    let found = match (set, query.shape.clone()) {
        (Some(set), Some(shape)) => search(set, &Search::new(shape), &query),
        _ => Vec::new(),
    };
    let Some(store) = query.store else {
        reply_found(cx.reply, &found, &query);
        return Ok(());
    };
    let mut result = Zset::new();
    for Found { member, score, distance_m, .. } in found {
        let score = if store.distances { distance_m / query.unit_m } else { score };
        result.insert(hasher, member.text(&mut IntBuf::new()), score);
    }
    let event = if form == Form::SearchStore { "geosearchstore" } else { "georadiusstore" };
    let Store { word, .. } = store;
    let destination = cx.key(args, word);
    zset::store_set(cx, destination, event, result)
}

/// Members within the area, in the order that is asked for, as many as are asked for.
fn search<'a>(set: ZsetRef<'a>, area: &Search, query: &Query) -> Vec<Found<'a>> {
    let count = query.count.unwrap_or(usize::MAX);
    let enough = if query.any { count } else { usize::MAX };
    let mut found = Vec::new();
    for (from, to) in area.ranges() {
        let first = set.count_before(Cut::Score(from));
        let members = set.count_before(Cut::Score(to)) - first;
        for (member, score) in set.range(first, members) {
            if found.len() >= enough {
                break;
            }
            let point = Point::of_score(score);
            if let Some(distance_m) = area.distance_m(point) {
                found.push(Found { member, score, point, distance_m });
            }
        }
    }
    match query.order {
        Order::Unsorted => {}
        Order::Nearest => found.sort_by(|a, b| a.distance_m.total_cmp(&b.distance_m)),
        Order::Farthest => found.sort_by(|a, b| b.distance_m.total_cmp(&a.distance_m)),
    }
    found.truncate(count);
    found
}

fn reply_found(reply: &mut Reply, found: &[Found<'_>], query: &Query) {
    let extra = [query.with_distance, query.with_hash, query.with_point];
    let extra = extra.into_iter().filter(|with| *with).count();
    reply.array(found.len());
    for member in found {
        if extra > 0 {
            reply.array(1 + extra);
        }
        zset::reply_element(reply, member.member);
        if query.with_distance {
            reply_distance(reply, member.distance_m / query.unit_m);
        }
        if query.with_hash {
            reply.int(member.score as i64);
        }
        if query.with_point {
            reply_point(reply, member.point);
        }
    }
}
