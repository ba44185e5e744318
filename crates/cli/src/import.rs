//! `selvedge import`: an index of another program becomes one of this project.

use crate::Result;
use crate::args::ImportArgs;
use crate::log::note;
use crate::output::{self, counted};
use crate::progress::Bars;
use selvedge_bridges::{Found, ImportOptions, Imported, import as write, open};
use std::io::Write;

/// Description of the source, and the index that was made of it.
#[derive(serde::Serialize)]
struct Report<'a> {
    source: &'a Found,
    #[serde(flatten)]
    index: Option<Imported>,
}

/// Imports an index, or says what it would import.
pub(crate) fn import(args: &ImportArgs) -> Result<()> {
    let mut source = open(&args.source)?;
    note_found(args, &source.found);
    let index = match (&args.index, args.dry_run) {
        (Some(path), false) => {
            let imported = write(&mut source, &args.source, path, &options(args), &Bars::default())?;
            note!(
                "{}: {}, {}, {}, {:.2} bytes per vector",
                path.display(),
                counted(imported.passages, "passage"),
                counted(imported.tokens, "token"),
                counted(imported.centroids as u64, "centroid"),
                imported.bytes_per_vector
            );
            Some(imported)
        }
        _ => None,
    };
    let report = Report { source: &source.found, index };
    let mut out = std::io::stdout().lock();
    match (args.json, &report.index) {
        (true, _) => output::report_json(&mut out, &report),
        (false, None) => output::print(writeln!(out, "{}", described(&source.found))),
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
