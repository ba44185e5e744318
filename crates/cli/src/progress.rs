//! Progress bars of long work on standard error: rate and time left; silent when that is no terminal.

use crate::signals;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use selvedge::{Progress, Step};
use std::sync::Mutex;

/// A bar over `total` things, such as passages; a counter where their number is unknown.
pub(crate) fn bar(stage: &'static str, unit: &str, total: Option<u64>) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(total, ProgressDrawTarget::stderr());
    let style = match total {
        Some(_) => format!("{{prefix:>12}} {{wide_bar}} {{pos}}/{{len}} {unit} {{per_sec}} {{msg}} {{eta}} left"),
        None => format!("{{prefix:>12}} {{spinner}} {{pos}} {unit}"),
    };
    bar.set_style(ProgressStyle::with_template(&style).expect("the template is well-formed"));
    bar.set_prefix(stage);
    bar
}

/// Shows the library's progress, one bar per stage.
#[derive(Default)]
pub(crate) struct Bars(Mutex<Option<(&'static str, ProgressBar)>>);

impl Progress for Bars {
    fn report(&self, step: Step) {
        let mut shown = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if shown.as_ref().is_none_or(|(stage, _)| *stage != step.stage) {
            if let Some((_, earlier)) = shown.take() {
                earlier.finish();
            }
            *shown = Some((step.stage, bar(step.stage, step.unit, step.total)));
        }
        let Some((_, bar)) = shown.as_ref() else { return };
        bar.set_position(step.done);
        if step.total == Some(step.done) {
            bar.finish();
        }
    }

    fn is_cancelled(&self) -> bool {
        signals::is_received()
    }
}
