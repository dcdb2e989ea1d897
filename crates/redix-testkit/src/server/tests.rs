#![allow(clippy::unwrap_used)]
use super::*;

#[test]
fn stat_with_a_strange_process_name() {
    let text = "12 (a b) c) S 1 1 1 0 -1 4194560 1 0 0 0 250 31 0 0 20 0 1 0 5 6";
    let cpu = parse_stat(text).unwrap();
    assert_eq!((cpu.user.as_millis(), cpu.system.as_millis()), (2500, 310));
    assert_eq!(parse_stat("12 (short) S 1"), None);
}

#[test]
fn a_server_starts_restarts_and_leaves_nothing_behind() {
    for peer in Peer::ORACLES {
        if !peer.available_or_skip() {
            continue;
        }
        let mut server = Server::start(peer, &["--databases", "3"]).unwrap();
        let (dir, port) = (server.dir().to_owned(), server.port());
        assert!(server.rss_kb().unwrap() > 500);
        server.stop().unwrap();
        assert!(!answers_ping(server.addr()));
        server.restart().unwrap();
        assert_eq!(server.port(), port);
        server.kill9().unwrap();
        assert!(!server.is_running());
        server.restart().unwrap();
        let pid = server.pid();
        drop(server);
        assert!(!dir.exists());
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }
}

#[test]
fn a_start_failure_shows_the_log() {
    let Some(peer) = Peer::ORACLES.into_iter().find(|peer| peer.available_or_skip()) else {
        return;
    };
    let error = Server::start(peer, &["--no-such-directive", "1"]).err().unwrap();
    assert!(format!("{error:#}").contains("no-such-directive"), "{error:#}");
}

#[test]
fn a_claimed_port_is_given_to_nobody_else() {
    let port = free_port().unwrap();
    assert!(claim(port).unwrap().is_none());
    let other = free_port().unwrap();
    assert_ne!(port, other);
}
