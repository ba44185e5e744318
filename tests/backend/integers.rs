//! Checks of the integer ops and `decompress`: results equal the results of the reference, bit for bit.

use crate::cases::{Case, Fill, Rng, Shape, codec, component};
use selvedge_backend::{
    Backend, CheckedCodec, CodecParams, Embeddings, NO_MATCH, Pid, Probed, QuantizedQuery, RawHit, SegmentHit,
    SegmentView, Select, Similarities, reference, reference::Reference,
};
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Results of every integer op on one case.
#[derive(Debug, PartialEq)]
struct Outputs {
    /// Results of `probe` at several `nprobe`; at K they hold the whole centroid table.
    probes: Vec<Probed>,
    /// All passages by approximate score, and the selected ones.
    approx: [Vec<RawHit>; 2],
    /// All passages by score, and the selected ones.
    scores: [Vec<RawHit>; 2],
    /// The best three of the selected passages.
    best: Vec<RawHit>,
    /// Bits of all decompressed vectors, and of a range in the middle.
    vectors: [Vec<u32>; 2],
}

/// Runs every integer op of `backend` on `case`.
fn outputs<B: Backend>(backend: &B, case: &Case) -> Outputs {
    let codec = backend.load_codec(case.codec.clone()).unwrap();
    let passages = backend.load_passages(&codec, case.passages.clone()).expect("the arrays fit");
    let query = backend.load_query(&codec, case.query.clone()).unwrap();
    let table = backend.centroid_table(&codec, &query).unwrap();
    let num_centroids = case.codec.num_centroids();
    let selects = [Select::All, Select::Pids(&case.pids)];
    let ranked = |scores: &B::Scores, k| backend.top_k(scores, k).unwrap();
    let approx = |select| ranked(&backend.approx_scores(&passages, &table, select).unwrap(), usize::MAX);
    let maxsim = |select| backend.maxsim(&passages, &query, &table, select).unwrap();
    let num_tokens = case.passages.num_tokens();
    let vectors = |tokens| backend.decompress(&passages, tokens).unwrap().into_iter().map(f32::to_bits).collect();
    Outputs {
        probes: [0, 1, 3, num_centroids / 17, num_centroids - 1, num_centroids, num_centroids + 5]
            .map(|n| backend.probe(&table, n).unwrap())
            .into(),
        approx: selects.map(approx),
        scores: selects.map(|select| ranked(&maxsim(select), usize::MAX)),
        best: ranked(&maxsim(selects[1]), 3),
        vectors: [vectors(0..num_tokens), vectors(num_tokens / 3..num_tokens - num_tokens / 4)],
    }
}

/// Checks that the similarities of each passage, of which its score is made, sum to the score of the reference.
pub fn check_similarities(case: &Case) {
    let codec = &case.codec;
    let table = reference::centroid_table(codec, &case.query);
    let scores = reference::maxsim(codec, &case.passages, &case.query, &table, Select::All);
    for (pid, &score) in scores.iter().enumerate() {
        let tokens = case.passages.tokens(pid);
        let similarities = Similarities::new(codec, &case.passages, &case.query, tokens.clone());
        assert_eq!(similarities.raw.len(), case.query.len() * tokens.len());
        let best = similarities.best();
        assert!(best.iter().enumerate().all(|(i, best)| {
            let row = &similarities.raw[i * tokens.len()..][..tokens.len()];
            row.iter().position(|sim| sim == row.iter().max().unwrap()) == Some(best.passage_token)
        }));
        match tokens.is_empty() {
            true => assert!(best.is_empty() && score == NO_MATCH),
            false => assert_eq!(best.iter().map(|best| best.raw_part).sum::<i32>(), score, "passage {pid}"),
        }
    }
}

/// Checks that `backend` and the reference agree on `case`.
pub fn check(backend: &impl Backend, case: &Case) {
    let (found, expected) = (outputs(backend, case), outputs(&Reference, case));
    let shape =
        (case.codec.dim, case.codec.nbits, case.codec.weight_bits, case.codec.num_centroids(), case.query.len());
    let context = format!("{}: (dim, nbits, weight_bits, K, Q) = {shape:?}", backend.name());
    assert_eq!(found.probes, expected.probes, "probe: {context}");
    assert_eq!(found.approx, expected.approx, "approx_scores: {context}");
    assert_eq!(found.scores, expected.scores, "maxsim: {context}");
    assert_eq!(found.best, expected.best, "top_k: {context}");
    assert!(found.vectors == expected.vectors, "decompress: {context}");
}

/// Checks that a query is rotated and rounded to the bits of the reference, for embeddings of any magnitude.
pub fn check_quantize_query(backend: &impl Backend, dim: usize, query_len: usize, rotation: Option<u64>) {
    let rng = &mut Rng::new((dim * 7 + query_len) as u64);
    let shape = Shape { dim, num_centroids: 2, ..Shape::small() };
    let codec = CheckedCodec::new(CodecParams { rotation, ..codec(&shape, Fill::Random, rng) }).unwrap();
    let resident = backend.load_codec(codec.clone()).unwrap();
    for size in [1.0, 1e-30, 1e12, 0.0] {
        let embeddings: Vec<f32> = rng.unit_rows(query_len, dim).iter().map(|x| x * size).collect();
        let query = backend.quantize_query(&resident, Embeddings::Host(&embeddings)).unwrap();
        let expected = reference::quantize_query(&codec, &embeddings);
        let name = format!("{}: {dim} dims, {query_len} tokens, {rotation:?}, size {size}", backend.name());
        assert!(backend.download_query(&query).unwrap() == expected, "{name}");
        assert_eq!(backend.query_len(&query), query_len, "{name}");
        assert_eq!(backend.score_unit(&query).unwrap().to_bits(), codec.score_unit(&expected).to_bits(), "{name}");
    }
}

/// Checks that an exhaustive search of several queries over several segments equals the merged results of the single
/// ops. The segments have passages in common, so that scores tie between segments.
pub fn check_search_batch<B: Backend>(backend: &B, case: &Case) {
    let resident = backend.load_codec(case.codec.clone()).unwrap();
    let passages = backend.load_passages(&resident, case.passages.clone()).unwrap();
    let selects = [Select::Pids(&case.pids), Select::All, Select::Pids(&[]), Select::All];
    let views = selects.map(|select| SegmentView { passages: &passages, select });
    let with = |data: Vec<i8>| QuantizedQuery { data, ..case.query.clone() };
    let (all, one_token) = (case.query.data.len(), case.query.dim.min(case.query.data.len()));
    let rounded = [case.query.clone(), with(vec![0; all]), with(case.query.data[..one_token].to_vec())];
    let queries: Vec<B::Query> =
        rounded.iter().map(|query| backend.load_query(&resident, query.clone()).unwrap()).collect();
    for k in [0, 1, 5, usize::MAX] {
        let expected: Vec<Vec<SegmentHit>> = rounded
            .iter()
            .map(|query| {
                let table = reference::centroid_table(&case.codec, query);
                let of_segment = |(segment, &select): (usize, &Select<'_>)| {
                    let scores = reference::maxsim(&case.codec, &case.passages, query, &table, select);
                    let hits = reference::top_k(&scores, select, usize::MAX);
                    hits.into_iter().map(move |hit| SegmentHit { segment, hit })
                };
                let mut all: Vec<SegmentHit> = selects.iter().enumerate().flat_map(of_segment).collect();
                // Hits of a segment are already in order, and a stable sort keeps the order of equal scores.
                all.sort_by_key(|found| std::cmp::Reverse(found.hit.score));
                all.truncate(k);
                all
            })
            .collect();
        let name = format!("{}: {k} of {} tokens", backend.name(), case.query.len());
        assert_eq!(backend.search_batch(&resident, &views, &queries, k).unwrap(), expected, "{name}");
        assert_eq!(backend.search_batch(&resident, &views, &queries[..1], k).unwrap(), expected[..1], "{name}");
    }
    assert!(backend.search_batch(&resident, &views, &[], 3).unwrap().is_empty());
    assert_eq!(backend.search_batch(&resident, &[], &queries, 3).unwrap(), vec![Vec::new(); queries.len()]);
}

/// Checks that equal scores are ranked by pid, and equal table entries by code.
pub fn check_ties(backend: &impl Backend) {
    let shape = Shape { num_centroids: 50, lengths: vec![2; 100], nbits: 0, weight_bits: 0, ..Shape::small() };
    let mut case = Case::new(&shape, Fill::Random);
    case.query.data.fill(0);
    case.pids = (0..100).rev().collect();
    let found = outputs(backend, &case);
    let pids = |hits: &[RawHit]| hits.iter().map(|hit| hit.pid).collect::<Vec<Pid>>();
    assert_eq!(pids(&found.scores[0]), (0..100).collect::<Vec<Pid>>());
    assert_eq!(pids(&found.scores[1]), (0..100).collect::<Vec<Pid>>());
    assert_eq!(pids(&found.best), [0, 1, 2]);
    assert!(found.probes[2].cells.chunks(3).all(|best| best == [(0, 0), (1, 0), (2, 0)]));
}

/// Checks the best of more entries than the threads of a block of a GPU hold, and than they sort in shared memory.
pub fn check_top_k_of_many(backend: &impl Backend) {
    for num in [2049, 4500] {
        let shape = Shape { dim: 8, nbits: 0, weight_bits: 0, query_len: 2, lengths: vec![1; num], ..Shape::small() };
        let case = Case::new(&Shape { num_centroids: 600, ..shape }, Fill::Random);
        let codec = backend.load_codec(case.codec.clone()).unwrap();
        let passages = backend.load_passages(&codec, case.passages.clone()).unwrap();
        let table = backend.centroid_table(&codec, &backend.load_query(&codec, case.query.clone()).unwrap()).unwrap();
        let scores = backend.approx_scores(&passages, &table, Select::All).unwrap();
        let of_reference = reference::centroid_table(&case.codec, &case.query);
        let expected = reference::approx_scores(&case.codec, &case.passages, &of_reference, 2, Select::All);
        for k in [3, 1500, 2048, usize::MAX] {
            let expected = reference::top_k(&expected, Select::All, k);
            assert!(backend.top_k(&scores, k).unwrap() == expected, "{}: {k} of {num}", backend.name());
        }
    }
}

/// Assigns `embeddings`, and their second half once more to the same resident centroids; returns the codes.
fn assign(backend: &impl Backend, dim: usize, embeddings: &[f32], centroids: &[i8]) -> Vec<u32> {
    let resident = backend.load_centroids(dim, centroids).unwrap();
    let codes = backend.assign(&resident, embeddings).unwrap();
    let half = embeddings.len() / dim / 2;
    assert_eq!(backend.assign(&resident, &embeddings[half * dim..]).unwrap(), codes[half..], "{}", backend.name());
    codes
}

/// Checks that codes equal the codes of the reference, for embeddings of any length.
pub fn check_assign(backend: &impl Backend, dim: usize, num: usize, num_centroids: usize, fill: Fill) {
    let rng = &mut Rng::new((dim * 31 + num * 7 + num_centroids) as u64);
    let centroids: Vec<i8> = (0..num_centroids * dim).map(|at| component(fill, rng, at)).collect();
    let mut embeddings: Vec<f32> = (0..num * dim).map(|at| component(fill, rng, at).into()).collect();
    for (i, x) in embeddings.chunks_exact_mut(dim).enumerate() {
        // One row is so small that 127 / max|x| is infinite, and 0 times that is NaN, which rounds to 0.
        let size = if i == 2 { 1e-40 } else { 0.37 * (i as f32 - 1.0) };
        x.iter_mut().for_each(|x| *x *= size);
        x[dim / 2] = if i == 2 { 0.0 } else { x[dim / 2] };
    }
    let found = assign(backend, dim, &embeddings, &centroids);
    assert!(found == reference::assign(dim, &embeddings, &centroids), "{}: D={dim} K={num_centroids}", backend.name());
}

/// Checks products that ascend and descend from code to code, are all equal, or all negative, and single best products
/// at both ends of the groups that a GPU multiplies at a time; each with embeddings of zeros among others.
pub fn check_assign_orders(backend: &impl Backend, num_centroids: usize) {
    let k = num_centroids;
    let ascending: Vec<i8> = (0..k).map(|c| ((c * 254 / k) as i32 - 127) as i8).collect();
    let negative = (0..k).map(|c| (c * 7 % 100) as i8 - 120).collect();
    let mut orders: Vec<Vec<i8>> = vec![ascending, negative, vec![-5; k]];
    let ends = [0, 31, 32, 63, 64, k - 1].into_iter().filter(|&best| best < k);
    orders.extend(ends.map(|best| (0..k).map(|c| if c == best { 3 } else { -3 }).collect()));
    // Against the second of three embeddings, what ascends descends.
    let embeddings: Vec<f32> = (0..35 * 8).map(|at| [0.5, -2.0, 0.0][at / 8 % 3]).collect();
    for order in orders {
        let centroids: Vec<i8> = order.iter().flat_map(|&value| [value; 8]).collect();
        let found = assign(backend, 8, &embeddings, &centroids);
        assert_eq!(found, reference::assign(8, &embeddings, &centroids), "{}: {order:?}", backend.name());
    }
}

/// Checks that int8 rows are refused as a query and as centroids if one is incomplete or has a component of -128.
pub fn check_refused_rows(backend: &impl Backend) {
    let case = Case::new(&Shape::small(), Fill::Random);
    let (dim, resident) = (case.codec.dim, backend.load_codec(case.codec.clone()).unwrap());
    let refused = |what: &str, op: &dyn Fn() -> bool| {
        assert!(catch_unwind(AssertUnwindSafe(op)).is_err(), "{}: {what}", backend.name());
    };
    for (what, data) in [("rows cut short", vec![1; dim + 4]), ("-128", vec![i8::MIN; dim])] {
        let query = QuantizedQuery { data: data.clone(), ..case.query.clone() };
        refused(&format!("{what} in a query"), &|| backend.load_query(&resident, query.clone()).is_ok());
        refused(&format!("{what} in centroids"), &|| backend.load_centroids(dim, &data).is_ok());
    }
    refused("centroids of 6 components", &|| backend.load_centroids(6, &[1; 6]).is_ok());
}

/// Checks that the lowest code wins among equal centroids.
pub fn check_assign_ties(backend: &impl Backend) {
    let rng = &mut Rng::new(3);
    for copies in [2, 3, 9, 16, 17, 40] {
        let (embeddings, few) =
            (rng.unit_rows(50, 24), (0..5 * 24).map(|at| component(Fill::Random, rng, at)).collect::<Vec<i8>>());
        let codes = assign(backend, 24, &embeddings, &few.repeat(copies));
        assert_eq!(codes, assign(backend, 24, &embeddings, &few), "{}: {copies} copies", backend.name());
        let each_repeated: Vec<i8> = few.chunks(24).flat_map(|row| row.repeat(copies)).collect();
        let first_of_each: Vec<u32> = codes.iter().map(|code| code * copies as u32).collect();
        assert_eq!(assign(backend, 24, &embeddings, &each_repeated), first_of_each, "{}", backend.name());
    }
    assert_eq!(assign(backend, 8, &[0.0; 16], &[1; 8 * 40]), [0, 0], "{}: all products 0", backend.name());
}
