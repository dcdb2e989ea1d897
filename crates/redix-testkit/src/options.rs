//! The options of the programs of this crate: `--name value`, `--name`, and words beside them.

use std::str::FromStr;

use anyhow::{Context, Result, bail, ensure};

/// Arguments of which none was taken yet, in order.
#[derive(Debug)]
pub struct Options(Vec<String>);

impl Options {
    /// Those of this process. `None`: help is wanted.
    pub fn of_process() -> Option<Self> {
        let args: Vec<String> = std::env::args().skip(1).collect();
        (!args.iter().any(|arg| arg == "--help")).then_some(Self(args))
    }

    /// Takes an option without a value; whether it was given.
    pub fn flag(&mut self, name: &str) -> bool {
        let at = self.0.iter().position(|arg| arg == name);
        at.map(|at| self.0.remove(at)).is_some()
    }

    /// Takes the value of an option, if it was given. Errors: it has none, or one that `read` does
    /// not understand.
    pub fn value<T>(&mut self, name: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>> {
        let Some(at) = self.0.iter().position(|arg| arg == name) else { return Ok(None) };
        ensure!(at + 1 < self.0.len(), "{name} needs a value");
        let given: Vec<String> = self.0.drain(at..at + 2).collect();
        let value = read(&given[1]).with_context(|| format!("{name}: what is {:?}?", given[1]))?;
        Ok(Some(value))
    }

    /// The same for a number or a text, with what it is if it was not given.
    pub fn or<T: FromStr>(&mut self, name: &str, default: T) -> Result<T> {
        Ok(self.value(name, |text| text.parse().ok())?.unwrap_or(default))
    }

    /// The words beside options. Errors: an option that nobody took.
    pub fn words(self) -> Result<Vec<String>> {
        if let Some(unknown) = self.0.iter().find(|arg| arg.starts_with('-')) {
            bail!("{unknown} is no option; try --help");
        }
        Ok(self.0)
    }

    /// That nothing is left. Errors: something is.
    pub fn end(self) -> Result<()> {
        let words = self.words()?;
        ensure!(words.is_empty(), "{} is no option; try --help", words[0]);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
