//! GEODIST, GEOHASH and GEOPOS.

use redix_resp::reply::Reply;
use redix_types::geo::Point;
use redix_types::zset::ZsetRef;

use super::{docs, reply_distance, reply_point, unit_m};
use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::command::spec::{CommandSpec, Group, KeySpec, access, acl, flag};
use crate::commands::zset;
use crate::error::{CommandResult, ReplyError};

/// The commands of this file.
pub const COMMANDS: &[CommandSpec] = &[
    CommandSpec::read("geodist", Group::Geo, -4, KEY, geodist)
        .flags(flag::BRIEF)
        .acl(acl::GEO)
        .docs(docs::GEODIST),
    CommandSpec::read("geohash", Group::Geo, -2, KEY, geohash)
        .flags(flag::BRIEF)
        .acl(acl::GEO)
        .docs(docs::GEOHASH),
    CommandSpec::read("geopos", Group::Geo, -2, KEY, geopos)
        .flags(flag::BRIEF)
        .acl(acl::GEO)
        .docs(docs::GEOPOS),
];

const KEY: &[KeySpec] = &[KeySpec::one(1, access::RO | access::ACCESS)];

/// `GEODIST key member other [M|KM|FT|MI]` -> bulk, the distance with four decimals, null if one is
/// missing. Errors: WRONGTYPE, Syntax, an unknown unit.
fn geodist(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let unit_m = match args.len() {
        4 => 1.0,
        5 => unit_m(args, 4)?,
        _ => return Err(ReplyError::Syntax),
    };
    let (key, hasher) = (cx.key(args, 1), cx.keys.keyspace.hasher());
    let set = zset::read(cx.keys, key)?;
    let point = |word| Some(Point::of_score(set?.score(hasher, args.get(word))?));
    match (point(2), point(3)) {
        (Some(a), Some(b)) => reply_distance(cx.reply, a.distance_m(b) / unit_m),
        _ => cx.reply.null(),
    }
    Ok(())
}

/// `GEOHASH key member …` -> array of Geohashes | null. Errors: WRONGTYPE.
fn geohash(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    each_member(cx, args, |reply, point| match point {
        Some(point) => reply.bulk(&point.geohash()),
        None => reply.null(),
    })
}

/// `GEOPOS key member …` -> array of longitude and latitude | null. Errors: WRONGTYPE.
fn geopos(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    each_member(cx, args, |reply, point| match point {
        Some(point) => reply_point(reply, point),
        None => reply.null_array(),
    })
}

/// Replies with an array of what `write` makes of each member's position.
fn each_member(
    cx: &mut Ctx<'_, '_>,
    args: Args<'_>,
    write: impl Fn(&mut Reply, Option<Point>),
) -> CommandResult {
    let (key, hasher) = (cx.key(args, 1), cx.keys.keyspace.hasher());
    let set: Option<ZsetRef<'_>> = zset::read(cx.keys, key)?;
    cx.reply.array(args.len() - 2);
    for member in args.iter_from(2) {
        let score = set.and_then(|set| set.score(hasher, member));
        write(cx.reply, score.map(Point::of_score));
    }
    Ok(())
}
