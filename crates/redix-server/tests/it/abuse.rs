//! Hostile clients, and a faulty primary: a short version of `cargo xtask accept abuse`. Units with
//! more specific tests elsewhere are left out.

use redix_testkit::Launch;
use redix_testkit::abuse::{Scale, run, unit};

use crate::program;

macro_rules! abused {
    ($($test:ident = $unit:literal),+ $(,)?) => {
        $(#[test]
        fn $test() {
            let unit = unit($unit).expect("there is such a unit");
            eprintln!("{}", run(unit, Launch::redix(program()), Scale::Short, 1).unwrap());
        })+
    };
}

abused! {
    arrays_without_a_command = "empty-arrays",
    byte_by_byte = "byte-by-byte",
    lines_of_every_kind = "inline",
    pipelines_in_one_write = "pipelines",
    long_transactions = "transactions",
    patterns_that_branch = "patterns",
    connections_that_come_and_go = "connections",
    random_bytes = "random-bytes",
    mutated_streams = "mutated-streams",
    words_of_replication = "replication-words",
    a_broken_primary = "fake-primary",
}
