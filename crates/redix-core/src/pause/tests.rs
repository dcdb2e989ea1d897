use super::*;

const NOW: i64 = 1000;

#[test]
fn each_purpose_ends_for_itself() {
    let pause = Pause::default();
    assert_eq!((pause.at(NOW), pause.longest(NOW)), (Paused::Nothing, None));
    pause.start(Purpose::Client, NOW, NOW + 50, Paused::All);
    pause.start(Purpose::Failover, NOW, i64::MAX, Paused::Writes);
    assert_eq!(pause.at(NOW + 49), Paused::All);
    // The strongest pause is reported, even if a weaker one lasts longer.
    assert_eq!(pause.longest(NOW), Some((Purpose::Client, 50)));
    assert_eq!(pause.at(NOW + 50), Paused::Writes);
    assert_eq!(pause.longest(NOW + 50), Some((Purpose::Failover, i64::MAX - NOW - 50)));
    pause.end(Purpose::Client);
    assert_eq!((pause.at(NOW), pause.client_until_ms()), (Paused::Writes, 0));
    pause.start(Purpose::Client, NOW, NOW + 50, Paused::Writes);
    pause.end(Purpose::Failover);
    assert!(pause.any(NOW + 49) && !pause.any(NOW + 50));
}

#[test]
fn a_purpose_keeps_its_longer_and_stricter_pause() {
    let pause = Pause::default();
    pause.start(Purpose::Client, NOW, NOW + 100, Paused::All);
    pause.start(Purpose::Client, NOW, NOW + 10, Paused::Writes);
    assert_eq!((pause.at(NOW + 99), pause.client_until_ms()), (Paused::All, NOW + 100));
    // A pause that is over is not kept.
    pause.start(Purpose::Client, NOW + 100, NOW + 110, Paused::Writes);
    assert_eq!((pause.at(NOW + 100), pause.client_until_ms()), (Paused::Writes, NOW + 110));
}

#[test]
fn a_client_pause_knows_in_which_role_it_began() {
    let pause = Pause::default();
    assert!(!pause.began_on_primary(NOW));
    pause.start_client(NOW, NOW + 100, Paused::Writes, false);
    // It is still that of a primary if it is prolonged in another role.
    pause.start_client(NOW + 50, NOW + 200, Paused::Writes, true);
    assert!(pause.began_on_primary(NOW + 199) && !pause.began_on_primary(NOW + 200));
    pause.start_client(NOW + 200, NOW + 300, Paused::Writes, true);
    assert!(!pause.began_on_primary(NOW + 200));
}
