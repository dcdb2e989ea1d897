//! How sockets are read and written: the choice at the start, and that both ways do the same.

use std::collections::BTreeMap;
use std::thread;

use anyhow::Result;
use redix_resp::Value;
use redix_testkit::abuse::{Scale, run, unit};
use redix_testkit::{Launch, Server};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use crate::{connect, program};

fn launch(backend: &str) -> Launch {
    Launch::redix(program()).args(&["--io-backend", backend])
}

/// Starts a server to whom the kernel refuses a system call with this error, as the filters of
/// containers do.
fn start_without(call: i64, error: i32, launch: Launch) -> Result<Server> {
    // A filter is inherited by child processes, and is the thread's for ever.
    let starting = thread::spawn(move || {
        let filter = SeccompFilter::new(
            BTreeMap::from([(call, Vec::new())]),
            SeccompAction::Allow,
            SeccompAction::Errno(error.cast_unsigned()),
            std::env::consts::ARCH.try_into()?,
        )?;
        seccompiler::apply_filter(&BpfProgram::try_from(filter)?)?;
        launch.start()
    });
    starting.join().unwrap()
}

/// What the server says that it uses.
fn in_use(server: &Server) -> String {
    let mut client = connect(server);
    client.must(&["SET", "k", "v"]).unwrap();
    assert_eq!(client.must(&["GET", "k"]).unwrap(), Value::Bulk(b"v".to_vec()));
    let Value::Bulk(text) = client.must(&["INFO", "server"]).unwrap() else { panic!("no text") };
    let text = String::from_utf8(text).unwrap();
    let field = text.lines().find_map(|line| line.strip_prefix("io_backend:"));
    field.expect("INFO says it").to_owned()
}

/// Whether the kernel has what `uring` needs. CI may run where it has not.
fn has_uring() -> bool {
    let has = launch("uring").start().is_ok();
    if !has {
        eprintln!("not tested: io_uring is refused here");
    }
    has
}

#[test]
fn without_io_uring_each_transfer_is_a_system_call() {
    let refusals = [
        (libc::SYS_io_uring_setup, libc::EPERM),
        (libc::SYS_io_uring_setup, libc::ENOSYS),
        // Made, but not to be used.
        (libc::SYS_io_uring_enter, libc::EPERM),
        (libc::SYS_io_uring_register, libc::EACCES),
    ];
    for (call, error) in refusals {
        let server = start_without(call, error, launch("auto")).unwrap();
        assert_eq!(in_use(&server), "epoll", "without call {call}");
        assert!(server.log().contains("Without io_uring"), "{}", server.log());
    }
}

#[test]
fn who_insists_on_io_uring_does_not_get_less() {
    for call in [libc::SYS_io_uring_setup, libc::SYS_io_uring_enter] {
        let Err(error) = start_without(call, libc::EPERM, launch("uring")) else {
            panic!("it serves without call {call}")
        };
        let text = format!("{error:#}");
        let reason = "Can't use io_uring, which io-backend asks for: Operation not permitted";
        assert!(text.contains(reason), "{text}");
    }
}

#[test]
fn the_backend_is_that_of_the_configuration_and_stays() {
    let server = launch("epoll").start().unwrap();
    assert_eq!(in_use(&server), "epoll");
    let mut client = connect(&server);
    let Value::Error(text) = client.cmd(&["CONFIG", "SET", "io-backend", "uring"]).unwrap() else {
        panic!("it was changed")
    };
    assert!(text.ends_with(b"can't set immutable config"), "{}", text.escape_ascii());
    if has_uring() {
        assert_eq!(in_use(&launch("uring").start().unwrap()), "uring");
    }
}

#[test]
fn clients_of_every_kind_leave_nothing_behind_on_either() {
    let backends = if has_uring() { &["epoll", "uring"][..] } else { &["epoll"] };
    for backend in backends {
        let seen = run(unit("mixed").unwrap(), launch(backend), Scale::Short, 1).unwrap();
        assert!(seen.starts_with(backend), "{seen}");
        eprintln!("{seen}");
    }
}
