//! Progress of long work on standard error: rate and time left; silent when that is no terminal.

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::sync::Mutex;

/// A bar over `total` things, such as passages.
pub(crate) fn bar(stage: &'static str, total: u64, unit: &str) -> ProgressBar {
    let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr());
    let style = format!("{{prefix:>12}} {{wide_bar}} {{pos}}/{{len}} {unit} {{per_sec}} {{msg}} {{eta}} left");
    bar.set_style(ProgressStyle::with_template(&style).expect("the template is well-formed"));
    bar.set_prefix(stage);
    bar
}

/// A count of things whose number nobody knows yet.
pub(crate) fn counter(stage: &'static str, unit: &str) -> ProgressBar {
    let counter = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    let style = format!("{{prefix:>12}} {{spinner}} {{pos}} {unit}");
    counter.set_style(ProgressStyle::with_template(&style).expect("the template is well-formed"));
    counter.set_prefix(stage);
    counter
}

/// Shows the codec's training.
#[derive(Default)]
pub(crate) struct Training(Mutex<Option<ProgressBar>>);

impl selvedge_codec::Progress for Training {
    fn report(&self, stage: &'static str, done: u64, total: u64) {
        let mut shown = self.0.lock().expect("no holder panics");
        let bar = shown.get_or_insert_with(|| bar(stage, total, "rounds"));
        bar.set_position(done);
        if done == total {
            bar.finish();
        }
    }
}
