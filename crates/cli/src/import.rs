//! `selvedge import`: an index of another program, or a store of points, becomes an index of this project.

use crate::args::ImportArgs;
use crate::log::note;
use crate::output::{self, counted};
use crate::progress::Bars;
use crate::{Error, Result, points};
use selvedge::import::{ImportOptions, Imported, import_index};
use selvedge_bridges::{Found, open};
use std::io::Write;

/// Description of the source, and the index that was made of it.
#[derive(serde::Serialize)]
struct Report<'a, S> {
    source: &'a S,
    #[serde(flatten)]
    index: Option<Imported>,
}

/// Imports an index, or says what it would import.
pub(crate) fn import(args: &ImportArgs) -> Result<()> {
    if points::import(args)? {
        return Ok(());
    }
    if let Some(flag) = args.flag_of_points() {
        return Err(Error::Usage(format!("{flag}: {} is no store of points", args.source.display())));
    }
    if args.nbits.is_some() && !args.recode {
        return Err(Error::Usage("--nbits needs --recode".into()));
    }
    let mut source = open(&args.source)?;
    note_found(args, &source.found);
    let index = match (&args.index, args.dry_run) {
        (Some(path), false) => Some(import_index(&mut source, path, &options(args), &Bars::default())?),
        _ => None,
    };
    report(args, &source.found, &described(&source.found), index)
}

/// Notes the counts of the index, and prints the report, or what was found.
pub(crate) fn report<S: serde::Serialize>(
    args: &ImportArgs,
    source: &S,
    described: &str,
    index: Option<Imported>,
) -> Result<()> {
    if let (Some(path), Some(imported)) = (&args.index, &index) {
        note!(
            "{}: {}, {}, {}, {:.2} bytes per vector",
            path.display(),
            counted(imported.passages, "passage"),
            counted(imported.tokens, "token"),
            counted(imported.centroids as u64, "centroid"),
            imported.bytes_per_vector
        );
    }
    let report = Report { source, index };
    let mut out = std::io::stdout().lock();
    match (args.json, &report.index) {
        (true, _) => output::report_json(&mut out, &report),
        (false, None) => output::print(writeln!(out, "{described}")),
        (false, Some(_)) => Ok(()),
    }
}

/// Description of what was found, on one line.
fn described(found: &Found) -> String {
    format!(
        "{}, dim {}, {} bits, {}, {}, {}, {} deleted, model {}",
        found.format.name(),
        found.dim,
        found.nbits,
        counted(found.centroids as u64, "centroid"),
        counted(found.passages as u64, "passage"),
        counted(found.embeddings, "token"),
        found.deleted,
        found.checkpoint.as_deref().unwrap_or("unknown")
    )
}

fn note_found(args: &ImportArgs, found: &Found) {
    if !args.dry_run || args.json {
        note!("{}: {}", args.source.display(), described(found));
    }
    found.notes.iter().for_each(|text| note!("{text}"));
}

fn options(args: &ImportArgs) -> ImportOptions {
    ImportOptions {
        recode: args.recode,
        nbits: args.nbits,
        collection: args.collection.clone(),
        language: args.language,
        model: args.model.clone(),
        memory_budget: args.memory_budget,
    }
}
