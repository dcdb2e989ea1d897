#![allow(clippy::unwrap_used)]
use super::*;

fn plan(family: Family, proto: u8, oracle: Peer, count: usize) -> Plan {
    Plan { seed: 20, count, family, proto, oracle, epoch: None }
}

/// The rules of `compare` allow for everything in which a server may differ from itself.
#[test]
fn a_real_server_does_not_differ_from_itself() {
    for oracle in Peer::ORACLES {
        if !oracle.available_or_skip() {
            continue;
        }
        for family in Family::EACH {
            for proto in [2, 3] {
                let report = run_stream(oracle, &plan(family, proto, oracle, 4000)).unwrap();
                assert!(report.commands >= 4000);
                report.check().unwrap();
            }
        }
    }
}

#[test]
fn a_difference_is_found_and_shrunk() {
    let Some(peer) = Peer::ORACLES.into_iter().find(|peer| peer.available_or_skip()) else {
        return;
    };
    let oracle = start(peer).unwrap();
    // A server with fewer databases differs in one way, which takes one line to show.
    let subject = Server::start(peer, &["--databases", "3"]).unwrap();
    let plan = plan(Family::Keys, 2, peer, 100_000);
    let report = run_stream_on(subject.addr(), oracle.addr(), &plan, &[]).unwrap();
    let found = report.mismatches.iter().find(|mismatch| mismatch.name == "SELECT").unwrap();
    assert_eq!(found.script.len(), 1, "{:?}", found.script);
    assert!(report.check().is_err());
}

#[test]
fn a_stream_depends_on_its_seed_alone() {
    let text = |seed| {
        let plan = Plan { seed, ..plan(Family::All, 3, Peer::Valkey, 0) };
        format!("{:?}", plan.lines(3).unwrap())
    };
    assert_eq!(text(1), text(1));
    assert_ne!(text(1), text(2));
}

/// Two servers that number an entry by the time seldom give it the same number.
#[test]
fn no_entry_is_numbered_by_the_time() {
    let plan = plan(Family::Stream, 3, Peer::Valkey, 0);
    let lines = (0..100).flat_map(|epoch| plan.lines(epoch).unwrap());
    let mut spoiled = 0;
    for line in lines.filter(|line| line.name == "XADD") {
        assert!(line.args.get(2).is_none_or(|id| id != b"*"), "{line:?}");
        spoiled += usize::from(line.options == ["!spoiled"]);
    }
    assert!(spoiled >= 100, "{spoiled}");
}
