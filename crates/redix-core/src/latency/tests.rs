use super::*;

#[test]
fn a_second_has_one_sample_and_the_oldest_go_first() {
    let monitor = LatencyMonitor::default();
    for second in 0..=SAMPLES_MAX as i64 {
        monitor.note(10, event::COMMAND, 20_000_000, second * 1_000_000);
        monitor.note(10, event::COMMAND, 30_000_000, second * 1_000_000 + 5);
    }
    let series = monitor.get(b"command").expect("it was noted");
    assert_eq!(series.samples.len(), SAMPLES_MAX);
    assert_eq!(series.samples[0], Sample { unix_s: 1, ms: 30 });
    assert_eq!((series.max_ms, series.count), (30, 2 * (SAMPLES_MAX as u64 + 1)));
    assert_eq!(series.sum_ms, 50 * (SAMPLES_MAX as u64 + 1));
}

#[test]
fn below_the_threshold_or_without_one_nothing_is_noted() {
    let monitor = LatencyMonitor::default();
    monitor.note(0, event::COMMAND, 1 << 40, 0);
    monitor.note(2, event::COMMAND, 1_999_999, 0);
    assert!(monitor.all().is_empty());
    monitor.note(2, event::EXPIRE_CYCLE, 2_000_000, 0);
    assert_eq!(monitor.reset(|name| name == "command"), 0);
    assert_eq!(monitor.reset(|_| true), 1);
    assert!(monitor.get(b"expire-cycle").is_none());
}
