//! The directive `db-maxmemory`.

use super::*;
use crate::config::ClientPlace;

fn set(config: &Config, value: &str) -> Result<Config, String> {
    let pairs = [(b"db-maxmemory".as_slice(), value.as_bytes())];
    let (new, _) =
        config.plan_set(&pairs, ClientPlace::Local).map_err(|error| error.to_string())?;
    Ok(new)
}

fn text(config: &Config) -> String {
    String::from_utf8(DbMemory.text(&config.db_maxmemory)).expect("it is text")
}

#[test]
fn a_limit_changes_only_its_database() {
    let mut config = Config::default();
    for (value, shown) in [
        ("1 1mb", "1 1048576"),
        ("3 2kb ALLKEYS-lru 0 100 noeviction", "0 100 noeviction 1 1048576 3 2048 allkeys-lru"),
        ("1 5", "0 100 noeviction 1 5 3 2048 allkeys-lru"),
        ("3 7", "0 100 noeviction 1 5 3 7"),
        ("0 0 9 0", "1 5 3 7"),
        ("", ""),
    ] {
        config = set(&config, value).unwrap_or_else(|error| panic!("{value}: {error}"));
        assert_eq!(text(&config), shown, "{value}");
    }
}

#[test]
fn what_is_no_limit_is_refused() {
    for value in ["1", "x 1mb", "-1 1mb", "1 1xb", "1 1mb allkeys", "1 1mb 2", "1 1mb lru 2 3"] {
        assert!(set(&Config::default(), value).is_err(), "{value}");
    }
}

#[test]
fn databases_and_kinds_of_policies_are_checked() {
    let config = set(&Config::default(), "15 1mb allkeys-lfu").expect("there are 16 databases");
    assert!(config.check_databases().is_ok() && config.counts_frequencies());
    let other = set(&config, "1 1mb allkeys-lru").expect("it is well-formed");
    assert!(other.check_databases().is_err());
    let other = Config { maxmemory_policy: MaxmemoryPolicy::VolatileLru, ..config.clone() };
    assert!(other.check_databases().is_err());
    let other = Config { databases: 15, ..config };
    assert!(other.check_databases().is_err());
}
