//! Build and search through the libraries, without the engine: embeddings, codec, index on disk, results.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use selvedge_backend::{Backend, Cpu, Embeddings, Isa, reference::Reference};
use selvedge_codec::{CodecKind, TrainOptions, train};
use selvedge_index::{BuildInfo, Check, Index, Limits, ManifestInfo, Writer};
use selvedge_search::{Mode, PassageSet, SearchParams, Searcher, candidates};

const DIM: usize = 64;
/// Enough passages that the approximate search leaves most of them out.
const PASSAGES: usize = 500;

/// Embeddings of passages and queries.
struct Corpus {
    doclens: Vec<u32>,
    /// Embeddings of all passages, `(N, DIM) f32`.
    rows: Vec<f32>,
    /// Queries, `(Q, DIM) f32` each.
    queries: Vec<Vec<f32>>,
}

/// Creates passages of 0 to 29 tokens around 60 topics, and queries around the same topics. Every 50th passage is
/// empty. Query lengths are around tiles of 8 and 32 tokens.
fn corpus() -> Corpus {
    let mut rng = ChaCha8Rng::seed_from_u64(5);
    let topics: Vec<Vec<f32>> = (0..60).map(|_| row(&mut rng, None)).collect();
    let doclens: Vec<u32> = (0..PASSAGES).map(|p| if p % 50 == 7 { 0 } else { rng.random_range(1..30) }).collect();
    let tokens = doclens.iter().sum::<u32>() as usize;
    let mut around_topics = |n: usize| -> Vec<f32> {
        let topic = |rng: &mut ChaCha8Rng| rng.random_range(0..topics.len());
        (0..n).flat_map(|_| topics.get(topic(&mut rng)).map(|t| row(&mut rng, Some(t))).expect("in range")).collect()
    };
    let rows = around_topics(tokens);
    Corpus { doclens, rows, queries: [1, 2, 3, 8, 31, 32, 33, 40].map(around_topics).to_vec() }
}

/// Returns a random unit row; with `around`, one near that topic.
fn row(rng: &mut ChaCha8Rng, around: Option<&Vec<f32>>) -> Vec<f32> {
    let mut row: Vec<f32> = (0..DIM).map(|_| rng.random::<f32>() + rng.random::<f32>() - 1.0).collect();
    if let Some(topic) = around {
        row.iter_mut().zip(topic).for_each(|(x, t)| *x = 0.15 * *x + t);
    }
    let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
    row.into_iter().map(|x| x / norm).collect()
}

/// Writes an index of the corpus, in segments of at most `segment_tokens`, and opens it.
fn index(corpus: &Corpus, kind: CodecKind, nbits: u8, segment_tokens: u32) -> (tempfile::TempDir, Index) {
    let backend = Cpu::new().unwrap();
    let mut options = TrainOptions::new(nbits, 128);
    options.kind = kind;
    let codec = train(&backend, DIM, corpus.rows.clone(), &options, &()).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("index");
    let mut writer = Writer::create(&path).unwrap();
    writer.set_limits(Limits { segment_tokens, ..Limits::default() });
    writer.set_codec(&codec).unwrap();
    let (codes, packed) = codec.compressor(&backend).unwrap().compress(&backend, &mut corpus.rows.clone()).unwrap();
    writer.push_passages(&corpus.doclens, &codes, &packed).unwrap();
    writer.finish(ManifestInfo { encoder: None, build: BuildInfo::default(), search: None }).unwrap();
    (dir, Index::open(&path, Check::Checksums).unwrap())
}

/// Returns pid and integer score of each hit, per query.
fn hits<B: Backend>(
    searcher: &Searcher<B>,
    corpus: &Corpus,
    params: &SearchParams,
    set: Option<&PassageSet>,
) -> Vec<Vec<(u32, i32)>> {
    let found = searcher.search_batch(&corpus.queries, params, set).unwrap();
    found.iter().map(|o| o.hits.iter().map(|f| (f.pid, f.raw)).collect()).collect()
}

/// Hits and integer scores equal the reference's, in both modes; the approximate one leaves out passages at each stage
/// (8 of 128 cells, 90 candidates, 60 scored).
#[test]
fn every_backend_gives_the_same_ranking_for_every_codec() {
    let corpus = corpus();
    for (kind, nbits) in [
        (CodecKind::Selvedge, 0),
        (CodecKind::Selvedge, 1),
        (CodecKind::Selvedge, 2),
        (CodecKind::Selvedge, 4),
        (CodecKind::Selvedge, 8),
        (CodecKind::ColbertV2, 2),
        (CodecKind::ColbertV2, 4),
    ] {
        let (_dir, index) = index(&corpus, kind, nbits, u32::MAX);
        let searcher = Searcher::new(Reference, &index).unwrap();
        for params in [
            SearchParams::exact(20),
            SearchParams { k: 20, mode: Mode::Approximate { nprobe: 8, ndocs: 90, num_rescored: 60 } },
        ] {
            let expected = hits(&searcher, &corpus, &params, None);
            assert!(expected.iter().all(|h| h.len() == 20));
            for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
                let cpu = Searcher::new(Cpu::with_isa(isa).unwrap(), &index).unwrap();
                assert_eq!(hits(&cpu, &corpus, &params, None), expected, "{kind:?} {nbits} bits {isa:?} {params:?}");
            }
        }
    }
}

/// Segments of 700 tokens split the corpus into more than 5. With all cells probed and all candidates kept, the
/// approximate mode equals the exact one.
#[test]
fn a_funnel_that_keeps_everything_is_exact_and_segments_do_not_matter() {
    let corpus = corpus();
    let (_one, one) = index(&corpus, CodecKind::Selvedge, 2, u32::MAX);
    let (_many, many) = index(&corpus, CodecKind::Selvedge, 2, 700);
    assert!(one.segments().len() == 1 && many.segments().len() > 5);
    let (one, many) =
        (Searcher::new(Cpu::new().unwrap(), &one).unwrap(), Searcher::new(Cpu::new().unwrap(), &many).unwrap());
    let exact = hits(&one, &corpus, &SearchParams::exact(50), None);
    assert_eq!(hits(&many, &corpus, &SearchParams::exact(50), None), exact);
    let open = SearchParams { k: 50, mode: Mode::Approximate { nprobe: 128, ndocs: PASSAGES, num_rescored: PASSAGES } };
    assert_eq!(hits(&one, &corpus, &open, None), exact);
    assert_eq!(hits(&many, &corpus, &open, None), exact);
    let narrow = SearchParams { k: 10, mode: Mode::Approximate { nprobe: 4, ndocs: 80, num_rescored: 40 } };
    assert_eq!(hits(&one, &corpus, &narrow, None), hits(&many, &corpus, &narrow, None));
}

/// A third of the passages, listed twice and in reverse; then three passages, a pid out of range, and no passage.
#[test]
fn a_set_restricts_both_modes() {
    let corpus = corpus();
    let (_dir, index) = index(&corpus, CodecKind::Selvedge, 2, 3000);
    let searcher = Searcher::new(Cpu::new().unwrap(), &index).unwrap();
    let pids: Vec<u32> = (0..PASSAGES as u32).filter(|p| p % 3 == 1).collect();
    let set = searcher.passages(&pids.iter().rev().chain(&pids).copied().collect::<Vec<_>>()).unwrap();
    let all = hits(&searcher, &corpus, &SearchParams::exact(PASSAGES), None);
    let expected: Vec<Vec<(u32, i32)>> =
        all.iter().map(|h| h.iter().filter(|(pid, _)| pid % 3 == 1).take(15).copied().collect()).collect();
    assert_eq!(hits(&searcher, &corpus, &SearchParams::exact(15), Some(&set)), expected);
    let open = SearchParams { k: 15, mode: Mode::Approximate { nprobe: 128, ndocs: 150, num_rescored: 100 } };
    let found = hits(&searcher, &corpus, &open, Some(&set));
    assert!(found.iter().flatten().all(|(pid, _)| pid % 3 == 1) && found.iter().all(|h| h.len() == 15));
    // A set of at most `num_rescored` passages is scored exactly.
    let few = searcher.passages(&[1, 4, 400]).unwrap();
    let found = hits(&searcher, &corpus, &SearchParams::approximate(10), Some(&few));
    assert!(found.iter().all(|h| h.len() == 3 || h.len() == 2), "{found:?}");
    assert!(searcher.passages(&[PASSAGES as u32]).is_err());
    let none = searcher.passages(&[]).unwrap();
    assert!(hits(&searcher, &corpus, &SearchParams::approximate(10), Some(&none)).iter().all(Vec::is_empty));
}

/// No token, zeros, an incomplete row, NaN, too many tokens; then more results requested than passages exist.
#[test]
fn empty_and_invalid_queries() {
    let corpus = corpus();
    let (_dir, index) = index(&corpus, CodecKind::Selvedge, 4, u32::MAX);
    let searcher = Searcher::new(Cpu::new().unwrap(), &index).unwrap();
    for params in [SearchParams::exact(10), SearchParams::approximate(10)] {
        assert!(searcher.search(&[], &params, None).unwrap().hits.is_empty());
        assert!(searcher.search(&vec![0.0; 3 * DIM], &params, None).is_ok());
        assert!(searcher.search(&[0.5; DIM - 1], &params, None).is_err());
        assert!(searcher.search(&[f32::NAN; DIM], &params, None).is_err());
        assert!(searcher.search(&vec![0.1; 5000 * DIM], &params, None).is_err());
        // Every passage but the empty ones, which are never found.
        let everything = SearchParams { k: 10 * PASSAGES, mode: params.mode };
        let found = searcher.search(&corpus.queries[3], &everything, None).unwrap().hits;
        assert_eq!(found.len(), corpus.doclens.iter().filter(|&&l| l > 0).count());
        assert!(found.windows(2).all(|w| (w[0].raw, w[1].pid) > (w[1].raw, w[0].pid)));
    }
}

/// One thread and three give the same codec, bit for bit.
#[test]
fn training_does_not_depend_on_threads() {
    let corpus = corpus();
    let train = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let options = TrainOptions::new(2, 64);
        pool.install(|| train(&Cpu::new().unwrap(), DIM, corpus.rows.clone(), &options, &()).unwrap())
    };
    let (one, three) = (train(1), train(3));
    assert_eq!(one.params.centroids, three.params.centroids);
    assert_eq!(
        (&one.params.centroid_weights, &one.params.residual_weights),
        (&three.params.centroid_weights, &three.params.residual_weights)
    );
    assert_eq!(one.params.residual_weight_step.to_bits(), three.params.residual_weight_step.to_bits());
}

/// The approximate score of a candidate is the sum over the query tokens of the best probed cell that holds the
/// passage, or of the missing score where no cell does.
#[test]
fn approximate_scores_follow_their_definition() {
    let corpus = corpus();
    let (_dir, index) = index(&corpus, CodecKind::Selvedge, 2, u32::MAX);
    let backend = Cpu::new().unwrap();
    let codec = index.codec().unwrap();
    let resident = backend.load_codec(codec.params.clone()).unwrap();
    let segment = &index.segments()[0];
    let mut scratch = candidates::Scratch::default();
    for query in &corpus.queries {
        let query = backend.quantize_query(&resident, Embeddings::Host(query)).unwrap();
        let probed = backend.probe(&backend.centroid_table(&resident, &query).unwrap(), 5).unwrap();
        let mut gather = |ndocs| {
            let mut kept = candidates::Kept::new(ndocs);
            candidates::gather(&mut scratch, &segment.lists, PASSAGES, 0, &probed, None, &mut kept);
            kept.into_sorted()
        };
        let mut found = gather(PASSAGES);
        let missing: i32 = probed.missing.iter().sum();
        let mut expected = Vec::new();
        for pid in 0..PASSAGES as u32 {
            let holds = |code: u32| {
                let mut pids = Vec::new();
                segment.lists.decode(code, &mut pids);
                pids.contains(&pid)
            };
            let best =
                |i: usize| probed.token(i).iter().filter(|(code, _)| holds(*code)).map(|&(_, entry)| entry).max();
            let tokens = 0..probed.missing.len();
            if tokens.clone().any(|i| best(i).is_some()) {
                let approx: i32 = tokens.map(|i| best(i).unwrap_or(probed.missing[i])).sum();
                expected.push((pid, approx - missing));
            }
        }
        assert_eq!(found.iter().map(|c| (c.pid, c.approx)).collect::<Vec<_>>(), expected);
        let kept = gather(20);
        found.sort_by_key(|c| (std::cmp::Reverse(c.approx), c.pid));
        found.truncate(20);
        found.sort_by_key(|c| c.pid);
        assert_eq!(kept, found);
    }
}
