//! One record of the parameter table: the name of a directive, the values it accepts, its field in
//! [`Config`], and whether it has an effect.

use super::kinds::{FileLine, Reason};
use super::table::Config;

/// Whether a directive has an effect in this server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has the documented effect.
    Used,
    /// It is accepted and stored but has no effect; why that is harmless.
    Ignored(&'static str),
    /// Only the default is accepted, because another value would promise a missing feature; which
    /// one.
    OnlyDefault(&'static str),
}

/// A directive of the configuration. Build with the `directives!` table only.
pub struct Directive {
    /// Its name, lower case; the one that CONFIG REWRITE writes.
    pub name: &'static str,
    /// Its alias, if any: equally accepted, and listed by CONFIG GET.
    pub other_name: Option<&'static str>,
    /// The group it is documented in.
    pub group: &'static str,
    /// Its documentation, one string per source line.
    pub doc: &'static [&'static str],
    /// Only the file and the command line may set it.
    pub is_immutable: bool,
    /// CONFIG SET may state it as it is.
    pub is_fixed: bool,
    /// CONFIG SET also needs `enable-protected-configs`.
    pub is_protected: bool,
    /// Its value must not appear in logs.
    pub is_sensitive: bool,
    /// Omitted by CONFIG GET with wildcards, and from the documentation.
    pub is_hidden: bool,
    /// Every further line of a file adds to the value instead of replacing it.
    pub is_cumulative: bool,
    /// CONFIG SET is refused while the data set is being loaded.
    pub is_not_while_loading: bool,
    /// Whether it has an effect.
    pub standing: Standing,
    /// Whether a single argument may hold several values, separated by blanks.
    pub(super) splits: bool,
    /// Whether an argument may contain NUL bytes.
    pub(super) takes_nul: bool,
    pub(super) get: fn(&Config) -> Vec<u8>,
    pub(super) set: fn(&mut Config, &[Vec<u8>]) -> Result<(), Reason>,
    pub(super) lines: fn(&Config, &Config) -> Vec<FileLine>,
    pub(super) describe: fn() -> String,
}

impl Directive {
    /// A record without attributes; the table adds them with the methods below.
    pub(super) const fn new(
        name: &'static str,
        group: &'static str,
        doc: &'static [&'static str],
        get: fn(&Config) -> Vec<u8>,
        set: fn(&mut Config, &[Vec<u8>]) -> Result<(), Reason>,
        lines: fn(&Config, &Config) -> Vec<FileLine>,
        describe: fn() -> String,
    ) -> Self {
        Self {
            name,
            other_name: None,
            group,
            doc,
            is_immutable: false,
            is_fixed: false,
            is_protected: false,
            is_sensitive: false,
            is_hidden: false,
            is_cumulative: false,
            is_not_while_loading: false,
            standing: Standing::Used,
            splits: false,
            takes_nul: false,
            get,
            set,
            lines,
            describe,
        }
    }

    pub(super) const fn splits(mut self, splits: bool) -> Self {
        self.splits = splits;
        self
    }

    pub(super) const fn takes_nul(mut self, takes_nul: bool) -> Self {
        self.takes_nul = takes_nul;
        self
    }

    pub(super) const fn alias(mut self, name: &'static str) -> Self {
        self.other_name = Some(name);
        self
    }

    pub(super) const fn immutable(mut self) -> Self {
        self.is_immutable = true;
        self
    }

    pub(super) const fn fixed(mut self) -> Self {
        self.is_fixed = true;
        self
    }

    pub(super) const fn protected(mut self) -> Self {
        self.is_protected = true;
        self
    }

    pub(super) const fn sensitive(mut self) -> Self {
        self.is_sensitive = true;
        self
    }

    pub(super) const fn hidden(mut self) -> Self {
        self.is_hidden = true;
        self
    }

    pub(super) const fn cumulative(mut self) -> Self {
        self.is_cumulative = true;
        self
    }

    pub(super) const fn not_while_loading(mut self) -> Self {
        self.is_not_while_loading = true;
        self
    }

    pub(super) const fn ignored(mut self, why: &'static str) -> Self {
        self.standing = Standing::Ignored(why);
        self
    }

    pub(super) const fn unsupported_unless_default(mut self, what: &'static str) -> Self {
        self.standing = Standing::OnlyDefault(what);
        self
    }

    /// Its name and its alias.
    pub fn names(&self) -> impl Iterator<Item = &'static str> {
        std::iter::once(self.name).chain(self.other_name)
    }

    /// Its value as CONFIG GET shows it.
    #[must_use]
    pub fn text(&self, config: &Config) -> Vec<u8> {
        (self.get)(config)
    }

    /// Whether the values differ, even if CONFIG GET shows them alike.
    pub(super) fn differs(&self, old: &Config, new: &Config) -> bool {
        (self.lines)(old, old) != (self.lines)(new, old)
    }

    /// Sets it from the arguments of a line. On error `config` is unchanged.
    pub(super) fn apply(&self, config: &mut Config, args: &[Vec<u8>]) -> Result<(), Reason> {
        let args = match args {
            [only] if self.splits && !only.is_empty() => {
                only.split(|byte| *byte == b' ').map(|word| self.read(word)).collect()
            }
            _ => args.iter().map(|arg| self.read(arg)).collect::<Vec<_>>(),
        };
        let Standing::OnlyDefault(what) = self.standing else {
            return (self.set)(config, &args);
        };
        let mut changed = config.clone();
        (self.set)(&mut changed, &args)?;
        if self.text(&changed) != self.text(&Config::default()) {
            return Err(format!("only the default is supported: Redix lacks {what}"));
        }
        *config = changed;
        Ok(())
    }

    /// The argument as the real servers see it: most kinds end it at a NUL byte.
    fn read(&self, arg: &[u8]) -> Vec<u8> {
        let end = arg.iter().position(|byte| *byte == 0).filter(|_| !self.takes_nul);
        arg[..end.unwrap_or(arg.len())].to_vec()
    }
}
