//! Small whole indexes: written, read back, and corrupted byte by byte.

mod damage;
mod forged;
mod roundtrip;
mod size;
mod staging;

pub(crate) use crate::storage::mix;
use crate::{Document, Index, ManifestInfo, Result, Writer};
use selvedge_backend::{CodecParams, Packed, ResidualForm, RowCoding, WeightRule};
use selvedge_codec::{Codec, CodecKind};
use std::path::Path;

/// Valid codec with pseudo-random numbers.
pub(crate) fn codec(dim: usize, num_centroids: usize, nbits: u8, weight_bits: u8) -> Codec {
    let component = |i: usize| (mix(i as u64) % 255) as i16 as i32 as i64;
    // A trellis for odd numbers of weight bits, where nbits allows one.
    let trellis = matches!(nbits, 1 | 2) && weight_bits % 2 == 1;
    let coding = if trellis { RowCoding::Trellis { step: 0.14 } } else { RowCoding::Buckets };
    let (levels, cutoffs) = CodecParams::num_levels(nbits, coding);
    let params = CodecParams {
        dim,
        nbits,
        centroids: (0..dim * num_centroids).map(|i| (component(i) - 127) as i8).collect(),
        centroid_scale: 0.007,
        coding,
        levels: (0..levels).map(|l| (l as i32 * 254 / (levels as i32 - 1) - 127) as i8).collect(),
        cutoffs: (0..cutoffs).map(|c| (c + 1) as f32 / levels as f32 - 0.5).collect(),
        form: ResidualForm::Orthogonal,
        rule: WeightRule::KeepLength,
        rotation: None,
        weight_bits,
        centroid_weights: (0..1usize << weight_bits).map(|i| 200 - (i % 16) as u8).collect(),
        residual_weights: (0..1usize << weight_bits).map(|i| 100 + (i % 16) as u8).collect(),
        centroid_weight_step: 0.005,
        residual_weight_step: 1e-5,
    };
    Codec::new(CodecKind::Selvedge, 0x0123_4567_89ab_cdef, params).expect("a codec that breaks no bound")
}

/// Passages with pseudo-random bytes.
#[derive(Clone, Debug)]
struct Passages {
    doclens: Vec<u32>,
    codes: Vec<u32>,
    packed: Packed,
}

impl Passages {
    fn new(codec: &CodecParams, doclens: &[u32]) -> Self {
        let tokens = doclens.iter().sum::<u32>() as usize;
        let dice = |salt: usize| (0..).map(move |i| mix(i + (salt << 40) as u64));
        let weight_mask = ((1u32 << codec.weight_bits) - 1) as u8;
        Self {
            doclens: doclens.to_vec(),
            // The square makes low codes more frequent, so that passages have a code more than once.
            codes: dice(1)
                .map(|r| (r % 1000 * (r % 1000) * codec.num_centroids() as u64 / 1_000_000) as u32)
                .take(tokens)
                .collect(),
            packed: Packed {
                residuals: dice(2).map(|r| r as u8).take(tokens * codec.row_bytes()).collect(),
                weights: dice(3).map(|r| r as u8 & weight_mask).take(tokens).collect(),
            },
        }
    }

    /// Pushes the passages to a writer, `batch` at a time.
    fn push_to(&self, writer: &mut Writer, codec: &CodecParams, batch: usize) -> Result<()> {
        let mut at = 0;
        for doclens in self.doclens.chunks(batch.max(1)) {
            let end = at + doclens.iter().sum::<u32>() as usize;
            let packed = Packed {
                residuals: self.packed.residuals[at * codec.row_bytes()..end * codec.row_bytes()].to_vec(),
                weights: self.packed.weights[at..end].to_vec(),
            };
            writer.push_passages(doclens, &self.codes[at..end], &packed)?;
            at = end;
        }
        Ok(())
    }
}

/// Document of passage `pid`: unique id, text of 0 to 6 sentences, metadata for two of three.
fn document(pid: u32) -> Document {
    let metadata = serde_json::json!({ "pid": pid, "pi": 0.1 + f64::from(pid), "tags": ["ä", null] });
    Document {
        id: format!("doc/{}", mix(pid.into()) % 1_000_000 * 1000 + u64::from(pid)),
        text: "Grüße an alle. ".repeat(pid as usize % 7),
        metadata: (!pid.is_multiple_of(3)).then_some(metadata),
    }
}

/// Writes an index of `passages`, with documents, and opens it.
fn write_index(path: &Path, codec: &Codec, passages: &Passages, limits: Option<crate::Limits>) -> Index {
    let mut writer = Writer::create(path).unwrap();
    limits.into_iter().for_each(|limits| writer.set_limits(limits));
    for pid in 0..passages.doclens.len() as u32 {
        writer.push_document(&document(pid)).unwrap();
    }
    writer.finish_documents().unwrap();
    writer.set_codec(codec).unwrap();
    passages.push_to(&mut writer, &codec.params, 3).unwrap();
    let manifest = writer.finish(ManifestInfo::default()).unwrap();
    let index = Index::open(path, crate::Check::Checksums).unwrap();
    assert_eq!(index.manifest(), &manifest);
    index
}
