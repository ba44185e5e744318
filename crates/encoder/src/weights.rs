//! Reads safetensors, one file or shards, into checked f32 tensors.
//!
//! In: a checkpoint and tensor names with the shapes that the configuration calls for. Out: contiguous f32 on the CPU.
//! f16 and bf16 are widened here, once. Files are read whole into memory and freed after loading: no memory map, no
//! unsafe code. Every tensor that is handed out passes through the fingerprint.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::path::PathBuf;

use candle_core::{Device, Tensor};
use safetensors::{Dtype, SafeTensorError, SafeTensors};

use crate::checkpoint::Checkpoint;
use crate::fingerprint::Fingerprint;
use crate::{Error, Result};

/// The tensors of one module, by name.
pub(crate) struct Weights<'a> {
    /// What a missing tensor's error names: the single file, or the index of the shards.
    path: PathBuf,
    files: Vec<File>,
    entries: BTreeMap<String, Entry>,
    fingerprint: &'a mut Fingerprint,
}

struct File {
    path: PathBuf,
    bytes: Vec<u8>,
}

/// Where a tensor lies.
struct Entry {
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    /// Within the file.
    bytes: Range<usize>,
}

impl<'a> Weights<'a> {
    /// Reads `model.safetensors`, or the shards of `model.safetensors.index.json`, under `folder` ("" for the root).
    pub(crate) fn open(checkpoint: &Checkpoint, folder: &str, fingerprint: &'a mut Fingerprint) -> Result<Self> {
        let within = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        let single = within("model.safetensors");
        let index = within("model.safetensors.index.json");
        let (path, shards) = if checkpoint.has(&single)? {
            (checkpoint.describe(&single), BTreeSet::from([single]))
        } else if let Some(index) = checkpoint.json(&index)? {
            let map = index.value.get("weight_map").and_then(|map| map.as_object());
            let map = index.required("weight_map", map)?;
            let shards = map.values().map(|shard| shard.as_str().map(within)).collect::<Option<_>>();
            let shards = shards.ok_or_else(|| index.malformed("a shard in \"weight_map\" is not a file name"))?;
            (index.path, shards)
        } else {
            let pickle = within("pytorch_model.bin");
            return Err(match checkpoint.has(&pickle)? {
                true => Error::PickledWeights { path: checkpoint.describe(&pickle) },
                false => Error::MissingFile { path: checkpoint.describe(&single) },
            });
        };
        let mut weights = Self { path, files: Vec::new(), entries: BTreeMap::new(), fingerprint };
        for shard in shards {
            weights.push(File { path: checkpoint.describe(&shard), bytes: checkpoint.read(&shard)? })?;
        }
        Ok(weights)
    }

    fn push(&mut self, file: File) -> Result<()> {
        let malformed =
            |error: SafeTensorError| Error::MalformedWeights { path: file.path.clone(), reason: error.to_string() };
        // The header's length comes first, eight bytes; the tensors' offsets count from the header's end.
        let (header_bytes, header) = SafeTensors::read_metadata(&file.bytes).map_err(malformed)?;
        let start = header_bytes + size_of::<u64>();
        for (name, info) in header.tensors() {
            let bytes = start + info.data_offsets.0..start + info.data_offsets.1;
            let entry = Entry { file: self.files.len(), dtype: info.dtype, shape: info.shape.clone(), bytes };
            self.entries.insert(name, entry);
        }
        // Checks that the header and the file's length agree, so that the ranges above are within the file.
        SafeTensors::deserialize(&file.bytes).map_err(malformed)?;
        self.files.push(file);
        Ok(())
    }

    /// Whether there is a tensor of that name.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// The names of all tensors, in order.
    pub(crate) fn names(&self) -> Vec<String> {
        self.entries.keys().cloned().collect()
    }

    /// What precedes `anchor` in the names: "" or, say, "bert."; the shortest where there are several.
    ///
    /// A checkpoint saved from a class with heads carries the transformer under a prefix of its own.
    pub(crate) fn prefix_of(&self, anchor: &str) -> Result<String> {
        shortest_prefix(self.entries.keys(), anchor).ok_or_else(|| self.missing(anchor))
    }

    /// A tensor's shape, where it is not known beforehand.
    pub(crate) fn shape(&self, name: &str) -> Result<&[usize]> {
        Ok(&self.entries.get(name).ok_or_else(|| self.missing(name))?.shape)
    }

    /// A tensor of the given shape, as f32, checked to be finite.
    pub(crate) fn tensor(&mut self, name: &str, shape: &[usize]) -> Result<Tensor> {
        Ok(Tensor::from_vec(self.values(name, shape)?, shape, &Device::Cpu)?)
    }

    /// The values of a tensor of the given shape, row-major.
    pub(crate) fn values(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let entry = self.entries.get(name).ok_or_else(|| self.missing(name))?;
        let file = &self.files[entry.file];
        if entry.shape != shape {
            return Err(Error::ShapeMismatch {
                path: file.path.clone(),
                name: name.to_owned(),
                expected: shape.to_vec(),
                found: entry.shape.clone(),
            });
        }
        let bytes = &file.bytes[entry.bytes.clone()];
        self.fingerprint.bytes(name, bytes);
        let values = widen(entry.dtype, bytes).ok_or_else(|| Error::UnsupportedDtype {
            path: file.path.clone(),
            name: name.to_owned(),
            found: format!("{:?}", entry.dtype),
        })?;
        match values.iter().position(|value| !value.is_finite()) {
            None => Ok(values),
            Some(index) => Err(Error::NonFinite { path: file.path.clone(), tensor: name.to_owned(), index }),
        }
    }

    fn missing(&self, name: &str) -> Error {
        Error::MissingTensor { path: self.path.clone(), name: name.to_owned() }
    }
}

/// What precedes `anchor` in `names`, the shortest where there are several.
pub(crate) fn shortest_prefix<'a>(names: impl Iterator<Item = &'a String>, anchor: &str) -> Option<String> {
    let prefixes = names.filter_map(|name| name.strip_suffix(anchor));
    let prefixes = prefixes.filter(|prefix| prefix.is_empty() || prefix.ends_with('.'));
    prefixes.min_by_key(|prefix| prefix.len()).map(str::to_owned)
}

/// Little-endian f32, f16 or bf16 to f32; `None` for any other type.
fn widen(dtype: Dtype, bytes: &[u8]) -> Option<Vec<f32>> {
    let halves = || bytes.as_chunks::<2>().0.iter();
    match dtype {
        Dtype::F32 => Some(bytes.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect()),
        Dtype::F16 => Some(halves().map(|b| half::f16::from_le_bytes(*b).to_f32()).collect()),
        Dtype::BF16 => Some(halves().map(|b| half::bf16::from_le_bytes(*b).to_f32()).collect()),
        _ => None,
    }
}
