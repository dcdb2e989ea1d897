//! Startup, listening and shutdown.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

use redix_resp::Value;
use redix_testkit::server::TempDir;
use redix_testkit::{Client, Launch};

use crate::{connect, eventually, program, signal, start};

fn run(dir: &Path, args: &[&str]) -> Output {
    Command::new(program()).args(args).current_dir(dir).stdin(Stdio::null()).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A server that the test tools cannot start, because it listens on a Unix socket only. Killed on
/// drop.
struct Unreachable {
    child: Child,
    dir: TempDir,
}

impl Unreachable {
    fn start(args: &[&str]) -> Self {
        let options = ["--port", "0", "--save", "", "--unixsocket", "redix.sock"];
        Self::run(TempDir::new("redix").unwrap(), &[&options, args].concat())
    }

    fn start_from(config: &str) -> Self {
        let dir = TempDir::new("redix").unwrap();
        let listen = "port 0\nsave \"\"\nunixsocket redix.sock\n";
        fs::write(dir.path().join("redix.conf"), format!("{listen}{config}")).unwrap();
        Self::run(dir, &["redix.conf"])
    }

    fn run(dir: TempDir, args: &[&str]) -> Self {
        let log = fs::File::create(dir.path().join("server.log")).unwrap();
        let mut command = Command::new(program());
        command.args(args);
        command.current_dir(dir.path()).stdin(Stdio::null()).stdout(log);
        Self { child: command.spawn().unwrap(), dir }
    }

    fn connect(&self) -> UnixStream {
        let mut stream = None;
        eventually("the socket is there", || {
            stream = UnixStream::connect(self.dir.path().join("redix.sock")).ok();
            stream.is_some()
        });
        stream.unwrap()
    }
}

impl Drop for Unreachable {
    fn drop(&mut self) {
        // Ignored: it may have ended already.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn ping(stream: &mut (impl Read + Write)) {
    stream.write_all(b"PING\r\n").unwrap();
    let mut reply = [0; 7];
    stream.read_exact(&mut reply).unwrap();
    assert_eq!(&reply, b"+PONG\r\n");
}

#[test]
fn version_and_help_are_printed() {
    let dir = TempDir::new("redix").unwrap();
    for flag in ["--version", "-v"] {
        let output = run(dir.path(), &[flag]);
        assert!(output.status.success());
        assert!(stdout(&output).starts_with("Redix server v="), "{output:?}");
    }
    let output = run(dir.path(), &["--help"]);
    assert!(output.status.success());
    assert!(stdout(&output).starts_with("Usage: redix"), "{output:?}");
}

#[test]
fn a_bad_line_stops_the_start_with_its_place() {
    let dir = TempDir::new("redix").unwrap();
    fs::write(dir.path().join("a.conf"), "port 0\ninclude b.conf\n").unwrap();
    fs::write(dir.path().join("b.conf"), "# fine\n\nhz ten\n").unwrap();
    let output = run(dir.path(), &["a.conf"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stderr(&output);
    assert!(text.contains("FATAL CONFIG FILE ERROR"), "{text}");
    assert!(text.contains("at line 3 of b.conf"), "{text}");
    assert!(text.contains(">>> 'hz ten'"), "{text}");
}

#[test]
fn impossible_places_stop_the_start() {
    let dir = TempDir::new("redix").unwrap();
    let output = run(dir.path(), &["--dir", "/nonexistent/place"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("No such file or directory"), "{output:?}");
    let output = run(dir.path(), &["missing.conf"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stderr(&output).contains("can't open config file 'missing.conf'"), "{output:?}");
}

#[test]
fn a_port_in_use_stops_the_start_with_the_known_lines() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let dir = TempDir::new("redix").unwrap();
    let output = run(dir.path(), &["--port", &port, "--bind", "127.0.0.1"]);
    assert_eq!(output.status.code(), Some(1));
    let text = stdout(&output);
    let reason = format!(
        "Could not create server TCP listening socket 127.0.0.1:{port}: bind: Address already in use"
    );
    assert!(text.contains(&reason), "{text}");
    assert!(text.contains(&format!("Failed listening on port {port} (tcp), aborting.")), "{text}");
}

#[test]
fn nowhere_to_listen_stops_the_start() {
    let dir = TempDir::new("redix").unwrap();
    let output = run(dir.path(), &["--port", "0"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(stdout(&output).contains("Configured to not listen anywhere, exiting."), "{output:?}");
}

/// The output of a server that reads its configuration from standard input.
fn run_with_stdin(dir: &Path, args: &[&str], stdin: &str) -> Output {
    let mut command = Command::new(program());
    command.args(args).current_dir(dir).stdin(Stdio::piped());
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(stdin.as_bytes()).unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn the_configuration_may_come_from_standard_input() {
    let dir = TempDir::new("redix").unwrap();
    let output = run_with_stdin(dir.path(), &["-"], "port 0\nsave \"\"\n");
    assert!(stdout(&output).contains("Configured to not listen anywhere"), "{output:?}");
}

#[test]
fn a_file_standard_input_and_flags_count_in_this_order() {
    let dir = TempDir::new("redix").unwrap();
    fs::write(dir.path().join("x.conf"), "port 1\nlogfile from-file\n").unwrap();
    let stdin = "port 2\nlogfile from-stdin\n";
    let args = ["x.conf", "--loglevel", "verbose", "--port", "0", "-"];
    let output = run_with_stdin(dir.path(), &args, stdin);
    assert_eq!(output.status.code(), Some(1));
    let log = fs::read_to_string(dir.path().join("from-stdin")).unwrap();
    assert!(log.contains("Configured to not listen anywhere, exiting."), "{log}");
    assert!(!dir.path().join("from-file").exists());
    let output = run_with_stdin(dir.path(), &args, "port 2\nnonsense 1\n");
    let text = stderr(&output);
    assert!(text.contains("at line 2 of standard input\n>>> 'nonsense 1'"), "{text}");
}

#[test]
fn a_unix_socket_alone_is_enough_and_has_its_permissions() {
    let mut server = Unreachable::start(&["--unixsocketperm", "700", "--pidfile", "redix.pid"]);
    ping(&mut server.connect());
    let path = server.dir.path().join("redix.sock");
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700, "{mode:o}");
    let pid = fs::read_to_string(server.dir.path().join("redix.pid")).unwrap();
    assert_eq!(pid, format!("{}\n", server.child.id()));
    signal(server.child.id(), "TERM");
    assert_eq!(server.child.wait().unwrap().code(), Some(0));
    assert!(!path.exists());
    assert!(!server.dir.path().join("redix.pid").exists());
}

#[test]
fn several_addresses_are_listened_on() {
    let server = start(&["--bind", "127.0.0.1", "127.0.0.2", "-::1", "-192.0.2.1"]);
    let mut hosts = vec!["127.0.0.1", "127.0.0.2"];
    if TcpListener::bind("[::1]:0").is_ok() {
        hosts.push("[::1]");
    } else {
        eprintln!("this machine has no IPv6: not tested");
    }
    for host in hosts {
        let addr = format!("{host}:{}", server.port()).parse().unwrap();
        let reply = Client::connect(addr).unwrap().cmd(&["PING"]).unwrap();
        assert_eq!(reply.pretty(), "+PONG", "{host}");
    }
}

#[test]
fn sigterm_saves_and_ends_well() {
    let mut server = start(&["--save", "900", "1"]);
    assert_eq!(connect(&server).cmd(&["SET", "a", "b"]).unwrap().pretty(), "+OK");
    assert_eq!(server.stop().unwrap().code(), Some(0));
    let log = server.log();
    for line in [
        "Received SIGTERM scheduling shutdown...",
        "User requested shutdown...",
        "Saving the final RDB snapshot before exiting.",
        "Redis is now ready to exit, bye bye...",
    ] {
        assert!(log.contains(line), "no '{line}' in\n{log}");
    }
    server.restart().unwrap();
    assert_eq!(connect(&server).cmd(&["GET", "a"]).unwrap().pretty(), "\"b\"");
}

#[test]
fn a_shutdown_that_was_given_up_can_be_asked_for_again() {
    let mut server = start(&["--save", "900", "1", "--enable-debug-command", "yes"]);
    let mut client = connect(&server);
    client.must(&["DEBUG", "PAUSE-CRON", "1"]).unwrap();
    signal(server.pid(), "TERM");
    eventually("it is held back", || client.must(&["SHUTDOWN", "ABORT"]).is_ok());
    client.must(&["DEBUG", "PAUSE-CRON", "0"]).unwrap();
    client.must(&["PING"]).unwrap();
    assert_eq!(server.stop().unwrap().code(), Some(0), "not taken for a second signal");
}

#[test]
fn a_shutdown_that_cannot_save_is_refused() {
    let mut server = start(&["--save", "900", "1", "--shutdown-on-sigint", "nosave"]);
    let mut client = connect(&server);
    assert_eq!(client.cmd(&["SET", "a", "b"]).unwrap().pretty(), "+OK");
    // A directory in the snapshot's place, which no file can replace.
    let in_the_way = server.dir().join("dump.rdb");
    fs::create_dir(&in_the_way).unwrap();
    let refused = "-ERR Errors trying to SHUTDOWN. Check logs.";
    assert_eq!(client.cmd(&["SHUTDOWN"]).unwrap().pretty(), refused);
    signal(server.pid(), "TERM");
    eventually("the signal is refused too", || {
        server.log().matches("Errors trying to shut down the server.").count() == 2
    });
    assert_eq!(client.cmd(&["GET", "a"]).unwrap().pretty(), "\"b\"");
    signal(server.pid(), "INT");
    assert_eq!(server.wait_for_exit().unwrap().code(), Some(0));
}

#[test]
fn systemd_is_told_what_goes_on() {
    let dir = TempDir::new("notify").unwrap();
    let path = dir.path().join("notify.sock");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(std::time::Duration::from_secs(20))).unwrap();
    let mut command = Command::new(program());
    command.args(["--port", "0", "--save", "", "--unixsocket", "redix.sock"]);
    command.args(["--supervised", "auto"]).env("NOTIFY_SOCKET", &path).current_dir(dir.path());
    let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let receive = || {
        let mut text = [0; 1000];
        let len = socket.recv(&mut text).unwrap();
        String::from_utf8_lossy(&text[..len]).into_owned()
    };
    let ready = receive();
    signal(child.id(), "TERM");
    let stopping = receive();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(ready.contains("READY=1\n"), "{ready}");
    assert!(stopping.contains("STOPPING=1\n"), "{stopping}");
}

#[test]
fn the_background_process_is_named_by_its_pid_file() {
    let dir = TempDir::new("redix").unwrap();
    let args = ["--daemonize", "yes", "--port", "0", "--unixsocket", "s", "--save", ""];
    let output = run(dir.path(), &[&args[..], &["--pidfile", "p", "--logfile", "l"]].concat());
    assert!(output.status.success());
    let log = || fs::read_to_string(dir.path().join("l")).unwrap_or_default();
    eventually("it is ready", || log().contains("Ready to accept connections unix"));
    let pid: u32 = fs::read_to_string(dir.path().join("p")).unwrap().trim().parse().unwrap();
    ping(&mut UnixStream::connect(dir.path().join("s")).unwrap());
    let title = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap();
    assert!(title.contains("unixsocket:s"), "{title}");
    signal(pid, "HUP");
    ping(&mut UnixStream::connect(dir.path().join("s")).unwrap());
    signal(pid, "TERM");
    eventually("it has ended", || log().contains("bye bye") && !dir.path().join("p").exists());
}

#[test]
fn a_fatal_signal_leaves_a_line_in_the_log() {
    for (name, number) in [("SEGV", 11), ("ABRT", 6)] {
        let dir = TempDir::new("crash").unwrap();
        let log = dir.path().join("log");
        let mut server = start(&["--logfile", log.to_str().unwrap()]);
        let mut client = connect(&server);
        if name == "SEGV" {
            client.must(&["CONFIG", "SET", "crash-log-enabled", "no"]).unwrap();
            client.must(&["CONFIG", "SET", "crash-log-enabled", "yes"]).unwrap();
        }
        signal(server.pid(), name);
        assert_eq!(server.wait_for_exit().unwrap().signal(), Some(number));
        let log = std::fs::read_to_string(&log).unwrap();
        assert!(log.contains(&format!("crashed by signal: {number},")), "{log}");
    }
    let mut quiet = start(&["--crash-log-enabled", "no"]);
    signal(quiet.pid(), "SEGV");
    assert_eq!(quiet.wait_for_exit().unwrap().signal(), Some(11));
    assert!(!quiet.log().contains("crashed by signal"));
}

#[test]
fn sigalrm_shows_the_threads() {
    let server = start(&["--worker-threads", "2"]);
    signal(server.pid(), "ALRM");
    eventually("they are in the log", || {
        let log = server.log();
        log.contains("Received SIGALRM") && log.contains("signals: ")
    });
    connect(&server).must(&["PING"]).unwrap();
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let mut server = start(&["--save", "900", "1"]);
    // A save that never ends: opening a pipe waits for its reader.
    let pipe = server.dir().join(format!("temp-{}.rdb", server.pid()));
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    signal(server.pid(), "TERM");
    eventually("saving has begun", || server.log().contains("Saving the final RDB snapshot"));
    signal(server.pid(), "TERM");
    assert_eq!(server.wait_for_exit().unwrap().code(), Some(1));
    assert!(server.log().contains("You insist... exiting now."));
    assert!(!pipe.exists());
}

#[test]
fn listening_follows_the_configuration() {
    let server = start(&[]);
    let mut client = connect(&server);
    let mut set =
        |name: &str, value: &str| client.cmd(&["CONFIG", "SET", name, value]).unwrap().pretty();
    let is_up = |host: &str| {
        let addr = format!("{host}:{}", server.port()).parse().unwrap();
        Client::connect(addr).and_then(|mut client| client.cmd(&["PING"])).is_ok()
    };
    assert!(!is_up("127.0.0.3"));
    assert_eq!(set("bind", "127.0.0.1 127.0.0.3"), "+OK");
    assert!(is_up("127.0.0.1") && is_up("127.0.0.3"));
    let refused = "-ERR CONFIG SET failed (possibly related to argument 'bind') - Failed to bind to \
                   specified addresses.";
    assert_eq!(set("bind", "192.0.2.1"), refused);
    assert!(is_up("127.0.0.1") && is_up("127.0.0.3"));

    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let refused = "-ERR CONFIG SET failed (possibly related to argument 'port') - Unable to listen \
                   on this port. Check server logs.";
    assert_eq!(set("port", &taken.local_addr().unwrap().port().to_string()), refused);
    assert!(is_up("127.0.0.1"));
    let free = taken.local_addr().unwrap().port();
    drop(taken);
    assert_eq!(set("port", &free.to_string()), "+OK");
    assert!(!is_up("127.0.0.1"));
    let mut moved = Client::connect(format!("127.0.0.1:{free}").parse().unwrap()).unwrap();
    assert_eq!(moved.cmd(&["PING"]).unwrap().pretty(), "+PONG");
    // Connections do not depend on the listening socket.
    assert_eq!(set("bind", "127.0.0.1"), "+OK");
}

#[test]
fn more_clients_than_the_system_allows_are_refused() {
    let server = start(&[]);
    let reply = connect(&server).cmd(&["CONFIG", "SET", "maxclients", "4000000000"]).unwrap();
    let begin = "-ERR CONFIG SET failed (possibly related to argument 'maxclients') - The operating \
                 system is not able to handle the specified number of clients, try with ";
    assert!(reply.pretty().starts_with(begin), "{}", reply.pretty());
}

/// Each worker has descriptors of its own.
#[test]
fn with_many_workers_there_are_descriptors_for_all_clients() {
    let launch = Launch::redix(program()).args(&["--worker-threads", "16"]).with_open_files(200);
    let server = launch.start().unwrap();
    let mut first = connect(&server);
    let Value::Array(reply) = first.must(&["CONFIG", "GET", "maxclients"]).unwrap() else {
        panic!("no array")
    };
    let most: usize = reply[1].pretty().trim_matches('"').parse().unwrap();
    assert!(most > 100, "{most}");
    let mut others: Vec<Client> = (1..most).map(|_| connect(&server)).collect();
    for client in &mut others {
        assert_eq!(client.cmd(&["PING"]).unwrap().pretty(), "+PONG");
    }
    let refusal = connect(&server).reply().unwrap().pretty();
    assert_eq!(refusal, "-ERR max number of clients reached");
}

#[test]
fn the_log_level_follows_the_configuration() {
    let server = start(&[]);
    let mut client = connect(&server);
    assert_eq!(client.cmd(&["CONFIG", "SET", "loglevel", "verbose"]).unwrap().pretty(), "+OK");
    let addr = connect(&server).local_addr().unwrap();
    eventually("accepting is logged", || server.log().contains(&format!("Accepted {addr}")));
    eventually("closing is logged", || {
        server.log().lines().any(|line| {
            line.contains("Client closed connection id=") && line.contains(&format!("addr={addr} "))
        })
    });
}

#[test]
fn a_configuration_file_is_rewritten_in_place() {
    let server = Unreachable::start_from("# kept\ntimeout 7\nmaxmemory-samples 9\n");
    let mut stream = server.connect();
    let path = server.dir.path().join("redix.conf");
    let replies = b"+OK\r\n+OK\r\n";
    stream.write_all(b"CONFIG SET timeout 77 slowlog-max-len 55\r\nCONFIG REWRITE\r\n").unwrap();
    let mut got = [0; 10];
    stream.read_exact(&mut got).unwrap();
    assert_eq!(&got, replies);
    let text = fs::read_to_string(&path).unwrap();
    for line in ["# kept", "timeout 77", "maxmemory-samples 9", "slowlog-max-len 55", "port 0"] {
        assert!(text.lines().any(|other| other == line), "no {line:?} in:\n{text}");
    }
    let names = fs::read_dir(server.dir.path()).unwrap();
    let names: Vec<_> = names.map(|entry| entry.unwrap().file_name()).collect();
    let temporary = names.iter().find(|name| name.to_string_lossy().ends_with(".tmp"));
    assert_eq!(temporary, None);
}

#[test]
fn any_bytes_are_values_of_the_configuration() {
    let dir = TempDir::new("redix").unwrap();
    let inner = dir.path().join(OsStr::from_bytes(b"d\xff"));
    fs::create_dir(&inner).unwrap();
    let file = dir.path().join(OsStr::from_bytes(b"c\xfe.conf"));
    let text = b"port 0\nsave \"\"\nunixsocket ../redix.sock\nrename-command PING \"p\\xff\"\n";
    fs::write(&file, [&text[..], b"dir \"d\\xff\"\ndbfilename \xfd.rdb\n"].concat()).unwrap();
    let run = || {
        let mut command = Command::new(program());
        command.arg(&file).current_dir(dir.path()).stdin(Stdio::null()).stdout(Stdio::null());
        let child = command.spawn().unwrap();
        Unreachable { child, dir: TempDir::new("redix").unwrap() }
    };
    let path = dir.path().join("redix.sock");
    let exchange = |request: &[u8], reply: &[u8]| {
        let mut stream = None;
        eventually("the socket is there", || {
            stream = UnixStream::connect(&path).ok();
            stream.is_some()
        });
        let mut stream = stream.unwrap();
        stream.write_all(request).unwrap();
        let mut got = vec![0; reply.len()];
        stream.read_exact(&mut got).unwrap();
        assert_eq!(got, reply, "{}", String::from_utf8_lossy(&got));
    };
    let server = run();
    exchange(b"\"p\\xff\"\r\nSAVE\r\n", b"+PONG\r\n+OK\r\n");
    assert!(inner.join(OsStr::from_bytes(b"\xfd.rdb")).exists());
    let set = b"CONFIG SET requirepass \"\\x00\\xff\"\r\nCONFIG REWRITE\r\n";
    exchange(set, b"+OK\r\n+OK\r\n");
    let written = fs::read(&file).unwrap();
    let written = String::from_utf8(written).expect("what is written is ASCII");
    assert!(written.contains("\nrequirepass \"\\x00\\xff\"\n"), "{written}");
    drop(server);
    fs::remove_file(&path).unwrap();
    let _server = run();
    exchange(b"AUTH \"\\x00\\xff\"\r\n", b"+OK\r\n");
}

#[test]
fn the_oom_score_follows_and_is_put_back() {
    let server = start(&[]);
    let path = format!("/proc/{}/oom_score_adj", server.pid());
    let score = || -> i32 { std::fs::read_to_string(&path).unwrap().trim().parse().unwrap() };
    let mut client = connect(&server);
    let mut other = connect(&server);
    let mut set =
        |args: &[&str]| client.cmd(&[&["CONFIG", "SET"], args].concat()).unwrap().pretty();
    // Set from outside, as by a supervisor: the base of relative scores.
    let base = score() + 1;
    std::fs::write(&path, base.to_string()).unwrap();
    assert_eq!(set(&["oom-score-adj-values", "9 9 9"]), "+OK");
    assert_eq!(score(), base);
    assert_eq!(set(&["oom-score-adj", "relative"]), "+OK");
    assert_eq!(score(), base + 9);
    assert_eq!(set(&["oom-score-adj-values", "11 12 9"]), "+OK");
    assert_eq!(score(), base + 11);
    assert_eq!(other.cmd(&["REPLICAOF", "127.0.0.1", "1"]).unwrap().pretty(), "+OK");
    assert_eq!(score(), base + 12);
    assert_eq!(other.cmd(&["REPLICAOF", "NO", "ONE"]).unwrap().pretty(), "+OK");
    assert_eq!(score(), base + 11);
    assert_eq!(set(&["oom-score-adj", "no"]), "+OK");
    assert_eq!(score(), base);
    let absolute = ["oom-score-adj", "absolute", "oom-score-adj-values"];
    assert_eq!(set(&[&absolute[..], &["500 500 500"]].concat()), "+OK");
    assert_eq!(score(), 500);
    // Lowering it that far requires privileges.
    let refused = set(&["oom-score-adj-values", "-1000 -1000 -1000"]);
    if refused != "+OK" {
        assert!(refused.contains("Failed to set current oom_score_adj"), "{refused}");
        assert_eq!(score(), 500);
        assert!(set(&["oom-score-adj-values", "600 500 500"]) == "+OK" && score() == 600);
    }
}

#[test]
fn collections_that_take_several_steps_are_freed() {
    let server = start(&[]);
    let mut client = connect(&server);
    let long = "x".repeat(8000);
    for (command, elements) in
        [("SADD", 400_000), ("HSET", 400_000), ("ZADD", 400_000), ("RPUSH", 9000)]
    {
        // Twice: whoever frees must be there for the next one.
        for key in ["one", "other"] {
            for first in (0..elements).step_by(1000) {
                let mut words = vec![command.to_owned(), key.to_owned()];
                for element in first..first + 1000 {
                    match command {
                        "HSET" => words.extend([format!("field:{element}"), "value".into()]),
                        "ZADD" => words.extend([element.to_string(), format!("member:{element}")]),
                        "SADD" => words.push(format!("member:{element}")),
                        _ => words.push(long.clone()),
                    }
                }
                client.must(&words).unwrap();
            }
            assert_eq!(client.must(&["DEL", key]).unwrap().pretty(), "(integer) 1");
        }
        eventually(&format!("what {command} made is freed"), || {
            let memory = client.must(&["INFO", "memory"]).unwrap().pretty();
            memory.contains("lazyfree_pending_objects:0\\r")
        });
    }
}
