//! Reads safetensors, one file or shards, as checked f32 values.
//!
//! In: a checkpoint and tensor names with the shapes that the configuration implies. Out: contiguous f32. A tensor is
//! read on demand, in pieces of 64 KiB that are widened from f16 or bf16, so that no tensor is in memory twice: no
//! memory map, no unsafe code. Every tensor that an encoder reads is added to its fingerprint.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, SeekFrom};
use std::path::{Path, PathBuf};

use safetensors::{Dtype, tensor::Metadata};

use crate::checkpoint::{Checkpoint, ReadSeek};
use crate::error::{Error, Result};
use crate::fingerprint::Fingerprint;
use crate::paths::is_inside;

/// Number of bytes of a tensor that are read at a time: a multiple of every element size.
const PIECE: usize = 1 << 16;
/// Largest accepted header, as in the safetensors crate.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Tensors of one module, by name.
pub struct Weights<'a> {
    /// Path in errors about missing tensors: the single file, or the index of the shards.
    path: PathBuf,
    files: Vec<File>,
    entries: BTreeMap<String, Entry>,
    /// Hash to which every tensor that is read is added.
    fingerprint: Option<&'a mut Fingerprint>,
}

struct File {
    path: PathBuf,
    from: Box<dyn ReadSeek>,
}

/// Type, shape and place of a tensor.
struct Entry {
    file: usize,
    dtype: Dtype,
    shape: Vec<usize>,
    /// Offset in the file, in bytes.
    start: u64,
    num_bytes: usize,
}

impl std::fmt::Debug for Weights<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Weights").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Weights<'static> {
    /// Opens `model.safetensors`, or its shards, in a local folder.
    ///
    /// # Errors
    /// - The folder has no safetensors: [`Error::MissingFile`], [`Error::PickledWeights`], [`Error::LfsPointer`].
    /// - They are not valid: [`Error::MalformedWeights`], [`Error::MalformedJson`].
    /// - Reading them fails: [`Error::Io`].
    pub fn open_folder(folder: &Path) -> Result<Self> {
        Self::open(&Checkpoint::folder(folder), "", None)
    }
}

impl<'a> Weights<'a> {
    /// Opens `model.safetensors`, or the shards of `model.safetensors.index.json`, under `folder` ("" for the root).
    pub(crate) fn open(
        checkpoint: &Checkpoint,
        folder: &str,
        fingerprint: Option<&'a mut Fingerprint>,
    ) -> Result<Self> {
        let within = |name: &str| if folder.is_empty() { name.to_owned() } else { format!("{folder}/{name}") };
        let single = within("model.safetensors");
        let index = within("model.safetensors.index.json");
        let (path, shards) = if checkpoint.has(&single)? {
            (checkpoint.describe(&single), BTreeSet::from([single]))
        } else if let Some(index) = checkpoint.json(&index)? {
            let map = index.value.get("weight_map").and_then(|map| map.as_object());
            let map = index.required("weight_map", map)?;
            let shards = map.values().map(|shard| shard.as_str().map(within)).collect::<Option<_>>();
            let shards: BTreeSet<String> =
                shards.ok_or_else(|| index.malformed("a shard in \"weight_map\" is not a file name"))?;
            if let Some(shard) = shards.iter().find(|shard| !is_inside(shard)) {
                return Err(index.malformed(format!("shard {shard:?} leads out of the checkpoint")));
            }
            (index.path, shards)
        } else {
            let pickle = within("pytorch_model.bin");
            return Err(match checkpoint.has(&pickle)? {
                true => Error::PickledWeights { path: checkpoint.describe(&pickle) },
                false => checkpoint.missing(&single),
            });
        };
        let mut weights = Self { path, files: Vec::new(), entries: BTreeMap::new(), fingerprint };
        for shard in shards {
            weights.push(File { path: checkpoint.describe(&shard), from: checkpoint.open_file(&shard)? })?;
        }
        Ok(weights)
    }

    /// Adds the tensors of a file.
    fn push(&mut self, mut file: File) -> Result<()> {
        let (start, header) = file.header()?;
        for (name, info) in header.tensors() {
            let (first, end) = info.data_offsets;
            let (start, num_bytes) = (start + first as u64, end - first);
            let entry =
                Entry { file: self.files.len(), dtype: info.dtype, shape: info.shape.clone(), start, num_bytes };
            self.entries.insert(name, entry);
        }
        self.files.push(file);
        Ok(())
    }

    /// Whether a tensor of that name exists.
    pub(crate) fn contains(&self, name: &str) -> bool {
        self.entries.contains_key(name)
    }

    /// Names of all tensors, sorted.
    pub fn names(&self) -> Vec<String> {
        self.entries.keys().cloned().collect()
    }

    /// Prefix of the tensor name that ends with `anchor`: "" or, for example, "bert.". If several names end with it,
    /// the shortest prefix.
    ///
    /// A checkpoint saved from a class with heads has such a prefix before all names of the transformer.
    ///
    /// # Errors
    /// [`Error::MissingTensor`] if no name ends with `anchor`.
    pub fn prefix_of(&self, anchor: &str) -> Result<String> {
        shortest_prefix(self.entries.keys(), anchor).ok_or_else(|| self.missing(anchor))
    }

    /// Shape of a tensor.
    ///
    /// # Errors
    /// [`Error::MissingTensor`] if there is no tensor of that name.
    pub fn shape(&self, name: &str) -> Result<&[usize]> {
        Ok(&self.entries.get(name).ok_or_else(|| self.missing(name))?.shape)
    }

    /// Reads a tensor of the given shape, row-major. It is f32, f16 or bf16 in the file, and checked to be finite.
    ///
    /// # Errors
    /// - The tensor does not exist: [`Error::MissingTensor`].
    /// - Its shape or element type differs: [`Error::ShapeMismatch`], [`Error::UnsupportedDtype`].
    /// - It contains a NaN or an infinity: [`Error::NonFinite`].
    /// - Reading fails: [`Error::Io`].
    pub fn values(&mut self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let entry = self.entries.get(name).ok_or_else(|| self.missing(name))?;
        let file = &mut self.files[entry.file];
        if entry.shape != shape {
            return Err(Error::ShapeMismatch {
                path: file.path.clone(),
                name: name.to_owned(),
                expected: shape.to_vec(),
                found: entry.shape.clone(),
            });
        }
        let widen = widening(entry.dtype).ok_or_else(|| Error::UnsupportedDtype {
            path: file.path.clone(),
            name: name.to_owned(),
            found: format!("{:?}", entry.dtype),
        })?;
        if let Some(fingerprint) = &mut self.fingerprint {
            fingerprint.begin(name, entry.num_bytes as u64);
        }
        let mut values = Vec::with_capacity(shape.iter().product());
        file.pieces(entry.start, entry.num_bytes, |piece| {
            if let Some(fingerprint) = &mut self.fingerprint {
                fingerprint.more(piece);
            }
            widen(piece, &mut values);
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

impl File {
    /// Reads the header and checks it against the file's length; returns the start of the tensors' bytes and the
    /// header.
    fn header(&mut self) -> Result<(u64, Metadata)> {
        let len = self.from.seek(SeekFrom::End(0)).map_err(|source| self.io(source))?;
        // The first eight bytes are the length of the header.
        let mut header_bytes = [0; size_of::<u64>()];
        let start = header_bytes.len() as u64;
        if len < start {
            return Err(self.malformed(format!("it is {len} bytes long, too short for a header")));
        }
        self.pieces(0, header_bytes.len(), |piece| header_bytes.copy_from_slice(piece))?;
        let header_bytes = u64::from_le_bytes(header_bytes);
        if header_bytes > MAX_HEADER_BYTES.min(len - start) {
            return Err(self.malformed(format!("a header of {header_bytes} bytes in a file of {len} bytes")));
        }
        let mut header = Vec::new();
        self.pieces(start, header_bytes as usize, |piece| header.extend_from_slice(piece))?;
        let header: Metadata = serde_json::from_slice(&header).map_err(|error| self.malformed(error.to_string()))?;
        let start = start + header_bytes;
        let (expected, found) = (header.data_len() as u64, len - start);
        if expected != found {
            return Err(self.malformed(format!("{found} bytes of tensors; the header describes {expected}")));
        }
        Ok((start, header))
    }

    /// Reads `num_bytes` from `start` on and passes them to `visit` piece by piece.
    fn pieces(&mut self, start: u64, num_bytes: usize, mut visit: impl FnMut(&[u8])) -> Result<()> {
        let mut piece = vec![0; PIECE.min(num_bytes)];
        self.from.seek(SeekFrom::Start(start)).map_err(|source| self.io(source))?;
        let mut left = num_bytes;
        while left > 0 {
            let piece = &mut piece[..left.min(PIECE)];
            self.from.read_exact(piece).map_err(|source| self.io(source))?;
            visit(piece);
            left -= piece.len();
        }
        Ok(())
    }

    fn io(&self, source: std::io::Error) -> Error {
        Error::Io { path: self.path.clone(), source }
    }

    fn malformed(&self, reason: String) -> Error {
        Error::MalformedWeights { path: self.path.clone(), reason }
    }
}

/// Shortest prefix of a name before `anchor`, empty or ending with a dot; `None` if there is no such name.
fn shortest_prefix<'a>(names: impl Iterator<Item = &'a String>, anchor: &str) -> Option<String> {
    let prefixes = names.filter_map(|name| name.strip_suffix(anchor));
    let prefixes = prefixes.filter(|prefix| prefix.is_empty() || prefix.ends_with('.'));
    prefixes.min_by_key(|prefix| prefix.len()).map(str::to_owned)
}

/// Appends little-endian values to a vector as f32.
type Widen = fn(&[u8], &mut Vec<f32>);

/// Conversion of f32, f16 or bf16 to f32; `None` for any other type.
fn widening(dtype: Dtype) -> Option<Widen> {
    match dtype {
        Dtype::F32 => Some(|bytes, out| out.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b)))),
        Dtype::F16 => {
            Some(|bytes, out| out.extend(bytes.as_chunks().0.iter().map(|b| half::f16::from_le_bytes(*b).to_f32())))
        }
        Dtype::BF16 => {
            Some(|bytes, out| out.extend(bytes.as_chunks().0.iter().map(|b| half::bf16::from_le_bytes(*b).to_f32())))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use safetensors::tensor::TensorView;

    /// A tensor of more than two pieces, not a whole number of them, after a tensor that ends within a piece.
    #[test]
    fn long_tensors_come_back_whole() {
        let values: Vec<f32> = (0..PIECE + 3).map(|at| (at % 97) as f32 - 48.0).collect();
        let stored = |as_bytes: fn(f32) -> Vec<u8>| values.iter().flat_map(|&x| as_bytes(x)).collect::<Vec<u8>>();
        for (dtype, bytes) in [
            (Dtype::F32, stored(|x| x.to_le_bytes().to_vec())),
            (Dtype::F16, stored(|x| half::f16::from_f32(x).to_le_bytes().to_vec())),
            (Dtype::BF16, stored(|x| half::bf16::from_f32(x).to_le_bytes().to_vec())),
        ] {
            let folder = tempfile::tempdir().unwrap();
            // A file is sorted by the width of the types, then by name.
            let views = [
                ("first", TensorView::new(dtype, vec![5], &bytes[..bytes.len() / (PIECE + 3) * 5]).unwrap()),
                ("long", TensorView::new(dtype, vec![PIECE + 3], &bytes).unwrap()),
                ("other", TensorView::new(Dtype::U8, vec![5], &[7; 5]).unwrap()),
            ];
            std::fs::write(folder.path().join("model.safetensors"), safetensors::serialize(views, None).unwrap())
                .unwrap();
            let checkpoint = Checkpoint::open(folder.path().to_str().unwrap(), None).unwrap();
            let mut whole = Fingerprint::new();
            whole.bytes("long", &bytes);
            let mut fingerprint = Fingerprint::new();
            let mut weights = Weights::open(&checkpoint, "", Some(&mut fingerprint)).unwrap();
            assert_eq!(weights.values("long", &[PIECE + 3]).unwrap(), values, "{dtype:?}");
            assert!(matches!(weights.values("other", &[5]).unwrap_err(), Error::UnsupportedDtype { .. }));
            assert_eq!(fingerprint.finish(), whole.finish(), "{dtype:?}");
        }
    }
}
