//! Small index of synthetic embeddings.

use selvedge_backend::{Cpu, Packed};
use selvedge_codec::{TrainOptions, train};
use selvedge_index::{Check, Index, ManifestInfo, Writer};

pub const DIM: usize = 16;

/// Returns `(num, DIM)` unit rows, the same on every machine (splitmix64).
pub fn rows(num: usize) -> Vec<f32> {
    let component = |i: u64| {
        let mut z = i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    let mut rows: Vec<f32> = (0..num * DIM).map(|i| component(i as u64)).collect();
    for row in rows.chunks_exact_mut(DIM) {
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= norm);
    }
    rows
}

/// Builds an index of passages of these lengths at 2 bits, with a codec of `num_centroids`. Dropping the folder deletes
/// it.
pub fn index(doclens: &[u32], num_centroids: usize) -> (tempfile::TempDir, Index) {
    index_of(2, doclens, num_centroids)
}

/// Builds an index of any number of bits.
#[allow(dead_code)] // not every test that includes this file needs other numbers
pub fn index_of(nbits: u8, doclens: &[u32], num_centroids: usize) -> (tempfile::TempDir, Index) {
    let backend = Cpu::new().unwrap();
    let tokens = doclens.iter().sum::<u32>() as usize;
    let options = TrainOptions { iterations: 1, ..TrainOptions::new(nbits, num_centroids) };
    // A codec is trained even for an index without passages.
    let codec = train(&backend, DIM, rows(tokens.max(500)), &options, &()).unwrap();
    let (codes, packed) = match tokens {
        0 => (Vec::new(), Packed::default()),
        _ => codec.compressor(&backend).unwrap().compress(&backend, &mut rows(tokens)).unwrap(),
    };
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let mut writer = Writer::create(&path).unwrap();
    writer.set_codec(&codec).unwrap();
    writer.push_passages(doclens, &codes, &packed).unwrap();
    writer.finish(ManifestInfo::default()).unwrap();
    (dir, Index::open(&path, Check::Checksums).unwrap())
}
