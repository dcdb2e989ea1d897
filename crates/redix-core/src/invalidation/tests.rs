use redix_resp::reply::{Proto, Reply};

use super::Invalidated;

fn bytes(what: &Invalidated, proto: Proto, redirected: bool, listens: bool) -> String {
    let mut reply = Reply::new(proto);
    what.write_to(&mut reply, redirected, listens);
    String::from_utf8(reply.take()).unwrap()
}

#[test]
fn a_resp3_connection_receives_pushes() {
    let keys = Invalidated::Keys(vec![(*b"a").into(), (*b"bc").into()]);
    for (redirected, listens) in [(false, false), (true, false), (true, true)] {
        assert_eq!(
            bytes(&keys, Proto::Resp3, redirected, listens),
            ">2\r\n$10\r\ninvalidate\r\n*2\r\n$1\r\na\r\n$2\r\nbc\r\n"
        );
    }
    let all = bytes(&Invalidated::Everything, Proto::Resp3, false, false);
    assert_eq!(all, ">2\r\n$10\r\ninvalidate\r\n_\r\n");
    let broken = bytes(&Invalidated::BrokenRedirect(7), Proto::Resp3, false, false);
    assert_eq!(broken, ">2\r\n$21\r\ntracking-redir-broken\r\n:7\r\n");
}

#[test]
fn a_resp2_connection_receives_messages_only_from_others_and_while_it_listens() {
    let key = Invalidated::key(b"a");
    assert_eq!(
        bytes(&key, Proto::Resp2, true, true),
        "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n*1\r\n$1\r\na\r\n"
    );
    assert_eq!(
        bytes(&Invalidated::Everything, Proto::Resp2, true, true),
        "*3\r\n$7\r\nmessage\r\n$20\r\n__redis__:invalidate\r\n$-1\r\n"
    );
    assert_eq!(bytes(&key, Proto::Resp2, true, false), "");
    assert_eq!(bytes(&key, Proto::Resp2, false, true), "");
    assert_eq!(bytes(&Invalidated::BrokenRedirect(7), Proto::Resp2, false, true), "");
}
