//! The upstream suite in both modes, with every number of worker threads that behaves differently:
//! one, as many as the cores of a small machine, and more than that.

use anyhow::{Result, bail};

use super::Progress;
use crate::upstream::{Mode, Runner};

const THREADS: &[u32] = &[1, 2, 4];

pub(super) fn run(progress: &mut Progress) -> Result<()> {
    for (mode, word) in [(Mode::External, "external"), (Mode::Normal, "normal")] {
        for threads in THREADS {
            let runner = Runner::new(mode, None, *threads)?;
            for file in runner.files()? {
                progress.unit(&format!("{word} threads={threads} {file}"), || {
                    let verdict = runner.check(&file)?;
                    if !verdict.ok() {
                        bail!("{}", verdict.summary());
                    }
                    Ok(verdict.summary())
                })?;
            }
        }
    }
    Ok(())
}
