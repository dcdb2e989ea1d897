//! The drawing of LATENCY GRAPH: one column per sample, its age below it.
//!
//! Source: what Redis 7.0 and Valkey 9.1 draw for the same samples.

use crate::latency::Series;

const ROWS: usize = 4;
const COLUMNS_MAX: usize = 80;
/// The tops of columns, from the lowest third of a row to the highest.
const TOPS: [char; 3] = ['_', 'o', '#'];

/// Draws a series as of `now_s`, Unix time in seconds.
pub(super) fn draw(name: &str, series: &Series, now_s: i64) -> String {
    let values = || series.samples.iter().map(|sample| sample.ms);
    let (low, high) = (values().min().unwrap_or(0), values().max().unwrap_or(0));
    let mut out = format!(
        "{name} - high {high} ms, low {low} ms (all time high {} ms)\n{}\n",
        series.max_ms,
        "-".repeat(COLUMNS_MAX)
    );
    for (index, chunk) in series.samples.chunks(COLUMNS_MAX).enumerate() {
        if index > 0 {
            out.push('\n');
        }
        let steps = (ROWS * TOPS.len()) as u64;
        let heights: Vec<usize> = chunk
            .iter()
            .map(|sample| ((sample.ms - low) * steps / (high - low).max(1)).min(steps - 1) as usize)
            .collect();
        for row in (0..ROWS).rev() {
            let base = row * TOPS.len();
            out.extend(heights.iter().map(|&height| match height.checked_sub(base) {
                Some(over) => TOPS.get(over).copied().unwrap_or('|'),
                None => ' ',
            }));
            out.push('\n');
        }
        out.push_str(&" ".repeat(chunk.len()));
        out.push('\n');
        let ages: Vec<String> = chunk.iter().map(|sample| age(now_s - sample.unix_s)).collect();
        for line in 0..ages.iter().map(String::len).max().unwrap_or(0) {
            out.extend(ages.iter().map(|age| age.chars().nth(line).unwrap_or(' ')));
            out.push('\n');
        }
    }
    out
}

fn age(seconds: i64) -> String {
    match seconds.max(0) {
        s @ 0..60 => format!("{s}s"),
        s @ 60..3600 => format!("{}m", s / 60),
        s @ 3600..86_400 => format!("{}h", s / 3600),
        s => format!("{}d", s / 86_400),
    }
}
