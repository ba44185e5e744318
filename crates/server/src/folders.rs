//! Folders of documents: each has an index, which is made of its files and brought up to date with them.
//!
//! ```text
//! folder /home/me/notes ──> DATA/notes/settings.json   names the folder and the model
//!                           DATA/notes/index/          its index; made by the first update
//! ```
//!
//! Another folder of the same name is kept in `DATA/notes-HASH`, by the hash of its path.

use crate::Config;
use crate::auth::hash;
use crate::changes;
use crate::error::{ApiError, Result};
use crate::served::Served;
use crate::settings::{IndexSettings, SETTINGS};
use crate::state::{App, at};
use crate::tasks::{Task, TaskKind};
use selvedge::collection::Skipped;
use selvedge::{AddOptions, IndexError, Progress, build, change};
use serde_json::{Value, json};
use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Longest name that is made of a folder's.
const LONGEST_NAME: usize = 100;
/// File that is locked while the index of a folder gets its place.
const LOCK: &str = ".naming";
/// Digits of the hash of a path that tell folders of one name apart.
const HASH_DIGITS: usize = 8;
/// Pause between two looks at an index that another process makes.
const PAUSE: Duration = Duration::from_millis(50);

/// Describes the index of a folder. Its settings are on disk when this returns.
///
/// # Errors
/// If there is no such folder, or its index was made with another model.
pub(crate) fn served(folder: &Path, config: &Config) -> Result<Served> {
    let folder = folder.canonicalize().map_err(|error| at(folder, &error))?;
    let path = folder.to_string_lossy().into_owned();
    let settings =
        IndexSettings { model: Some(config.model.clone()), folder: Some(path.clone()), ..IndexSettings::default() };
    // Several processes may look for a place at a time.
    let lock = config.folder_data.join(LOCK);
    let _naming = File::create(&lock).and_then(|file| file.lock().map(|()| file)).map_err(|error| at(&lock, &error))?;
    let (home, found) = home(&config.folder_data, &folder, &path)?;
    match found {
        None => settings.write(&home).map_err(|error| at(&home, &error))?,
        Some(found) if found.model == settings.model => {}
        Some(found) => {
            let (made_with, home) = (found.model.unwrap_or_default(), home.display());
            return Err(ApiError::bad_request(format!(
                "the index of {path} in {home} was made with the model {made_with:?}: use that one, or delete {home}, \
                 and the index is made anew with {:?}",
                config.model
            )));
        }
    }
    let name = home.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
    Ok(Served::of_folder(name, &home, folder, settings, config))
}

/// The place of a folder's index, and its settings if it has one already.
fn home(data: &Path, folder: &Path, path: &str) -> Result<(PathBuf, Option<IndexSettings>)> {
    let name = name(folder);
    let homes = [data.join(&name), data.join(format!("{name}-{}", &hash(path)[..HASH_DIGITS]))];
    let mut free = None;
    for home in homes {
        if !home.join(SETTINGS).is_file() {
            free.get_or_insert(home);
            continue;
        }
        let found = IndexSettings::read(&home)?;
        if found.folder.as_deref() == Some(path) {
            return Ok((home, Some(found)));
        }
    }
    let full = || ApiError::bad_request(format!("{} has no place for the index of {path}", data.display()));
    Ok((free.ok_or_else(full)?, None))
}

/// Name of the index of a folder: characters that plain names do not have become dashes.
fn name(folder: &Path) -> String {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-') { c } else { '-' };
    let name: String = name.chars().map(plain).skip_while(|c| !c.is_ascii_alphanumeric()).take(LONGEST_NAME).collect();
    match name.trim_end_matches('-') {
        "" => "folder".into(),
        name => name.into(),
    }
}

/// Queues an update of the index of a folder.
///
/// # Errors
/// 400 if the index has no folder, 429 if too many writes wait.
pub(crate) fn queue_update(app: &Arc<App>, served: &Arc<Served>) -> Result<Arc<Task>> {
    let Some(folder) = served.folder.clone() else {
        return Err(ApiError::bad_request(format!(
            "index {:?} has no folder of documents to be brought up to date with: it is changed by `selvedge index \
             --update`, `selvedge add` or over HTTP. `selvedge mcp FOLDER` keeps an index of a folder",
            served.name
        )));
    };
    served.queue_write(app, TaskKind::Update, move |app, served, task| update(app, served, task, &folder))
}

/// Brings the index of a folder up to date, or makes it.
fn update(app: &App, served: &Served, task: &Task, folder: &Path) -> Result<Value> {
    while !served.has_index() {
        let options = served.settings.build_options(app)?;
        let model = app.models.named(&options.model)?;
        match build::from_text(folder, &served.path, model.encoder(), &options, task) {
            // Another process makes it.
            Err(error) if is_locked(&error) => pause(task)?,
            report => {
                let report = report?;
                changes::opened(app, served);
                return Ok(with_skipped(changes::built(&report), &report.read.skipped, folder));
            }
        }
    }
    let options = AddOptions { memory_budget: app.config.memory_budget, device: app.device, ..AddOptions::default() };
    let report = loop {
        match change::update_folder(folder, &served.path, &options, task) {
            // Another process changes it.
            Err(error) if is_locked(&error) => pause(task)?,
            report => break report?,
        }
    };
    let open = match served.open() {
        Ok(open) => {
            open.engine.refresh()?;
            served.followed(&open);
            open
        }
        // Another process made it, or the device had no memory.
        Err(_) => served.load(app)?,
    };
    changes::ask_for_codec(app, served, &open.engine, &report.change);
    let mut counts = with_skipped(changes::change(&report.change), &report.change.read.skipped, folder);
    counts["files"] = json!(report.files);
    Ok(counts)
}

fn is_locked(error: &selvedge::Error) -> bool {
    matches!(error, selvedge::Error::Index(IndexError::Locked { .. }))
}

/// Waits for another process, unless the task was cancelled.
fn pause(task: &Task) -> Result<()> {
    if task.is_cancelled() {
        return Err(selvedge::Error::Cancelled.into());
    }
    std::thread::sleep(PAUSE);
    Ok(())
}

/// Adds the files that were skipped, by their paths in the folder.
fn with_skipped(mut counts: Value, skipped: &Skipped, folder: &Path) -> Value {
    let file = |file: &selvedge::collection::SkippedFile| {
        let path = file.path.strip_prefix(folder).unwrap_or(&file.path);
        json!({"file": path.to_string_lossy(), "reason": file.reason})
    };
    counts["num_skipped"] = json!(skipped.total);
    counts["skipped"] = skipped.named.iter().map(file).collect();
    counts
}
