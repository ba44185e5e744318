//! Embeddings through a real codec into an index and back: mapped bytes must be to the ops what the
//! compressor's own bytes are. Broken files are the business of the crate's own tests.

use selvedge_backend::{Backend, CompressedPassages, Cpu, pack_codes, pack_weights};
use selvedge_codec::{CodecKind, TrainOptions, train};
use selvedge_index::{Check, FileKind, Index, Limits, ManifestInfo, Writer, verify};
use std::path::PathBuf;

const DIM: usize = 32;

/// Numbers in -1..1 that need no crate: splitmix64.
fn component(i: u64) -> f32 {
    let mut z = i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ z >> 31) >> 40) as f32 / (1 << 23) as f32 - 1.0
}

/// `(num, DIM)` unit rows.
fn embeddings(num: usize) -> Vec<f32> {
    let mut rows: Vec<f32> = (0..num * DIM).map(|i| component(i as u64)).collect();
    for row in rows.chunks_exact_mut(DIM) {
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= norm);
    }
    rows
}

/// A place for an index that nothing else uses, empty.
fn place(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("index-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    path
}

#[test]
fn mapped_passages_are_what_was_compressed() {
    let cpu = Cpu::new().unwrap();
    let doclens: Vec<u32> = (0..100).map(|pid| pid * 7 % 23).collect();
    let rows = embeddings(doclens.iter().sum::<u32>() as usize);
    for (kind, nbits) in
        [(CodecKind::Selvedge, 0), (CodecKind::Selvedge, 2), (CodecKind::ColbertV2, 2), (CodecKind::Selvedge, 8)]
    {
        let options = TrainOptions { kind, iterations: 2, ..TrainOptions::new(nbits, 16) };
        let codec = train(&cpu, DIM, rows.clone(), &options, &()).unwrap();
        let (codes, packed) = codec.compressor(&cpu).unwrap().compress(&cpu, &mut rows.clone()).unwrap();

        let path = place(&format!("{kind:?}-{nbits}"));
        let mut writer = Writer::create(&path).unwrap();
        writer.set_limits(Limits { segment_tokens: 500, ..Limits::default() });
        writer.set_codec(&codec).unwrap();
        writer.push_passages(&doclens, &codes, &packed).unwrap();
        writer.finish(ManifestInfo::default()).unwrap();
        let index = Index::open(&path, Check::Checksums).unwrap();
        assert!(index.segments().len() > 2);
        assert!(verify(&path).unwrap().is_sound());

        let whole = whole(&codec.params, &doclens, &codes, &packed);
        let own = cpu.load_codec(codec.params.clone()).unwrap();
        let expected = cpu.decompress(&cpu.load_passages(&own, whole).unwrap(), 0..codes.len()).unwrap();
        let loaded = cpu.load_codec(index.codec().params.clone()).unwrap();
        let found: Vec<f32> = index
            .segments()
            .iter()
            .flat_map(|segment| {
                let num_tokens = segment.passages.num_tokens();
                cpu.decompress(&cpu.load_passages(&loaded, segment.passages.clone()).unwrap(), 0..num_tokens).unwrap()
            })
            .collect();
        assert!(found == expected, "{kind:?} at {nbits} bits");
        std::fs::remove_dir_all(&path).unwrap();
    }
}

/// All passages as one segment, packed by hand.
fn whole(
    codec: &selvedge_backend::CodecParams,
    doclens: &[u32],
    codes: &[u32],
    packed: &selvedge_backend::Packed,
) -> CompressedPassages {
    let mut offsets = vec![0u32];
    offsets.extend(doclens.iter().scan(0, |end, doclen| {
        *end += doclen;
        Some(*end)
    }));
    CompressedPassages {
        offsets: offsets.iter().flat_map(|offset| offset.to_le_bytes()).collect::<Vec<u8>>().into(),
        codes: pack_codes(codes, codec.code_bits()).into(),
        residuals: packed.residuals.clone().into(),
        weights: pack_weights(&packed.weights, codec.weight_bits).into(),
    }
}

#[test]
fn a_token_costs_its_code_its_row_its_scale_and_little_else() {
    let cpu = Cpu::new().unwrap();
    let doclens = [60u32; 400];
    let rows = embeddings(400 * 60);
    let codec =
        train(&cpu, DIM, rows.clone(), &TrainOptions { iterations: 1, ..TrainOptions::new(2, 64) }, &()).unwrap();
    let (codes, packed) = codec.compressor(&cpu).unwrap().compress(&cpu, &mut rows.clone()).unwrap();
    let path = place("bytes");
    let mut writer = Writer::create(&path).unwrap();
    writer.set_codec(&codec).unwrap();
    writer.push_passages(&doclens, &codes, &packed).unwrap();
    writer.finish(ManifestInfo::default()).unwrap();
    let index = Index::open(&path, Check::Structure).unwrap();
    let bytes = index.bytes_on_disk();
    let bits = |kind: FileKind| bytes[&kind] as f64 * 8.0 / index.num_tokens() as f64;
    assert!((bits(FileKind::Codes) - 6.0).abs() < 0.1, "{}", bits(FileKind::Codes));
    assert!((bits(FileKind::Residuals) - 64.0).abs() < 0.1, "{}", bits(FileKind::Residuals));
    assert!((bits(FileKind::Weights) - f64::from(codec.params.weight_bits)).abs() < 0.1, "{}", bits(FileKind::Weights));
    // A list has over half of the passages here: no set of them takes more than one bit a passage.
    assert!(bits(FileKind::InvertedLists) < 64.0 * 400.0 / (400.0 * 60.0) + 0.2, "{}", bits(FileKind::InvertedLists));
    std::fs::remove_dir_all(&path).unwrap();
}
