//! Shrinking a failing epoch to the fewest lines that still fail.
//!
//! Delta debugging (Zeller 1999) without its second half: chunks are removed, half of the lines at
//! first and single ones in the end, as long as the last line, or reading back, still shows a
//! difference.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use anyhow::Result;

use super::Plan;
use super::differs::Difference;
use super::grammar::Line;
use super::report::{Mismatch, Report};
use super::stream::Epoch;
use crate::quoting::quote_args;

const TIME_MAX: Duration = Duration::from_secs(10);

/// The lines as text; all of them if the difference is not reproducible.
pub(super) fn shrink(
    addrs: [SocketAddr; 2],
    plan: &Plan,
    differences: &[Difference],
    lines: &[Line],
    mismatch: &Mismatch,
) -> Result<Vec<String>> {
    let of_epoch = mismatch.is_of_epoch();
    let end = lines.len().min(mismatch.index + 1);
    let mut kept = lines[..end].to_vec();
    // The line that shows it is kept; a difference of the whole epoch needs none.
    let fixed = usize::from(!of_epoch);
    let fails = |lines: &[Line]| -> Result<bool> {
        let epoch = Epoch::begin(addrs, plan, differences)?;
        // A report that is discarded.
        let found = epoch.run(lines, &mut Report::new(*plan))?;
        Ok(found.is_some_and(|found| {
            if of_epoch { found.name == mismatch.name } else { found.index + 1 == lines.len() }
        }))
    };
    let deadline = Instant::now() + TIME_MAX;
    let mut chunk = kept.len().div_ceil(2);
    while chunk > 0 && Instant::now() < deadline {
        let mut start = 0;
        let mut removed = false;
        while start + fixed < kept.len() && Instant::now() < deadline {
            let stop = (start + chunk).min(kept.len() - fixed);
            let mut fewer = kept.clone();
            fewer.drain(start..stop);
            if fails(&fewer)? {
                kept = fewer;
                removed = true;
            } else {
                start = stop;
            }
        }
        if !(removed && chunk == 1) {
            chunk /= 2;
        }
    }
    let text = |line: &Line| format!("@{}> {}", line.conn + 1, quote_args(&line.args));
    Ok(kept.iter().map(text).collect())
}
