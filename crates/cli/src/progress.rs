//! Progress bars on standard error, with rate and remaining time. Hidden if it is not a terminal, and with `-q`.

use crate::{log, signals};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use selvedge::{Progress, Step};
use std::sync::Mutex;

/// Returns a bar over `total` units, such as passages, or a counter if their number is unknown.
pub(crate) fn bar(stage: &'static str, unit: &str, total: Option<u64>) -> ProgressBar {
    let target = if log::is_quiet() { ProgressDrawTarget::hidden() } else { ProgressDrawTarget::stderr() };
    let bar = ProgressBar::with_draw_target(total, target);
    let style = match total {
        Some(_) => format!("{{prefix:>12}} {{wide_bar}} {{pos}}/{{len}} {unit} {{per_sec}} {{msg}} {{eta}} left"),
        None => format!("{{prefix:>12}} {{spinner}} {{pos}} {unit}"),
    };
    bar.set_style(ProgressStyle::with_template(&style).expect("the template is well-formed"));
    bar.set_prefix(stage);
    bar
}

/// Progress of the library, shown as one bar per stage. A signal cancels the operation.
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
