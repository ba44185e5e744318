//! The tensors of a `.safetensors` file, read in place.

use super::{Catalog, Texts};
use crate::array::{Kind, Place};
use crate::{Error, Result, folder};
use safetensors::Dtype;
use safetensors::tensor::{Metadata, TensorInfo};
use std::io::Read;
use std::path::Path;

/// Longest header; the limit of the crate safetensors.
const MAX_HEADER_BYTES: u64 = 100_000_000;

/// Reads the header.
pub(super) fn open(path: &Path, texts: Texts) -> Result<Catalog> {
    let (mut file, length) = folder::open(path)?;
    let bad = |reason: String| Error::malformed(path, reason);
    let mut start = [0u8; 8];
    file.read_exact(&mut start).map_err(|_| bad("is not a safetensors file: it has fewer than 8 bytes".into()))?;
    let header = u64::from_le_bytes(start);
    if header > MAX_HEADER_BYTES.min(length - 8) {
        return Err(bad(format!(
            "is not a safetensors file: its header would have {header} bytes, of {length} in all"
        )));
    }
    let mut text = vec![0u8; header as usize];
    file.read_exact(&mut text).map_err(Error::io(path))?;
    let metadata: Metadata =
        serde_json::from_slice(&text).map_err(|error| bad(format!("has a bad header: {error}")))?;
    let (found, expected) = (length - 8 - header, metadata.data_len() as u64);
    if found != expected {
        return Err(bad(format!("has {found} bytes of tensors, its header says {expected}")));
    }
    let place = |info: &TensorInfo| Place::of(info, 8 + header);
    let arrays = metadata.tensors().into_iter().map(|(name, info)| (name, place(info))).collect();
    let text = metadata.metadata().as_ref().and_then(|entries| entries.get(texts.names()[2]).cloned());
    Ok(Catalog { arrays, lines: None, text })
}

impl Place {
    /// The error is the rest of a sentence that begins with the name of the tensor.
    fn of(info: &TensorInfo, data_start: u64) -> Result<Self, String> {
        let kind = match info.dtype {
            Dtype::U8 | Dtype::BOOL => Kind::U8,
            Dtype::I32 => Kind::I32,
            Dtype::U32 => Kind::U32,
            Dtype::I64 => Kind::I64,
            Dtype::U64 => Kind::U64,
            Dtype::F16 => Kind::F16,
            Dtype::BF16 => Kind::Bf16,
            Dtype::F32 => Kind::F32,
            Dtype::F64 => Kind::F64,
            other => return Err(format!("holds {other:?}, expected F16, BF16 or F32, and integers")),
        };
        let shape = info.shape.iter().map(|&axis| axis as u64).collect();
        let place = Self { kind, shape, start: data_start + info.data_offsets.0 as u64 };
        match place.end() {
            Some(_) => Ok(place),
            None => Err(format!("has shape {:?}, which is too large", info.shape)),
        }
    }
}
