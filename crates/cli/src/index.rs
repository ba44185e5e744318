//! `selvedge index`: a collection, or embeddings made elsewhere, to an index.

use crate::args::IndexArgs;
use crate::log::note;
use crate::progress::Bars;
use crate::{Error, Result};
use selvedge::build::{Arrays, from_arrays};
use selvedge::collection::ReadReport;
use selvedge::{BuildOptions, Engine};

/// Builds an index, and says what came out.
pub(crate) fn index(args: &IndexArgs) -> Result<()> {
    let options = BuildOptions {
        read: args.read.read_options(),
        save_embeddings: args.save_embeddings.clone(),
        ..args.build.build_options(&args.model, &args.encode)
    };
    let progress = Bars::default();
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
    note_left_out(&report.read);
    if report.truncated > 0 {
        note!(
            "{} of {} passages are longer than the model's {} tokens; the rest of them is not searched: \
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

/// Says what was left out of a collection.
pub(crate) fn note_left_out(report: &ReadReport) {
    for file in &report.skipped.named {
        note!("skipped {}: {}", file.path.display(), file.reason);
    }
    if report.skipped.total > report.skipped.named.len() {
        note!("skipped {} files in all", report.skipped.total);
    }
    if report.had_header {
        note!("skipped line 1, which names the columns");
    }
}
