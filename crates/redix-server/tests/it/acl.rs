//! Users over the life of a server: their files, their connections, and what is told of passwords.

use std::fs;
use std::process::Command;

use redix_testkit::server::TempDir;
use redix_testkit::{Client, Launch, Peer, Server};

use crate::{connect, eventually, program, start};

fn ask(client: &mut Client, line: &str) -> String {
    client.cmd(&line.split(' ').collect::<Vec<_>>()).unwrap().pretty()
}

fn login(server: &Server, user: &str, password: &str) -> Client {
    let mut client = connect(server);
    assert_eq!(ask(&mut client, &format!("AUTH {user} {password}")), "+OK");
    client
}

#[test]
fn an_acl_file_is_read_and_written() {
    let dir = TempDir::new("acl-file").unwrap();
    let file = dir.path().join("users.acl");
    fs::write(&file, "user bob on >pw ~a* +get +acl|load\n\nuser temp on nopass +@all\n").unwrap();
    let path = file.to_str().unwrap();
    let mut server = start(&["--aclfile", path]);
    let mut admin = connect(&server);
    assert_eq!(ask(&mut admin, "ACL USERS"), "1) \"bob\"\n2) \"default\"\n3) \"temp\"");
    let mut bob = login(&server, "bob", "pw");
    assert_eq!(ask(&mut bob, "GET abc"), "(null)");
    assert_eq!(ask(&mut bob, "GET b"), "-NOPERM No permissions to access a key");

    assert_eq!(ask(&mut admin, "ACL SETUSER new on >x (~y +set)"), "+OK");
    assert_eq!(ask(&mut admin, "ACL SAVE"), "+OK");
    let text = fs::read_to_string(&file).unwrap();
    assert_eq!(text.lines().count(), 4, "{text}");
    assert!(text.ends_with("user temp on nopass resetchannels +@all\n"), "{text}");
    assert!(!text.contains("pw") && !text.contains(">x"), "{text}");
    let left: Vec<_> = fs::read_dir(dir.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "no temporary file stays");

    // Who is not in the file loses the connection, others do not notice.
    let mut temp = login(&server, "temp", "any");
    fs::write(&file, text.replace("user temp", "user other")).unwrap();
    assert_eq!(ask(&mut admin, "ACL LOAD"), "+OK");
    assert!(temp.cmd(&["PING"]).is_err());
    assert_eq!(ask(&mut bob, "GET abc"), "(null)");

    // A wrong file changes nothing.
    fs::write(&file, "user bob on +nosuch\nuser\n").unwrap();
    let error = ask(&mut admin, "ACL LOAD");
    assert!(error.starts_with(&format!("-ERR {path}:1: Error in applying operation")), "{error}");
    assert!(error.contains(&format!("{path}:2 should start with user keyword")), "{error}");
    assert_eq!(ask(&mut bob, "GET abc"), "(null)");
    assert_eq!(ask(&mut admin, "ACL SAVE"), "+OK");
    drop(bob);
    server.restart().unwrap();
    let mut new = login(&server, "new", "x");
    assert_eq!(ask(&mut new, "SET y 1"), "+OK");
    assert_eq!(ask(&mut new, "SET z 1"), "-NOPERM No permissions to access a key");
}

#[test]
fn a_server_does_not_start_with_wrong_users() {
    let dir = TempDir::new("acl-wrong").unwrap();
    let file = dir.path().join("users.acl");
    fs::write(&file, "user bob >secret +nosuch\n").unwrap();
    let path = file.to_str().unwrap();
    let socket = dir.path().join("socket");
    for (args, reason) in [
        (vec!["--aclfile", path], "users.acl:1: Error in applying operation '+nosuch'"),
        (vec!["--aclfile", "/nonexistent"], "opening file '/nonexistent': No such file"),
        (vec!["--user", "bob", ">secret", "+nosuch"], "Error in user declaration 'bob': Unknown"),
        (vec!["--user", "a", "on", "--aclfile", path], "'aclfile'"),
    ] {
        let output = Command::new(program())
            .args(["--port", "0", "--unixsocket", socket.to_str().unwrap()])
            .args(&args)
            .output()
            .unwrap();
        assert!(!output.status.success(), "{args:?}");
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        assert!(said.contains(reason), "{args:?}: {said}");
        assert!(!said.contains("secret"), "{args:?}: {said}");
    }
}

#[test]
fn users_of_the_configuration_are_rewritten() {
    let dir = TempDir::new("acl-conf").unwrap();
    let file = dir.path().join("redix.conf");
    let lines = "requirepass foo\nuser bob on >pw ~a +@all (~b +get)\nuser al on nopass +@all\n";
    fs::write(&file, lines).unwrap();
    let mut server = Launch::redix(program()).config(&file).start().unwrap();
    let mut admin = connect(&server);
    assert_eq!(ask(&mut admin, "PING"), "-NOAUTH Authentication required.");
    assert_eq!(ask(&mut admin, "AUTH foo"), "+OK");
    assert_eq!(ask(&mut admin, "ACL DELUSER al"), "(integer) 1");
    assert_eq!(ask(&mut admin, "ACL SETUSER new on >n ~\"q +get"), "+OK");
    assert_eq!(ask(&mut admin, "ACL SETUSER default >second"), "+OK");
    let before = ask(&mut admin, "ACL LIST");
    assert_eq!(ask(&mut admin, "CONFIG REWRITE"), "+OK");
    server.restart().unwrap();
    let mut admin = connect(&server);
    assert_eq!(ask(&mut admin, "AUTH second"), "+OK");
    assert_eq!(ask(&mut admin, "ACL LIST"), before);
}

#[test]
fn connections_end_with_their_rights() {
    let server = start(&["--worker-threads", "2"]);
    let mut admin = connect(&server);
    assert_eq!(ask(&mut admin, "ACL SETUSER u on nopass +@all ~* &a &p*"), "+OK");
    let mut listeners: Vec<Client> = (0..4).map(|_| login(&server, "u", "x")).collect();
    for (client, line) in
        listeners.iter_mut().zip(["SUBSCRIBE a", "SSUBSCRIBE a", "PSUBSCRIBE p*", "SUBSCRIBE p1"])
    {
        client.cmd(&line.split(' ').collect::<Vec<_>>()).unwrap();
    }
    // Those whose channels stay allowed stay.
    assert_eq!(ask(&mut admin, "ACL SETUSER u resetchannels &p* &b"), "+OK");
    let list = ask(&mut admin, "CLIENT LIST USER u");
    assert_eq!(list.matches("user=u").count(), 2, "{list}");
    // A closed subscriber is counted until its worker has let it go.
    eventually("nobody is left", || ask(&mut admin, "PUBLISH a x") == "(integer) 0");
    assert_eq!(ask(&mut admin, "PUBLISH p1 x"), "(integer) 2");

    let mut other = login(&server, "u", "x");
    assert_eq!(ask(&mut admin, "ACL DELUSER u"), "(integer) 1");
    assert!(other.cmd(&["PING"]).is_err());
    eventually("all are closed", || ask(&mut admin, "CLIENT LIST").matches("user=").count() == 1);
}

#[test]
fn a_change_applies_to_the_next_command_of_every_worker() {
    let server = start(&["--worker-threads", "2"]);
    let mut admin = connect(&server);
    assert_eq!(ask(&mut admin, "ACL SETUSER u on nopass +@all ~*"), "+OK");
    let mut users: Vec<Client> = (0..6).map(|_| login(&server, "u", "x")).collect();
    for round in 0..50 {
        let allow = round % 2 == 0;
        let rule = if allow { "+get" } else { "-get" };
        assert_eq!(ask(&mut admin, &format!("ACL SETUSER u {rule}")), "+OK");
        for user in &mut users {
            let reply = ask(user, "GET k");
            assert_eq!(reply == "(null)", allow, "round {round}: {reply}");
        }
    }
}

#[test]
fn passwords_are_not_shown() {
    let server = start(&["--slowlog-log-slower-than", "0", "--loglevel", "debug"]);
    let mut monitor = connect(&server);
    assert_eq!(ask(&mut monitor, "MONITOR"), "+OK");
    let mut admin = connect(&server);
    ask(&mut admin, "ACL SETUSER u on >secret1 +@all");
    ask(&mut admin, "AUTH u secret1");
    ask(&mut admin, "HELLO 2 AUTH u secret1");
    ask(&mut admin, "ACL SETUSER u <secret1 >secret2");
    ask(&mut admin, "AUTH u secret1");
    ask(&mut admin, "ACL SETUSER u >secret3 nonsense");
    let slow = ask(&mut admin, "SLOWLOG GET 100");
    assert!(slow.contains("(redacted)") && !slow.contains("secret"), "{slow}");
    let log = ask(&mut admin, "ACL LOG");
    assert!(log.contains("\"auth\"") && !log.contains("secret"), "{log}");
    assert_eq!(ask(&mut admin, "ECHO end"), "\"end\"");
    loop {
        let line = monitor.reply().unwrap().pretty();
        assert!(!line.contains("secret"), "{line}");
        if line.contains("ECHO") {
            break;
        }
    }
    assert!(!server.log().contains("secret"));
}

/// A server that follows another one, once it is in sync.
fn follower(primary: &Server, launch: Launch, args: &[&str]) -> Server {
    let of = format!("{}", primary.port());
    let args = [&["--replicaof", "127.0.0.1", &of][..], args].concat();
    let server = launch.args(&args).start().unwrap();
    in_sync(&server);
    server
}

fn in_sync(server: &Server) {
    let mut client = connect(server);
    eventually("it is in sync", || {
        ask(&mut client, "INFO replication").contains("master_link_status:up")
    });
}

/// The users of a server, but for how a server prints what it has in common with others.
fn users(client: &mut Client) -> Vec<String> {
    let list = ask(client, "ACL LIST").replace("sanitize-payload ", "");
    list.lines().map(|line| line.split_once(") ").unwrap().1.to_owned()).collect()
}

const SHARES: &[&str] = &["--acl-replicate", "yes", "--repl-diskless-sync-delay", "0"];

#[test]
fn users_reach_replicas_where_both_want_that() {
    for diskless in ["yes", "no"] {
        let args = [SHARES, &["--repl-diskless-sync", diskless]].concat();
        let primary = start(&args);
        let mut admin = connect(&primary);
        ask(&mut admin, "ACL SETUSER before on >pw ~a:* (~b:* +get) &c +@read +subscribe -keys");
        let redix = || Launch::redix(program());
        let args = [SHARES, &["--repl-diskless-load", "swapdb", "--appendonly", "yes"]].concat();
        let replica = follower(&primary, redix(), &args);
        let chained = follower(&replica, redix(), SHARES);
        let aloof = follower(&primary, redix(), &[]);
        let mut others = [connect(&replica), connect(&chained)];
        for other in &mut others {
            assert_eq!(users(other), users(&mut admin), "came with the data set");
        }
        let mut listening = login(&replica, "before", "pw");
        let subscribed = ask(&mut listening, "SUBSCRIBE c");
        assert!(subscribed.contains("subscribe"), "{subscribed}");
        ask(&mut admin, "ACL SETUSER before resetchannels");
        ask(&mut admin, "ACL SETUSER later on >secret +@all ~* &*");
        ask(&mut admin, "ACL SETUSER gone on nopass");
        ask(&mut admin, "CONFIG SET requirepass needed");
        ask(&mut admin, "MULTI");
        ask(&mut admin, "ACL DELUSER gone");
        ask(&mut admin, "SET key value");
        ask(&mut admin, "EXEC");
        let mut later = login(&primary, "later", "secret");
        let all = users(&mut admin);
        assert_eq!(all.len(), 3);
        for server in [&replica, &chained] {
            eventually("the users are equal", || {
                let mut client = connect(server);
                let let_in = ask(&mut client, "AUTH needed") == "+OK";
                let_in && users(&mut client) == all && ask(&mut client, "GET key") == "\"value\""
            });
        }
        assert!(listening.cmd(&["PING"]).is_err(), "who lost a channel is closed");
        let mut aloof = connect(&aloof);
        eventually("it has the data", || ask(&mut aloof, "GET key") == "\"value\"");
        assert_eq!(users(&mut aloof).len(), 1);
        assert_eq!(ask(&mut later, "WAIT 1 10000"), "(integer) 2");
        let incr = fs::read_dir(replica.dir().join("appendonlydir")).unwrap();
        for file in incr.map(|entry| entry.unwrap().path()) {
            let bytes = fs::read(&file).unwrap();
            let users = bytes.windows(11).filter(|bytes| bytes == b"redix-users");
            let digest = bytes.windows(12).filter(|bytes| bytes.starts_with(b"SETUSER\r\n"));
            assert_eq!((users.count(), digest.count()), (0, 0), "{}", file.display());
        }
    }
}

#[test]
fn a_restarted_replica_does_not_go_back_to_old_users() {
    let primary = start(SHARES);
    let mut admin = connect(&primary);
    ask(&mut admin, "ACL SETUSER revoked on >pw +@all ~*");
    for appendonly in ["no", "yes"] {
        let args = [SHARES, &["--appendonly", appendonly]].concat();
        let mut replica = follower(&primary, Launch::redix(program()), &args);
        assert_eq!(users(&mut connect(&replica)).len(), 2);
        // Until then it does not stop.
        eventually("its first append-only file is written", || {
            let info = ask(&mut connect(&replica), "INFO persistence");
            info.contains("aof_rewrite_in_progress:0") && info.contains("aof_rewrite_scheduled:0")
        });
        replica.stop().unwrap();
        ask(&mut admin, "ACL DELUSER revoked");
        ask(&mut admin, "SET k v");
        replica.restart().unwrap();
        in_sync(&replica);
        assert_eq!(users(&mut connect(&replica)), users(&mut admin));
        ask(&mut admin, "ACL SETUSER revoked on >pw +@all ~*");
        eventually("it follows", || users(&mut connect(&replica)) == users(&mut admin));
    }
}

#[test]
fn a_valkey_replica_gets_changes_of_users() {
    if !Peer::Valkey.available_or_skip() {
        return;
    }
    let primary = start(SHARES);
    let mut admin = connect(&primary);
    let replica = follower(&primary, Launch::new(Peer::Valkey).unwrap(), &[]);
    ask(&mut admin, "ACL SETUSER eve on >pw ~a:* (~b:* +get) +@read -keys");
    ask(&mut admin, "ACL SETUSER gone on nopass");
    ask(&mut admin, "ACL DELUSER gone");
    let mut client = connect(&replica);
    eventually("it has the user", || users(&mut client) == users(&mut admin));
    assert_eq!(ask(&mut login(&replica, "eve", "pw"), "GET b:1"), "(null)");
    in_sync(&replica);
}
