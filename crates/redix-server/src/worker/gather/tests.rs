use super::*;

const LIMIT_NS: u64 = 200_000;

#[test]
fn nothing_is_put_off_where_nobody_is_expected() {
    let mut gather = Gather::default();
    assert!(!gather.puts_off(1_000, 5, 0));
    assert_eq!(gather.look_ns(1_000), 0);
}

#[test]
fn a_sync_is_put_off_while_connections_come() {
    let mut gather = Gather::default();
    let mut now_ns = 1_000_000;
    for held in 1..10 {
        assert!(gather.puts_off(now_ns, held, LIMIT_NS));
        assert_eq!(gather.look_ns(now_ns), PAUSE_NS);
        now_ns += 10_000;
    }
    now_ns += PAUSE_NS;
    assert!(!gather.puts_off(now_ns, 9, LIMIT_NS), "nobody came");
    // The next one begins anew.
    assert!(gather.puts_off(now_ns, 1, LIMIT_NS));
}

#[test]
fn a_sync_is_not_put_off_for_ever() {
    let mut gather = Gather::default();
    let last = (0..).take_while(|step| gather.puts_off(step * 10_000, *step, LIMIT_NS)).last();
    assert_eq!(last, Some(LIMIT_NS / 10_000 - 1));
}

#[test]
fn it_ends_at_once_when_all_have_come() {
    let mut gather = Gather::default();
    assert!(gather.puts_off(0, 3, LIMIT_NS));
    assert!(!gather.puts_off(1_000, 4, 0));
    assert_eq!(gather.look_ns(1_000), 0);
}
