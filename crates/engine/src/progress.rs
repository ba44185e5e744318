//! Stages of long operations: steps are counted and reported, and the operation stops if the listener
//! requests it.

use crate::{Error, Result};

pub use selvedge_codec::{Progress, Step};

/// Stage of a long operation, which counts steps and reports each count.
pub(crate) struct Stage<'a> {
    progress: &'a dyn Progress,
    step: Step,
}

impl<'a> Stage<'a> {
    /// Begins a stage of `total` steps, if their number is known.
    pub(crate) fn new(progress: &'a dyn Progress, stage: &'static str, unit: &'static str, total: Option<u64>) -> Self {
        let step = Step { stage, unit, done: 0, total };
        progress.report(step);
        Self { progress, step }
    }

    /// Reports that `count` more steps are done.
    ///
    /// # Errors
    /// [`Error::Cancelled`] if the listener asks to stop.
    pub(crate) fn add(&mut self, count: u64) -> Result<()> {
        self.step.done += count;
        self.progress.report(self.step);
        if self.progress.is_cancelled() { Err(Error::Cancelled) } else { Ok(()) }
    }

    /// Reports that the stage is over, with the number of steps done as the total.
    pub(crate) fn finish(mut self) {
        if self.step.total != Some(self.step.done) {
            self.step.total = Some(self.step.done);
            self.progress.report(self.step);
        }
    }
}
