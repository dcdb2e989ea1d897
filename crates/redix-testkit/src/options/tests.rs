#![allow(clippy::unwrap_used)]

use super::Options;

fn of(line: &str) -> Options {
    Options(line.split_whitespace().map(str::to_owned).collect())
}

#[test]
fn options_may_stand_anywhere() {
    let mut options = of("one --seed 7 --short two");
    assert_eq!(options.or("--seed", 1).unwrap(), 7);
    assert_eq!(options.or("--rounds", 10).unwrap(), 10);
    assert!(options.flag("--short") && !options.flag("--short"));
    assert_eq!(options.words().unwrap(), ["one", "two"]);
}

#[test]
fn what_is_not_understood_is_an_error() {
    let error = |outcome: anyhow::Result<()>| outcome.unwrap_err().to_string();
    assert_eq!(error(of("--seed").or("--seed", 1).map(drop)), "--seed needs a value");
    assert_eq!(error(of("--seed x").or("--seed", 1).map(drop)), "--seed: what is \"x\"?");
    assert_eq!(error(of("--sed 1").words().map(drop)), "--sed is no option; try --help");
    assert_eq!(error(of("word").end()), "word is no option; try --help");
    of("").end().unwrap();
}
