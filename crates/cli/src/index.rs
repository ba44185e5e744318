//! `selvedge index`: an index from a collection, or from embeddings made elsewhere, and its updates.

use crate::args::{IndexArgs, check_output};
use crate::change::{merge_policy, note_drift, print_change, sizes};
use crate::log::note;
use crate::metadata::note_columns;
use crate::output::counted;
use crate::progress::Bars;
use crate::{Error, Result};
use selvedge::build::from_arrays;
use selvedge::collection::ReadReport;
use selvedge::save::existing;
use selvedge::{AddOptions, BuildOptions, Engine, FolderReport, Model, change};
use selvedge_encoder::{TextKind, shipped};
use std::ffi::OsStr;
use std::path::Path;

/// Builds an index, or brings one up to date.
pub(crate) fn index(args: &IndexArgs) -> Result<()> {
    if let Some(path) = args.paths.last() {
        check_output(path).map_err(|reason| Error::Usage(format!("INDEX: {reason}")))?;
    }
    if args.update { update(args) } else { build(args) }
}

/// Brings an index up to date with the folder that it was made from, and notes what changed; builds it if there is
/// none.
fn update(args: &IndexArgs) -> Result<()> {
    let [folder, path] = args.paths.as_slice() else {
        return Err(Error::Usage("with --update, expected FOLDER and INDEX".into()));
    };
    let options = AddOptions {
        model: args.model.clone().map_or(Model::OfIndex, Model::Named),
        any_model: args.any_model,
        encoder: args.encode.load_options(),
        device: args.encode.device,
        memory_budget: args.build.memory_budget,
        read: args.read.read_options(),
        policy: merge_policy(args.no_compact),
        ..AddOptions::default()
    };
    let report = match change::update_folder(folder, path, &options, &Bars::default()) {
        Err(selvedge::Error::Index(selvedge_index::Error::NoIndex { .. })) => return build(args),
        report => report?,
    };
    let FolderReport { files, change } = &report;
    note_skipped(&change.read);
    note_truncated(change.truncated, change.added as usize, change.passage_maxlen);
    note!(
        "{}: of the files, {} added, {} changed, {} deleted, {} touched, {} unchanged, {} skipped; \
         {} added, {} deleted; {}",
        path.display(),
        files.added,
        files.changed,
        files.deleted,
        files.touched,
        files.unchanged,
        files.skipped,
        counted(change.added, "passage"),
        change.deleted,
        sizes(change)
    );
    note_drift(change);
    print_change(&report, change.generation, args.json)
}

/// Builds an index, and notes its sizes.
fn build(args: &IndexArgs) -> Result<()> {
    let model = args.model.as_deref().unwrap_or(shipped::NAME);
    let options = BuildOptions {
        read: args.read.read_options(),
        save_embeddings: args.save_embeddings.clone(),
        codec_from: args.codec_from.clone(),
        ..args.build.build_options(model, &args.encode)
    };
    if let Some(path) = args.save_embeddings.as_deref().and_then(|folder| existing(folder, TextKind::Passage)) {
        return Err(Error::Usage(format!("--save-embeddings: {} exists already; name another path", path.display())));
    }
    let progress = Bars::default();
    let (path, report) = match (args.arrays.arrays(), args.paths.as_slice()) {
        (Some(arrays), [path]) => (path, from_arrays(&arrays, path, &options, &progress)?),
        (None, [collection, _]) if is_arrays(collection) => {
            let reason = "embeddings: expected --embeddings FILE INDEX (of a .npy array, with --doclens LENS.npy)";
            return Err(Error::Usage(format!("{}: {reason}", collection.display())));
        }
        (None, [collection, path]) => (path, Engine::build(collection, path, &options, &progress)?),
        (None, _) => return Err(Error::Usage("expected COLLECTION and INDEX".into())),
        (Some(_), _) => return Err(Error::Usage("with --embeddings, expected INDEX alone".into())),
    };
    note_skipped(&report.read);
    note_truncated(report.truncated, report.passages as usize, report.passage_maxlen);
    note!(
        "{}: {}, {}, {}, {:.2} bytes per vector",
        path.display(),
        counted(report.passages, "passage"),
        counted(report.tokens, "token"),
        counted(report.centroids as u64, "centroid"),
        report.bytes_per_vector
    );
    note_columns(path);
    match args.update || args.json {
        true => print_change(&report, report.generation, args.json),
        false => Ok(()),
    }
}

/// Whether a path ends like a file of embeddings.
fn is_arrays(path: &Path) -> bool {
    path.extension().is_some_and(|extension| ["npy", "npz", "safetensors"].map(OsStr::new).contains(&extension))
}

/// Notes that passages were cut at the model's maximum length, if any were.
pub(crate) fn note_truncated(truncated: usize, passages: usize, maxlen: usize) {
    if truncated > 0 {
        note!(
            "{truncated} of {passages} passages are longer than the model's {maxlen} tokens; the text after them is \
             not searched: give shorter passages"
        );
    }
}

/// Notes the files and lines of a collection that were skipped.
pub(crate) fn note_skipped(report: &ReadReport) {
    for file in &report.skipped.named {
        note!("skipped {}: {}", file.path.display(), file.reason);
    }
    if report.skipped.total > report.skipped.named.len() {
        note!("skipped {} files in all", report.skipped.total);
    }
    note_header(report.had_header);
}

/// Notes that the header of a TSV file is not among its passages or queries.
pub(crate) fn note_header(had_header: bool) {
    if had_header {
        note!("skipped line 1, which names the columns");
    }
}
