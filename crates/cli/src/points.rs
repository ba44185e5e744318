//! `selvedge import` of a store of points: documents with uncompressed embeddings, which are compressed here.

use crate::args::ImportArgs;
use crate::import::report;
use crate::log::note;
use crate::output::counted;
use crate::progress::Bars;
use crate::{Error, Result};
use selvedge::build::from_embedded;
use selvedge::import::Imported;
use selvedge::{BuildOptions, Check, EmbeddedDocument, Index};
use selvedge_bridges::points::{FoundPoints, Points, qdrant};
use selvedge_index::EncoderInfo;
use std::path::Path;

/// Environment variable of the API key of Qdrant, which `--help` names.
const API_KEY: &str = "QDRANT_API_KEY";

/// Opens the points of a file or at a URL; `None` if the source is neither.
fn open(args: &ImportArgs) -> Result<Option<Box<dyn Points>>> {
    if args.source.extension().is_some_and(|extension| extension == "parquet") {
        return table(args).map(Some);
    }
    let Some(url) = url(&args.source) else { return Ok(None) };
    let options = qdrant::Options {
        vector: args.vector.clone(),
        text_field: args.text_field.clone(),
        api_key: std::env::var(API_KEY).ok().filter(|key| !key.is_empty()),
        ..qdrant::Options::default()
    };
    Ok(Some(Box::new(qdrant::Collection::open(url, options)?)))
}

#[cfg(feature = "parquet")]
fn table(args: &ImportArgs) -> Result<Box<dyn Points>> {
    use selvedge_bridges::points::parquet::{Options, Table};
    let options = Options { vectors: args.vector.clone(), text: args.text_field.clone() };
    Ok(Box::new(Table::open(&args.source, &options)?))
}

#[cfg(not(feature = "parquet"))]
fn table(args: &ImportArgs) -> Result<Box<dyn Points>> {
    let reason = "Parquet is read by builds with --features parquet; in Python, build from its columns";
    Err(Error::Usage(format!("{}: {reason}", args.source.display())))
}

/// Returns the source as a URL, if it is one.
fn url(source: &Path) -> Option<&str> {
    source.to_str().filter(|text| text.starts_with("http://") || text.starts_with("https://"))
}

/// Imports points, or says what they are; returns false if the source holds none.
pub(crate) fn import(args: &ImportArgs) -> Result<bool> {
    let Some(points) = open(args)? else { return Ok(false) };
    let refused = [(args.as_is, "--as-is"), (args.collection.is_some(), "--collection")];
    if let Some((_, flag)) = refused.into_iter().find(|(is_given, _)| *is_given) {
        let source = args.source.display();
        return Err(Error::Usage(format!("{flag}: {source} has documents and uncompressed embeddings; leave it out")));
    }
    let found = points.found().clone();
    if !args.dry_run || args.json {
        note!("{}: {}", args.source.display(), described(&found));
    }
    let index = match (&args.index, args.dry_run) {
        (Some(path), false) => {
            build(args, path, points, found.dim)?;
            Some(Imported::of(&Index::open(path, Check::Structure)?))
        }
        _ => None,
    };
    report(args, &found, &described(&found), index)?;
    Ok(true)
}

fn build(args: &ImportArgs, path: &Path, points: Box<dyn Points>, dim: usize) -> Result<()> {
    let defaults = BuildOptions::default();
    let options = BuildOptions {
        nbits: args.nbits.unwrap_or(defaults.nbits),
        memory_budget: args.memory_budget,
        language: args.language.or(defaults.language),
        made_by: args.model.clone().map(|model| EncoderInfo {
            model,
            fingerprint: String::new(),
            family: "imported".into(),
            dim,
            query_maxlen: 0,
            passage_maxlen: 0,
        }),
        ..defaults
    };
    let documents = points.map(|point| {
        let point = point?;
        Ok(EmbeddedDocument { document: point.document, embeddings: point.rows })
    });
    from_embedded(dim, documents, path, &options, &Bars::default())?;
    Ok(())
}

/// Description of what was found, on one line.
fn described(found: &FoundPoints) -> String {
    let points = found.points.map_or_else(|| "points".to_owned(), |points| counted(points, "point"));
    let vector = if found.vector.is_empty() { String::new() } else { format!(", vectors {:?}", found.vector) };
    format!("{}, dim {}, {points}{vector}", found.format, found.dim)
}
