//! The codec file: the numbers of a trained codec, little-endian.
//!
//! | bytes | type | contents |
//! |---|---|---|
//! | 0..4 | u32 | components per embedding, `D` |
//! | 4..8 | u32 | centroids, `K` |
//! | 8 | u8 | kind: 0 selvedge, 1 ColBERTv2 |
//! | 9 | u8 | `nbits` |
//! | 10 | u8 | `weight_bits` |
//! | 11 | u8 | residual form: 0 raw, 1 orthogonal |
//! | 12 | u8 | weight rule: 0 keep length, 1 unit norm, 2 keep length and refit |
//! | 13 | u8 | row coding: 0 buckets, 1 trellis |
//! | 14..16 | | zero |
//! | 16..24 | u64 | seed |
//! | 24..28 | f32 | `centroid_scale` |
//! | 28..32 | f32 | `centroid_weight_step` |
//! | 32..36 | f32 | `residual_weight_step` |
//! | 36..40 | f32 | step of a trellis's levels; 0 for buckets |
//! | 40.. | f32 | cutoffs, `2^nbits - 1` (none at 0 bits, none for a trellis) |
//! | | i8 | levels, `2^nbits` (none at 0 bits), 16 for a trellis |
//! | | u8 | `centroid_weights`, `2^weight_bits` |
//! | | u8 | `residual_weights`, `2^weight_bits` |
//! | | i8 | centroids, `(K, D)` |

use crate::error::{Error, Result};
use crate::files::{FileKind, IndexFile};
use crate::framed_file::{FileEntry, FramedFile, FramedFileWriter};
use crate::storage::Storage;
use selvedge_backend::{CodecParams, CodecSizes, ResidualForm, RowCoding, WeightRule};
use selvedge_codec::{Codec, CodecKind};

/// Size of the numbers before the cutoffs.
const PRELUDE_BYTES: usize = 40;

const KINDS: [CodecKind; 2] = [CodecKind::Selvedge, CodecKind::ColbertV2];
const FORMS: [ResidualForm; 2] = [ResidualForm::Raw, ResidualForm::Orthogonal];
const RULES: [WeightRule; 3] = [WeightRule::KeepLength, WeightRule::UnitNorm, WeightRule::KeepLengthRefit];

// The numbers in the file are indices into the arrays above. The matches are exhaustive, so that a new variant does not
// compile without a number.

fn kind_number(kind: CodecKind) -> u8 {
    match kind {
        CodecKind::Selvedge => 0,
        CodecKind::ColbertV2 => 1,
    }
}

fn form_number(form: ResidualForm) -> u8 {
    match form {
        ResidualForm::Raw => 0,
        ResidualForm::Orthogonal => 1,
    }
}

fn rule_number(rule: WeightRule) -> u8 {
    match rule {
        WeightRule::KeepLength => 0,
        WeightRule::UnitNorm => 1,
        WeightRule::KeepLengthRefit => 2,
    }
}

/// Number of a row coding, and its step.
fn coding_numbers(coding: RowCoding) -> (u8, f32) {
    match coding {
        RowCoding::Buckets => (0, 0.0),
        RowCoding::Trellis { step } => (1, step),
    }
}

/// Writes codec file `number` into `storage`.
pub(crate) fn write(storage: &dyn Storage, number: u32, codec: &Codec) -> Result<FileEntry> {
    let mut out = FramedFileWriter::create(storage, IndexFile::new(FileKind::Codec, number))?;
    let params = &codec.params;
    out.write(&prelude(codec))?;
    params.cutoffs.iter().try_for_each(|cutoff| out.write(&cutoff.to_le_bytes()))?;
    out.write(bytemuck::cast_slice(&params.levels))?;
    out.write(&params.centroid_weights)?;
    out.write(&params.residual_weights)?;
    out.write(bytemuck::cast_slice(&params.centroids))?;
    out.finish()
}

/// Encodes the numbers before the cutoffs.
fn prelude(codec: &Codec) -> Vec<u8> {
    let params = &codec.params;
    let (coding, step) = coding_numbers(params.coding);
    let mut bytes = Vec::with_capacity(PRELUDE_BYTES);
    bytes.extend_from_slice(&(params.dim as u32).to_le_bytes());
    bytes.extend_from_slice(&(params.num_centroids() as u32).to_le_bytes());
    bytes.extend_from_slice(&[
        kind_number(codec.kind),
        params.nbits,
        params.weight_bits,
        form_number(params.form),
        rule_number(params.rule),
        coding,
    ]);
    bytes.extend_from_slice(&[0; 2]);
    bytes.extend_from_slice(&codec.seed.to_le_bytes());
    for unit in [params.centroid_scale, params.centroid_weight_step, params.residual_weight_step, step] {
        bytes.extend_from_slice(&unit.to_le_bytes());
    }
    bytes
}

/// Decodes a codec file whose checksum is right and checks every bound that the ops rely on.
pub(crate) fn read(file: &FramedFile) -> Result<Codec> {
    let bytes = &file.payload[..];
    let sizes = Sizes::read(file)?;
    let [cutoffs, levels, centroid_weights, residual_weights, centroids, end] = sizes.offsets();
    let f32_at = |at: usize| f32::from_le_bytes(bytes[at..at + 4].try_into().expect("four bytes"));
    let params = CodecParams {
        dim: sizes.of_codec.dim,
        nbits: sizes.of_codec.nbits,
        centroids: file.payload.slice(centroids..end).into(),
        centroid_scale: f32_at(24),
        coding: sizes.coding,
        levels: bytemuck::cast_slice(&bytes[levels..centroid_weights]).to_vec(),
        cutoffs: (cutoffs..levels).step_by(4).map(f32_at).collect(),
        form: *pick(file, "residual form", &FORMS, 11)?,
        rule: *pick(file, "weight rule", &RULES, 12)?,
        rotation: None, // set by `Codec::new` from the kind and the seed
        weight_bits: sizes.of_codec.weight_bits,
        centroid_weights: bytes[centroid_weights..residual_weights].to_vec(),
        residual_weights: bytes[residual_weights..centroids].to_vec(),
        centroid_weight_step: f32_at(28),
        residual_weight_step: f32_at(32),
    };
    let kind = *pick(file, "kind", &KINDS, 8)?;
    let seed = u64::from_le_bytes(bytes[16..24].try_into().expect("eight bytes"));
    Codec::new(kind, seed, params).map_err(|source| Error::Contents { path: file.path.clone(), source })
}

/// Reads the kind and the sizes of a codec from its file, whose length must be the one that follows from them.
pub(crate) fn read_sizes(file: &FramedFile) -> Result<(CodecKind, CodecSizes)> {
    let sizes = Sizes::read(file)?.of_codec;
    Ok((*pick(file, "kind", &KINDS, 8)?, sizes))
}

/// Numbers that determine the lengths of the arrays.
struct Sizes {
    of_codec: CodecSizes,
    coding: RowCoding,
}

impl Sizes {
    /// Reads the sizes and checks the length of the file.
    fn read(file: &FramedFile) -> Result<Self> {
        let bytes = &file.payload;
        let too_short = |expected: usize| Error::Truncated {
            path: file.path.clone(),
            expected_bytes: expected as u64,
            found_bytes: bytes.len() as u64,
        };
        if bytes.len() < PRELUDE_BYTES {
            return Err(too_short(PRELUDE_BYTES));
        }
        let four = |at: usize| -> [u8; 4] { bytes[at..at + 4].try_into().expect("four bytes") };
        let step = f32::from_le_bytes(four(36));
        let of_codec = CodecSizes {
            dim: u32::from_le_bytes(four(0)) as usize,
            num_centroids: u32::from_le_bytes(four(4)) as usize,
            nbits: bytes[9],
            weight_bits: bytes[10],
        };
        let coding = *pick(file, "row coding", &[RowCoding::Buckets, RowCoding::Trellis { step }], 13)?;
        if !matches!(of_codec.nbits, 0 | 1 | 2 | 4 | 8) {
            return Err(bad(file, "nbits", of_codec.nbits.into()));
        }
        if of_codec.weight_bits > 8 {
            return Err(bad(file, "weight_bits", of_codec.weight_bits.into()));
        }
        let sizes = Self { of_codec, coding };
        let [.., end] = sizes.offsets();
        match bytes.len().checked_sub(end) {
            None => Err(too_short(end)),
            Some(0) => Ok(sizes),
            Some(after) => Err(bad(file, "number of bytes after the centroids", after as u64)),
        }
    }

    /// Offsets of cutoffs, levels, centroid weights, residual weights and centroids, and the end of the payload.
    fn offsets(&self) -> [usize; 6] {
        let CodecSizes { dim, num_centroids, nbits, weight_bits } = self.of_codec;
        let (levels, cutoffs) = CodecParams::num_levels(nbits, self.coding);
        let entries = 1usize << weight_bits;
        let mut offsets = [PRELUDE_BYTES; 6];
        let lengths = [4 * cutoffs, levels, entries, entries, dim.saturating_mul(num_centroids)];
        for (i, length) in lengths.into_iter().enumerate() {
            offsets[i + 1] = offsets[i].saturating_add(length);
        }
        offsets
    }
}

/// Element of `choices` whose index is the byte at `at`.
fn pick<'a, T>(file: &FramedFile, what: &'static str, choices: &'a [T], at: usize) -> Result<&'a T> {
    let value = file.payload[at];
    choices.get(value as usize).ok_or_else(|| bad(file, what, value.into()))
}

fn bad(file: &FramedFile, what: &'static str, value: u64) -> Error {
    Error::CodecFile { path: file.path.clone(), what, value }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_indices() {
        KINDS.iter().enumerate().for_each(|(at, &kind)| assert_eq!(kind_number(kind) as usize, at));
        FORMS.iter().enumerate().for_each(|(at, &form)| assert_eq!(form_number(form) as usize, at));
        RULES.iter().enumerate().for_each(|(at, &rule)| assert_eq!(rule_number(rule) as usize, at));
    }
}
