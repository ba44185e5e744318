//! Changes of an index, as tasks of its write queue.

use crate::error::{ApiError, Result};
use crate::routes::indexes::Retraining;
use crate::served::Served;
use crate::state::App;
use crate::tasks::Task;
use selvedge::change::{CompactOptions, Retrain, compact};
use selvedge::{AddOptions, Additions, BuildReport, ChangeReport, Document, EmbeddedDocument, SearchOptions};
use selvedge::{build, planned_centroids};
use serde_json::{Value, json};
use std::collections::HashSet;
use std::sync::Arc;

/// Growth of the planned number of centroids above which an index trains another codec: sixteen times the tokens.
const GROWTH: usize = 4;

/// Documents of a write.
pub(crate) enum Documents {
    /// Texts, to be encoded by the model of the index.
    Texts(Vec<Document>),
    /// Documents with embeddings of this dimension.
    Embedded(usize, Vec<EmbeddedDocument>),
}

impl Documents {
    /// Leaves the last one of those with one id.
    fn without_repeats(self) -> Self {
        fn last<T>(mut documents: Vec<T>, id: impl Fn(&T) -> &String) -> Vec<T> {
            let mut seen = HashSet::new();
            documents.reverse();
            documents.retain(|document| seen.insert(id(document).clone()));
            documents.reverse();
            documents
        }
        match self {
            Self::Texts(documents) => Self::Texts(last(documents, |document| &document.id)),
            Self::Embedded(dim, documents) => Self::Embedded(dim, last(documents, |document| &document.document.id)),
        }
    }
}

/// Adds documents, and makes the index of the first ones.
pub(crate) fn add(app: &App, served: &Served, task: &Task, documents: Documents, replace: bool) -> Result<Value> {
    let documents = if replace { documents.without_repeats() } else { documents };
    let open = match served.open() {
        Ok(open) => open,
        // It was built, but not opened: the device had no memory, say.
        Err(_) if served.has_index() => served.load(app)?,
        Err(error) if error.code == "INDEX_EMPTY" => return first(app, served, task, documents),
        Err(error) => return Err(error),
    };
    if let Documents::Embedded(found, _) = &documents {
        check_dim(&open.engine, *found)?;
    }
    let options =
        AddOptions { memory_budget: app.config.memory_budget, device: app.device, replace, ..AddOptions::default() };
    let report = match documents {
        Documents::Texts(documents) => {
            let documents = Box::new(documents.into_iter().map(Ok));
            open.engine.add(Additions::Documents(documents), &options, task)?
        }
        Documents::Embedded(_, documents) => {
            let documents = Box::new(documents.into_iter().map(Ok));
            open.engine.add(Additions::Embedded(documents), &options, task)?
        }
    };
    served.followed(&open);
    ask_for_codec(app, served, &open.engine, &report);
    Ok(change(&report))
}

/// Asks for another codec if what a change added does not fit the one of the index.
pub(crate) fn ask_for_codec(app: &App, served: &Served, engine: &selvedge::Engine, report: &ChangeReport) {
    if app.config.auto_retrain && (report.excess_drift().is_some() || has_outgrown(engine)) {
        served.ask_for_codec(engine.snapshot().index().num_tokens());
    }
}

/// Checks that embeddings, if there are any, have the dimension of an index.
pub(crate) fn check_dim(engine: &selvedge::Engine, found: usize) -> Result<()> {
    let expected = engine.snapshot().index().dim();
    match found == 0 || found == expected {
        true => Ok(()),
        false => Err(selvedge::SearchError::DimMismatch { expected, found }.into()),
    }
}

/// Builds the index of the first documents.
fn first(app: &App, served: &Served, task: &Task, documents: Documents) -> Result<Value> {
    if served.folder.is_some() {
        // Its folder has its first documents.
        served.open()?;
    }
    let mut options = served.settings.build_options(app)?;
    let report = match documents {
        Documents::Texts(documents) => {
            if served.settings.dim.is_some() {
                let message = "this index was created with dim: it takes embeddings, not texts";
                return Err(ApiError::bad_request(message));
            }
            let model = app.models.named(&options.model)?;
            let documents = documents.into_iter().map(Ok);
            build::from_documents(documents, &served.path, model.encoder(), &options, task)?
        }
        Documents::Embedded(dim, documents) => {
            if served.settings.dim.is_some_and(|expected| expected != dim) {
                let expected = served.settings.dim.unwrap_or_default();
                return Err(selvedge::Error::from(selvedge::SearchError::DimMismatch { expected, found: dim }).into());
            }
            options.language = None;
            build::from_embedded(dim, documents.into_iter().map(Ok), &served.path, &options, task)?
        }
    };
    opened(app, served);
    Ok(built(&report))
}

/// Opens an index that was built: it is there, also if it cannot be opened now, and its requests say why.
pub(crate) fn opened(app: &App, served: &Served) {
    if let Err(error) = served.load(app) {
        tracing::error!(index = served.name, "built, but not opened: {error}");
    }
}

/// Deletes passages by their ids. Ids that the index does not have are ignored.
pub(crate) fn delete(served: &Served, ids: &[String]) -> Result<Value> {
    let open = served.open()?;
    let report = open.engine.delete(ids, true)?;
    served.followed(&open);
    Ok(change(&report))
}

/// Ids of the passages for which a filter is true.
pub(crate) fn matching(served: &Served, options: &SearchOptions) -> Result<Vec<String>> {
    let snapshot = served.open()?.engine.snapshot();
    let Some(set) = snapshot.passages(options)? else { return Ok(Vec::new()) };
    let mut documents = snapshot.index().documents().reader();
    let id = |pid| documents.id(pid).map_err(|error| selvedge::Error::from(error).into());
    set.pids().map(id).collect()
}

/// Merges segments, and trains another codec if asked to.
pub(crate) fn merge(app: &App, served: &Served, task: &Task, retraining: Retraining) -> Result<Value> {
    let open = served.open()?;
    let retrains = match retraining {
        Retraining::Always => true,
        Retraining::Never => false,
        Retraining::Auto => has_outgrown(&open.engine),
    };
    let snapshot = open.engine.snapshot();
    let num_tokens = snapshot.index().num_tokens();
    let retrain = match (retrains && snapshot.index().num_passages() > 0, snapshot.index().encoder().is_some()) {
        (false, _) => Retrain::No,
        (true, true) => Retrain::FromText,
        (true, false) => Retrain::FromStored,
    };
    drop(snapshot);
    let options = CompactOptions {
        memory_budget: app.config.memory_budget,
        device: app.device,
        retrain,
        ..CompactOptions::default()
    };
    let report = match compact(&served.path, &options, task) {
        // Passages that were added as embeddings have no text: their stored embeddings are good enough.
        Err(selvedge::Error::WithoutText { .. }) => {
            compact(&served.path, &CompactOptions { retrain: Retrain::FromStored, ..options }, task)?
        }
        other => other?,
    };
    if retrain != Retrain::No {
        served.note_codec(num_tokens);
    }
    open.engine.refresh()?;
    served.followed(&open);
    Ok(json!(report))
}

/// Trains another codec, after a write that found it necessary.
pub(crate) fn retrain(app: &Arc<App>, served: &Arc<Served>) {
    let work = |app: &App, served: &Served, task: &Task| merge(app, served, task, Retraining::Always);
    if let Err(error) = served.queue_write(app, crate::tasks::TaskKind::Compact, work) {
        tracing::warn!(index = served.name, "no other codec is trained now: {error}");
    }
}

/// Whether a build of an index with this number of tokens would have far more centroids.
fn has_outgrown(engine: &selvedge::Engine) -> bool {
    let snapshot = engine.snapshot();
    let index = snapshot.index();
    planned_centroids(index.num_tokens() as usize) >= GROWTH * index.manifest().codec.num_centroids
}

/// The counts of a build, in the form of [`change`].
pub(crate) fn built(report: &BuildReport) -> Value {
    json!({
        "generation": report.generation,
        "added": report.passages,
        "deleted": 0,
        "passages": report.passages,
        "tokens": report.tokens,
        "truncated": report.truncated,
        "drift": null,
    })
}

/// The counts of a change.
pub(crate) fn change(report: &ChangeReport) -> Value {
    json!({
        "generation": report.generation,
        "added": report.added,
        "deleted": report.deleted,
        "passages": report.passages,
        "tokens": report.tokens,
        "truncated": report.truncated,
        "drift": report.drift,
    })
}
