//! A checkpoint's weights as variables: the same names, in the same files.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};

use crate::checkpoint::Checkpoint;
use crate::fingerprint::Fingerprint;
use crate::weights::{Weights, shortest_prefix};
use crate::{Error, Result};

/// Variables by folder and name.
pub(super) struct Params {
    by_folder: BTreeMap<String, BTreeMap<String, Var>>,
    /// What is computed in: f32, but where gradients are checked.
    pub(super) dtype: DType,
}

impl Params {
    pub(super) fn new(dtype: DType) -> Self {
        Self { by_folder: BTreeMap::new(), dtype }
    }

    /// Reads every tensor of `model.safetensors`, or of its shards, under `folder` ("" for the root).
    pub(super) fn read(&mut self, checkpoint: &Checkpoint, folder: &str) -> Result<()> {
        if self.by_folder.contains_key(folder) {
            return Ok(());
        }
        let mut fingerprint = Fingerprint::new();
        let mut weights = Weights::open(checkpoint, folder, &mut fingerprint)?;
        let mut vars = BTreeMap::new();
        for name in weights.names() {
            let shape = weights.shape(&name)?.to_vec();
            match weights.tensor(&name, &shape) {
                Ok(tensor) => drop(vars.insert(name, Var::from_tensor(&tensor.to_dtype(self.dtype)?)?)),
                // Position ids and the like, which no model reads.
                Err(Error::UnsupportedDtype { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        self.by_folder.insert(folder.to_owned(), vars);
        Ok(())
    }

    /// Gives every variable the value that a checkpoint of the same form has.
    pub(super) fn overwrite(&self, checkpoint: &Checkpoint) -> Result<()> {
        for (folder, vars) in &self.by_folder {
            let mut fingerprint = Fingerprint::new();
            let mut weights = Weights::open(checkpoint, folder, &mut fingerprint)?;
            for (name, var) in vars {
                var.set(&weights.tensor(name, var.dims())?.to_dtype(self.dtype)?)?;
            }
        }
        Ok(())
    }

    /// A variable, as it stands.
    pub(super) fn get(&self, folder: &str, name: &str) -> Result<&Tensor> {
        let var = self.by_folder.get(folder).and_then(|vars| vars.get(name));
        let missing = || Error::MissingTensor { path: Path::new(folder).join("model.safetensors"), name: name.into() };
        Ok(var.ok_or_else(missing)?.as_tensor())
    }

    /// Whether there is one.
    pub(super) fn contains(&self, folder: &str, name: &str) -> bool {
        self.by_folder.get(folder).is_some_and(|vars| vars.contains_key(name))
    }

    /// What precedes `anchor` in the root's names, the shortest where there are several.
    pub(super) fn prefix_of(&self, anchor: &str) -> Result<String> {
        let names = self.by_folder.get("").into_iter().flat_map(BTreeMap::keys);
        let missing = || Error::MissingTensor { path: "model.safetensors".into(), name: anchor.into() };
        shortest_prefix(names, anchor).ok_or_else(missing)
    }

    /// All of them, by a name that says the folder too.
    pub(super) fn all(&self) -> impl Iterator<Item = (String, &Var)> {
        self.by_folder.iter().flat_map(|(folder, vars)| {
            vars.iter().map(move |(name, var)| {
                (if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") }, var)
            })
        })
    }

    /// Writes every folder's `model.safetensors` under `root`; the folders exist.
    pub(super) fn save(&self, root: &Path, stored_as: StoredAs) -> Result<()> {
        for (folder, vars) in &self.by_folder {
            let path = root.join(folder).join("model.safetensors");
            write_tensors(&path, stored_as, vars.iter().map(|(name, var)| (name.clone(), var.as_tensor())))?;
        }
        Ok(())
    }
}

/// What weights are written in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StoredAs {
    /// As they were trained.
    #[default]
    F32,
    /// Rounded, in half of the space.
    F16,
}

/// Writes tensors as safetensors, whole or not at all.
pub(super) fn write_tensors<'a>(
    path: &Path,
    stored_as: StoredAs,
    tensors: impl Iterator<Item = (String, &'a Tensor)>,
) -> Result<()> {
    let (dtype, bytes): (_, fn(f32) -> Vec<u8>) = match stored_as {
        StoredAs::F32 => (safetensors::Dtype::F32, |x| x.to_le_bytes().to_vec()),
        StoredAs::F16 => (safetensors::Dtype::F16, |x| half::f16::from_f32(x).to_le_bytes().to_vec()),
    };
    let mut data = Vec::new();
    for (name, tensor) in tensors {
        let values: Vec<u8> = tensor.flatten_all()?.to_vec1::<f32>()?.into_iter().flat_map(bytes).collect();
        data.push((name, tensor.dims().to_vec(), values));
    }
    let io = |source| Error::Io { path: path.into(), source };
    let views = data.iter().map(|(name, shape, bytes)| {
        let view = safetensors::tensor::TensorView::new(dtype, shape.clone(), bytes);
        (name.as_str(), view.expect("as many bytes as the shape says"))
    });
    let bytes = safetensors::serialize(views, None)
        .map_err(|error| Error::MalformedWeights { path: path.into(), reason: error.to_string() })?;
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut new = tempfile::Builder::new();
    // Readable by whoever may read its folder, as any file.
    #[cfg(unix)]
    new.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = new.tempfile_in(folder).map_err(io)?;
    std::io::Write::write_all(&mut file, &bytes).map_err(io)?;
    file.persist(path).map_err(|error| io(error.error))?;
    Ok(())
}

/// A tensor of these values.
pub(super) fn tensor(values: Vec<f32>, shape: &[usize]) -> Result<Tensor> {
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}
