//! Synchronisations over a link that is not much faster than what is written meanwhile.

use std::time::Duration;

use redix_testkit::proxy::Way;
use redix_testkit::server::TempDir;
use redix_testkit::{Peer, Proxy};

use super::node::{Node, assert_same};
use super::traffic::fill;
use crate::eventually;

const SEED: u64 = 53;
/// The data set.
const DATA_BYTES: usize = 12 << 20;
const VALUE_BYTES: usize = 20_000;
/// A replica may owe so much, which is far less than what is written during a synchronisation.
const LIMIT: &str = "replica 2mb 1mb 1";
/// What the primary may use for the stream: twice the limit, and what a moment adds.
const MEMORY_MAX: u64 = 6 << 20;

/// A slow link to a primary with a data set.
fn slow_link(primary: Peer, args: &[&str]) -> (Node, Proxy) {
    let with = [
        "--client-output-buffer-limit",
        LIMIT,
        "--repl-backlog-size",
        "64kb",
        "--rdbcompression",
        "no",
        "--save",
        "",
    ];
    let mut primary = Node::start(primary, &[&with[..], args].concat());
    fill(&mut primary.client, DATA_BYTES, SEED);
    let proxy = Proxy::to(primary.server.addr()).unwrap();
    // 16 KiB at once: about 8 MB/s.
    proxy.delay(Way::ToClient, Duration::from_millis(2));
    (primary, proxy)
}

/// Writes half as many bytes as have passed the link, until `done`. Returns how many, and the most
/// memory for the stream that was seen.
fn write_half(
    primary: &mut Node,
    proxy: &Proxy,
    mut done: impl FnMut(&mut Node, u64) -> bool,
) -> (u64, u64) {
    let (value, from) = ("w".repeat(VALUE_BYTES), proxy.passed(Way::ToClient));
    let (mut written, mut memory) = (0, 0);
    eventually("the synchronisation ends", || {
        while written < (proxy.passed(Way::ToClient) - from) / 2 {
            primary.must(&format!("SET written:{} {value}", written % 97));
            written += VALUE_BYTES as u64;
        }
        memory = memory.max(primary.number("mem_total_replication_buffers"));
        done(primary, written)
    });
    (written, memory)
}

/// It ends with the first attempt, the primary's memory stays bounded, and the data is the same.
fn ends(primary: Peer, replica: Peer) {
    for dual in ["no", "yes"] {
        let args = ["--dual-channel-replication-enabled", dual];
        let (mut primary, proxy) = slow_link(primary, &args);
        // A small buffer beside the data set: what is written stays with the primary.
        let limit = ["--client-output-buffer-limit", "replica 100kb 0 0"];
        let mut replica = Node::start(replica, &[&args[..], &limit].concat());
        replica.follow(proxy.addr());
        let mut most = 0;
        let (written, memory) = write_half(&mut primary, &proxy, |primary, _| {
            most = most.max(primary.number("repl_spilled_bytes"));
            let behind = primary.number("master_repl_offset") - replica.number("slave_repl_offset");
            replica.info("master_link_status").as_deref() == Some("up") && behind < 200_000
        });
        eprintln!("dual channel {dual}: {written} written, {memory} in memory, {most} on disk");
        assert_eq!(primary.number("sync_full"), 1);
        assert_eq!(primary.number("client_output_buffer_limit_disconnections"), 0);
        assert!(written > 4 << 20, "{written} bytes were written meanwhile");
        assert!(memory < MEMORY_MAX, "{memory} bytes of memory for the stream");
        // Beside the data set much of the stream is under way on its own connection.
        assert!(most > 1 << 20 || dual == "yes", "{most} bytes were on disk");
        assert_same(&mut primary, &mut replica);
        eventually("the files are closed", || {
            primary.must("SET more 1");
            primary.number("repl_spilled_bytes") == 0
        });
    }
}
for_pairs!(ends: redix_redix, redix_valkey);

/// Where nothing can be moved to disk, a replica is closed at its output limit, as real servers do.
fn does_not_end_without_a_disk(primary: Peer, replica: Peer) {
    let gone = TempDir::new("gone").unwrap();
    let path = gone.path().to_str().unwrap();
    for (args, why) in [
        (["--repl-spill-max", "64kb"], Some("repl-spill-max is reached")),
        (["--repl-spill-max", "0"], None),
        (["--dir", path], Some("No such file or directory")),
    ] {
        let (mut primary, proxy) = slow_link(primary, &args);
        if args[0] == "--dir" {
            std::fs::remove_dir_all(path).unwrap();
        }
        let mut replica = Node::start(replica, &[]);
        replica.follow(proxy.addr());
        write_half(&mut primary, &proxy, |primary, _| {
            primary.number("client_output_buffer_limit_disconnections") > 0
        });
        let log = primary.server.log();
        assert_eq!(log.contains("can't be moved to disk"), why.is_some());
        assert!(log.contains(why.unwrap_or_default()), "{log}");
        proxy.delay(Way::ToClient, Duration::ZERO);
        assert_same(&mut primary, &mut replica);
    }
}
for_pairs!(does_not_end_without_a_disk: redix_redix);
