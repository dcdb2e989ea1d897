//! The limit on memory: which keys and clients go, and who is told.

use redix_resp::Value;
use redix_testkit::rng::Rng;
use redix_testkit::{Client, Peer, Server, writes};

use crate::{connect, eventually, start};

const TWO_WORKERS: &[&str] = &["--worker-threads", "2"];

fn info(client: &mut Client, section: &str, field: &str) -> i64 {
    let Value::Bulk(text) = client.must(&["INFO", section]).unwrap() else { panic!("no text") };
    let text = String::from_utf8(text).unwrap();
    let line = text.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("no {field}")).trim().parse().unwrap()
}

fn set(client: &mut Client, directive: &str, value: &str) {
    client.must(&["CONFIG", "SET", directive, value]).unwrap();
}

/// Limits the memory to what is in use and `room` bytes more.
fn limit(client: &mut Client, room: i64) -> i64 {
    let limit = info(client, "memory", "used_memory") + room;
    set(client, "maxmemory", &limit.to_string());
    limit
}

#[test]
fn every_policy_holds_the_limit_and_volatile_ones_spare_keys_without_expiry() {
    for policy in [
        "allkeys-random",
        "allkeys-lru",
        "allkeys-lfu",
        "volatile-lru",
        "volatile-lfu",
        "volatile-random",
        "volatile-ttl",
    ] {
        let server = start(TWO_WORKERS);
        let mut client = connect(&server);
        // Not only in the first database.
        client.must(&["SELECT", "9"]).unwrap();
        set(&mut client, "maxmemory-policy", policy);
        let limit = limit(&mut client, 2 << 20);
        let value = "v".repeat(100);
        for batch in 0..40 {
            let keys = (0..500).map(|key| batch * 500 + key);
            let commands: Vec<Vec<String>> = keys
                .map(|key| {
                    let set = format!("SET k{key} {value}");
                    let expiring = if key % 4 == 0 { "" } else { " EX 10000" };
                    format!("{set}{expiring}").split(' ').map(str::to_owned).collect()
                })
                .collect();
            client.pipeline(&commands).unwrap();
            let used = info(&mut client, "memory", "used_memory");
            assert!(used < limit + 65_536, "{policy}: {used} of {limit}");
        }
        assert!(info(&mut client, "stats", "evicted_keys") > 1000, "{policy}");
        if policy.starts_with("volatile") {
            let kept: Vec<Vec<String>> =
                (0..1000).map(|key| vec!["EXISTS".to_owned(), format!("k{}", key * 4)]).collect();
            let replies = client.pipeline(&kept).unwrap();
            assert!(replies.iter().all(|reply| *reply == Value::Int(1)), "{policy}");
        }
    }
}

#[test]
fn the_key_idle_for_longest_goes_first_whatever_the_database() {
    let server = start(TWO_WORKERS);
    let mut client = connect(&server);
    set(&mut client, "maxmemory-policy", "allkeys-lru");
    set(&mut client, "maxmemory-samples", "64");
    client.must(&["SETRANGE", "filler", "100000", "x"]).unwrap();
    client.must(&["SELECT", "3"]).unwrap();
    client.must(&["SETRANGE", "old", "100000", "x"]).unwrap();
    let Value::Bulk(dump) = client.must(&["DUMP", "old"]).unwrap() else { panic!("no payload") };
    let ages: [&[u8]; 6] = [b"RESTORE", b"older", b"0", &dump, b"IDLETIME", b"5000"];
    client.must(&ages).unwrap();
    limit(&mut client, -1);
    let gone = |client: &mut Client| client.must(&["EXISTS", "older"]).unwrap() == Value::Int(0);
    eventually("eviction", || gone(&mut client));
    assert_eq!(client.must(&["EXISTS", "old"]).unwrap(), Value::Int(1));
    set(&mut client, "maxmemory", "0");
    client.must(&["SELECT", "0"]).unwrap();
    assert_eq!(client.must(&["EXISTS", "filler"]).unwrap(), Value::Int(1));
}

#[test]
fn subscribers_and_caching_clients_are_told_of_evictions() {
    let server = start(TWO_WORKERS);
    let (mut client, mut caching) = (connect(&server), connect(&server));
    set(&mut client, "notify-keyspace-events", "Ee");
    let mut listening = connect(&server);
    listening.must(&["SUBSCRIBE", "__keyevent@0__:evicted"]).unwrap();
    caching.hello(3).unwrap();
    caching.must(&["CLIENT", "TRACKING", "ON"]).unwrap();
    client.must(&["SET", "k", "v"]).unwrap();
    caching.must(&["GET", "k"]).unwrap();
    set(&mut client, "maxmemory-policy", "allkeys-random");
    set(&mut client, "maxmemory", "1");
    let told = listening.receive().unwrap().pretty();
    assert!(told.contains("evicted") && told.contains("\"k\""), "{told}");
    let push = caching.push(std::time::Duration::from_secs(20)).unwrap();
    let push = push.expect("an invalidation").pretty();
    assert!(push.contains("invalidate") && push.contains("\"k\""), "{push}");
    assert_eq!(info(&mut client, "stats", "evicted_keys"), 1);
    assert!(info(&mut client, "stats", "current_eviction_exceeded_time") >= 0);
    // Nothing is left to be evicted.
    let refused = client.cmd(&["SET", "k", "v"]).unwrap().pretty();
    assert!(refused.contains("OOM"), "{refused}");
}

#[test]
fn what_was_evicted_does_not_come_back_from_the_append_only_file() {
    let mut args = TWO_WORKERS.to_vec();
    args.extend(["--appendonly", "yes", "--maxmemory-policy", "allkeys-lru"]);
    let mut server = start(&args);
    let mut client = connect(&server);
    for key in 0..100 {
        client.must(&["SETRANGE", &format!("k{key}"), "10000", "x"]).unwrap();
    }
    limit(&mut client, -500_000);
    eventually("eviction", || info(&mut client, "stats", "evicted_keys") > 20);
    set(&mut client, "maxmemory", "0");
    let kept = client.must(&["DBSIZE"]).unwrap();
    client.must(&["WAITAOF", "1", "0", "0"]).unwrap();
    server.restart().unwrap();
    let mut client = connect(&server);
    assert_eq!(client.must(&["DBSIZE"]).unwrap(), kept);
}

#[test]
fn a_replica_leaves_eviction_to_its_primary_unless_it_is_told_not_to() {
    let (primary, replica) = (start(TWO_WORKERS), start(TWO_WORKERS));
    let (mut client, mut other) = (connect(&primary), connect(&replica));
    let port = primary.port().to_string();
    other.must(&["REPLICAOF", "127.0.0.1", &port]).unwrap();
    for key in 0..50 {
        client.must(&["SETRANGE", &format!("k{key}"), "10000", "x"]).unwrap();
    }
    // While the replica loads, that is an error.
    let size = |client: &mut Client| client.cmd(&["DBSIZE"]).unwrap();
    eventually("eviction", || size(&mut other) == Value::Int(50));
    set(&mut other, "maxmemory-policy", "allkeys-lru");
    set(&mut other, "maxmemory", "1");
    client.must(&["SET", "more", "1"]).unwrap();
    eventually("eviction", || size(&mut other) == Value::Int(51));
    set(&mut client, "maxmemory-policy", "allkeys-lru");
    limit(&mut client, -200_000);
    eventually("eviction", || info(&mut client, "stats", "evicted_keys") > 10);
    set(&mut client, "maxmemory", "0");
    let kept = size(&mut client);
    eventually("eviction", || size(&mut other) == kept);
    assert_eq!(info(&mut other, "stats", "evicted_keys"), 0);
    set(&mut other, "replica-ignore-maxmemory", "no");
    eventually("eviction", || size(&mut other) == Value::Int(0));
}

/// Writes of all types, and keys that nobody writes again.
fn write(clients: &mut [Client], rng: &mut Rng, round: usize) {
    for (nth, client) in clients.iter_mut().enumerate() {
        let mut commands = writes::batch(rng, 10);
        for key in 0..10 {
            let (name, value) = (format!("fill:{round}:{nth}:{key}"), "v".repeat(rng.below(2000)));
            let expiry: &[&str] = if rng.chance(50) { &["EX", "100000"] } else { &[] };
            commands.push(writes::words(&[&["SET", &name, &value], expiry].concat()));
        }
        // Some are refused for want of memory.
        client.pipeline(&commands).unwrap();
    }
}

/// Lets no key expire any more.
fn persist(client: &mut Client) {
    for db in 0..writes::DATABASES {
        client.must(&["SELECT", &db.to_string()]).unwrap();
        let Value::Array(keys) = client.must(&["KEYS", "*"]).unwrap() else { panic!("no keys") };
        let persist = |key: Value| match key {
            Value::Bulk(key) => vec![b"PERSIST".to_vec(), key],
            other => panic!("{other:?} is no key"),
        };
        client.pipeline(&keys.into_iter().map(persist).collect::<Vec<_>>()).unwrap();
    }
}

/// Random writes on a full primary; then its replica holds the same, and what its append-only file
/// says.
fn evicts_alike_everywhere(policy: &str, seed: u64) {
    eprintln!("{policy}, seed {seed}");
    let mut rng = Rng::new(seed);
    let mut args = TWO_WORKERS.to_vec();
    args.extend(["--enable-debug-command", "yes", "--maxmemory-policy", policy]);
    let replica = start(&args);
    args.extend(["--appendonly", "yes", "--appendfsync", "no"]);
    let mut primary = start(&args);
    let (mut client, mut other) = (connect(&primary), connect(&replica));
    // Its primary decides.
    set(&mut other, "maxmemory", "1");
    let port = primary.port().to_string();
    other.must(&["REPLICAOF", "127.0.0.1", &port]).unwrap();
    let mut clients = [(); 3].map(|()| connect(&primary));
    let base = info(&mut client, "memory", "used_memory");
    for round in 0..120 {
        if round % 20 == 0 {
            let room = 1_000_000 + rng.below(2_000_000) as i64;
            set(&mut client, "maxmemory", &(base + room).to_string());
        }
        if round == 60 {
            client.must(&["BGREWRITEAOF"]).unwrap();
        }
        write(&mut clients, &mut rng, round);
    }
    assert!(info(&mut client, "stats", "evicted_keys") > 100);
    set(&mut client, "maxmemory", "0");
    persist(&mut client);
    let digest = |client: &mut Client| client.cmd(&["DEBUG", "DIGEST"]).unwrap();
    let held = digest(&mut client);
    eventually("the replica's data", || digest(&mut other) == held);
    assert_eq!(info(&mut other, "stats", "evicted_keys"), 0);
    client.must(&["WAITAOF", "1", "0", "0"]).unwrap();
    primary.restart().unwrap();
    assert_eq!(digest(&mut connect(&primary)), held, "after a restart");
}

#[test]
fn a_replica_and_the_append_only_file_hold_what_was_not_evicted() {
    for (seed, policy) in (1..).zip(["allkeys-lru", "allkeys-lfu", "volatile-ttl"]) {
        evicts_alike_everywhere(policy, seed);
    }
}

#[test]
fn large_values_are_freed_beside_and_no_more_goes_than_is_necessary() {
    let server = start(&["--worker-threads", "2", "--enable-debug-command", "yes"]);
    let mut client = connect(&server);
    set(&mut client, "maxmemory-policy", "allkeys-random");
    for key in 0..10 {
        client.must(&["DEBUG", "POPULATE", "1", &format!("s{key}"), "3000000"]).unwrap();
    }
    limit(&mut client, -1_000_000);
    eventually("eviction", || info(&mut client, "stats", "evicted_keys") == 1);
    for _ in 0..100 {
        client.must(&["PING"]).unwrap();
    }
    assert_eq!(info(&mut client, "stats", "evicted_keys"), 1);
    assert_eq!(client.must(&["DBSIZE"]).unwrap(), Value::Int(9));
}

#[test]
fn the_largest_clients_go_first_and_exempt_ones_stay() {
    let server = start(TWO_WORKERS);
    let mut client = connect(&server);
    client.must(&["CLIENT", "NO-EVICT", "ON"]).unwrap();
    let mut clients: Vec<Client> = Vec::new();
    for size in [140_000, 2_000_000, 1_000_000] {
        let mut filling = connect(&server);
        filling.must(&["CLIENT", "SETNAME", &format!("c{size}")]).unwrap();
        let part = format!("*2\r\n$3\r\nGET\r\n${size}\r\n{}", "x".repeat(size - 1));
        filling.send_raw(part.as_bytes()).unwrap();
        clients.push(filling);
    }
    let listed = |client: &mut Client, name: &str| {
        let Value::Bulk(list) = client.must(&["CLIENT", "LIST"]).unwrap() else {
            panic!("no list")
        };
        String::from_utf8(list).unwrap().contains(&format!(" name={name} "))
    };
    let all = |client: &mut Client| info(client, "memory", "mem_clients_normal") > 3_100_000;
    eventually("eviction", || all(&mut client));
    assert_eq!(info(&mut client, "stats", "evicted_clients"), 0);
    set(&mut client, "maxmemory-clients", "1500000");
    eventually("eviction", || !listed(&mut client, "c2000000"));
    assert!(listed(&mut client, "c1000000") && listed(&mut client, "c140000"));
    assert_eq!(info(&mut client, "stats", "evicted_clients"), 1);
    set(&mut client, "maxmemory-clients", "1");
    eventually("eviction", || info(&mut client, "stats", "evicted_clients") == 3);
    client.must(&["PING"]).unwrap();
}

#[test]
fn the_command_of_a_moment_evicts_nobody() {
    let server = start(TWO_WORKERS);
    let mut client = connect(&server);
    client.must(&["CLIENT", "NO-EVICT", "ON"]).unwrap();
    let mut others = [(); 3].map(|()| connect(&server));
    let part = format!("*2\r\n$3\r\nGET\r\n$200000\r\n{}", "x".repeat(199_999));
    others.iter_mut().for_each(|other| other.send_raw(part.as_bytes()).unwrap());
    let total = |client: &mut Client, field: &str| -> usize {
        let Value::Bulk(list) = client.must(&["CLIENT", "LIST"]).unwrap() else {
            panic!("no list")
        };
        let list = String::from_utf8(list).unwrap();
        let fields = list.split_whitespace().filter_map(|word| word.strip_prefix(field));
        fields.map(|number| number.parse::<usize>().unwrap()).sum()
    };
    eventually("input", || total(&mut client, "qbuf=") >= 3 * 199_999);
    // The list itself takes room that is kept for the next one.
    let limit = total(&mut client, "tot-mem=") + 5000;
    set(&mut client, "maxmemory-clients", &limit.to_string());
    for _ in 0..5 {
        client.must(&["EXISTS", &"k".repeat(10_000)]).unwrap();
        assert!(total(&mut client, "tot-mem=") <= limit);
    }
    assert_eq!(info(&mut client, "stats", "evicted_clients"), 0);
}

/// The same refusals as on a real server with its memory used up.
#[test]
fn refusals_without_memory_are_those_of_a_real_server() {
    let commands = [
        "GET|a",
        "SET|a|b",
        "MULTI",
        "GET|a",
        "SET|a|b",
        "EXEC",
        "MULTI",
        "DEL|a",
        "EXEC",
        "DEL|a",
        "EVAL|return redis.call('set','a','b')|0",
        "EVAL|return redis.call('get','a')|0",
        "EVAL|redis.call('del','a') return redis.call('set','a','b')|0",
        "EVAL|#!lua\nreturn 1|0",
        "EVAL|#!lua flags=allow-oom\nreturn redis.call('set','a','c')|0",
        "EVAL|#!lua flags=no-writes\nreturn redis.call('get','a')|0",
        "OBJECT|FREQ|a",
        "CONFIG|SET|maxmemory-policy|volatile-lru",
        "LPUSH|l|1",
        "LPOP|l",
        "EXPIRE|a|100",
        "SET|a|b",
    ];
    let run = |server: &Server| {
        let mut client = connect(server);
        client.must(&["SET", "a", "1"]).unwrap();
        set(&mut client, "maxmemory", "1");
        let words = |line: &str| line.split('|').map(str::to_owned).collect::<Vec<_>>();
        commands.map(|line| (line, client.cmd(&words(line)).unwrap().pretty()))
    };
    if !Peer::Valkey.available_or_skip() {
        return;
    }
    let oracle = Server::start::<&str>(Peer::Valkey, &[]).unwrap();
    let (ours, theirs) = (run(&start(TWO_WORKERS)), run(&oracle));
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert_eq!(ours, theirs);
    }
}

#[test]
fn the_system_gets_back_what_is_no_longer_used() {
    let server = start(TWO_WORKERS);
    let mut client = connect(&server);
    let value = "v".repeat(400);
    let before = info(&mut client, "memory", "used_memory_rss");
    for batch in 0..100 {
        let sets: Vec<Vec<String>> = (0..1000)
            .map(|key| vec!["SET".to_owned(), format!("k{batch}-{key}"), value.clone()])
            .collect();
        client.pipeline(&sets).unwrap();
    }
    let loaded = info(&mut client, "memory", "used_memory_rss");
    let used = info(&mut client, "memory", "used_memory");
    assert!(loaded - before > 40 << 20, "{before} {loaded}");
    let held = info(&mut client, "memory", "allocator_resident");
    assert!(held > used - (1 << 20) && held < loaded, "{used} in use, {held}, {loaded} resident");
    let overhead = info(&mut client, "memory", "rss_overhead_bytes");
    assert!(overhead > 0 && overhead < loaded, "{overhead} beside the allocator");
    client.must(&["FLUSHALL"]).unwrap();
    eventually("memory goes back", || {
        let now = info(&mut client, "memory", "used_memory_rss");
        now - before < (loaded - before) / 4
    });
}
