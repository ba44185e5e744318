//! Tests of the CPU backend alone: threads, panics, and internal pieces.

use super::{
    best::{Best, id, key, value},
    *,
};
use crate::{CodecParams, NO_MATCH, ResidualForm, RowCoding, WeightRule, pack_codes, reference};
use proptest::prelude::*;
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::panic::AssertUnwindSafe;

/// Every instruction set of this machine.
fn cpus() -> impl Iterator<Item = Cpu> {
    Isa::ALL.into_iter().filter_map(|isa| Cpu::with_isa(isa).ok())
}

/// Noise, `num` components.
fn noise(rng: &mut ChaCha8Rng, num: usize) -> Vec<f32> {
    (0..num).map(|_| rng.random_range(-1.0..1.0)).collect()
}

/// A codec of 2 bits and 8-bit weights.
fn codec(rng: &mut ChaCha8Rng, dim: usize, num_centroids: usize) -> CodecParams {
    CodecParams {
        dim,
        nbits: 2,
        centroids: (0..num_centroids * dim).map(|_| rng.random_range(-127..=127)).collect(),
        centroid_scale: 0.001,
        coding: RowCoding::Buckets,
        levels: vec![-10, -3, 3, 10],
        cutoffs: vec![-1.0, 0.0, 1.0],
        form: ResidualForm::Orthogonal,
        rule: WeightRule::KeepLength,
        rotation: None,
        weight_bits: 8,
        centroid_weights: (0..=255).collect(),
        residual_weights: (0..=255).rev().collect(),
        centroid_weight_step: 0.01,
        residual_weight_step: 0.0001,
    }
}

/// The centroids of few embeddings are divided among the threads; each comes twice, and the first one wins.
#[test]
fn few_embeddings_are_assigned_by_all_threads() {
    let rng = &mut ChaCha8Rng::seed_from_u64(9);
    let (dim, num_centroids) = (48, 4001);
    let centroids = codec(rng, dim, num_centroids).centroids.repeat(2);
    let embeddings = noise(rng, 61 * dim);
    let expected = reference::assign(dim, &embeddings, &centroids);
    assert!(expected.iter().all(|&code| (code as usize) < num_centroids));
    for (cpu, num_threads) in cpus().flat_map(|cpu| [1, 2, 5, 16].map(|num_threads| (cpu, num_threads))) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(num_threads).build().unwrap();
        let assign = || cpu.assign(&cpu.load_centroids(dim, &centroids).unwrap(), &embeddings).unwrap();
        assert_eq!(pool.install(assign), expected, "{num_threads} threads, {}", cpu.name());
    }
}

/// The number of threads changes the blocks of rows, and no code. Most codes are of the nearest centroids.
#[test]
fn groups_find_the_nearest_centroid_with_any_number_of_threads() {
    let rng = &mut ChaCha8Rng::seed_from_u64(9);
    let (dim, num_centroids, num) = (48, 1024, 3000);
    let centroids = codec(rng, dim, num_centroids).centroids;
    let near = |(at, x): (usize, f32)| x + 0.008 * f32::from(centroids[at % centroids.len()]);
    let embeddings: Vec<f32> = noise(rng, num * dim).into_iter().enumerate().map(near).collect();
    let of_all = reference::assign(dim, &embeddings, &centroids);
    let mut first = None;
    for (cpu, num_threads) in cpus().flat_map(|cpu| [1, 2, 5].map(|num_threads| (cpu, num_threads))) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(num_threads).build().unwrap();
        let assign = || cpu.assign(&cpu.load_grouped_centroids(dim, &centroids).unwrap(), &embeddings).unwrap();
        let codes = pool.install(assign);
        assert_eq!(&codes, first.get_or_insert_with(|| codes.clone()), "{num_threads} threads, {}", cpu.name());
    }
    let same = first.expect("a CPU").iter().zip(&of_all).filter(|(code, of_all)| code == of_all).count();
    assert!(same * 2 > num && same < num, "{same} of {num}");
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let rng = &mut ChaCha8Rng::seed_from_u64(1);
    let (dim, num_centroids, num_passages) = (48, 700, 1500);
    let codec = CheckedCodec::new(codec(rng, dim, num_centroids)).expect("valid");
    let embeddings = noise(rng, 2 * num_passages * dim);
    let rounded = QuantizedQuery::new(dim, &noise(rng, 21 * dim));
    let queries = noise(rng, 21 * dim);
    for cpu in cpus() {
        let ask = || {
            let centroids = cpu.load_centroids(dim, &codec.centroids).unwrap();
            let codes = cpu.assign(&centroids, &embeddings).unwrap();
            let packed = cpu.compress(&codec, &embeddings, &codes).unwrap();
            let sums = cpu.centroid_sums(dim, &embeddings, &codes, num_centroids).unwrap();
            let offsets: Vec<usize> = (0..=num_passages).map(|p| 2 * p).collect();
            let bytes = CompressedPassages {
                offsets: offsets.iter().flat_map(|&o| (o as u32).to_le_bytes()).collect(),
                codes: pack_codes(&codes, codec.code_bits()).into(),
                residuals: packed.residuals.clone().into(),
                weights: packed.weights.clone().into(),
            };
            let passages = cpu.load_passages(&codec, bytes).expect("lengths fit");
            let query = cpu.load_query(&codec, rounded.clone()).unwrap();
            let table = cpu.centroid_table(&codec, &query).unwrap();
            let scores = cpu.maxsim(&passages, &query, &table, Select::All).unwrap();
            let approx = cpu.approx_scores(&passages, &table, Select::All).unwrap();
            let exact = cpu.maxsim_f32(dim, &queries, &[0, 8, 21], &embeddings, &offsets).unwrap();
            (codes, packed, sums, scores, approx, exact, cpu.probe(&table, 9).unwrap())
        };
        let pool = |threads| rayon::ThreadPoolBuilder::new().num_threads(threads).build().expect("threads");
        let alone = pool(1).install(ask);
        for threads in [2, 3, 8] {
            assert!(pool(threads).install(ask) == alone, "{}: {threads} threads", cpu.name());
        }
    }
}

proptest! {
    #[test]
    fn best_keeps_what_a_sort_would(pushed in prop::collection::vec((-9i32..9, 0u32..50), 0..300), keep in 0usize..40) {
        let mut best = Best::new(keep);
        pushed.iter().for_each(|&(value, id)| best.push(key(value, id)));
        let found: Vec<(i32, u32)> = best.into_sorted().into_iter().map(|key| (value(key), id(key))).collect();
        let mut expected = pushed;
        expected.sort_by_key(|&(value, id)| (std::cmp::Reverse(value), id));
        expected.truncate(keep);
        prop_assert_eq!(found, expected);
    }
}

#[test]
fn keys_hold_every_value_and_id() {
    for (v, i) in [(i32::MIN, 0), (i32::MAX, u32::MAX), (-1, 7), (0, 0), (1, u32::MAX)] {
        assert_eq!((value(key(v, i)), id(key(v, i))), (v, i));
    }
    assert!(key(1, 9) > key(0, 0) && key(0, 0) > key(-1, 0) && key(0, 1) > key(0, 2));
}

#[test]
fn any_score_but_no_match_is_a_result() {
    let scores = vec![NO_MATCH, NO_MATCH + 1, i32::MAX, NO_MATCH, 0];
    let held = HostScores::new(scores.clone(), Select::All);
    for cpu in cpus() {
        for k in 0..6 {
            assert_eq!(cpu.top_k(&held, k).unwrap(), reference::top_k(&scores, Select::All, k));
        }
        assert_eq!(cpu.top_k(&held, 5).unwrap().len(), 3);
    }
}

#[test]
#[should_panic(expected = "-127..=127")]
fn a_query_component_of_minus_128_is_refused() {
    let rng = &mut ChaCha8Rng::seed_from_u64(2);
    let query = QuantizedQuery { dim: 8, data: vec![-128; 8], scale: 1.0 };
    let _ = Cpu::new().expect("a cpu").load_query(&CheckedCodec::new(codec(rng, 8, 2)).expect("valid"), query);
}

/// Bodies read as many lanes as their registers have, so data interleaved for another instruction set is refused.
#[test]
fn what_was_interleaved_for_another_instruction_set_is_refused() {
    let rng = &mut ChaCha8Rng::seed_from_u64(4);
    let codec = CheckedCodec::new(codec(rng, 16, 5)).expect("valid");
    let rounded = QuantizedQuery::new(16, &noise(rng, 3 * 16));
    let bytes = CompressedPassages {
        offsets: [0u32, 1].iter().flat_map(|o| o.to_le_bytes()).collect(),
        codes: pack_codes(&[4], codec.code_bits()).into(),
        residuals: vec![0; codec.row_bytes()].into(),
        weights: vec![0].into(),
    };
    for (maker, user) in cpus().flat_map(|maker| cpus().map(move |user| (maker, user))) {
        let centroids = maker.load_centroids(16, &codec.centroids).expect("a CPU never fails");
        let query = maker.load_query(&codec, rounded.clone()).expect("a CPU never fails");
        let table = maker.centroid_table(&codec, &query).expect("a CPU never fails");
        let passages = user.load_passages(&codec, bytes.clone()).expect("lengths fit");
        let is_refused = |op: &dyn Fn() -> bool| std::panic::catch_unwind(AssertUnwindSafe(op)).is_err();
        let expected = maker.isa() != user.isa();
        assert_eq!(is_refused(&|| user.assign(&centroids, &[1.0; 16]).is_ok()), expected);
        assert_eq!(is_refused(&|| user.centroid_table(&codec, &query).is_ok()), expected);
        assert_eq!(is_refused(&|| user.maxsim(&passages, &query, &table, Select::All).is_ok()), expected);
    }
}

/// A query is arranged for the rows of one codec.
#[test]
#[should_panic(expected = "differ in nbits")]
fn passages_of_other_bits_are_refused() {
    let rng = &mut ChaCha8Rng::seed_from_u64(7);
    let (cpu, two_bits) = (Cpu::new().expect("a cpu"), codec(rng, 8, 2));
    let none = CodecParams { nbits: 0, levels: vec![], cutoffs: vec![], ..two_bits.clone() };
    let [two_bits, none] = [two_bits, none].map(|codec| CheckedCodec::new(codec).expect("valid"));
    let query = cpu.load_query(&none, QuantizedQuery::new(8, &noise(rng, 8))).expect("a CPU never fails");
    let table = cpu.centroid_table(&none, &query).expect("a CPU never fails");
    let bytes = CompressedPassages {
        offsets: [0u32, 1].iter().flat_map(|o| o.to_le_bytes()).collect(),
        codes: pack_codes(&[1], 1).into(),
        residuals: vec![0; 2].into(),
        weights: vec![0].into(),
    };
    let passages = cpu.load_passages(&two_bits, bytes).expect("lengths fit");
    let _ = cpu.maxsim(&passages, &query, &table, Select::All);
}

#[test]
fn an_instruction_set_that_is_missing_is_named() {
    for isa in Isa::ALL.into_iter().filter(|isa| !isa.is_available()) {
        assert!(matches!(Cpu::with_isa(isa), Err(Error::UnavailableIsa { requested }) if requested == isa));
    }
    let message = Error::UnavailableIsa { requested: Isa::Avx512 }.to_string();
    assert!(
        message.contains("avx512") && message.contains("portable") && !message.contains("SELVEDGE_ISA"),
        "{message}"
    );
}

#[test]
fn the_name_tells_the_instruction_set() {
    let names: Vec<String> = cpus().map(|cpu| cpu.name()).collect();
    let known = ["cpu/portable", "cpu/avx2", "cpu/avxvnni", "cpu/avx512"].into_iter().zip(Isa::ALL);
    let expected: Vec<&str> = known.filter(|(_, isa)| isa.is_available()).map(|(name, _)| name).collect();
    assert_eq!(names, expected);
    assert_eq!(names[0], "cpu/portable");
}

#[test]
fn linear_layers_in_int8_are_the_reference_to_the_bit() {
    let rng = &mut ChaCha8Rng::seed_from_u64(5);
    let mut rounded = RoundedRows::default();
    for (rows, inputs, outputs) in
        [(0, 8, 3), (1, 1, 1), (3, 5, 17), (8, 32, 32), (9, 30, 33), (70, 384, 50), (41, 130, 129)]
    {
        let (mut weight, mut x) = (noise(rng, inputs * outputs), noise(rng, rows * inputs));
        // Zeros; then the largest inputs, which meet the largest weights.
        x.iter_mut().take(inputs).for_each(|x| *x = 0.0);
        x.iter_mut().skip(inputs).take(inputs).for_each(|x| *x = 9.0);
        weight.iter_mut().take(inputs).for_each(|weight| *weight = 9.0);
        // So small that 127 over the largest is infinite.
        weight.iter_mut().skip(inputs).take(inputs).for_each(|weight| *weight = 1e-38);
        for cpu in cpus() {
            let expected = reference::linear_int8(inputs, &x, &weight, cpu.isa() == Isa::Avx2);
            let layer = LinearInt8::new(&cpu, inputs, &weight);
            assert_eq!((layer.inputs(), layer.outputs()), (inputs, outputs));
            let mut y = vec![f32::NAN; rows * outputs];
            layer.forward(&x, &mut y, &mut rounded);
            assert_eq!(y, expected, "{:?} {rows} {inputs} {outputs}", cpu.isa());
        }
    }
}

/// Multiples and remainders of every tile's rows (12, 8, 4; 6, 4, 2) and panels; more rows than a block has.
#[test]
fn linear_layers_in_f32_are_near_the_reference_and_equal_where_products_are_fused() {
    let rng = &mut ChaCha8Rng::seed_from_u64(6);
    for (rows, inputs, outputs) in
        [(0, 8, 3), (1, 1, 1), (2, 3, 16), (5, 7, 17), (8, 32, 32), (12, 9, 33), (30, 64, 47), (71, 4000, 50)]
    {
        let (weight, x) = (noise(rng, inputs * outputs), noise(rng, rows * inputs));
        let expected = reference::linear_f32(inputs, &x, &weight);
        let mut fused: Option<Vec<f32>> = None;
        for cpu in cpus() {
            let layer = LinearF32::new(&cpu, inputs, &weight);
            assert_eq!((layer.inputs(), layer.outputs()), (inputs, outputs));
            let mut y = vec![f32::NAN; rows * outputs];
            layer.forward(&x, &mut y);
            // Noise of unit size: a sum of n terms is off by about sqrt(n) roundings of values near sqrt(n).
            let margin = 1e-6 * inputs as f64;
            for (y, expected) in y.iter().zip(&expected) {
                assert!((f64::from(*y) - expected).abs() <= margin, "{:?} {rows} {inputs} {outputs}", cpu.isa());
            }
            if cpu.isa() != Isa::Portable {
                assert_eq!(fused.get_or_insert_with(|| y.clone()), &y);
            }
        }
    }
}

#[test]
fn a_row_of_no_numbers_stays_one() {
    for cpu in cpus() {
        let mut y = [0.0; 4];
        let layer = LinearInt8::new(&cpu, 2, &[1.0, 2.0, 3.0, 4.0]);
        layer.forward(&[f32::NAN, 1.0, 1.0, 1.0], &mut y, &mut RoundedRows::default());
        assert!(y[0].is_nan() && y[1].is_nan() && y[2].is_finite(), "{y:?}");
        for no_number in [f32::NAN, f32::INFINITY] {
            let layer = LinearInt8::new(&cpu, 2, &[no_number, 2.0, 3.0, 4.0]);
            layer.forward(&[1.0, 1.0, 1.0, 1.0], &mut y, &mut RoundedRows::default());
            assert!(y[0].is_nan() && y[1].is_finite() && y[2].is_nan() && y[3].is_finite(), "{y:?}");
        }
    }
}
