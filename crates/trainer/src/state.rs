//! Checkpoints of a run: the student, what the optimizer remembers, and the step.
//!
//! ```text
//! checkpoints/STEP/            a checkpoint that the encoder loads
//! checkpoints/STEP/train/model.safetensors    what the optimizer remembers
//! ```
//!
//! A folder appears whole, under its name, or not at all; then the ones before it are removed.

use std::path::{Path, PathBuf};

use candle_core::Tensor;
use selvedge_encoder::Weights;

use crate::adamw::AdamW;
use crate::error::{Error, Result};
use crate::params::{StoredAs, write_tensors};
use crate::student::Student;

/// The optimizer's folder within a checkpoint.
const OPTIMIZER: &str = "train";

/// Keeps a run as it stands.
pub(crate) fn save(checkpoints: &Path, student: &Student, optimizer: &AdamW) -> Result<()> {
    let io = |path: &Path, source| Error::Io { path: path.into(), source };
    std::fs::create_dir_all(checkpoints).map_err(|source| io(checkpoints, source))?;
    let new = tempfile::Builder::new().prefix(".new-").tempdir_in(checkpoints);
    let new = new.map_err(|source| io(checkpoints, source))?;
    student.save(new.path(), StoredAs::F32)?;
    let folder = new.path().join(OPTIMIZER);
    std::fs::create_dir_all(&folder).map_err(|source| io(&folder, source))?;
    let state: Vec<(String, Tensor)> = optimizer.state()?;
    let state = state.iter().map(|(name, tensor)| (name.clone(), tensor));
    write_tensors(&folder.join("model.safetensors"), StoredAs::F32, state)?;
    let target = checkpoints.join(optimizer.steps().to_string());
    if target.exists() {
        std::fs::remove_dir_all(&target).map_err(|source| io(&target, source))?;
    }
    let path = new.keep();
    std::fs::rename(&path, &target).map_err(|source| io(&target, source))?;
    for (step, old) in all(checkpoints)? {
        if step != optimizer.steps() {
            std::fs::remove_dir_all(&old).map_err(|source| io(&old, source))?;
        }
    }
    Ok(())
}

/// Goes back to the last one, if there is one.
pub(crate) fn restore(checkpoints: &Path, student: &Student, optimizer: &mut AdamW) -> Result<()> {
    let Some((step, folder)) = all(checkpoints)?.pop() else { return Ok(()) };
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

/// All there are, by step.
fn all(checkpoints: &Path) -> Result<Vec<(u64, PathBuf)>> {
    let Ok(entries) = std::fs::read_dir(checkpoints) else { return Ok(Vec::new()) };
    let numbered = entries.flatten().filter_map(|entry| {
        let step = entry.file_name().to_str()?.parse().ok()?;
        Some((step, entry.path()))
    });
    let mut all: Vec<(u64, PathBuf)> = numbered.collect();
    all.sort_unstable_by_key(|&(step, _)| step);
    Ok(all)
}
