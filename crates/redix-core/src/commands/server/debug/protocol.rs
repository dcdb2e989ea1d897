//! DEBUG PROTOCOL: a value of each type of the protocol, with the contents that the real servers
//! send.

use crate::command::args::Args;
use crate::command::context::Ctx;
use crate::error::{CommandResult, ReplyError};
use redix_resp::reply::Proto;

/// `DEBUG PROTOCOL type` -> a value of that type. Errors: no such type, or a push in RESP2.
pub(super) fn protocol(cx: &mut Ctx<'_, '_>, args: Args<'_>) -> CommandResult {
    let reply = &mut *cx.reply;
    match args.get(2).to_ascii_lowercase().as_slice() {
        b"string" => reply.bulk_str("Hello World"),
        b"integer" => reply.int(12345),
        b"double" => reply.double_text(b"3.141"),
        b"bignum" => reply.big_number("1234567999999999999999999999999999999"),
        b"null" => reply.null(),
        b"array" => {
            reply.array(3);
            (0..3).for_each(|n| reply.int(n));
        }
        b"set" => {
            reply.set(3);
            (0..3).for_each(|n| reply.int(n));
        }
        b"map" => {
            reply.map(3);
            for n in 0..3 {
                reply.int(n);
                reply.boolean(n == 1);
            }
        }
        b"attrib" => {
            if reply.attribute(1) {
                reply.bulk_str("key-popularity");
                reply.array(2);
                reply.bulk_str("key:123");
                reply.int(90);
            }
            reply.bulk_str("Some real reply following the attribute");
        }
        b"push" => {
            if reply.proto == Proto::Resp2 {
                return Err(ReplyError::Static("ERR RESP2 is not supported by this command"));
            }
            // The reply that the client waits for; the push follows it.
            reply.bulk_str("Some real reply following the push reply");
            reply.push(2);
            reply.bulk_str("server-cpu-usage");
            reply.int(42);
        }
        b"verbatim" => reply.verbatim(b"txt", b"This is a verbatim\nstring"),
        b"true" => reply.boolean(true),
        b"false" => reply.boolean(false),
        _ => {
            return Err(ReplyError::Static(
                "ERR Wrong protocol type name. Please use one of the following: \
                 string|integer|double|bignum|null|array|set|map|attrib|push|verbatim|true|false",
            ));
        }
    }
    Ok(())
}
