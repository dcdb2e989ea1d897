//! Where to stop: from what is wanted to the files and the bytes that make it up.

use std::ops::Range;

use super::timeline::{Candidate, Timeline};
use super::undo::Undo;
use super::walk::Unit;
use super::{RestoreError, Target};
use crate::env::Disk;
use crate::moment::rfc3339;

/// Deletions that follow one another within this time, or after no more than so many other units
/// where no times are known, are one act: a script that deletes what SCAN finds.
const TOGETHER_S: i64 = 1;
const TOGETHER_UNITS: u64 = 100;

/// A place between two units.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Stop {
    /// The generation.
    pub generation: usize,
    /// The increment in it; as many as there are if everything before is wanted.
    pub increment: usize,
    /// The offset in that.
    pub offset: u64,
}

/// What a restored data set is made of.
#[derive(Debug)]
pub struct Plan {
    /// The generation whose base it has.
    pub(super) root: usize,
    /// The last unit that is wanted ends here.
    pub stop: Stop,
    /// Units before that which are not wanted, in the order of their commands.
    pub undone: Vec<Candidate>,
    /// When the last unit was written, if that is known.
    pub time_s: Option<i64>,
    /// The first unit that is not wanted was looked for: what was undone.
    pub at: Option<Candidate>,
}

/// Whether a unit belongs to what is wanted.
enum Verdict {
    /// It does.
    Wanted,
    /// It does, but nothing behind it.
    Last,
    /// It does if a later one does.
    Unknown,
    /// Nothing from it on does, but everything before.
    Behind,
    /// Nothing from it on does; of what is before, what is known to.
    Beyond,
}

/// Where a walk has ended.
struct Walked {
    stop: Stop,
    time_s: Option<i64>,
    /// The increment and the offset of the first unit since the stop of which it is not known
    /// whether it is wanted.
    unknown: Option<(usize, u64)>,
}

impl Timeline {
    /// Finds what makes up the data set that is wanted. Bases are looked at on the way.
    pub fn plan(&mut self, disk: &dyn Disk, target: &Target) -> Result<Plan, RestoreError> {
        match target {
            Target::Time(time_s) => self.plan_time(disk, *time_s),
            Target::Offset(offset) => self.plan_offset(disk, *offset),
            Target::Place(name, offset) => self.plan_place(disk, name, *offset),
            Target::Before(undo) => self.plan_before(disk, undo),
            Target::Without(undo) => self.plan_without(disk, undo),
        }
    }

    fn out_of_range(&self, wanted: String) -> RestoreError {
        RestoreError::OutOfRange { wanted, spans: self.spans() }
    }

    fn plan_time(&mut self, disk: &dyn Disk, time_s: i64) -> Result<Plan, RestoreError> {
        let begins_before =
            |index: &usize| self.generations[*index].starts_s.is_some_and(|at| at <= time_s);
        let index = (0..self.generations.len()).rev().find(begins_before);
        let index = index.ok_or_else(|| self.out_of_range(rfc3339(time_s)))?;
        let walked = self.walk(disk, index, |unit| match unit.time_s {
            Some(at) if at > time_s => Verdict::Behind,
            Some(_) => Verdict::Wanted,
            None => Verdict::Unknown,
        })?;
        if let Some((increment, offset)) = walked.unknown {
            let path = self.path(&self.generations[index].increments[increment].name);
            return Err(RestoreError::Untimed { path, offset, spans: self.spans() });
        }
        self.finish(disk, walked.stop, walked.time_s)
    }

    fn plan_offset(&mut self, disk: &dyn Disk, offset: u64) -> Result<Plan, RestoreError> {
        let out_of_range = || self.out_of_range(format!("offset {offset}"));
        let all = self.generations.iter().map(super::Generation::offsets).enumerate();
        let known: Vec<(usize, (u64, u64))> =
            all.filter_map(|(index, offsets)| Some((index, offsets?))).collect();
        let within = |(_, (from, to)): &&(usize, (u64, u64))| (*from..=*to).contains(&offset);
        let index = match known.iter().rev().find(within) {
            Some((index, _)) => *index,
            None => {
                // Between two generations only bytes for replicas can be missing.
                let before = known.iter().rev().find(|(_, (from, _))| *from <= offset);
                let (index, _) = before.ok_or_else(out_of_range)?;
                let next = self.generations.get(index + 1);
                if !next.is_some_and(|next| next.continues && next.offsets().is_some()) {
                    return Err(out_of_range());
                }
                *index
            }
        };
        let walked = self.walk(disk, index, |unit| match (unit.from, unit.to) {
            (Some(from), _) if from > offset => Verdict::Beyond,
            (Some(_), Some(to)) if to > offset => Verdict::Behind,
            (_, Some(to)) if to > offset => Verdict::Beyond,
            (_, Some(to)) if to == offset => Verdict::Last,
            (_, Some(_)) => Verdict::Wanted,
            _ => Verdict::Unknown,
        })?;
        self.finish(disk, walked.stop, walked.time_s)
    }

    fn plan_place(
        &mut self,
        disk: &dyn Disk,
        name: &[u8],
        offset: u64,
    ) -> Result<Plan, RestoreError> {
        let found = self.generations.iter().enumerate().find_map(|(generation, one)| {
            let increment = one.increments.iter().position(|file| file.name == name)?;
            Some((generation, increment))
        });
        let wanted = || format!("{}:{offset}", name.escape_ascii());
        let (generation, increment) = found.ok_or_else(|| self.out_of_range(wanted()))?;
        let file = &self.generations[generation].increments[increment];
        let mut stop = Stop { generation, increment, offset: 0 };
        let mut time_s = file.before_s;
        self.each_unit(disk, file, None, |unit| {
            if unit.end <= offset {
                (stop.offset, time_s) = (unit.end, unit.time_s);
            }
            unit.end <= offset
        })?;
        if offset > file.len {
            return Err(match &file.trouble {
                Some(_) => self.damaged(generation, increment),
                None => self.out_of_range(wanted()),
            });
        }
        self.finish(disk, stop, time_s)
    }

    /// The last act of a kind: units that follow one another closely are one, if they are
    /// deletions.
    fn last_act(&self, disk: &dyn Disk, undo: &Undo) -> Result<Vec<Candidate>, RestoreError> {
        for index in (0..self.generations.len()).rev() {
            let mut act: Vec<Candidate> = Vec::new();
            self.each_candidate(disk, undo, index, |candidate| {
                let goes_on = matches!(undo, Undo::Delete(_))
                    && act.last().is_some_and(|last| are_together(last, &candidate));
                if !goes_on {
                    act.clear();
                }
                act.push(candidate);
            })?;
            if !act.is_empty() {
                return Ok(act);
            }
        }
        Err(RestoreError::NothingToUndo { undo: undo.clone(), spans: self.spans() })
    }

    fn plan_before(&mut self, disk: &dyn Disk, undo: &Undo) -> Result<Plan, RestoreError> {
        let act = self.last_act(disk, undo)?;
        let Candidate { generation, increment, at, time_s, .. } = act[0].clone();
        let stop = Stop { generation, increment, offset: at.start };
        let mut plan = self.finish(disk, stop, time_s)?;
        plan.at = act.into_iter().next();
        Ok(plan)
    }

    fn plan_without(&mut self, disk: &dyn Disk, undo: &Undo) -> Result<Plan, RestoreError> {
        let act = self.last_act(disk, undo)?;
        let from = act[0].generation;
        for (index, one) in self.generations.iter().enumerate().skip(from + 1) {
            if !one.continues {
                let first = one.increments.first().map_or(&b""[..], |file| &file.name);
                return Err(RestoreError::Gap(self.path(first)));
            }
            let former = &self.generations[index - 1].increments;
            if let Some(faulty) = former.iter().position(|file| file.trouble.is_some()) {
                return Err(self.damaged(index - 1, faulty));
            }
        }
        let last = self.generations.len() - 1;
        let files = &self.generations[last].increments;
        if let Some(faulty) = (0..files.len()).find(|index| self.is_faulty(last, *index)) {
            return Err(self.damaged(last, faulty));
        }
        let increment = files.len().saturating_sub(1);
        let file = files.last();
        let stop = Stop { generation: last, increment, offset: file.map_or(0, |file| file.len) };
        let time_s = file.and_then(|file| file.times_s).map(|times| times.1);
        let root = self.sound_root(disk, from)?;
        let at = act.first().cloned();
        Ok(Plan { root, stop, undone: act, time_s, at })
    }

    /// Goes through the units of a generation up to the last one that is wanted.
    fn walk(
        &self,
        disk: &dyn Disk,
        generation: usize,
        mut judge: impl FnMut(&Unit) -> Verdict,
    ) -> Result<Walked, RestoreError> {
        let files = &self.generations[generation].increments;
        let stop = Stop { generation, increment: 0, offset: 0 };
        let mut walked = Walked { stop, time_s: None, unknown: None };
        for (increment, file) in files.iter().enumerate() {
            let mut is_over = false;
            self.each_unit(disk, file, None, |unit| {
                let verdict = judge(&unit);
                let offset = match verdict {
                    Verdict::Wanted | Verdict::Last => unit.end,
                    Verdict::Behind => unit.start,
                    Verdict::Unknown | Verdict::Beyond => 0,
                };
                if offset > 0 {
                    walked.stop = Stop { generation, increment, offset };
                }
                match verdict {
                    Verdict::Wanted | Verdict::Last => {
                        (walked.time_s, walked.unknown) = (unit.time_s, None);
                    }
                    Verdict::Unknown => {
                        walked.unknown.get_or_insert((increment, unit.start));
                    }
                    Verdict::Behind | Verdict::Beyond => {}
                }
                is_over = !matches!(verdict, Verdict::Wanted | Verdict::Unknown);
                !is_over
            })?;
            if is_over {
                break;
            }
            if self.is_faulty(generation, increment) {
                return Err(self.damaged(generation, increment));
            }
        }
        Ok(walked)
    }

    fn finish(
        &mut self,
        disk: &dyn Disk,
        stop: Stop,
        time_s: Option<i64>,
    ) -> Result<Plan, RestoreError> {
        let files = &self.generations[stop.generation].increments;
        let before = &files[..stop.increment.min(files.len())];
        if let Some(faulty) = before.iter().position(|file| file.trouble.is_some()) {
            return Err(self.damaged(stop.generation, faulty));
        }
        let root = self.sound_root(disk, stop.generation)?;
        Ok(Plan { root, stop, undone: Vec::new(), time_s, at: None })
    }

    /// Whether an increment has a fault that is not just the broken end of the very last file.
    pub(super) fn is_faulty(&self, generation: usize, increment: usize) -> bool {
        let files = &self.generations[generation].increments;
        let is_last = increment + 1 == files.len() && generation + 1 == self.generations.len();
        let trouble = files[increment].trouble.as_ref();
        trouble.is_some_and(|trouble| !(is_last && trouble.breaks_off))
    }

    fn damaged(&self, generation: usize, increment: usize) -> RestoreError {
        let file = &self.generations[generation].increments[increment];
        let trouble = file.trouble.clone().expect("the caller has seen it");
        RestoreError::Damaged { path: self.path(&file.name), trouble, spans: self.spans() }
    }

    /// The generation whose base a moment of this one is restored from, after a look at all of that
    /// base.
    fn sound_root(&mut self, disk: &dyn Disk, generation: usize) -> Result<usize, RestoreError> {
        while let Some(root) = self.root_of(generation) {
            self.check_base(disk, root)?;
            if self.root_of(generation) == Some(root) {
                return Ok(root);
            }
        }
        let base = self.generations[generation].base.as_ref();
        let base = base.expect("a generation without a base needs none");
        let trouble = base.trouble.clone().expect("else it were of use");
        Err(RestoreError::Damaged { path: self.path(&base.name), trouble, spans: self.spans() })
    }
}

fn are_together(one: &Candidate, next: &Candidate) -> bool {
    match (one.time_s, next.time_s) {
        (Some(one_s), Some(next_s)) => next_s - one_s <= TOGETHER_S,
        _ => {
            let between = next.number.saturating_sub(one.number);
            one.increment == next.increment && between <= TOGETHER_UNITS + 1
        }
    }
}

impl Plan {
    /// What is left out of an increment before the stop.
    pub(super) fn skipped(
        &self,
        generation: usize,
        increment: usize,
    ) -> impl Iterator<Item = (&Range<u64>, (u32, u32))> {
        let here =
            move |unit: &&Candidate| (unit.generation, unit.increment) == (generation, increment);
        self.undone.iter().filter(here).map(|unit| (&unit.at, unit.dbs))
    }
}
