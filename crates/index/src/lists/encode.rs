//! Encoder of inverted lists: pids to the payload of a lists file.

use super::{MAX_LOW_BITS, PADDING_BYTES, PRELUDE_BYTES};
use crate::bits::{BitWriter, push_varint};
use crate::error::Result;
use crate::framed_file::FramedFileWriter;

/// Encoder of the lists of one segment, in the order of their codes.
#[derive(Debug)]
pub(crate) struct ListsEncoder {
    num_passages: u32,
    num_lists: u32,
    num_full: u32,
    /// Empty lists since the last head.
    num_skipped: u64,
    heads: Vec<u8>,
    quotients: BitWriter,
    remainders: BitWriter,
}

impl ListsEncoder {
    /// Creates an encoder for lists over `num_passages` passages.
    pub(crate) fn new(num_passages: u32) -> Self {
        Self {
            num_passages,
            num_lists: 0,
            num_full: 0,
            num_skipped: 0,
            heads: Vec::new(),
            quotients: BitWriter::default(),
            remainders: BitWriter::default(),
        }
    }

    /// Appends the next list: ascending, without duplicates, all pids below the number of passages.
    pub(crate) fn push(&mut self, pids: &[u32]) {
        debug_assert!(pids.is_sorted_by(|a, b| a < b) && pids.last().is_none_or(|&pid| pid < self.num_passages));
        self.num_lists += 1;
        if pids.is_empty() {
            self.num_skipped += 1;
            return;
        }
        self.num_full += 1;
        push_varint(&mut self.heads, std::mem::take(&mut self.num_skipped));
        push_varint(&mut self.heads, pids.len() as u64);
        let low_bits = best_low_bits(pids);
        let mut zeros = 0;
        for gap in gaps(pids) {
            self.remainders.push(gap & ((1 << low_bits) - 1), low_bits);
            self.quotients.push_unary(gap >> low_bits);
            zeros += gap >> low_bits;
        }
        self.heads.push(low_bits as u8);
        push_varint(&mut self.heads, zeros);
    }

    /// Parts of the payload, in the order of writing.
    fn into_parts(self) -> [Vec<u8>; 4] {
        let quotients = self.quotients.into_words();
        let mut remainders = self.remainders.into_words();
        remainders.extend_from_slice(&[0; PADDING_BYTES]);
        let mut prelude = Vec::with_capacity(PRELUDE_BYTES);
        prelude.extend_from_slice(&self.num_lists.to_le_bytes());
        prelude.extend_from_slice(&self.num_passages.to_le_bytes());
        prelude.extend_from_slice(&(quotients.len() as u64).to_le_bytes());
        prelude.extend_from_slice(&(remainders.len() as u64).to_le_bytes());
        prelude.extend_from_slice(&self.num_full.to_le_bytes());
        prelude.extend_from_slice(&[0; 4]);
        [prelude, quotients, remainders, self.heads]
    }

    /// Writes the payload.
    pub(crate) fn write(self, out: &mut FramedFileWriter) -> Result<()> {
        self.into_parts().iter().try_for_each(|part| out.write(part))
    }

    /// Payload as one byte string.
    #[cfg(test)]
    pub(crate) fn into_payload(self) -> bytes::Bytes {
        self.into_parts().concat().into()
    }
}

/// Number of passages between each pid and the one before it.
fn gaps(pids: &[u32]) -> impl Iterator<Item = u64> + '_ {
    let mut next = 0;
    pids.iter().map(move |&pid| {
        let gap = u64::from(pid) - next;
        next = u64::from(pid) + 1;
        gap
    })
}

/// Number of low bits that makes the list shortest. The search starts at the number that is best for equal gaps and
/// goes down or up while the list gets shorter.
fn best_low_bits(pids: &[u32]) -> u32 {
    let bits = |low: u32| pids.len() as u64 * u64::from(low) + gaps(pids).map(|gap| gap >> low).sum::<u64>();
    let mean = gaps(pids).sum::<u64>() / pids.len() as u64;
    let mut best = mean.max(1).ilog2().min(MAX_LOW_BITS);
    let mut cost = bits(best);
    while best > 0 && bits(best - 1) < cost {
        best -= 1;
        cost = bits(best);
    }
    while best < MAX_LOW_BITS && bits(best + 1) < cost {
        best += 1;
        cost = bits(best);
    }
    best
}
