use super::*;
use crate::latency::Sample;
use crate::stats::{LATENCY_BUCKETS, latency_bucket};

#[test]
fn bounds_are_those_of_the_real_servers() {
    let shown: Vec<i64> = classes().map(|(_, us)| us).collect();
    assert_eq!(shown[..9], [1, 2, 4, 8, 16, 33, 66, 132, 264]);
    assert_eq!(shown[9..14], [528, 1056, 2113, 4227, 8454]);
    assert_eq!(shown[17..], [135_266, 270_532, 541_065, 1_073_741]);
}

#[test]
fn every_call_is_counted_once_in_the_end() {
    let mut latency = vec![0; LATENCY_BUCKETS];
    for ns in [300, 900, 5_000, 400_000_000, 30_000_000_000] {
        latency[latency_bucket(ns)] += 1;
    }
    let steps = cumulative(&latency);
    assert_eq!(steps, [(1, 2), (8, 3), (541_065, 4), (1_073_741, 5)]);
}

#[test]
fn a_graph_has_a_column_and_an_age_per_sample() {
    let samples = vec![Sample { unix_s: 9, ms: 300 }, Sample { unix_s: 10, ms: 1100 }];
    let series = Series { samples, max_ms: 1100, sum_ms: 1400, count: 2 };
    let text = graph::draw("command", &series, 10);
    let rule = "-".repeat(80);
    assert_eq!(
        text,
        format!(
            "command - high 1100 ms, low 300 ms (all time high 1100 ms)\n{rule}\n #\n |\n |\n_|\n  \n10\nss\n"
        )
    );
}
