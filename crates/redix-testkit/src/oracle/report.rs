//! The report on a stream: differences and coverage.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Formatter};

use anyhow::{Result, ensure};
use redix_resp::Value;

use super::Plan;
use super::grammar::{Family, Line};
use crate::quoting::quote_args;
use crate::script::Command;

/// Number of runs after which an option without success counts as never succeeding.
const RUNS_ENOUGH: usize = 12;
const SHOWN_MAX: usize = 600;

/// A difference between the two servers.
#[derive(Clone, Debug)]
pub struct Mismatch {
    pub epoch: usize,
    /// The line within the epoch; behind the last one when reading back.
    pub index: usize,
    /// The command and subcommand, [`Mismatch::READ_BACK`], [`Mismatch::EVENTS`]
    /// or [`Mismatch::MESSAGES`].
    pub name: &'static str,
    pub command: String,
    pub ours: String,
    pub theirs: String,
    /// The fewest lines that reproduce it, as `@connection> command`.
    pub script: Vec<String>,
}

impl Mismatch {
    /// In place of a command's name: the data sets differ at the end.
    pub const READ_BACK: &'static str = "(read back)";
    /// In place of a command's name: keyspace events differ.
    pub const EVENTS: &'static str = "(events)";
    /// In place of a command's name: messages to a subscriber differ.
    pub const MESSAGES: &'static str = "(messages)";

    /// Whether it is a difference of the whole epoch rather than of a line.
    pub(super) fn is_of_epoch(&self) -> bool {
        [Self::READ_BACK, Self::EVENTS, Self::MESSAGES].contains(&self.name)
    }

    pub(super) fn new(
        index: usize,
        name: &'static str,
        args: &Command,
        ours: &Value,
        theirs: &Value,
    ) -> Mismatch {
        Mismatch {
            epoch: 0,
            index,
            name,
            command: quote_args(args),
            ours: ours.pretty(),
            theirs: theirs.pretty(),
            script: Vec::new(),
        }
    }

    /// Differences with equal kinds are reported once: the command, and the kind of reply of each
    /// server.
    fn kind(&self) -> (&'static str, String, String) {
        (self.name, sort_of(&self.ours), sort_of(&self.theirs))
    }
}

/// The error code of an error; the type of other replies.
fn sort_of(reply: &str) -> String {
    let start = if reply.starts_with('-') { 60 } else { 1 };
    reply.chars().take(start).filter(|c| !c.is_ascii_digit()).collect()
}

#[derive(Clone, Copy, Debug, Default)]
struct Count {
    ran: usize,
    succeeded: usize,
}

/// The result of a stream.
#[derive(Clone, Debug)]
pub struct Report {
    plan: Plan,
    /// Commands that ran.
    pub commands: usize,
    /// Replies that differed as documented in `golden/DIFFERS.txt`.
    pub known: usize,
    /// Other differences, one of each kind.
    pub mismatches: Vec<Mismatch>,
    /// Differences of kinds already reported.
    pub repeated: usize,
    coverage: BTreeMap<(&'static str, &'static str), Count>,
}

impl Report {
    pub(super) fn new(plan: Plan) -> Report {
        Report {
            plan,
            commands: 0,
            known: 0,
            mismatches: Vec::new(),
            repeated: 0,
            coverage: BTreeMap::new(),
        }
    }

    pub(super) fn is_new(&self, mismatch: &Mismatch) -> bool {
        self.mismatches.iter().all(|other| other.kind() != mismatch.kind())
    }

    pub(super) fn add(&mut self, mismatch: Mismatch) {
        if self.is_new(&mismatch) {
            self.mismatches.push(mismatch);
        } else {
            self.repeated += 1;
        }
    }

    /// Counts a command by each of its options, or as plain if it has none.
    pub(super) fn count(&mut self, line: &Line, reply: &Value) {
        let plain = [""];
        let options = if line.options.is_empty() { &plain[..] } else { &line.options };
        for option in options {
            let count = self.coverage.entry((line.name, option)).or_default();
            count.ran += 1;
            count.succeeded += usize::from(!matches!(reply, Value::Error(_)));
        }
    }

    /// Commands and options that ran often and never succeeded, but for those meant to fail. Not
    /// where families are mixed: few keys are of the type that a command wants.
    pub fn never_succeeded(&self) -> Vec<String> {
        if self.plan.family == Family::All {
            return Vec::new();
        }
        let failed = self.coverage.iter().filter(|((name, option), count)| {
            let meant = option.starts_with('!') || name.starts_with("NOSUCH");
            // What scripts find is made by the commands of other families, on few keys.
            let fills = self.plan.family == Family::Scripts && !runs_scripts(name);
            !meant && !fills && count.ran >= RUNS_ENOUGH && count.succeeded == 0
        });
        failed.map(|((name, option), _)| format!("{name} {option}").trim().to_owned()).collect()
    }

    /// Fails if there are differences, or if something was never covered.
    pub fn check(&self) -> Result<()> {
        let never = self.never_succeeded();
        ensure!(self.mismatches.is_empty() && never.is_empty(), "{self}");
        Ok(())
    }
}

fn runs_scripts(name: &str) -> bool {
    ["EVAL", "FCALL", "FUNCTION", "SCRIPT"].iter().any(|prefix| name.starts_with(prefix))
}

impl Display for Report {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Plan { seed, family, proto, oracle, .. } = self.plan;
        writeln!(
            f,
            "{} commands of family {} under RESP{proto} against {}, seed {seed}: {} kinds of \
             difference (and {} repeats), {} known differences",
            self.commands,
            family.name(),
            oracle.name(),
            self.mismatches.len(),
            self.repeated,
            self.known
        )?;
        for ((name, option), count) in &self.coverage {
            let Count { ran, succeeded } = count;
            writeln!(f, "  {:<40} ran {ran:>6}  ok {succeeded:>6}", format!("{name} {option}"))?;
        }
        for name in self.never_succeeded() {
            writeln!(f, "never succeeded: {name}")?;
        }
        for mismatch in &self.mismatches {
            let Mismatch { epoch, index, name, command, ours, theirs, script } = mismatch;
            writeln!(f, "\nDIFFERS {name}: seed {seed}, epoch {epoch}, line {index}")?;
            for line in script {
                writeln!(f, "    {}", shown(line))?;
            }
            writeln!(f, "  command: {}", shown(command))?;
            writeln!(f, "  subject: {}", shown(ours))?;
            writeln!(f, "  oracle:  {}", shown(theirs))?;
        }
        Ok(())
    }
}

/// The beginning of a long text, without what would confuse a terminal.
fn shown(text: &str) -> String {
    let visible = |c: char| if c.is_control() && c != '\n' { '\u{fffd}' } else { c };
    let text: String = text.chars().map(visible).collect();
    match text.char_indices().nth(SHOWN_MAX) {
        Some((end, _)) => format!("{}… ({} bytes)", &text[..end], text.len()),
        None => text,
    }
}
