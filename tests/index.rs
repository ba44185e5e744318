//! Round trip of embeddings through a codec and an index: mapped passages must equal the compressed ones. Forged
//! indexes, whose checksums are valid, are searched too. Corrupt files are tested in `crates/index`.

use selvedge_backend::{Backend, CompressedPassages, Cpu, pack_codes, pack_weights};
use selvedge_codec::{CodecKind, TrainOptions, train};
use selvedge_index::{
    Check, Document, FileEntry, FileKind, HEADER_BYTES, Index, IndexFile, Limits, Manifest, ManifestInfo, Writer,
    verify,
};
use selvedge_search::{Mode, SearchParams, Searcher};
use std::path::{Path, PathBuf};

const DIM: usize = 32;

/// Returns the `i`-th pseudo-random number in -1..1 (SplitMix64).
fn component(i: u64) -> f32 {
    let mut z = i.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((z ^ z >> 31) >> 40) as f32 / (1 << 23) as f32 - 1.0
}

/// Returns pseudo-random unit rows, `(num, DIM) f32`.
fn embeddings(num: usize) -> Vec<f32> {
    let mut rows: Vec<f32> = (0..num * DIM).map(|i| component(i as u64)).collect();
    for row in rows.chunks_exact_mut(DIM) {
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= norm);
    }
    rows
}

/// Returns a path for the index of one test, where nothing exists.
fn place(name: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("index-{name}-{}", std::process::id()));
    let _ = std::fs::remove_dir_all(&path);
    path
}

#[test]
fn mapped_passages_equal_the_compressed_ones() {
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
        let loaded = cpu.load_codec(index.codec().unwrap().params.clone()).unwrap();
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

/// Packs all passages as one segment.
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
fn a_token_costs_its_code_its_row_its_weight_and_little_else() {
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
    // A list holds over half of the passages here, and no set of passages takes more than one bit per passage.
    assert!(bits(FileKind::InvertedLists) < 64.0 * 400.0 / (400.0 * 60.0) + 0.2, "{}", bits(FileKind::InvertedLists));
    std::fs::remove_dir_all(&path).unwrap();
}

/// Equal embeddings give a codec that saturates no centroid and can be opened. If all components of a centroid have the
/// same magnitude, training ends exactly at the bound of the centroid table.
#[test]
fn a_codec_of_equal_embeddings_is_opened() {
    let cpu = Cpu::new().unwrap();
    let one_hot = [[1.0].as_slice(), &[0.0; DIM - 1]].concat();
    let even = [(DIM as f32).sqrt().recip(); DIM].to_vec();
    for (number, row) in [one_hot, even, embeddings(1)].into_iter().enumerate() {
        for (kind, nbits) in
            [CodecKind::Selvedge, CodecKind::ColbertV2].map(|kind| [1, 4, 8].map(|n| (kind, n))).concat()
        {
            let rows = row.repeat(20);
            let options = TrainOptions { kind, iterations: 1, ..TrainOptions::new(nbits, 1) };
            let codec = train(&cpu, DIM, rows.clone(), &options, &()).unwrap();
            let (codes, packed) = codec.compressor(&cpu).unwrap().compress(&cpu, &mut rows.clone()).unwrap();
            let path = place(&format!("equal-{number}-{kind:?}-{nbits}"));
            let mut writer = Writer::create(&path).unwrap();
            writer.set_codec(&codec).unwrap();
            writer.push_passages(&[20], &codes, &packed).unwrap();
            writer.finish(ManifestInfo::default()).unwrap();
            let index = Index::open(&path, Check::Checksums).unwrap();
            assert_eq!(index.saturated_centroids().unwrap(), 0, "row {number}, {kind:?} at {nbits} bits");
            std::fs::remove_dir_all(&path).unwrap();
        }
    }
}

/// Replaces the payload of a file, under a valid header.
fn replace_payload(path: &Path, file: IndexFile, payload: &[u8]) -> FileEntry {
    let at = path.join(file.name());
    let mut header = std::fs::read(&at).unwrap()[..HEADER_BYTES].to_vec();
    let crc32 = crc32fast::hash(payload);
    header[20..24].copy_from_slice(&crc32.to_le_bytes());
    header[24..32].copy_from_slice(&(payload.len() as u64).to_le_bytes());
    let of_header = crc32fast::hash(&header[..60]);
    header[60..].copy_from_slice(&of_header.to_le_bytes());
    // A new file under the old name: existing mappings keep the old one.
    std::fs::remove_file(&at).unwrap();
    std::fs::write(&at, [&header, payload].concat()).unwrap();
    FileEntry { bytes: (HEADER_BYTES + payload.len()) as u64, crc32 }
}

/// Replaces the payload of a file, with valid checksums in its header and in the manifest.
fn forge(path: &Path, manifest: &Manifest, file: IndexFile, payload: &[u8]) {
    let entry = replace_payload(path, file, payload);
    let mut manifest = manifest.clone();
    let segment = manifest.segments.iter_mut().find(|segment| segment.number == file.number);
    let segment = || segment.expect("a segment of this number");
    match file.kind {
        FileKind::Codec => manifest.codec.file = entry,
        FileKind::Offsets => segment().offsets = entry,
        FileKind::Codes => segment().codes = entry,
        FileKind::Residuals => segment().residuals = entry,
        FileKind::Weights => segment().weights = entry,
        FileKind::InvertedLists => segment().lists = entry,
        FileKind::Documents => segment().documents = entry,
        FileKind::Ids => segment().ids = entry,
        FileKind::Columns => segment().columns = Some(entry),
        FileKind::Manifest => return,
        FileKind::Deleted | FileKind::OldDocuments | FileKind::Sources | FileKind::Words => {
            unreachable!("this index has no {file}")
        }
    }
    replace_payload(path, manifest.file(), &serde_json::to_vec(&manifest).unwrap());
}

/// Searches an index in both modes and decompresses all passages; returns whether it could be opened. Errors are
/// allowed, panics and invalid hits are not.
fn search_everything(path: &Path, query: &[f32]) -> bool {
    let Ok(index) = Index::open(path, Check::Structure) else { return false };
    let Ok(searcher) = Searcher::new(Cpu::new().unwrap(), &index) else { return false };
    let approximate = Mode::Approximate { nprobe: 2, ndocs: 6, num_rescored: 4 };
    for mode in [Mode::Exact, approximate] {
        if let Ok(ranking) = searcher.search(query, &SearchParams { k: 3, mode }, None) {
            assert!(ranking.hits.iter().all(|hit| hit.pid < index.num_pids()), "{ranking:?}");
        }
    }
    for filter in ["n >= 2 AND NOT word LIKE 'ab%'", "word IS NULL OR n IN (1, 3)"] {
        if let Ok(set) = searcher.filtered(&filter.parse().unwrap()) {
            assert!(set.pids().all(|pid| pid < index.num_pids()), "{filter}");
        }
    }
    (0..index.num_pids()).for_each(|pid| drop(searcher.reconstruct(pid)));
    true
}

#[test]
fn a_search_of_a_forged_index_never_panics() {
    let cpu = Cpu::new().unwrap();
    let doclens = [3, 5, 0, 4, 6, 1, 2, 5];
    let rows = embeddings(doclens.iter().sum::<u32>() as usize);
    let codec =
        train(&cpu, DIM, rows.clone(), &TrainOptions { iterations: 1, ..TrainOptions::new(2, 6) }, &()).unwrap();
    let (codes, packed) = codec.compressor(&cpu).unwrap().compress(&cpu, &mut rows.clone()).unwrap();
    let path = place("forged");
    let mut writer = Writer::create(&path).unwrap();
    writer.set_limits(Limits { segment_tokens: 14, ..Limits::default() });
    for pid in 0..doclens.len() {
        let metadata = Some(serde_json::json!({ "n": pid, "word": "ab".repeat(pid % 3) }));
        writer.push_document(&Document { id: pid.to_string(), metadata, ..Document::default() }).unwrap();
    }
    writer.finish_documents().unwrap();
    writer.set_codec(&codec).unwrap();
    writer.push_passages(&doclens, &codes, &packed).unwrap();
    let manifest = writer.finish(ManifestInfo::default()).unwrap();
    assert_eq!(manifest.segments.len(), 2);
    let query = &rows[..4 * DIM];
    assert!(search_everything(&path, query));

    for file in manifest.files().into_iter().map(|(file, _)| file).chain([manifest.file()]) {
        let sound = std::fs::read(path.join(file.name())).unwrap()[HEADER_BYTES..].to_vec();
        let mut num_opened = 0;
        for (at, &byte) in sound.iter().enumerate() {
            for value in [byte ^ 1, 0xff] {
                let mut payload = sound.clone();
                payload[at] = value;
                forge(&path, &manifest, file, &payload);
                num_opened += usize::from(search_everything(&path, query));
            }
        }
        assert!(num_opened > 0, "{file}: no forged byte gets past opening");
        forge(&path, &manifest, file, &sound);
    }
    assert!(verify(&path).unwrap().is_sound());
    std::fs::remove_dir_all(&path).unwrap();
}
