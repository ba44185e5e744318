//! Parts that the formats have in common: the numbers of a codec, lengths of passages, and the finished source.

use crate::array::{Array, Kind};
use crate::rows::Rows;
use crate::source::{Decoding, Format, Found, Source, SourceCodec};
use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// Largest dimension and largest number of centroids that an index can have.
const MAX_DIM: u64 = 1 << 15;
const MAX_CENTROIDS: u64 = 1 << 24;
const FLOATS: [Kind; 3] = [Kind::F16, Kind::F32, Kind::F64];

/// Checks the shape of centroids `(K, D)`, and reads them.
pub(super) fn centroids(array: Array) -> Result<(usize, Vec<f32>)> {
    let array = array.expect(&[None, None], &FLOATS)?;
    let (path, count, dim) = (array.path().to_owned(), array.shape()[0], array.shape()[1]);
    if dim == 0 || dim > MAX_DIM || !dim.is_multiple_of(8) {
        let reason = "dimensions are multiples of 8, at most 32,768";
        return Err(Error::Unsupported { path, found: format!("dimension {dim}"), reason });
    }
    if count == 0 || count > MAX_CENTROIDS {
        return Err(Error::Unsupported { path, found: format!("{count} centroids"), reason: "1 to 2^24 are read" });
    }
    Ok((dim as usize, array.all_f32()?))
}

/// Reads cutoffs and weights of the buckets; their number gives the bits, which must equal the metadata's.
pub(super) fn buckets(cutoffs: Option<Array>, weights: Array, nbits: Option<u8>) -> Result<(u8, Vec<f32>, Vec<f32>)> {
    let weights = weights.expect(&[None], &FLOATS)?;
    let (path, found) = (weights.path().to_owned(), weights.len());
    let bits = [1u8, 2, 4, 8].into_iter().find(|bits| 1u64 << bits == found);
    let Some(bits) = bits else {
        let reason = "indexes of 1, 2, 4 and 8 bits are read";
        return Err(Error::Unsupported { path, found: format!("a codec of {found} buckets"), reason });
    };
    if let Some(expected) = nbits.filter(|&expected| expected != bits) {
        return Err(Error::Count { path, of: "buckets", expected: 1u64 << expected.min(63), found });
    }
    let weights = weights.all_f32()?;
    let cutoffs = match cutoffs {
        Some(cutoffs) => cutoffs.expect(&[Some(found - 1)], &FLOATS)?.all_f32()?,
        // WARP does not need them; half-way between the weights a value is as near to either.
        None => weights.windows(2).map(|pair| pair[0].midpoint(pair[1])).collect(),
    };
    if let Some(at) = cutoffs.windows(2).chain(weights.windows(2)).position(|pair| pair[0] > pair[1]) {
        return Err(Error::malformed(&path, format!("has buckets that descend at {at}")));
    }
    Ok((bits, cutoffs, weights))
}

/// Numbers of [`Format::NextPlaidBinary`]: a set bit is 1, any other -1.
pub(super) fn signs() -> (u8, Vec<f32>, Vec<f32>) {
    (1, vec![0.0], vec![-1.0, 1.0])
}

/// Everything that a format has found.
pub(super) struct Parts {
    pub(super) format: Format,
    pub(super) codec: SourceCodec,
    pub(super) doclens: Vec<u32>,
    pub(super) pids: Option<Vec<u32>>,
    pub(super) deleted: Vec<u32>,
    pub(super) rows: Rows,
    pub(super) checkpoint: Option<String>,
    pub(super) query_maxlen: Option<usize>,
    pub(super) passage_maxlen: Option<usize>,
    pub(super) metadata: Option<PathBuf>,
    pub(super) notes: Vec<String>,
}

impl Parts {
    /// Parts with nothing but what every index has.
    pub(super) fn new(format: Format, codec: SourceCodec, doclens: Vec<u32>, rows: Rows) -> Self {
        Self {
            format,
            codec,
            doclens,
            rows,
            pids: None,
            deleted: Vec::new(),
            checkpoint: None,
            query_maxlen: None,
            passage_maxlen: None,
            metadata: None,
            notes: Vec::new(),
        }
    }

    /// Makes the source. `path` names the index in errors.
    pub(super) fn source(self, path: &Path) -> Result<Source> {
        let Self { format, codec, doclens, pids, mut deleted, rows, .. } = self;
        if doclens.len() > u32::MAX as usize / 2 {
            return Err(Error::malformed(path, format!("has {} passages", doclens.len())));
        }
        let mut offsets = vec![0u64];
        offsets.extend(doclens.iter().scan(0u64, |sum, &length| {
            *sum += u64::from(length);
            Some(*sum)
        }));
        deleted.sort_unstable();
        let pid = |stored: u32| pids.as_ref().map_or(stored, |pids| pids[stored as usize]);
        let alive: Vec<u32> =
            (0..doclens.len() as u32).filter(|&stored| deleted.binary_search(&pid(stored)).is_err()).collect();
        let found = Found {
            format,
            dim: codec.dim,
            nbits: codec.nbits,
            centroids: codec.num_centroids(),
            passages: doclens.len(),
            embeddings: offsets[doclens.len()],
            deleted: doclens.len() - alive.len(),
            checkpoint: self.checkpoint.filter(|name| !name.is_empty() && name != "none"),
            query_maxlen: self.query_maxlen,
            passage_maxlen: self.passage_maxlen,
            notes: self.notes,
        };
        Ok(Source { found, codec, doclens, pids, alive, offsets, metadata: self.metadata, rows, bytes: Vec::new() })
    }
}

/// Makes the numbers of a codec.
pub(super) fn codec(
    (dim, centroids): (usize, Vec<f32>),
    (nbits, cutoffs, weights): (u8, Vec<f32>, Vec<f32>),
    decoding: Decoding,
) -> SourceCodec {
    SourceCodec { dim, nbits, centroids, cutoffs, weights, decoding }
}
