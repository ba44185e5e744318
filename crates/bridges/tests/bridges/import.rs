//! Indexes that the real libraries made (`fixtures/README.md`), imported and compared with the libraries' own scores.

use crate::support::{self, DIM, PASSAGES, QUERIES, fixture, floats, import, import_by, queries};
use selvedge_backend::Cpu;
use selvedge_bridges::{Block, Decoder, Format, open, recode};
use selvedge_index::Index;
use selvedge_search::{SearchParams, Searcher};
use std::path::Path;

/// Own scores of a fixture's library, `(queries, passages)`; negative infinity for a deleted passage.
fn expected(name: &str) -> Vec<f32> {
    let scores = floats(&fixture(name).join("expected-scores.npy"));
    assert_eq!(scores.len(), QUERIES * PASSAGES);
    scores
}

/// Imports a fixture as is, and compares all scores with its library's own: each within `tolerance`, and of the best
/// ten at least 99 in 100 the same. A passage within twice the tolerance of the tenth may take its place.
fn check(name: &str, format: Format, tolerance: f32) {
    let mut source = open(&fixture(name)).unwrap();
    assert_eq!((source.found.format, source.found.dim, source.found.passages), (format, DIM, PASSAGES), "{name}");
    let (_folder, index) = import(&mut source).unwrap();
    assert!(selvedge_index::verify(index.path()).is_ok(), "{name}");
    let searcher = Searcher::new(Cpu::new().unwrap(), &index).unwrap();
    let (mut kept, mut worst) = (0usize, 0f32);
    for (query, expected) in queries().iter().zip(expected(name).chunks_exact(PASSAGES)) {
        let ranking = searcher.search(query, &SearchParams::exact(PASSAGES), None).unwrap();
        let stored = expected.iter().filter(|score| score.is_finite()).count();
        assert_eq!(ranking.hits.len(), stored, "{name}");
        let mut best = expected.to_vec();
        best.sort_by(|a, b| b.total_cmp(a));
        for (rank, hit) in ranking.hits.iter().enumerate() {
            let pid: usize = index.id(hit.pid).unwrap().parse().unwrap();
            let difference = hit.score - expected[pid];
            // ColBERT's MaxSim on a CPU begins each maximum at zero (`segmented_maxsim.cpp`), so that passages with
            // negative maxima score higher. The best three have none.
            let is_raised = format == Format::Plaid && rank >= 3;
            worst = worst.max(if is_raised { difference } else { difference.abs() });
            kept += usize::from(rank < 10 && expected[pid] >= best[9] - 2.0 * tolerance);
        }
    }
    eprintln!("{name}: {kept} of {} kept, largest difference of a score {worst:.4}", 10 * QUERIES);
    assert!(worst <= tolerance, "{name}: scores differ by {worst}");
    assert!(kept * 100 >= 10 * QUERIES * 99, "{name}: {kept} of {} kept", 10 * QUERIES);
}

/// Tolerances: a component of a unit vector of 32 dimensions is rounded by up to 0.004 / 2, so a product of two of them
/// by 0.01 or so, and a score is the sum of 8 maxima. fast-plaid's own scores are sums in f16.
#[test]
fn plaid() {
    check("plaid-2", Format::Plaid, 0.05);
}

#[test]
fn fast_plaid() {
    check("fast-plaid-4", Format::FastPlaid, 0.05);
}

#[test]
fn next_plaid() {
    check("next-plaid-2", Format::NextPlaid, 0.05);
    check("next-plaid-4", Format::NextPlaid, 0.05);
}

/// Signs have length `sqrt(32)`: scores are as many times larger, and so is the rounding of queries to int8, which the
/// library rounds by token.
#[test]
fn next_plaid_binary() {
    check("next-plaid-binary", Format::NextPlaidBinary, 0.5);
    let (_folder, index) = import(&mut open(&fixture("next-plaid-binary")).unwrap()).unwrap();
    let codec = index.codec().unwrap();
    let refused = codec.compressor(&Cpu::new().unwrap()).map(|_| ()).unwrap_err().to_string();
    assert!(refused.contains("compresses no further embeddings"), "{refused}");
}

#[test]
fn warp() {
    check("warp-2", Format::Warp, 0.05);
}

#[test]
fn xtr_warp() {
    check("xtr-warp-4", Format::XtrWarp, 0.05);
}

/// Without its chunks, an index of xtr-warp-rs is read by centroid: the same scores.
#[test]
fn by_centroid() {
    let folder = support::copy("xtr-warp-4");
    std::fs::remove_file(folder.path().join("0.codes.npy")).unwrap();
    let mut source = open(folder.path()).unwrap();
    let (_kept, index) = import(&mut source).unwrap();
    let searcher = Searcher::new(Cpu::new().unwrap(), &index).unwrap();
    let (_chunked, other) = import(&mut open(&fixture("xtr-warp-4")).unwrap()).unwrap();
    let chunked = Searcher::new(Cpu::new().unwrap(), &other).unwrap();
    for query in queries() {
        let [found, expected] = [(&searcher, &index), (&chunked, &other)].map(|(searcher, index)| {
            let hits = searcher.search(&query, &SearchParams::exact(PASSAGES), None).unwrap().hits;
            hits.iter().map(|hit| (index.id(hit.pid).unwrap(), hit.score)).collect::<Vec<_>>()
        });
        assert_eq!(found, expected);
    }
}

/// At 8 bits almost nothing is lost by coding residuals anew: all scores are the same as after an import as is, up to
/// rounding. Signs are decoded to unit length.
#[test]
fn recoded() {
    for name in ["plaid-2", "fast-plaid-4", "next-plaid-2", "next-plaid-binary", "warp-2", "xtr-warp-4"] {
        let (_kept, as_is) = import(&mut open(&fixture(name)).unwrap()).unwrap();
        let mut build = None;
        let way = |source: &mut _, writer: &mut _| recode(source, writer, 8, &()).map(|info| build = Some(info));
        let (_folder, index) = import_by(&mut open(&fixture(name)).unwrap(), way).unwrap();
        assert!(selvedge_index::verify(index.path()).is_ok(), "{name}");
        let tokens = index.num_tokens();
        assert_eq!((build.unwrap().sample_tokens, index.num_passages()), (tokens, as_is.num_passages()), "{name}");
        let unit = if name == "next-plaid-binary" { (DIM as f32).sqrt() } else { 1.0 };
        let scores = |index: &Index| {
            let searcher = Searcher::new(Cpu::new().unwrap(), index).unwrap();
            let of_query = |query: &Vec<f32>| {
                let mut hits = searcher.search(query, &SearchParams::exact(PASSAGES), None).unwrap().hits;
                hits.sort_by_key(|hit| hit.pid);
                hits
            };
            queries().iter().flat_map(of_query).map(|hit| hit.score).collect::<Vec<_>>()
        };
        for (score, expected) in scores(&index).into_iter().zip(scores(&as_is)) {
            assert!((score - expected / unit).abs() < 0.05, "{name}: {score}, expected {}", expected / unit);
        }
    }
}

/// An embedding that no codec keeps is named by its number in the source.
#[test]
fn an_embedding_too_long_to_recode_is_named() {
    let mut source = open(&fixture("warp-2")).unwrap();
    let mut block = Block::default();
    source.read(0..PASSAGES as u32, &mut block).unwrap();
    let code = block.codes[500];
    source.codec.centroids[code as usize * DIM..][..DIM].fill(1e3);
    let way = |source: &mut _, writer: &mut _| recode(source, writer, 2, &()).map(drop);
    let refused = import_by(&mut source, way).unwrap_err().to_string();
    let first = block.codes.iter().position(|&other| other == code).unwrap();
    assert!(refused.contains(&format!("embedding {first} has length 565")), "{refused}");
}

/// Decoded vectors are as near as the compression allows to the vectors that the fixtures were made of.
#[test]
fn decoded_vectors_are_near_the_originals() {
    let originals = floats(&fixture("docs.npy"));
    for (name, most) in [("plaid-2", 0.06), ("fast-plaid-4", 0.02), ("xtr-warp-4", 0.02)] {
        let mut source = open(&fixture(name)).unwrap();
        let (mut block, mut rows) = (Block::default(), Vec::new());
        source.read(0..PASSAGES as u32, &mut block).unwrap();
        Decoder::new(&source.codec).decode(&block, &mut rows);
        assert_eq!(rows.len(), originals.len(), "{name}");
        let error: f32 = rows.iter().zip(&originals).map(|(a, b)| (a - b) * (a - b)).sum();
        let error = error / (originals.len() / DIM) as f32;
        assert!(error < most, "{name}: mean squared error {error}");
    }
}

#[test]
fn what_is_found_is_said() {
    let found = open(&fixture("plaid-2")).unwrap().found;
    assert_eq!((found.nbits, found.checkpoint.as_deref()), (2, Some("colbert-ir/colbertv2.0")));
    assert_eq!((found.query_maxlen, found.passage_maxlen), (Some(8), Some(180)));
    let found = open(&fixture("xtr-warp-4")).unwrap().found;
    assert_eq!((found.nbits, found.deleted), (4, 3));
    let refused = open(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap_err().to_string();
    assert!(refused.contains("known are PLAID"), "{refused}");
}

/// fast-plaid's metadata come along, by passage.
#[cfg(feature = "sqlite")]
#[test]
fn metadata_of_sqlite() {
    let (_folder, index) = import(&mut open(&fixture("fast-plaid-4")).unwrap()).unwrap();
    for pid in [0u32, 7, 59] {
        let metadata = index.documents().reader().document(pid).unwrap().metadata.unwrap();
        assert_eq!(metadata["title"], format!("passage {pid}"));
        assert_eq!(metadata["year"], 1990 + pid % 7);
    }
}

/// A database that is not read is said, in one line.
#[test]
fn metadata_of_duckdb_is_said_to_be_left_out() {
    let folder = support::copy("xtr-warp-4");
    assert!(open(folder.path()).unwrap().found.notes.is_empty());
    std::fs::write(folder.path().join("metadata.duckdb"), b"").unwrap();
    let notes = open(folder.path()).unwrap().found.notes;
    assert!(notes.len() == 1 && notes[0].contains("metadata.duckdb is not read"), "{notes:?}");
}
