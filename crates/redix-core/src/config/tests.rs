#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use super::*;

#[test]
fn names_are_unique_and_lower_case() {
    let mut seen = HashSet::new();
    for directive in DIRECTIVES {
        for name in directive.names() {
            assert_eq!(name, name.to_ascii_lowercase());
            assert!(seen.insert(name), "{name} stands twice");
        }
    }
}

#[test]
fn every_default_is_a_value_of_its_directive() {
    for directive in DIRECTIVES {
        let default = Config::default();
        let mut config = Config::default();
        let text = directive.text(&default);
        if directive.name != "replicaof" {
            directive.apply(&mut config, &[text]).unwrap();
        }
        assert_eq!(config, default, "{}", directive.name);
    }
}
