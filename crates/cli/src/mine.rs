//! `selvedge mine`: hard negatives for training.

use crate::args::MineArgs;
use crate::index::{note_header, note_skipped};
use crate::log::note;
use crate::progress::Bars;
use crate::{Result, output};
use selvedge::{BuildOptions, MineOptions, MineReport, Teacher};
use std::io::Write;

/// Mines tuples, and prints the counts.
pub(crate) fn mine(args: &MineArgs) -> Result<()> {
    let teacher = match (&args.teacher, &args.scores) {
        (Some(model), _) => Teacher::Model { model: model.clone(), dense: args.dense },
        (None, Some(scores)) => Teacher::Scores(scores.clone()),
        (None, None) => unreachable!("the arguments demand one of them"),
    };
    let defaults = MineOptions::new(teacher);
    let options = MineOptions {
        answers: args.answers.clone(),
        depth: args.depth,
        negatives: args.negatives,
        margin: args.margin,
        build: BuildOptions {
            read: defaults.build.read.clone(),
            ..args.build.build_options(&args.model, &args.encode)
        },
        ..defaults
    };
    let report = selvedge::mine(&args.queries, &args.collection, &args.out, &options, &Bars::default())?;
    say(args, &report)
}

fn say(args: &MineArgs, report: &MineReport) -> Result<()> {
    if args.json {
        let line = serde_json::to_string(report).expect("a report is plain numbers");
        return output::print(writeln!(std::io::stdout().lock(), "{line}"));
    }
    let MineReport { queries, tuples, dropped, unanswered, unscored, few_negatives, answers_found, .. } = report;
    note_skipped(&report.read);
    note_header(report.queries_had_header);
    if report.truncated > 0 {
        note!("{} of {} passages are longer than the model reads", report.truncated, report.read.passages);
    }
    note!(
        "{}: {tuples} tuples of {queries} queries; {dropped} passages dropped, scored near the answer or above it",
        args.out.display()
    );
    if args.answers.is_some() {
        let percent = 100.0 * answers_found;
        note!("an answer is among the {} passages found for {percent:.1} % of the queries", args.depth);
    }
    if tuples < queries {
        note!(
            "left out: {unanswered} without an answer in the collection, {unscored} without a score, \
             {few_negatives} with fewer than {} negatives (a larger --depth finds more)",
            args.negatives
        );
    }
    Ok(())
}
