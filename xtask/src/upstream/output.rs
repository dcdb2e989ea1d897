//! Parsing the output of the suite: one outcome per test.

use std::collections::BTreeMap;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Outcome {
    Ok,
    /// With the first line of the error.
    Failed(String),
    Skipped,
}

/// The outcomes of one file by the name of the test. A name used twice passes if all of them do.
#[derive(Default)]
pub(super) struct Report {
    tests: BTreeMap<String, Outcome>,
    /// Errors outside of any test.
    pub(super) troubles: Vec<String>,
    /// Whether the file was run to its end.
    pub(super) finished: bool,
}

impl Report {
    pub(super) fn parse(text: &str) -> Self {
        let mut report = Self::default();
        let plain = without_colours(text);
        let mut lines = plain.lines().peekable();
        while let Some(line) = lines.next() {
            let Some((status, rest)) = status_line(line) else { continue };
            let next = lines.peek().copied().filter(|line| status_line(line).is_none());
            match status {
                "ok" => report.add(without_time(rest), Outcome::Ok),
                "skip" => report.add(rest, Outcome::Skipped),
                // A group of tests is ignored without naming it.
                "ignore" => {
                    if let Some((name, _)) = rest.rsplit_once(": ")
                        && name != "Tag"
                    {
                        report.add(name, Outcome::Skipped);
                    }
                }
                "err" => match rest.rsplit_once(" in tests/") {
                    Some((name, _)) => {
                        let message = next.unwrap_or_default().trim().to_owned();
                        report.add(name, Outcome::Failed(message));
                    }
                    None => report.troubles.push(format!("outside of a test: {rest}")),
                },
                "exception" | "TIMEOUT" => {
                    let more = next.unwrap_or_default();
                    report.troubles.push(format!("{status}: {rest} {more}").trim().to_owned());
                }
                _ => report.finished |= status.ends_with("done"),
            }
        }
        report
    }

    pub(super) fn add(&mut self, name: &str, outcome: Outcome) {
        let known = self.tests.entry(name.to_owned()).or_insert(Outcome::Skipped);
        if matches!(known, Outcome::Skipped) || matches!(outcome, Outcome::Failed(_)) {
            *known = outcome;
        }
    }

    pub(super) fn outcome(&self, name: &str) -> Option<&Outcome> {
        self.tests.get(name)
    }

    pub(super) fn passed(&self, name: &str) -> bool {
        self.outcome(name) == Some(&Outcome::Ok)
    }

    /// Why the test failed, or was not run.
    pub(super) fn message(&self, name: &str) -> Option<&str> {
        match self.outcome(name)? {
            Outcome::Failed(message) => Some(message),
            _ => None,
        }
    }

    pub(super) fn failures(&self) -> impl Iterator<Item = (&String, &str)> {
        self.tests.keys().filter_map(|name| Some((name, self.message(name)?)))
    }

    pub(super) fn passes(&self) -> impl Iterator<Item = &String> {
        self.tests.iter().filter(|(_, outcome)| **outcome == Outcome::Ok).map(|(name, _)| name)
    }

    /// How many passed, failed and were skipped.
    pub(super) fn counts(&self) -> (usize, usize, usize) {
        let (passed, failed) = (self.passes().count(), self.failures().count());
        (passed, failed, self.tests.len() - passed - failed)
    }
}

/// `[status]: rest`.
fn status_line(line: &str) -> Option<(&str, &str)> {
    let (status, rest) = line.strip_prefix('[')?.split_once("]: ")?;
    let known = ["ok", "err", "skip", "ignore", "exception", "TIMEOUT", "ready"];
    (known.contains(&status) || status.ends_with("done")).then_some((status, rest))
}

/// `NAME (12 ms)` without the time.
fn without_time(rest: &str) -> &str {
    match rest.rsplit_once(" (") {
        Some((name, time)) if time.ends_with(" ms)") => name,
        _ => rest,
    }
}

pub(super) fn without_colours(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut pieces = text.split("\x1b[");
    out.push_str(pieces.next().unwrap_or_default());
    for piece in pieces {
        out.push_str(piece.split_once('m').map_or(piece, |(_, rest)| rest));
    }
    out
}
