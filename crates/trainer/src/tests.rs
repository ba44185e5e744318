//! Gradients are compared to finite differences in f64, for the family and architecture of every golden checkpoint.

use super::*;
use crate::adamw::Gradients;
use crate::shards::Shards;
use candle_core::{DType, Tensor};
use selvedge_encoder::{LoadOptions, TextKind, TokenizedText};
use std::path::Path;

const CASES: [&str; 12] = [
    "plain_bert",
    "plain_distilbert",
    "plain_xlm_roberta",
    "plain_modernbert",
    "pylate_bert",
    "pylate_distilbert",
    "pylate_xlm_roberta",
    "pylate_modernbert",
    "sentence_transformers_bert",
    "sentence_transformers_modernbert",
    "stanford_bert",
    "stanford_xlm_roberta",
];

const QUERIES: [&str; 2] = ["what keeps a cloth from fraying", "one vector per token"];
const PASSAGES: [&str; 4] = [
    "a selvedge is the self finished edge of a fabric, which keeps it from unravelling and fraying.",
    "the shuttle runs.",
    "late interaction keeps one vector per token! does it pay?",
    "weaving, weaving, weaving: line by line",
];

fn student(case: &str, dtype: DType) -> Student {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(case);
    let cut = |len| case.starts_with("plain").then_some(len);
    let options = LoadOptions { query_maxlen: cut(12), passage_maxlen: cut(40), ..LoadOptions::default() };
    Student::load_as(folder.to_str().unwrap(), &options, dtype).unwrap()
}

/// Computes all losses of two queries with two passages each.
fn losses(student: &Student) -> Result<Tensor> {
    losses_of(&student.encode(&QUERIES, TextKind::Query)?, &student.encode(&PASSAGES, TextKind::Passage)?)
}

fn losses_of(queries: &Encoded, passages: &Encoded) -> Result<Tensor> {
    let scores = maxsim(queries, passages)?;
    let teacher = Tensor::new(&[[2f64, 1.0], [0.5, 0.25]], &candle_core::Device::Cpu)?.to_dtype(scores.dtype())?;
    Ok((divergence(&own(&scores)?, &teacher)? + in_batch(&scores, 0.5)?)?)
}

#[test]
fn gradients_are_those_of_finite_differences() {
    const STEP: f64 = 1e-5;
    const TOLERANCE: f64 = 1e-6;
    for (number, case) in CASES.into_iter().enumerate() {
        let student = student(case, DType::F64);
        let gradients = losses(&student).unwrap().backward().unwrap();
        let (mut checked, mut moved) = (0, 0);
        // Every second variable is checked. The others of the same architecture are checked in another family's
        // checkpoint.
        for (name, var) in student.params.all().skip(number / 4 % 2).step_by(2) {
            let Some(gradient) = gradients.get(var.as_tensor()) else { continue };
            let gradient = gradient.flatten_all().unwrap().to_vec1::<f64>().unwrap();
            let values = var.as_tensor().flatten_all().unwrap().to_vec1::<f64>().unwrap();
            // The largest component, and in every fourth variable an arbitrary one.
            let largest = (0..gradient.len()).max_by(|&a, &b| gradient[a].abs().total_cmp(&gradient[b].abs())).unwrap();
            let other = (checked % 4 == 0).then_some(gradient.len() * 2 / 3);
            for at in [largest].into_iter().chain(other) {
                let loss = |by: f64| {
                    let mut moved = values.clone();
                    moved[at] += by;
                    var.set(&Tensor::from_vec(moved, var.dims(), &candle_core::Device::Cpu).unwrap()).unwrap();
                    losses(&student).unwrap().to_scalar::<f64>().unwrap()
                };
                let slope = (loss(STEP) - loss(-STEP)) / (2.0 * STEP);
                loss(0.0);
                let gap = (slope - gradient[at]).abs();
                assert!(gap <= TOLERANCE * (1.0 + slope.abs()), "{case} {name} {at}: {} for {slope}", gradient[at]);
                checked += 1;
                moved += usize::from(slope.abs() > 1e-4);
            }
        }
        assert!(checked > 10 && moved > checked / 4, "{case}: {checked} checked, {moved} of them not nearly 0");
    }
}

#[test]
fn own_scores_are_found_among_all() {
    let all: Vec<f32> = (0..12).map(|i| i as f32).collect();
    let all = Tensor::from_vec(all, (2, 6), &candle_core::Device::Cpu).unwrap();
    assert_eq!(own(&all).unwrap().to_vec2::<f32>().unwrap(), [[0.0, 1.0, 2.0], [9.0, 10.0, 11.0]]);
}

#[test]
fn own_maxsim_is_a_part_of_all_maxsim() {
    let student = student("pylate_bert", DType::F32);
    let queries = student.encode(&QUERIES, TextKind::Query).unwrap();
    let passages = student.encode(&PASSAGES, TextKind::Passage).unwrap();
    let part = own(&maxsim(&queries, &passages).unwrap()).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let alone = own_maxsim(&queries, &passages).unwrap().flatten_all().unwrap().to_vec1::<f32>().unwrap();
    assert!(part.iter().zip(&alone).all(|(a, b)| (a - b).abs() < 1e-4), "{part:?} {alone:?}");
}

/// `ops` against candle's operations, whose gradients are compared to finite differences above.
#[test]
fn fast_forward_passes_equal_those_in_candle_s_operations() {
    for case in CASES.iter().filter(|case| !case.ends_with("modernbert")) {
        let student = student(case, DType::F32);
        let rows = student.pipeline().tokenize(&QUERIES, TextKind::Query).unwrap();
        let more = student.pipeline().tokenize(&PASSAGES, TextKind::Passage).unwrap();
        let all = |embed: &dyn Fn(&[TokenizedText]) -> Result<Encoded>| {
            let loss = losses_of(&embed(&rows).unwrap(), &embed(&more).unwrap()).unwrap();
            let mut sum = Gradients::default();
            sum.add(&student.params, &loss.backward().unwrap(), 1.0).unwrap();
            (loss.to_scalar::<f32>().unwrap(), sum)
        };
        let (loss, expected) = all(&|rows| student.embed_padded(rows));
        let (found_loss, found) = all(&|rows| student.embed(rows));
        assert!((loss - found_loss).abs() <= 1e-5 * loss.abs(), "{case}: {found_loss} for {loss}");
        assert!(found.sums().keys().eq(expected.sums().keys()), "{case}");
        for ((name, found), expected) in found.sums().iter().zip(expected.sums().values()) {
            let largest = expected.iter().fold(0f32, |most, x| most.max(x.abs()));
            let worst = found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
            // The gradient of the keys' bias is exactly 0 in theory and rounding error here: hence the absolute term.
            assert!(worst <= 1e-3 * largest + 1e-5, "{case} {name}: {worst} of {largest}");
        }
    }
}

/// Shards hold texts of different kinds and lengths.
#[test]
fn shards_give_the_gradients_of_the_whole() {
    let student = student("pylate_bert", DType::F32);
    let whole = losses(&student).unwrap().backward().unwrap();
    for shard_tokens in [1, 40, 1000] {
        let mut rows = student.pipeline().tokenize(&QUERIES, TextKind::Query).unwrap();
        rows.extend(student.pipeline().tokenize(&PASSAGES, TextKind::Passage).unwrap());
        let shards = Shards::of_tokens(&student, &rows, shard_tokens).unwrap();
        let ((q_leaf, q), (p_leaf, p)) = (shards.leaf(0..2).unwrap(), shards.leaf(2..6).unwrap());
        let of_leaves = losses_of(&q, &p).unwrap().backward().unwrap();
        let leaves = [(0..2, of_leaves.get(q_leaf.as_tensor())), (2..6, of_leaves.get(p_leaf.as_tensor()))];
        let mut sum = Gradients::default();
        for of_shard in shards.backward(&leaves).unwrap() {
            sum.add(&student.params, &of_shard, 1.0).unwrap();
        }
        let mut expected = Gradients::default();
        expected.add(&student.params, &whole, 1.0).unwrap();
        let flat = |gradients: &Gradients| gradients.sums().values().flatten().copied().collect::<Vec<f32>>();
        let (found, expected) = (flat(&sum), flat(&expected));
        assert_eq!(found.len(), expected.len());
        let worst = found.iter().zip(&expected).map(|(a, b)| (a - b).abs()).fold(0f32, f32::max);
        let largest = expected.iter().fold(0f32, |most, x| most.max(x.abs()));
        assert!(worst <= 1e-4 * largest, "{shard_tokens}: {worst} of {largest}");
    }
}
