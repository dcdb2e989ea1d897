//! Tables for people and JSON for machines.

use std::fmt::{self, Display, Formatter, Write as _};
use std::path::Path;

use anyhow::{Context, Result};

use crate::host;
use crate::options::Options;
use crate::stats::Ratio;

/// The conditions of the figures.
pub(crate) struct Conditions(Vec<String>);

impl Conditions {
    pub(crate) fn collect(options: &Options) -> Result<Conditions> {
        let mut lines =
            vec![format!("{}, Linux {}, {}.", host::date(), host::kernel(), host::processors())];
        lines.extend(options.contenders.iter().map(crate::contender::Contender::describe));
        Ok(Conditions(lines))
    }
}

impl Display for Conditions {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

/// The content of a table cell.
#[derive(Clone, Debug)]
pub(crate) enum Figure {
    Nothing,
    Text(String),
    Number { value: f64, digits: usize },
    Ratio(Ratio),
}

impl Figure {
    pub(crate) fn text(text: impl Into<String>) -> Figure {
        Figure::Text(text.into())
    }

    pub(crate) fn number(value: f64, digits: usize) -> Figure {
        Figure::Number { value, digits }
    }

    fn json(&self) -> String {
        let number = |value: f64| if value.is_finite() { value.to_string() } else { "null".into() };
        match self {
            Figure::Nothing => "null".into(),
            Figure::Text(text) => json_string(text),
            Figure::Number { value, .. } => number(*value),
            Figure::Ratio(ratio) => format!(
                "{{\"median\":{},\"low\":{},\"high\":{}}}",
                number(ratio.median),
                number(ratio.low),
                number(ratio.high)
            ),
        }
    }
}

impl Display for Figure {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Figure::Nothing => Ok(()),
            Figure::Text(text) => f.write_str(text),
            Figure::Number { value, digits } => write!(f, "{value:.digits$}"),
            Figure::Ratio(ratio) => {
                write!(f, "{:.3} [{:.3}, {:.3}]", ratio.median, ratio.low, ratio.high)
            }
        }
    }
}

/// A table with a line about how it was made.
pub(crate) struct Section {
    name: &'static str,
    note: String,
    columns: Vec<String>,
    rows: Vec<Vec<Figure>>,
}

impl Section {
    pub(crate) fn new(name: &'static str, note: &str, columns: Vec<String>) -> Section {
        Section { name, note: note.to_owned(), columns, rows: Vec::new() }
    }

    /// Adds a row, one figure a column.
    pub(crate) fn push(&mut self, row: impl IntoIterator<Item = Figure>) {
        let row: Vec<Figure> = row.into_iter().collect();
        assert_eq!(row.len(), self.columns.len(), "a figure for each column");
        self.rows.push(row);
    }

    fn json(&self) -> String {
        let rows: Vec<String> = self.rows.iter().map(|row| self.json_row(row)).collect();
        let note = json_string(&self.note);
        format!("{{\"name\":\"{}\",\"note\":{note},\"rows\":[\n{}]}}", self.name, rows.join(",\n"))
    }

    fn json_row(&self, row: &[Figure]) -> String {
        let pairs = self.columns.iter().zip(row);
        let fields: Vec<String> = pairs
            .map(|(column, figure)| format!("{}:{}", json_string(column), figure.json()))
            .collect();
        format!("{{{}}}", fields.join(","))
    }
}

impl Display for Section {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let cells: Vec<Vec<String>> =
            self.rows.iter().map(|row| row.iter().map(Figure::to_string).collect()).collect();
        let width = |column: usize| {
            let all = cells.iter().map(|row| row[column].len());
            all.chain([self.columns[column].len()]).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..self.columns.len()).map(width).collect();
        let line = |f: &mut Formatter<'_>, row: &[String]| {
            let padded = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            writeln!(f, "| {} |", padded.collect::<Vec<_>>().join(" | "))
        };
        writeln!(f, "{}\n", self.note)?;
        line(f, &self.columns)?;
        let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
        line(f, &rule)?;
        cells.iter().try_for_each(|row| line(f, row))
    }
}

/// Writes everything to a file.
pub(crate) fn write_json(path: &Path, conditions: &Conditions, sections: &[Section]) -> Result<()> {
    let conditions: Vec<String> = conditions.0.iter().map(|line| json_string(line)).collect();
    let sections: Vec<String> = sections.iter().map(Section::json).collect();
    let text = format!(
        "{{\"conditions\":[{}],\"sections\":[{}]}}\n",
        conditions.join(","),
        sections.join(",")
    );
    std::fs::write(path, text).with_context(|| path.display().to_string())
}

fn json_string(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => out.extend(['\\', c]),
            c if c < ' ' => write!(out, "\\u{:04x}", u32::from(c)).expect("a String accepts all"),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
