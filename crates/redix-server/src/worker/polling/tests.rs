use super::*;

const MAX_NS: u64 = 50_000;
/// What waking a sleeper takes.
const WAKING_NS: u64 = 8_000;

/// A worker in a world of its own.
#[derive(Default)]
struct Rig {
    polling: Polling,
    now_ns: u64,
    polls: u32,
    sleeps: u32,
    polled_ns: u64,
}

impl Rig {
    /// A wait that a request ends after this gap; returns whether the worker slept.
    fn wait(&mut self, gap_ns: u64) -> bool {
        let plan = self.polling.plan(self.now_ns, MAX_NS);
        let slept = gap_ns > plan.poll_ns;
        self.polls += u32::from(plan.poll_ns > 0);
        self.sleeps += u32::from(slept);
        self.polled_ns += plan.poll_ns.min(gap_ns);
        let waited_ns = if slept { gap_ns + WAKING_NS } else { gap_ns };
        self.now_ns += waited_ns;
        self.polling.note_wait(plan, waited_ns);
        slept
    }

    fn waits(&mut self, count: u32, gap_ns: u64) {
        for _ in 0..count {
            self.wait(gap_ns);
        }
    }

    fn reset_counts(&mut self) {
        (self.polls, self.sleeps, self.polled_ns) = (0, 0, 0);
    }
}

#[test]
fn requests_that_follow_closely_are_polled_for() {
    let mut rig = Rig::default();
    rig.waits(PROBE_INTERVAL * (PROBES_MIN + 1), 2_000);
    rig.reset_counts();
    rig.waits(1000, 2_000);
    assert_eq!(rig.sleeps, 0);
    assert_eq!(rig.polls, 1000);
    // Not for longer than such gaps are.
    assert!(rig.polling.limit_ns < 4_000, "{}", rig.polling.limit_ns);
}

#[test]
fn a_trickle_is_slept_through() {
    let mut rig = Rig::default();
    rig.waits(1000, 1_000_000);
    assert!(rig.polled_ns <= u64::from(MISSES_MAX) * MAX_NS, "{}", rig.polled_ns);
    assert_eq!(rig.sleeps, 1000);
}

/// They are met by polling, but sleeping costs less.
#[test]
fn gaps_longer_than_a_sleep_costs_are_slept_through() {
    let mut rig = Rig::default();
    rig.waits(10_000, 30_000);
    let probes = 10_000 / PROBE_INTERVAL + 1;
    assert!(rig.polls <= probes, "{}", rig.polls);
}

#[test]
fn what_costs_less_is_found_for_mixed_gaps() {
    // One long gap in ten: the others are worth it.
    let mut rig = Rig::default();
    for round in 0..2000 {
        rig.wait(if round % 10 == 9 { 200_000 } else { 1_000 });
    }
    let limit_ns = rig.polling.limit_ns;
    assert!(limit_ns > 0 && limit_ns < 4_000, "{limit_ns}");
    // Nine long gaps in ten: they are not.
    let mut rig = Rig::default();
    for round in 0..2000 {
        rig.wait(if round % 10 == 9 { 1_000 } else { 200_000 });
    }
    assert_eq!(rig.polling.limit_ns, 0);
}

#[test]
fn when_requests_stop_polling_stops() {
    let mut rig = Rig::default();
    rig.waits(1000, 2_000);
    rig.reset_counts();
    rig.waits(100, 10_000_000);
    assert!(rig.polled_ns <= u64::from(MISSES_MAX) * MAX_NS, "{}", rig.polled_ns);
    // And begins again.
    rig.waits(1000, 2_000);
    rig.reset_counts();
    rig.waits(100, 2_000);
    assert_eq!(rig.sleeps, 0);
}

#[test]
fn whoever_wants_the_processor_gets_it_for_longer_each_time() {
    let mut rig = Rig::default();
    let mut last_ns = 0;
    for _ in 0..20 {
        rig.waits(1000, 2_000);
        assert!(rig.polling.limit_ns > 0);
        while rig.now_ns >= rig.polling.rest_until_ns {
            rig.polling.note_look(rig.now_ns, LOOK_LONG_NS + 1);
        }
        let rest_ns = rig.polling.rest_until_ns - rig.now_ns;
        assert!(rest_ns >= last_ns && rest_ns <= REST_MAX_NS);
        assert!(rig.wait(2_000), "it sleeps");
        (last_ns, rig.now_ns) = (rest_ns, rig.polling.rest_until_ns);
    }
    assert_eq!(last_ns, REST_MAX_NS);
    // A long time without that, and a rest is short again.
    rig.now_ns += 2 * REST_MAX_NS;
    while rig.now_ns >= rig.polling.rest_until_ns {
        rig.polling.note_look(rig.now_ns, LOOK_LONG_NS + 1);
    }
    assert_eq!(rig.polling.rest_until_ns - rig.now_ns, REST_MIN_NS);
}

#[test]
fn a_rare_interruption_is_no_strain() {
    let mut rig = Rig::default();
    rig.waits(1000, 2_000);
    for _ in 0..100 {
        rig.polling.note_look(rig.now_ns, 10 * LOOK_LONG_NS);
        rig.waits(STRAIN_OF_LOOK, 2_000);
    }
    assert_eq!(rig.polling.rest_until_ns, 0);
}

#[test]
fn it_is_switched_off_and_on() {
    let mut polling = Polling::default();
    assert_eq!(polling.plan(0, 0), Plan::SLEEP);
    let mut rig = Rig::default();
    rig.waits(1000, 2_000);
    assert_eq!(rig.polling.plan(rig.now_ns, 0), Plan::SLEEP);
    // What was learned for another longest time is of no use.
    assert!(rig.polling.plan(rig.now_ns, 2 * MAX_NS).is_probe);
    assert_eq!(rig.polling.plan(rig.now_ns, 2 * MAX_NS), Plan::SLEEP);
}
