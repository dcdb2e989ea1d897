//! Limits and renames for clients do not apply to a primary.

use redix_core::config::Config;
use redix_core::repl::status::LinkState;
use redix_resp::encode_command;

use crate::rig::{Reads, Rig, dump};

#[test]
fn what_clients_may_not_do_a_primary_may() {
    for reads in [Reads::AtOnce, Reads::Ahead] {
        let renames =
            [("set", ""), ("APPEND", "extend"), ("select", "pick"), ("multi", ""), ("exec", "e")];
        let config = Config {
            proto_max_bulk_len: 1 << 20,
            client_query_buffer_limit: 1 << 20,
            replica_read_only: false,
            requirepass: "secret".into(),
            rename_command: renames.map(|(old, new)| (old.into(), new.into())).to_vec(),
            ..Config::default()
        };
        let mut rig = Rig::new(config);
        rig.wire.reads = reads;
        rig.synchronise(&dump(&[]), 0);
        rig.wire.pipe().read_max = usize::MAX;
        let large = "x".repeat(3 << 20);
        let mut bytes = Vec::new();
        let streamed = [
            &["SELECT", "1"][..],
            &["SET", "large", &large],
            &["APPEND", "large", "tail"],
            &["EXTEND", "large", "more"],
            &["SETRANGE", "far", "2000000", "x"],
            &["MULTI"],
            &["SET", "a", "1"],
            &["INCR", "a"],
            &["EXEC"],
        ];
        streamed.iter().for_each(|words| encode_command(&mut bytes, words));
        let many: Vec<String> = (0..100_000).map(|index| format!("key:{index}")).collect();
        let many = many.iter().flat_map(|key| [key.as_str(), "v"]);
        encode_command(&mut bytes, &["MSET"].into_iter().chain(many).collect::<Vec<_>>());
        let end = bytes.len() as u64;
        rig.send(bytes);
        assert_eq!((rig.end(), rig.state()), (end, LinkState::Connected));
        for words in [&["AUTH", "secret"][..], &["PICK", "1"]] {
            assert_eq!(rig.sim.execute(1, words).unwrap().pretty(), "+OK");
        }
        let mut ask = |words: &[&str]| rig.sim.execute(1, words).unwrap().pretty();
        assert_eq!(ask(&["STRLEN", "large"]), format!("(integer) {}", large.len() + 8));
        assert_eq!(ask(&["STRLEN", "far"]), "(integer) 2000001");
        assert_eq!(ask(&["GET", "a"]), "\"2\"");
        assert_eq!(ask(&["DBSIZE"]), "(integer) 100003");
        let refused = ["-ERR unknown command", "-ERR string exceeds maximum"];
        assert!(ask(&["SET", "a", "1"]).starts_with(refused[0]));
        assert!(ask(&["EXTEND", "large", "more"]).starts_with(refused[1]));
        assert!(ask(&["SETRANGE", "far", "2000001", "x"]).starts_with(refused[1]));
    }
}
