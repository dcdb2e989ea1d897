//! The request parser on arbitrary bytes: it neither panics nor loops, and how the bytes are cut
//! into reads does not change what it makes of them, but for lines beyond their limit. The same
//! bytes go through the reply decoder.
//!
//! The first byte of an input chooses the length of the reads, its top bit whether the client has
//! authenticated; the rest is what the client sends.
#![no_main]

use libfuzzer_sys::fuzz_target;
use redix_resp::{Limits, Parsed, ProtocolError, ReplyDecoder, RequestParser, Value, decode};

fuzz_target!(|data: &[u8]| {
    let Some((&choice, sent)) = data.split_first() else { return };
    let limits = Limits {
        bulk_len_max: 1 << 20,
        inline_max: 256,
        authenticated: choice & 0x80 != 0,
        ..Limits::default()
    };
    let read_len = usize::from(choice & 0x7f) + 1;
    let whole = commands([sent], &limits);
    let pieces = commands(sent.chunks(read_len), &limits);
    // A line that passes its limit in one read and ends in another is refused.
    let too_long = matches!(
        pieces.1,
        Err(ProtocolError::TooBigInline
            | ProtocolError::TooBigMultibulkCount
            | ProtocolError::TooBigBulkCount)
    );
    if too_long {
        assert!(whole.0.starts_with(&pieces.0));
    } else {
        assert_eq!(whole, pieces);
    }
    decode_in_pieces(sent, read_len);
});

type Commands = (Vec<Vec<Vec<u8>>>, Result<usize, ProtocolError>);

/// The commands in what arrives, then how many bytes are left, or the error.
fn commands<'a>(reads: impl IntoIterator<Item = &'a [u8]>, limits: &Limits) -> Commands {
    let (mut parser, mut args) = (RequestParser::default(), Vec::new());
    let (mut received, mut start) = (Vec::new(), 0);
    let mut commands = Vec::new();
    for read in reads {
        received.extend_from_slice(read);
        loop {
            let buf = &received[start..];
            let (consumed, inline) = match parser.parse(buf, &mut args, limits) {
                Ok(Parsed::Command { consumed }) => (consumed, None),
                Ok(Parsed::Inline { consumed, bytes }) => (consumed, Some(bytes)),
                Ok(Parsed::Incomplete { wanted }) => {
                    assert!(wanted == 0 || wanted > buf.len());
                    break;
                }
                Err(error) => return (commands, Err(error)),
            };
            assert!((1..=buf.len()).contains(&consumed));
            assert!(parser.is_idle());
            let bytes = inline.as_deref().unwrap_or(&buf[..consumed]);
            commands.push(args.drain(..).map(|span| span.of(bytes).to_vec()).collect());
            start += consumed;
        }
        assert!(args.is_empty());
    }
    (commands, Ok(received.len() - start))
}

fn decode_in_pieces(sent: &[u8], read_len: usize) {
    let whole = decode(sent);
    if let Ok(Some((value, consumed))) = &whole {
        assert!((1..=sent.len()).contains(consumed));
        assert!(!value.pretty().is_empty() || *value == Value::Error(Vec::new()));
    }
    let mut decoder = ReplyDecoder::default();
    let mut first = Ok(None);
    for read in sent.chunks(read_len) {
        decoder.feed(read);
        first = decoder.next_reply();
        if first != Ok(None) {
            break;
        }
    }
    assert_eq!(first, whole.map(|found| found.map(|(value, _)| value)));
}
