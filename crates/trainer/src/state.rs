//! Checkpoints of a run: the student's weights, the optimizer's state and the step.
//!
//! ```text
//! checkpoints/STEP/                           a checkpoint that the encoder loads
//! checkpoints/STEP/train/model.safetensors    the optimizer's state
//! checkpoints/.new-*/                         a checkpoint that is being written
//! ```
//!
//! A checkpoint is renamed to its step when it is complete; then the older ones are removed.

use std::fs::DirEntry;
use std::path::{Path, PathBuf};

use candle_core::Tensor;
use selvedge_encoder::Weights;

use crate::adamw::AdamW;
use crate::error::{Error, Result};
use crate::params::{StoredAs, write_tensors};
use crate::student::Student;

/// Folder of the checkpoints within the folder of a run.
pub(crate) const CHECKPOINTS: &str = "checkpoints";
/// Folder of the optimizer's state within a checkpoint.
const OPTIMIZER: &str = "train";
/// Beginning of the name of a checkpoint that is being written.
const PARTIAL: &str = ".new-";

/// Checks that `folder` holds no checkpoint of an earlier run, which the checkpoints of a new run would replace.
///
/// # Errors
/// - [`Error::EarlierRun`] with the newest checkpoint in `folder`.
/// - [`Error::Io`] if the folder of the checkpoints cannot be listed.
pub fn check_no_earlier_run(folder: &Path) -> Result<()> {
    match numbered(&folder.join(CHECKPOINTS))?.pop() {
        Some((_, path)) => Err(Error::EarlierRun { path }),
        None => Ok(()),
    }
}

/// Saves a checkpoint, and removes the older ones.
pub(crate) fn save(checkpoints: &Path, student: &Student, optimizer: &AdamW) -> Result<()> {
    let io = |path: &Path, source| Error::Io { path: path.into(), source };
    std::fs::create_dir_all(checkpoints).map_err(|source| io(checkpoints, source))?;
    remove_partial(checkpoints)?;
    let new = tempfile::Builder::new().prefix(PARTIAL).tempdir_in(checkpoints);
    let new = new.map_err(|source| io(checkpoints, source))?;
    student.save(new.path(), StoredAs::F32)?;
    let folder = new.path().join(OPTIMIZER);
    std::fs::create_dir_all(&folder).map_err(|source| io(&folder, source))?;
    let state: Vec<(String, Tensor)> = optimizer.state()?;
    let state = state.iter().map(|(name, tensor)| (name.clone(), tensor));
    write_tensors(&folder.join("model.safetensors"), StoredAs::F32, state)?;
    let target = checkpoints.join(optimizer.steps().to_string());
    if target.exists() {
        remove(&target)?;
    }
    let path = new.keep();
    std::fs::rename(&path, &target).map_err(|source| io(&target, source))?;
    for (step, old) in numbered(checkpoints)? {
        if step != optimizer.steps() {
            remove(&old)?;
        }
    }
    Ok(())
}

/// Restores the newest checkpoint, if there is one.
pub(crate) fn restore(checkpoints: &Path, student: &Student, optimizer: &mut AdamW) -> Result<()> {
    remove_partial(checkpoints)?;
    let Some((step, folder)) = numbered(checkpoints)?.pop() else { return Ok(()) };
    student.params.overwrite(&folder)?;
    let mut weights = Weights::open_folder(&folder.join(OPTIMIZER))?;
    let mut state = Vec::new();
    for name in weights.names() {
        let shape = weights.shape(&name)?.to_vec();
        let values = weights.values(&name, &shape)?;
        state.push((name, values));
    }
    optimizer.restore(step, state);
    Ok(())
}

/// Removes the checkpoints that an interrupted run left incomplete.
fn remove_partial(checkpoints: &Path) -> Result<()> {
    for entry in entries(checkpoints)? {
        if entry.file_name().to_string_lossy().starts_with(PARTIAL) {
            remove(&entry.path())?;
        }
    }
    Ok(())
}

/// Returns the complete checkpoints, in the order of their steps.
fn numbered(checkpoints: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let with_step = |entry: DirEntry| {
        let step = entry.file_name().to_str()?.parse::<u64>().ok()?;
        entry.path().is_dir().then(|| (step, entry.path()))
    };
    let mut all: Vec<(u64, PathBuf)> = entries(checkpoints)?.into_iter().filter_map(with_step).collect();
    all.sort_unstable_by_key(|&(step, _)| step);
    Ok(all)
}

/// Lists a folder; one that does not exist is empty.
fn entries(folder: &Path) -> Result<Vec<DirEntry>> {
    let io = |source| Error::Io { path: folder.into(), source };
    match std::fs::read_dir(folder) {
        Ok(entries) => entries.collect::<std::io::Result<Vec<_>>>().map_err(io),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(io(error)),
    }
}

fn remove(folder: &Path) -> Result<()> {
    std::fs::remove_dir_all(folder).map_err(|source| Error::Io { path: folder.into(), source })
}
