//! `check-rdb`: the check of an RDB file, with statistics if asked for.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use redix_core::persist::check::rdb;
use redix_core::persist::check::stats::{Form, Stats};

use super::{Console, Failure};
use crate::sys;

pub(super) const USAGE: &str =
    "<rdb-file-name> [--format table|info|csv] [--stats] [--output <file>]";

/// The arguments.
struct Options<'a> {
    file: &'a [u8],
    form: Form,
    stats: bool,
    /// Where the statistics go instead of standard output.
    output: Option<&'a Path>,
}

impl<'a> Options<'a> {
    fn parse(args: &'a [Vec<u8>]) -> Option<Self> {
        let (file, mut rest) = args.split_first()?;
        let mut options = Self { file, form: Form::Table, stats: false, output: None };
        while let Some((option, after)) = rest.split_first() {
            rest = match (option.as_slice(), after) {
                (b"--stats", _) => {
                    options.stats = true;
                    after
                }
                (b"--format", [form, after @ ..]) => {
                    options.form = Form::named(form)?;
                    after
                }
                (b"--output", [path, after @ ..]) => {
                    options.output = Some(Path::new(OsStr::from_bytes(path)));
                    after
                }
                _ => return None,
            };
        }
        Some(options)
    }
}

pub(super) fn run(args: &[Vec<u8>], console: &mut Console<'_>) -> Result<(), Failure> {
    let options = Options::parse(args).ok_or(Failure::Usage)?;
    let path = Path::new(OsStr::from_bytes(options.file));
    let file = File::open(path).map_err(|error| {
        let name = path.display();
        let text = sys::error_text(&error);
        writeln!(console.out, "Cannot open file {name}: {text}")
            .map_or(Failure::Output, |()| Failure::Reported)
    })?;
    let mut stats = options.stats.then(Stats::default);
    let now_ms = sys::unix_us() / 1000;
    let sound = rdb::check(file, options.file, now_ms, stats.as_mut(), console.out)?;
    sound.ok_or(Failure::Reported)?;
    let Some(stats) = stats else { return Ok(()) };
    let Some(output) = options.output else {
        return Ok(stats.write_to(options.form, console.out)?);
    };
    let written = File::create(output).and_then(|file| {
        let mut file = BufWriter::new(file);
        stats.write_to(options.form, &mut file)?;
        file.flush()
    });
    written.or_else(|error| {
        let text = sys::error_text(&error);
        writeln!(console.out, "Cannot write file {}: {text}", output.display())?;
        Err(Failure::Reported)
    })
}
