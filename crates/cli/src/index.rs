//! `selvedge index`: an index from a collection, or from embeddings made elsewhere.

use crate::args::{IndexArgs, check_output};
use crate::log::note;
use crate::progress::Bars;
use crate::{Error, Result};
use selvedge::build::{Arrays, from_arrays};
use selvedge::collection::ReadReport;
use selvedge::save::existing;
use selvedge::{BuildOptions, Engine};
use selvedge_encoder::TextKind;

/// Builds an index, and notes its sizes.
pub(crate) fn index(args: &IndexArgs) -> Result<()> {
    let options = BuildOptions {
        read: args.read.read_options(),
        save_embeddings: args.save_embeddings.clone(),
        ..args.build.build_options(&args.model, &args.encode)
    };
    if let Some(path) = args.save_embeddings.as_deref().and_then(|folder| existing(folder, TextKind::Passage)) {
        return Err(Error::Usage(format!("--save-embeddings: {} exists already; name another folder", path.display())));
    }
    let progress = Bars::default();
    if let Some(path) = args.paths.last() {
        check_output(path).map_err(|reason| Error::Usage(format!("INDEX: {reason}")))?;
    }
    let (path, report) = match (&args.embeddings, &args.doclens, args.paths.as_slice()) {
        (Some(embeddings), Some(doclens), [path]) => {
            let arrays = Arrays { embeddings: embeddings.clone(), doclens: doclens.clone(), ids: args.ids.clone() };
            (path, from_arrays(&arrays, path, &options, &progress)?)
        }
        (None, None, [collection, _]) if collection.extension().is_some_and(|extension| extension == "npy") => {
            let reason = "an array of embeddings: expected --embeddings DOCS.npy --doclens LENS.npy INDEX";
            return Err(Error::Usage(format!("{}: {reason}", collection.display())));
        }
        (None, None, [collection, path]) => (path, Engine::build(collection, path, &options, &progress)?),
        (None, ..) => return Err(Error::Usage("expected COLLECTION and INDEX".into())),
        (Some(_), ..) => return Err(Error::Usage("with --embeddings, expected INDEX alone".into())),
    };
    note_skipped(&report.read);
    if report.truncated > 0 {
        note!(
            "{} of {} passages are longer than the model's {} tokens; the text after them is not searched: \
             give shorter passages",
            report.truncated,
            report.passages,
            report.passage_maxlen
        );
    }
    note!(
        "{}: {} passages, {} tokens, {} centroids, {:.2} bytes per vector",
        path.display(),
        report.passages,
        report.tokens,
        report.centroids,
        report.bytes_per_vector
    );
    Ok(())
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
