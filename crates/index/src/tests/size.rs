//! Bytes per embedding on disk, measured on large indexes.

use super::*;
use crate::Check;
use selvedge_backend::CodeReader;
use std::time::Instant;

/// Number of centroids of every index here: the ColBERTv2 rule for 2^24 to 2^26 embeddings.
const NUM_CENTROIDS: usize = 1 << 16;

/// Lengths and codes of the passages of a collection, repeated as needed.
struct Collection {
    doclens: Vec<u32>,
    codes: Vec<u32>,
}

impl Collection {
    /// Passages of 70 tokens with uniformly distributed codes, which give the longest lists.
    fn uniform() -> Self {
        let doclens = vec![70; 100_000];
        let codes = (0..7_000_000).map(|i| (mix(i) % NUM_CENTROIDS as u64) as u32).collect();
        Self { doclens, codes }
    }

    /// Passages of an index.
    fn of(index: &Index) -> Self {
        let bits = index.codec().unwrap().params.code_bits();
        assert_eq!(index.codec().unwrap().params.num_centroids(), NUM_CENTROIDS);
        let mut collection = Self { doclens: Vec::new(), codes: Vec::new() };
        for segment in index.segments() {
            let passages = &segment.passages;
            let reader = CodeReader::new(&passages.codes, bits);
            collection.doclens.extend((0..passages.num_passages()).map(|pid| passages.tokens(pid).len() as u32));
            collection.codes.extend((0..passages.num_tokens()).map(|t| reader.get(t)));
        }
        collection
    }

    /// Writes at least `tokens` tokens with constant residuals and prints bytes per embedding by kind of file.
    fn measure(&self, name: &str, nbits: u8, weight_bits: u8, tokens: usize) {
        let codec = codec(128, NUM_CENTROIDS, nbits, weight_bits);
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("index");
        let start = Instant::now();
        let mut writer = Writer::create(&path).unwrap();
        writer.set_codec(&codec).unwrap();
        let mut written = 0;
        while written < tokens {
            let mut codes = &self.codes[..];
            for doclens in self.doclens.chunks(1000) {
                let (these, rest) = codes.split_at(doclens.iter().sum::<u32>() as usize);
                let residuals = vec![0x5a; these.len() * codec.params.row_bytes()];
                let packed = Packed { residuals, weights: vec![0; these.len() * usize::from(weight_bits > 0)] };
                writer.push_passages(doclens, these, &packed).unwrap();
                (codes, written) = (rest, written + these.len());
                if written >= tokens {
                    break;
                }
            }
        }
        writer.finish(ManifestInfo::default()).unwrap();
        let (took, start) = (start.elapsed(), Instant::now());
        let index = Index::open(&path, Check::Structure).unwrap();
        let opened = start.elapsed();
        let bytes = index.bytes_on_disk();
        let each = |bytes: u64| bytes as f64 / index.num_tokens() as f64;
        println!(
            "{name}, {nbits} bits, weights of {weight_bits}, {} tokens: {:.3} bytes per embedding \
             (written in {took:.1?}, opened in {opened:.1?})",
            index.num_tokens(),
            each(bytes.values().sum()),
        );
        bytes.iter().for_each(|(kind, &bytes)| print!("  {kind:?} {:.3}", each(bytes)));
        println!();
    }
}

/// Prints bytes per embedding for uniform codes, or for the codes of the index (K = 65,536) that `SELVEDGE_SIZE_OF`
/// names:
/// `cargo test -p selvedge-index --release -- --ignored --nocapture bytes_per_embedding`.
#[test]
#[ignore = "a measurement"]
fn bytes_per_embedding() {
    let path = std::env::var_os("SELVEDGE_SIZE_OF");
    let (name, collection) = match &path {
        None => ("uniform", Collection::uniform()),
        Some(path) => ("real codes", Collection::of(&Index::open(path.as_ref(), Check::Structure).unwrap())),
    };
    for (nbits, weight_bits) in [(0, 0), (1, 4), (2, 5), (4, 4)] {
        for tokens in [1 << 24, 1 << 25] {
            collection.measure(name, nbits, weight_bits, tokens);
        }
    }
}
