//! A checkpoint's weights as variables: the same names, in the same files.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};
use selvedge_encoder::{Error as EncoderError, OpenCheckpoint, Weights};

use crate::error::{Error, Result};

/// Variables by folder and name.
pub(crate) struct Params {
    by_folder: BTreeMap<String, BTreeMap<String, Var>>,
    /// The part before the transformer's names in the root's.
    prefix: String,
    /// The type that is computed in: f32, except where gradients are checked.
    pub(crate) dtype: DType,
}

impl Params {
    /// Reads every tensor of the transformer and of its projection.
    pub(crate) fn read(checkpoint: &OpenCheckpoint, dtype: DType) -> Result<Self> {
        let prefix = checkpoint.weights("")?.prefix_of(checkpoint.config().word_table())?;
        let mut params = Self { by_folder: BTreeMap::new(), prefix, dtype };
        params.read_folder(checkpoint, "")?;
        for spec in &checkpoint.recipe().projection {
            params.read_folder(checkpoint, &spec.folder)?;
        }
        Ok(params)
    }

    /// Reads every tensor under `folder` ("" for the root).
    fn read_folder(&mut self, checkpoint: &OpenCheckpoint, folder: &str) -> Result<()> {
        if self.by_folder.contains_key(folder) {
            return Ok(());
        }
        let mut weights = checkpoint.weights(folder)?;
        let mut vars = BTreeMap::new();
        for name in weights.names() {
            let shape = weights.shape(&name)?.to_vec();
            match weights.values(&name, &shape) {
                Ok(values) => drop(vars.insert(name, Var::from_tensor(&self.tensor(values, &shape)?)?)),
                // Position ids and the like, which no model reads.
                Err(EncoderError::UnsupportedDtype { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.by_folder.insert(folder.to_owned(), vars);
        Ok(())
    }

    /// Gives every variable the value that the checkpoint in `root`, of the same form, has.
    pub(crate) fn overwrite(&self, root: &Path) -> Result<()> {
        for (folder, vars) in &self.by_folder {
            let mut weights = Weights::open_folder(&root.join(folder))?;
            for (name, var) in vars {
                var.set(&self.tensor(weights.values(name, var.dims())?, var.dims())?)?;
            }
        }
        Ok(())
    }

    fn tensor(&self, values: Vec<f32>, shape: &[usize]) -> Result<Tensor> {
        Ok(tensor(values, shape)?.to_dtype(self.dtype)?)
    }

    /// A variable, as it stands.
    pub(crate) fn get(&self, folder: &str, name: &str) -> Result<&Tensor> {
        let var = self.by_folder.get(folder).and_then(|vars| vars.get(name));
        let missing =
            || EncoderError::MissingTensor { path: Path::new(folder).join("model.safetensors"), name: name.into() };
        Ok(var.ok_or_else(missing)?.as_tensor())
    }

    /// Whether there is one.
    pub(crate) fn contains(&self, folder: &str, name: &str) -> bool {
        self.by_folder.get(folder).is_some_and(|vars| vars.contains_key(name))
    }

    /// The part before the transformer's names in the root's.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// All of them, by a name that says the folder too.
    pub(crate) fn all(&self) -> impl Iterator<Item = (String, &Var)> {
        self.by_folder.iter().flat_map(|(folder, vars)| {
            vars.iter().map(move |(name, var)| {
                (if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") }, var)
            })
        })
    }

    /// Writes every folder's `model.safetensors` under `root`; the folders exist.
    pub(crate) fn save(&self, root: &Path, stored_as: StoredAs) -> Result<()> {
        for (folder, vars) in &self.by_folder {
            let path = root.join(folder).join("model.safetensors");
            write_tensors(&path, stored_as, vars.iter().map(|(name, var)| (name.clone(), var.as_tensor())))?;
        }
        Ok(())
    }
}

/// The number format that weights are written in.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StoredAs {
    /// As they were trained.
    #[default]
    F32,
    /// Rounded, in half of the space.
    F16,
}

/// Writes tensors as safetensors, whole or not at all.
pub(crate) fn write_tensors<'a>(
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
        .map_err(|error| Error::UnwritableWeights { path: path.into(), reason: error.to_string() })?;
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
pub(crate) fn tensor(values: Vec<f32>, shape: &[usize]) -> Result<Tensor> {
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}
