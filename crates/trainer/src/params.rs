//! Weights of a checkpoint as variables, with the same names and in the same files.

use std::collections::BTreeMap;
use std::path::Path;

use candle_core::{DType, Device, Tensor, Var};
use selvedge_encoder::{Error as EncoderError, OpenCheckpoint, Weights};

use crate::error::{Error, Result};

/// Variables by folder and name.
pub(crate) struct Params {
    by_folder: BTreeMap<String, BTreeMap<String, Var>>,
    /// Beginning of the names of the transformer's tensors in the root folder.
    prefix: String,
    /// Type of the computation: f32, or f64 to check gradients.
    pub(crate) dtype: DType,
}

impl Params {
    /// Reads every tensor of the transformer and of its projection.
    pub(crate) fn read(checkpoint: &OpenCheckpoint, dtype: DType) -> Result<Self> {
        let prefix = checkpoint.weights("")?.prefix_of(checkpoint.config().word_table())?;
        let mut params = Self { by_folder: BTreeMap::new(), prefix, dtype };
        params.read_folder(checkpoint, "")?;
        for spec in &checkpoint.text_rules().projection {
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
                // Integer tensors such as position ids, which no model reads.
                Err(EncoderError::UnsupportedDtype { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        self.by_folder.insert(folder.to_owned(), vars);
        Ok(())
    }

    /// Sets every variable to its value in the checkpoint `root`, which has the same tensors.
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

    /// Returns the current value of a variable.
    pub(crate) fn get(&self, folder: &str, name: &str) -> Result<&Tensor> {
        let var = self.by_folder.get(folder).and_then(|vars| vars.get(name));
        let missing =
            || EncoderError::MissingTensor { path: Path::new(folder).join("model.safetensors"), name: name.into() };
        Ok(var.ok_or_else(missing)?.as_tensor())
    }

    /// Returns whether a variable exists.
    pub(crate) fn contains(&self, folder: &str, name: &str) -> bool {
        self.by_folder.get(folder).is_some_and(|vars| vars.contains_key(name))
    }

    /// Returns the beginning of the names of the transformer's tensors in the root folder.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns all variables, by a name that includes the folder.
    pub(crate) fn all(&self) -> impl Iterator<Item = (String, &Var)> {
        self.by_folder.iter().flat_map(|(folder, vars)| {
            vars.iter().map(move |(name, var)| {
                (if folder.is_empty() { name.clone() } else { format!("{folder}/{name}") }, var)
            })
        })
    }

    /// Writes the `model.safetensors` of every folder under `root`; the folders exist.
    pub(crate) fn save(&self, root: &Path, stored_as: StoredAs) -> Result<()> {
        for (folder, vars) in &self.by_folder {
            let path = root.join(folder).join("model.safetensors");
            write_tensors(&path, stored_as, vars.iter().map(|(name, var)| (name.clone(), var.as_tensor())))?;
        }
        Ok(())
    }
}

/// Number format of saved weights.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum StoredAs {
    /// f32, the format of the training.
    #[default]
    F32,
    /// f16: rounded, half as large.
    F16,
}

/// Writes tensors as safetensors; the file appears under its name when it is complete.
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
    // A temporary file is private by default; the checkpoint is readable as usual.
    #[cfg(unix)]
    new.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    let mut file = new.tempfile_in(folder).map_err(io)?;
    std::io::Write::write_all(&mut file, &bytes).map_err(io)?;
    file.persist(path).map_err(|error| io(error.error))?;
    Ok(())
}

/// Makes a tensor of `values`.
pub(crate) fn tensor(values: Vec<f32>, shape: &[usize]) -> Result<Tensor> {
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?)
}
