//! Commands on positions, which are the scores of sorted sets (`redix_types::geo`).
//!
//! A search visits the ranges of scores that its area reaches into and keeps what lies within;
//! what is kept is in the order of that walk unless it is to be sorted.
//!
//! Sources: the replies, events and replication streams of Valkey 9.1.2, Redis 7.0.15 and 8.2.3;
//! BYPOLYGON is that of Valkey.

pub mod add;
mod docs;
mod query;
pub mod read;
pub mod search;

use redix_resp::reply::Reply;
use redix_types::geo::Point;
use redix_types::num::parse_f64;

use crate::command::args::Args;
use crate::error::ReplyError;

/// Metres in the unit at word `index`. Errors: it is none.
fn unit_m(args: Args<'_>, index: usize) -> Result<f64, ReplyError> {
    const UNITS_M: [(&str, f64); 4] = [("M", 1.0), ("KM", 1000.0), ("FT", 0.3048), ("MI", 1609.34)];
    let found = UNITS_M.iter().find(|(word, _)| args.is(index, word));
    let unknown = ReplyError::Static("ERR unsupported unit provided. please use M, KM, FT, MI");
    found.map(|(_, unit_m)| *unit_m).ok_or(unknown)
}

/// The position of which words `index` and the one behind it are longitude and latitude. Errors:
/// NotFloat, beyond what a score can express.
fn parse_point(args: Args<'_>, index: usize) -> Result<Point, ReplyError> {
    let degrees = |index| parse_f64(args.get(index)).ok_or(ReplyError::NotFloat);
    let point = Point { longitude: degrees(index)?, latitude: degrees(index + 1)? };
    if point.is_valid() {
        return Ok(point);
    }
    let Point { longitude, latitude } = point;
    Err(ReplyError::err(format!("invalid longitude,latitude pair {longitude:.6},{latitude:.6}")))
}

/// Writes a distance, in its unit, with four decimals.
fn reply_distance(reply: &mut Reply, distance: f64) {
    let tenthousandths = (distance * 10_000.0).round_ties_even() as u64;
    let (whole, decimals) = (tenthousandths / 10_000, tenthousandths % 10_000);
    reply.bulk_str(&format!("{whole}.{decimals:04}"));
}

/// Writes a position: two numbers with as many of 17 decimals as are not zeros at the end.
fn reply_point(reply: &mut Reply, point: Point) {
    reply.array(2);
    for degrees in [point.longitude, point.latitude] {
        let text = format!("{degrees:.17}");
        let text = text.trim_end_matches('0').trim_end_matches('.');
        reply.double_text(if text == "-0" { b"0" } else { text.as_bytes() });
    }
}
