//! Counting the steps of a stage for whoever listens, and stopping where they ask for it.

use crate::{Error, Result};

pub use selvedge_codec::{Progress, Step};

/// A stage of a long operation: counts, and reports each count.
pub(crate) struct Stage<'a> {
    progress: &'a dyn Progress,
    step: Step,
}

impl<'a> Stage<'a> {
    /// A stage that has not begun; `total` things are to be done, where their number is known.
    pub(crate) fn new(progress: &'a dyn Progress, stage: &'static str, unit: &'static str, total: Option<u64>) -> Self {
        let step = Step { stage, unit, done: 0, total };
        progress.report(step);
        Self { progress, step }
    }

    /// Reports that `count` more things are done; fails where the operation should stop.
    pub(crate) fn add(&mut self, count: u64) -> Result<()> {
        self.step.done += count;
        self.progress.report(self.step);
        if self.progress.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Reports that the stage is over, however many things were expected.
    pub(crate) fn finish(mut self) {
        if self.step.total != Some(self.step.done) {
            self.step.total = Some(self.step.done);
            self.progress.report(self.step);
        }
    }
}
