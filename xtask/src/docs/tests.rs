#![allow(clippy::unwrap_used)]

use super::*;

fn surface(docs: &str, directives: &[&str]) -> Surface {
    let mut commands = BTreeMap::new();
    for (name, doc) in read_reply(&mut docs.as_bytes(), 0).unwrap().pairs() {
        collect(&mut commands, &name, doc);
    }
    let directives = directives.iter().map(|name| (*name).to_owned()).collect();
    Surface { version: "9".to_owned(), commands, directives }
}

#[test]
fn the_page_sets_what_is_there_against_what_is_missing() {
    let client = "*2\r\n$6\r\nclient\r\n*4\r\n$5\r\ngroup\r\n$1\r\nc\r\n$11\r\nsubcommands\r\n*2\r\n\
                  $9\r\nclient|id\r\n*2\r\n+group\r\n+c\r\n";
    let ours = surface("*2\r\n+client\r\n*2\r\n+group\r\n+c\r\n", &["port", "worker-threads"]);
    let page = page(&ours, &surface(client, &["port", "tls-port"]));
    assert!(page.contains("| c | `CLIENT` |  | `CLIENT ID` |"), "{page}");
    assert!(page.contains("Missing: `tls-port`\n\nOnly in Redix: `worker-threads`"), "{page}");
}

#[test]
fn what_only_refuses_is_not_there() {
    let docs = "*4\r\n$7\r\ncluster\r\n*2\r\n+group\r\n+c\r\n$4\r\nping\r\n*2\r\n+group\r\n+c\r\n";
    let page = page(&surface(docs, &[]), &surface(docs, &[]));
    assert!(page.contains("| c | `PING` | `CLUSTER` |  |"), "{page}");
}

#[test]
fn broken_replies_are_errors() {
    for text in ["", "-ERR x\r\n", "$99999999999\r\n", "$5\r\nab\r\n", "?1\r\n", "*2\r\n+a\r\n"] {
        assert!(read_reply(&mut text.as_bytes(), 0).is_err(), "{text:?}");
    }
    let deep = "*1\r\n".repeat(100);
    assert!(read_reply(&mut deep.as_bytes(), 0).is_err());
}
