//! `selvedge add`, `update`, `delete`, `compact` and `upgrade`: changes of an existing index.

use crate::args::{AddArgs, CompactArgs, DeleteArgs, RetrainArg, UpgradeArgs};
use crate::index::{note_skipped, note_truncated};
use crate::log::note;
use crate::metadata::note_columns;
use crate::output::counted;
use crate::progress::Bars;
use crate::{Result, output};
use selvedge::{AddOptions, Additions, ChangeReport, CompactOptions, Model, Retrain, change, lines};
use selvedge_index::{Check, Index, Policy};
use serde::Serialize;
use std::io::Write;
use std::path::Path;

/// Adds passages, or replaces those that have their ids, and prints the generation.
pub(crate) fn add(args: &AddArgs, replace: bool) -> Result<()> {
    let options = AddOptions {
        model: args.model.clone().map_or(Model::OfIndex, Model::Named),
        any_model: args.any_model,
        encoder: args.encode.load_options(),
        device: args.encode.device,
        memory_budget: args.memory_budget,
        read: args.read.read_options(),
        replace,
        policy: merge_policy(args.no_compact),
    };
    let arrays = args.arrays.arrays();
    let additions = match (&arrays, &args.collection) {
        (Some(arrays), _) => Additions::Arrays(arrays),
        (None, Some(collection)) => Additions::Collection(collection),
        (None, None) => unreachable!("clap requires one of the two"),
    };
    let report = change::add(&args.index, additions, &options, &Bars::default())?;
    note_skipped(&report.read);
    note_truncated(report.truncated, report.added as usize, report.passage_maxlen);
    note!(
        "{}: {} added, {} deleted; {}",
        args.index.display(),
        counted(report.added, "passage"),
        report.deleted,
        sizes(&report)
    );
    note_drift(&report);
    note_columns(&args.index);
    print_change(&report, report.generation, args.json)
}

/// The policy by which small segments are merged after a change, unless that is switched off.
pub(crate) fn merge_policy(no_compact: bool) -> Option<Policy> {
    (!no_compact).then(change::default_policy)
}

/// Notes that the added passages fit the codec badly, if they do.
pub(crate) fn note_drift(report: &ChangeReport) {
    if let Some(drift) = report.excess_drift() {
        note!(
            "warning: the added passages fit the codec of the index badly: drift {drift:.2}, above {}. Searches may \
             miss some of them; `selvedge compact --retrain` trains another codec",
            change::DRIFT
        );
    }
}

/// Sizes of an index after a change, in words.
pub(crate) fn sizes(report: &ChangeReport) -> String {
    let passages = counted(report.passages, "passage");
    format!("{passages}, {}, {}", counted(report.tokens, "token"), counted(report.segments as u64, "segment"))
}

/// Deletes passages, and prints the generation.
pub(crate) fn delete(args: &DeleteArgs) -> Result<()> {
    let mut ids = args.ids.clone();
    if let Some(file) = &args.file {
        ids.extend(read_ids(file)?);
    }
    let report = change::delete(&args.index, &ids, args.ignore_missing)?;
    let (deleted, left) = (counted(report.deleted, "passage"), counted(report.passages, "passage"));
    note!("{}: {deleted} deleted; {left}", args.index.display());
    print_change(&report, report.generation, args.json)
}

/// Reads ids from a file, one per line.
pub(crate) fn read_ids(path: &Path) -> Result<Vec<String>> {
    let mut lines = lines::Lines::open(path)?;
    let mut ids = Vec::new();
    while let Some(id) = lines.next()? {
        ids.push(id.to_owned());
    }
    Ok(ids)
}

/// Merges segments, and prints the generation.
pub(crate) fn compact(args: &CompactArgs) -> Result<()> {
    let retrain = match args.retrain {
        None => Retrain::No,
        Some(Some(RetrainArg::Stored)) => Retrain::FromStored,
        Some(Some(RetrainArg::Text)) => Retrain::FromText,
        Some(None) => match Index::open(&args.index, Check::Structure)?.encoder() {
            Some(_) => Retrain::FromText,
            None => Retrain::FromStored,
        },
    };
    let (memory_budget, language) = (args.memory_budget, args.language);
    let options = CompactOptions { memory_budget, retrain, language, device: args.device };
    let report = change::compact(&args.index, &options, &Bars::default())?;
    let (path, segments) = (args.index.display(), counted(report.segments as u64, "segment"));
    let codec = if args.retrain.is_some() { "another codec, " } else { "" };
    match report.is_changed() {
        true => note!(
            "{path}: {codec}{segments}, {} before; {} bytes, {} before",
            report.segments_before,
            report.bytes,
            report.bytes_before
        ),
        false => note!("{path}: {segments}, nothing to merge"),
    }
    print_change(&report, report.generation, args.json)
}

/// Converts an index of an earlier format.
pub(crate) fn upgrade(args: &UpgradeArgs) -> Result<()> {
    match selvedge_index::upgrade(&args.index)? {
        Some(_) => note!("{}: converted to format {}", args.index.display(), selvedge_index::FORMAT_VERSION),
        None => note!("{}: of format {} already", args.index.display(), selvedge_index::FORMAT_VERSION),
    }
    Ok(())
}

/// Prints the generation, or all counts as JSON.
pub(crate) fn print_change(report: &impl Serialize, generation: u32, json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if json { output::report_json(&mut out, report) } else { output::print(writeln!(out, "{generation}")) }
}
