//! The inverted lists of a segment before they are encoded.

use selvedge_backend::{CodeReader, CodecSizes, CompressedPassages};

/// Passages of each code, ascending, without duplicates.
pub(crate) struct Inverted {
    /// Start of each code's passages, and the end of the last: `(K + 1)`.
    starts: Vec<usize>,
    pids: Vec<u32>,
}

impl Inverted {
    /// Sorts passages by code, by counting sort. Offsets must ascend and codes be in range.
    pub(crate) fn new(passages: &CompressedPassages, codec: CodecSizes) -> Self {
        let num_centroids = codec.num_centroids;
        let mut starts = vec![0usize; num_centroids + 1];
        each_code_once(passages, codec, |code, _| starts[code + 1] += 1);
        for code in 0..num_centroids {
            starts[code + 1] += starts[code];
        }
        let mut next = starts.clone();
        let mut pids = vec![0; starts[num_centroids]];
        each_code_once(passages, codec, |code, pid| {
            pids[next[code]] = pid;
            next[code] += 1;
        });
        Self { starts, pids }
    }

    /// Passages of `code`.
    pub(crate) fn list(&self, code: usize) -> &[u32] {
        &self.pids[self.starts[code]..self.starts[code + 1]]
    }
}

/// Visits the distinct codes of each passage, in pid order.
fn each_code_once(passages: &CompressedPassages, codec: CodecSizes, mut visit: impl FnMut(usize, u32)) {
    let reader = CodeReader::new(&passages.codes, codec.code_bits());
    // For each code, one more than the last passage that had it; 0 before the first.
    let mut seen = vec![0u32; codec.num_centroids];
    for pid in 0..passages.num_passages() {
        for token in passages.tokens(pid) {
            let code = reader.get(token) as usize;
            if seen[code] <= pid as u32 {
                seen[code] = pid as u32 + 1;
                visit(code, pid as u32);
            }
        }
    }
}
