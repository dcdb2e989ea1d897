#![allow(clippy::unwrap_used)]
use super::*;
use crate::Rng;

#[test]
fn lines_are_split_as_redis_cli_does() {
    let args = parse_args(r#"SET  "a b\x00\"\n" 'it\'s' plain"#).unwrap();
    assert_eq!(args, [&b"SET"[..], b"a b\0\"\n", b"it's", b"plain"]);
    assert_eq!(parse_args(r#"x """#).unwrap(), [&b"x"[..], b""]);
    for bad in [r#""open"#, "'open", r#""a"b"#] {
        assert!(parse_args(bad).is_err(), "{bad}");
    }
}

#[test]
fn any_argument_list_survives_a_round_trip() {
    let mut rng = Rng::new(7);
    for _ in 0..2000 {
        let args: Vec<Vec<u8>> = (0..rng.below(5))
            .map(|_| (0..rng.below(12)).map(|_| rng.next_u64() as u8).collect())
            .collect();
        let line = quote_args(&args);
        assert!(line.is_ascii());
        assert_eq!(parse_args(&line).unwrap(), args, "{line}");
    }
}
