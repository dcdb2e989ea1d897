use super::switch;

#[test]
fn switches_are_read_as_numbers() {
    for on in ["1", " 2x", "-1", "+07"] {
        assert!(switch(on.as_bytes()), "{on}");
    }
    for off in ["", "0", "x1", "00", "-0", "- 1"] {
        assert!(!switch(off.as_bytes()), "{off}");
    }
}

#[test]
fn subcommands_are_in_order_and_listed_under_their_names() {
    for pair in super::SUBCOMMANDS.windows(2) {
        assert!(pair[0].0 < pair[1].0, "{}", pair[1].0);
    }
    for (name, _, [usage, _], _) in super::SUBCOMMANDS {
        assert!(usage.to_ascii_lowercase().starts_with(name), "{name}");
    }
}
