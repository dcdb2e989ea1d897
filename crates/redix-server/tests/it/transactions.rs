//! Transactions of several connections on several workers.

use redix_resp::Value;
use redix_testkit::{Client, Launch, Rng, Server};

const ACCOUNTS: usize = 8;
const CLIENTS: u64 = 4;
const TRANSFERS: usize = 300;
const START: i64 = 1000;

fn start() -> Server {
    let launch = Launch::redix(env!("CARGO_BIN_EXE_redix"));
    launch.args(&["--worker-threads", "3"]).start().unwrap()
}

fn balance(value: &Value) -> i64 {
    let Value::Bulk(text) = value else { panic!("no balance: {}", value.pretty()) };
    std::str::from_utf8(text).unwrap().parse().unwrap()
}

/// Transfers an amount, read under WATCH, between two accounts; false if another client was faster.
fn transfer(client: &mut Client, from: &str, to: &str, amount: i64) -> bool {
    client.must(&["WATCH", from, to]).unwrap();
    let left = balance(&client.must(&["GET", from]).unwrap()) - amount;
    let more = balance(&client.must(&["GET", to]).unwrap()) + amount;
    client.must(&["MULTI"]).unwrap();
    client.must(&["SET", from, &left.to_string()]).unwrap();
    client.must(&["SET", to, &more.to_string()]).unwrap();
    client.must(&["EXEC"]).unwrap() != Value::NullArray
}

#[test]
fn watched_transfers_neither_make_nor_lose_money() {
    let server = start();
    let names: Vec<String> = (0..ACCOUNTS).map(|index| format!("account:{index}")).collect();
    let mut client = Client::connect(server.addr()).unwrap();
    for name in &names {
        client.must(&["SET", name, &START.to_string()]).unwrap();
    }
    let done: usize = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..CLIENTS)
            .map(|seed| {
                let (names, addr) = (&names, server.addr());
                scope.spawn(move || {
                    let (mut rng, mut done) = (Rng::new(seed), 0);
                    let mut client = Client::connect(addr).unwrap();
                    for _ in 0..TRANSFERS {
                        let from = rng.below(ACCOUNTS);
                        let to = (from + 1 + rng.below(ACCOUNTS - 1)) % ACCOUNTS;
                        let amount = rng.between(1, 50);
                        done +=
                            usize::from(transfer(&mut client, &names[from], &names[to], amount));
                    }
                    done
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let words: Vec<&str> =
        std::iter::once("MGET").chain(names.iter().map(String::as_str)).collect();
    let Value::Array(balances) = client.must(&words).unwrap() else { panic!("no array") };
    assert_eq!(balances.iter().map(balance).sum::<i64>(), START * ACCOUNTS as i64);
    let tried = CLIENTS as usize * TRANSFERS;
    assert!(done > 0 && done <= tried, "{done} of {tried} went through");
}

#[test]
fn a_transaction_is_seen_whole() {
    let server = start();
    let mut writer = Client::connect(server.addr()).unwrap();
    let mut reader = Client::connect(server.addr()).unwrap();
    writer.must(&["MSET", "left", "0", "middle", "0", "right", "0"]).unwrap();
    std::thread::scope(|scope| {
        let writing = scope.spawn(move || {
            for round in 1..=500 {
                let round = round.to_string();
                let set = |key: &str| vec!["SET".to_owned(), key.to_owned(), round.clone()];
                let word = |word: &str| vec![word.to_owned()];
                let batch = [word("MULTI"), set("left"), set("middle"), set("right"), word("EXEC")];
                writer.pipeline(&batch).unwrap();
            }
        });
        while !writing.is_finished() {
            let reply = reader.must(&["MGET", "right", "left", "middle"]).unwrap();
            let Value::Array(values) = reply else { panic!("no array") };
            assert!(values.windows(2).all(|pair| pair[0] == pair[1]), "{values:?}");
        }
        writing.join().unwrap();
    });
}

#[test]
fn a_queue_without_end_closes_the_client() {
    let launch = Launch::redix(env!("CARGO_BIN_EXE_redix"));
    let server = launch.args(&["--client-query-buffer-limit", "1mb"]).start().unwrap();
    let mut client = Client::connect(server.addr()).unwrap();
    client.must(&["MULTI"]).unwrap();
    let value = "x".repeat(200_000);
    let refused = (0..10).find(|_| client.cmd(&["SET", "k", &value]).is_err());
    // Five values fit; the limit is noticed at the next read after they are queued.
    assert!(refused.is_some_and(|round| round >= 5), "{refused:?}");
    let mut other = Client::connect(server.addr()).unwrap();
    assert_eq!(other.cmd(&["GET", "k"]).unwrap(), Value::Null);
}
