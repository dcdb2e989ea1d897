//! Subscribers on several threads: delivery, order, and subscribers that do not read.

use std::thread;
use std::time::Duration;

use redix_resp::Value;
use redix_testkit::{Client, Server};

use crate::{connect, eventually, start};

fn two_workers(args: &[&str]) -> Server {
    start(&[&["--worker-threads", "2"], args].concat())
}

fn subscriber(server: &Server, channel: &str) -> Client {
    let mut client = connect(server);
    client.must(&["SUBSCRIBE", channel]).unwrap();
    client
}

fn publish(client: &mut Client, channel: &str, text: &str) -> i64 {
    let Value::Int(count) = client.must(&["PUBLISH", channel, text]).unwrap() else {
        panic!("PUBLISH answers a number")
    };
    count
}

/// The text of the next message.
fn text(client: &mut Client) -> String {
    let (Value::Array(parts) | Value::Push(parts)) = client.receive().unwrap() else {
        panic!("a message is an array")
    };
    let Some(Value::Bulk(text)) = parts.last() else { panic!("{parts:?}") };
    String::from_utf8(text.clone()).unwrap()
}

fn info(client: &mut Client, name: &str) -> String {
    let text = client.cmd(&["INFO", "everything"]).unwrap().pretty();
    let line = text.split("\\r\\n").find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("INFO has no {name}")).to_owned()
}

#[test]
fn a_thousand_subscribers_of_two_threads_get_a_message_each() {
    let server = two_workers(&[]);
    let mut subscribers: Vec<Client> = (0..1000).map(|_| subscriber(&server, "news")).collect();
    let mut publisher = connect(&server);
    assert_eq!(publish(&mut publisher, "news", "one"), 1000);
    assert_eq!(publish(&mut publisher, "other", "none"), 0);
    assert_eq!(publish(&mut publisher, "news", "two"), 1000);
    for client in &mut subscribers {
        assert_eq!((text(client), text(client)), ("one".into(), "two".into()));
    }
    assert_eq!(info(&mut publisher, "pubsub_clients"), "1000");
    // Half of them disconnect: nobody waits for them.
    subscribers.truncate(500);
    eventually("they are gone", || publish(&mut publisher, "news", "three") == 500);
    drop(subscribers);
    eventually("all are gone", || info(&mut publisher, "pubsub_channels") == "0");
}

/// Publishers on both threads, one of which subscribes too: all receive the same order, and each
/// publisher's messages in the order in which it sent them.
#[test]
fn all_subscribers_of_a_channel_hear_one_order() {
    const MESSAGES: usize = 500;
    let server = two_workers(&[]);
    let mut subscribers: Vec<Client> = (0..4).map(|_| subscriber(&server, "news")).collect();
    let mut patterns = connect(&server);
    patterns.must(&["PSUBSCRIBE", "n*"]).unwrap();
    subscribers.push(patterns);
    let publishers: Vec<_> = (0..4)
        .map(|publisher| {
            let mut client = connect(&server);
            if publisher == 0 {
                client.hello(3).unwrap();
                client.send(&["SUBSCRIBE", "news"]).unwrap();
                client.receive().unwrap();
            }
            thread::spawn(move || {
                let commands: Vec<Vec<String>> = (0..MESSAGES)
                    .map(|number| {
                        vec!["PUBLISH".into(), "news".into(), format!("{publisher} {number}")]
                    })
                    .collect();
                for commands in commands.chunks(50) {
                    client.pipeline(commands).unwrap();
                }
                client
            })
        })
        .collect();
    let mut publishers: Vec<Client> =
        publishers.into_iter().map(|publisher| publisher.join().unwrap()).collect();
    subscribers.push(publishers.swap_remove(0));
    // The last subscribers may have missed some.
    let heard: Vec<Vec<String>> = subscribers[..5]
        .iter_mut()
        .map(|client| (0..4 * MESSAGES).map(|_| text(client)).collect())
        .collect();
    assert!(heard.iter().all(|other| *other == heard[0]));
    for publisher in 0..4 {
        let start = format!("{publisher} ");
        let numbers = heard[0].iter().filter_map(|text| text.strip_prefix(&start));
        let numbers: Vec<usize> = numbers.map(|number| number.parse().unwrap()).collect();
        assert_eq!(numbers, (0..MESSAGES).collect::<Vec<_>>());
    }
    let itself: Vec<String> = std::iter::from_fn(|| {
        let text = text(&mut subscribers[5]);
        Some(text.clone()).filter(|text| text != heard[0].last().unwrap())
    })
    .collect();
    assert_eq!(itself, heard[0][heard[0].len() - 1 - itself.len()..heard[0].len() - 1]);
    assert!(itself.len() >= MESSAGES - 1);
}

/// A message to oneself follows the reply to PUBLISH and precedes later replies.
#[test]
fn what_a_client_publishes_to_itself_follows_the_reply() {
    let server = two_workers(&[]);
    let mut client = connect(&server);
    client.hello(3).unwrap();
    client.send(&["SUBSCRIBE", "me"]).unwrap();
    client.receive().unwrap();
    client
        .send_raw(
            b"PUBLISH me 1\r\nPING\r\nMULTI\r\nPUBLISH me 2\r\nPUBLISH me 3\r\nEXEC\r\nPING\r\n\
              UNSUBSCRIBE me\r\nPING\r\n",
        )
        .unwrap();
    let push = |text: &str| format!(">3\r\n$7\r\nmessage\r\n$2\r\nme\r\n$1\r\n{text}\r\n");
    let end = ">3\r\n$11\r\nunsubscribe\r\n$2\r\nme\r\n:0\r\n+PONG\r\n";
    let expected = format!(
        ":1\r\n{}+PONG\r\n+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:1\r\n:1\r\n{}{}+PONG\r\n{end}",
        push("1"),
        push("2"),
        push("3")
    );
    let received = client.recv_raw(expected.len()).unwrap();
    assert_eq!(String::from_utf8_lossy(&received), expected);
}

#[test]
fn killed_and_reset_subscribers_hear_nothing_more() {
    let server = two_workers(&[]);
    let mut subscribers: Vec<Client> = (0..8).map(|_| subscriber(&server, "news")).collect();
    let mut control = connect(&server);
    assert_eq!(subscribers[0].cmd(&["RESET"]).unwrap().pretty(), "+RESET");
    assert_eq!(publish(&mut control, "news", "one"), 7);
    assert_eq!(subscribers[0].cmd(&["PING"]).unwrap().pretty(), "+PONG");
    let killed = control.must(&["CLIENT", "KILL", "TYPE", "pubsub"]).unwrap();
    assert_eq!(killed, Value::Int(7));
    for client in &mut subscribers[1..] {
        // It may or may not have been sent before the end.
        while client.receive().is_ok() {}
    }
    eventually("they are gone", || publish(&mut control, "news", "two") == 0);
    assert_eq!(subscribers[0].cmd(&["PING"]).unwrap().pretty(), "+PONG");
}

/// Publishes until the subscribers that do not read are closed, and no further. They count until
/// their worker has closed them, however many messages are dropped meanwhile.
fn flood(server: &Server, publisher: &mut Client) {
    let message = "x".repeat(100_000);
    eventually("they are closed", || publish(publisher, "news", &message) == 0);
    assert!(server.log().contains("closed for overcoming of output buffer limits"));
}

#[test]
fn the_hard_limit_closes_subscribers_who_do_not_read() {
    let limit = "pubsub 1000000 0 0";
    let server = two_workers(&["--client-output-buffer-limit", "pubsub", "1000000", "0", "0"]);
    let mut publisher = connect(&server);
    let shown = publisher.cmd(&["CONFIG", "GET", "client-output-buffer-limit"]).unwrap().pretty();
    assert!(shown.contains(limit), "{shown}");
    let _silent = [subscriber(&server, "news"), subscriber(&server, "news")];
    // It has another client class.
    let mut reader = connect(&server);
    flood(&server, &mut publisher);
    assert_eq!(info(&mut publisher, "client_output_buffer_limit_disconnections"), "2");
    assert_eq!(reader.cmd(&["PING"]).unwrap().pretty(), "+PONG");
}

/// All in one turn: undelivered messages are bounded too.
#[test]
fn a_pipeline_of_messages_is_bounded_on_its_way() {
    let server = two_workers(&["--client-output-buffer-limit", "pubsub", "1000000", "0", "0"]);
    let mut publisher = connect(&server);
    let _silent = [subscriber(&server, "news"), subscriber(&server, "news")];
    let message = "x".repeat(100_000);
    let commands: Vec<Vec<&str>> = vec![vec!["PUBLISH", "news", &message]; 200];
    publisher.pipeline(&commands).unwrap();
    eventually("they are closed", || publish(&mut publisher, "news", "x") == 0);
    assert_eq!(info(&mut publisher, "client_output_buffer_limit_disconnections"), "2");
}

/// The output of a subscriber that does not read grows without its socket becoming writable.
#[test]
fn client_list_tells_what_a_subscriber_is_owed() {
    const MESSAGE: usize = 1_000_000;
    // More than the sockets hold.
    const IN_SOCKETS: usize = 20 * MESSAGE;
    // On one thread messages are delivered before the publisher's next command.
    let unlimited = ["--client-output-buffer-limit", "pubsub", "0", "0", "0"];
    let server = start(&[&["--worker-threads", "1"], &unlimited[..]].concat());
    let mut publisher = connect(&server);
    let _silent = subscriber(&server, "news");
    let message = "x".repeat(MESSAGE);
    for published in (1..60).map(|count| count * MESSAGE) {
        assert_eq!(publish(&mut publisher, "news", &message), 1);
        let list = publisher.must(&["CLIENT", "LIST", "TYPE", "pubsub"]).unwrap();
        let Value::Bulk(line) = list else { panic!("{list:?}") };
        let line = String::from_utf8(line).unwrap();
        let omem = line.split(' ').find_map(|field| field.strip_prefix("omem=")).unwrap();
        assert!(omem.parse::<usize>().unwrap() + IN_SOCKETS >= published, "{published}: {line}");
    }
}

#[test]
fn the_soft_limit_closes_subscribers_in_time() {
    let server = two_workers(&["--client-output-buffer-limit", "pubsub", "0", "500000", "1"]);
    let mut publisher = connect(&server);
    let mut silent = subscriber(&server, "news");
    let message = "x".repeat(1_000_000);
    // More than the sockets hold.
    (0..30).for_each(|_| assert_eq!(publish(&mut publisher, "news", &message), 1));
    eventually("it is closed", || publish(&mut publisher, "news", "x") == 0);
    assert!(server.log().contains("closed for overcoming of output buffer limits"));
    silent.set_timeout(Duration::from_secs(5));
    while silent.receive().is_ok() {}
}

#[test]
fn subscribers_are_not_idle() {
    let server = start(&["--timeout", "1"]);
    let (mut listening, mut idle) = (subscriber(&server, "news"), connect(&server));
    assert!(idle.is_closed_by_peer().unwrap());
    assert_eq!(publish(&mut connect(&server), "news", "one"), 1);
    assert_eq!(text(&mut listening), "one");
}
