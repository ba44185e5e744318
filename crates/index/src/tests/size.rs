//! Bytes a vector takes on disk, measured on a large made-up index.

use super::*;
use crate::{Check, FileKind};
use std::time::Instant;

/// Prints bytes a vector by kind of file, and the seconds to write and open them:
/// `cargo test -p selvedge-index --release -- --ignored --nocapture bytes_a_vector`.
#[test]
#[ignore = "a measurement"]
fn bytes_a_vector() {
    let (num_centroids, doclen) = (1 << 16, 70u32);
    let codec = codec(128, num_centroids, 0, 0);
    for (name, exponent, tokens) in
        [("uniform", 0.0, 1u32 << 24), ("uniform", 0.0, 1 << 25), ("Zipf 0.5", 0.5, 1 << 24)]
    {
        let mut ends: Vec<f64> = (1..=num_centroids).map(|rank| (rank as f64).powf(-exponent)).collect();
        let total = ends.iter_mut().fold(0.0, |sum, weight| {
            *weight += sum;
            *weight
        });
        let draw = |i: u64| {
            let at = (mix(i) >> 11) as f64 / (1u64 << 53) as f64 * total;
            ends.partition_point(|&end| end <= at).min(num_centroids - 1) as u32
        };
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index");
        let mut writer = Writer::create(&path).unwrap();
        writer.set_codec(&codec).unwrap();
        let passages = tokens / doclen;
        let codes: Vec<u32> = (0..u64::from(passages * doclen)).map(draw).collect();
        let start = Instant::now();
        for codes in codes.chunks(doclen as usize * 1000) {
            writer.push_passages(&vec![doclen; codes.len() / doclen as usize], codes, &Packed::default()).unwrap();
        }
        writer.finish(ManifestInfo::default()).unwrap();
        let written = start.elapsed();
        let start = Instant::now();
        let index = Index::open(&path, Check::Lengths).unwrap();
        let opened = start.elapsed();
        let each = |bytes: u64| bytes as f64 / index.num_tokens() as f64;
        let bytes = index.bytes_on_disk();
        println!(
            "{name}, {tokens} tokens: {:.3} bytes a vector (codes {:.3}, lists {:.3}, codec {:.3}, offsets {:.3}), {:.2} bits a list entry, written in {written:.1?}, opened in {opened:.1?}",
            each(bytes.values().sum()),
            each(bytes[&FileKind::Codes]),
            each(bytes[&FileKind::Lists]),
            each(bytes[&FileKind::Codec]),
            each(bytes[&FileKind::Offsets]),
            bytes[&FileKind::Lists] as f64 * 8.0
                / index.segments().iter().map(|s| s.lists.num_entries()).sum::<u64>() as f64,
        );
    }
}
