//! Users over the life of a server: their files, their connections, and what is told of passwords.

use std::fs;
use std::process::Command;

use redix_testkit::server::TempDir;
use redix_testkit::{Client, Launch, Server};

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
    assert_eq!(ask(&mut admin, "PUBLISH a x"), "(integer) 0");
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
