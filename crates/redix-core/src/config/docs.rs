//! `redix.conf` and the documentation of directives, both generated from the table.

use std::fmt::Write as _;

use super::bytes::Shown;
use super::directive::{Directive, Standing};
use super::table::{Config, DIRECTIVES};

const COLUMNS_MAX: usize = 96;

/// The groups in order, each with its directives that are not hidden.
fn groups() -> Vec<(&'static str, Vec<&'static Directive>)> {
    let mut groups: Vec<(&str, Vec<&Directive>)> = Vec::new();
    for directive in DIRECTIVES.iter().filter(|directive| !directive.is_hidden) {
        match groups.last_mut() {
            Some((group, list)) if *group == directive.group => list.push(directive),
            _ => groups.push((directive.group, vec![directive])),
        }
    }
    groups
}

/// The documentation of a directive as one line.
fn sentence(directive: &Directive) -> String {
    directive.doc.iter().map(|line| line.trim()).collect::<Vec<_>>().join(" ")
}

/// The lines of a file that set a directive to its default, if a file can express it.
fn default_lines(directive: &Directive) -> Vec<String> {
    let default = Config::default();
    (directive.lines)(&default, &default)
        .iter()
        .map(|line| format!("{} {}", directive.name, Shown(&line.args)).trim_end().to_owned())
        .collect()
}

/// The configuration file with every directive, its explanation and its default. Loading it gives
/// the defaults.
#[must_use]
pub fn sample_conf() -> String {
    let mut out = String::from(
        "# Configuration of Redix: every directive with its default.\n\
         #\n\
         # Start with: redix /path/to/redix.conf. Each directive is also a flag, as in\n\
         # --port 7000 or --port=7000; flags count after the file. Values with blanks go in\n\
         # quotes. Sizes may have a unit: k, m and g are powers of 1000; kb, mb and gb of 1024.\n\
         #\n\
         # Two more lines may appear any number of times:\n\
         #\n\
         # include /path/to/other.conf        read other files here; the path may have wildcards\n\
         # rename-command FLUSHALL \"\"         give a command another name, or none\n",
    );
    for (group, directives) in groups() {
        let _ = write!(out, "\n\n######## {group} ########\n");
        for directive in directives {
            out.push('\n');
            let values = (directive.describe)();
            wrap(&mut out, &format!("{} Values: {values}.", sentence(directive)));
            if let Some(other) = directive.other_name {
                wrap(&mut out, &format!("Also called {other}."));
            }
            let comment = match directive.standing {
                Standing::Used => "",
                Standing::Ignored(why) => {
                    wrap(&mut out, &format!("Accepted without effect: {why}."));
                    ""
                }
                Standing::OnlyDefault(what) => {
                    wrap(&mut out, &format!("Only the default is accepted: Redix lacks {what}."));
                    "# "
                }
            };
            for line in default_lines(directive) {
                let _ = writeln!(out, "{comment}{line}");
            }
        }
    }
    out
}

/// Appends `text` as comment lines of at most [`COLUMNS_MAX`] columns.
fn wrap(out: &mut String, text: &str) {
    let mut column = 0;
    for word in text.split(' ') {
        if column == 0 || column + 1 + word.len() > COLUMNS_MAX {
            out.push_str(if column == 0 { "#" } else { "\n#" });
            column = 1;
        }
        out.push(' ');
        out.push_str(word);
        column += 1 + word.len();
    }
    out.push('\n');
}

/// The documentation of all directives as Markdown tables, one per group.
#[must_use]
pub fn markdown() -> String {
    let mut out = String::from(
        "# Directives\n\nEvery directive of the configuration file, which is also a flag \
         of the command line and a parameter of CONFIG GET.\nWritten from the parameter \
         table by `cargo xtask docs`.\n",
    );
    let default = Config::default();
    for (group, directives) in groups() {
        let _ = write!(
            out,
            "\n## {group}\n\n| directive | default | values | CONFIG SET | what it does |\n\
             |---|---|---|---|---|\n"
        );
        for directive in directives {
            let names = directive.names().map(|n| format!("`{n}`")).collect::<Vec<_>>().join(", ");
            let set = match (directive.is_immutable || directive.is_fixed, directive.is_protected) {
                (true, _) => "no",
                (false, true) => "protected",
                (false, false) => "yes",
            };
            let standing = match directive.standing {
                Standing::Used => String::new(),
                Standing::Ignored(why) => format!(" *Without effect: {why}.*"),
                Standing::OnlyDefault(what) => format!(" *Only the default: Redix lacks {what}.*"),
            };
            let _ = writeln!(
                out,
                "| {names} | {} | {} | {set} | {}{standing} |",
                code(&Shown(&directive.text(&default)).to_string()),
                (directive.describe)(),
                sentence(directive),
            );
        }
    }
    out
}

fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{text}`") }
}
