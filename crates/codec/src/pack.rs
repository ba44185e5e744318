//! Conversion of packed residuals between this crate's bit order and ColBERT's.
//!
//! - This crate (documented in `selvedge_backend`): planes. Field `k` of byte `j` is the bucket of component
//!   `k * W + j`.
//! - ColBERT (`codecs/residual.py`; also fast-plaid, next-plaid and WARP): components in order, the bits of each bucket
//!   reversed, packed into bytes from the high end. Field `k` from the top of byte `j` is component
//!   `j * 8 / nbits + k`.
//!
//! Both orders store buckets; rows of a trellis have no counterpart in ColBERT.

use selvedge_backend::bucket;

/// Converts a row from ColBERT's order to this crate's, both `(W) u8`.
///
/// # Panics
/// If `nbits` is not 1, 2, 4 or 8.
pub fn from_colbert(row: &[u8], nbits: u8) -> Vec<u8> {
    assert!(matches!(nbits, 1 | 2 | 4 | 8), "nbits is {nbits}, not 1, 2, 4 or 8");
    let mut out = vec![0u8; row.len()];
    for d in 0..row.len() * 8 / nbits as usize {
        out[d % row.len()] |= colbert_bucket(row, nbits, d) << (d / row.len() * nbits as usize);
    }
    out
}

/// Converts a row from this crate's order to ColBERT's, both `(W) u8`.
///
/// # Panics
/// If `nbits` is not 1, 2, 4 or 8.
pub fn to_colbert(row: &[u8], nbits: u8) -> Vec<u8> {
    assert!(matches!(nbits, 1 | 2 | 4 | 8), "nbits is {nbits}, not 1, 2, 4 or 8");
    let mut out = vec![0u8; row.len()];
    let per_byte = 8 / nbits as usize;
    for d in 0..row.len() * per_byte {
        let field = reverse(bucket(row, nbits, d), nbits);
        out[d / per_byte] |= field << (8 - nbits as usize * (d % per_byte + 1));
    }
    out
}

/// Returns the buckets of a byte of ColBERT's order, in order of components; the first `8 / nbits` are used.
///
/// # Panics
/// If `nbits` is not 1, 2, 4 or 8.
pub fn colbert_buckets(byte: u8, nbits: u8) -> [u8; 8] {
    assert!(matches!(nbits, 1 | 2 | 4 | 8), "nbits is {nbits}, not 1, 2, 4 or 8");
    let mut buckets = [0; 8];
    (0..8 / usize::from(nbits)).for_each(|d| buckets[d] = colbert_bucket(&[byte], nbits, d));
    buckets
}

fn colbert_bucket(row: &[u8], nbits: u8, d: usize) -> u8 {
    let per_byte = 8 / nbits as usize;
    let shift = 8 - nbits as usize * (d % per_byte + 1);
    reverse(row[d / per_byte] >> shift & mask(nbits), nbits)
}

fn reverse(bucket: u8, nbits: u8) -> u8 {
    bucket.reverse_bits() >> (8 - nbits)
}

fn mask(nbits: u8) -> u8 {
    ((1u16 << nbits) - 1) as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Examples of the format's description: bytes in, buckets out.
    #[test]
    fn colbert_examples() {
        for (nbits, bytes, buckets) in
            [(2u8, vec![0x9Cu8], vec![1u8, 2, 3, 0]), (4, vec![0x85], vec![1, 10]), (8, vec![0x01], vec![0x80])]
        {
            let found: Vec<u8> = (0..buckets.len()).map(|d| colbert_bucket(&bytes, nbits, d)).collect();
            assert_eq!(found, buckets, "{nbits} bits");
        }
    }

    #[test]
    fn there_and_back() {
        for nbits in [1u8, 2, 4, 8] {
            let row: Vec<u8> = (0..48u32).map(|i| (i * 151 + 7) as u8).collect();
            let ours = from_colbert(&row, nbits);
            assert_eq!(to_colbert(&ours, nbits), row);
            for d in 0..row.len() * 8 / nbits as usize {
                assert_eq!(bucket(&ours, nbits, d), colbert_bucket(&row, nbits, d));
            }
        }
    }
}
