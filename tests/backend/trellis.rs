//! Checks of trellis rows: equal to the reference if their components are, and nearly the nearest of all rows.

use crate::{
    cases::{Fill, Rng, Shape, codec},
    floats::realistic,
};
use selvedge_backend::{Backend, CheckedCodec, Packed, ResidualForm, RowCoding, WeightRule, reference};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

/// Creates a codec with one weight and a centroid of zeros: components equal the embedding, so that nothing is rounded
/// before the search for a row.
fn bare_codec(dim: usize, nbits: u8, levels: Vec<i8>) -> CheckedCodec {
    let shape = Shape { dim, nbits, trellis: true, weight_bits: 0, num_centroids: 1, ..Shape::small() };
    let mut codec = realistic(codec(&shape, Fill::Random, &mut Rng::new(17)), WeightRule::KeepLength);
    (codec.centroids, codec.form, codec.levels) = (vec![0; dim].into(), ResidualForm::Raw, levels);
    codec.residual_weights = vec![1];
    CheckedCodec::new(codec).expect("levels in range")
}

/// Values that the reference computes, by what they are of: every backend has the same inputs.
struct Computed<T>(Mutex<BTreeMap<String, Arc<T>>>);

impl<T> Computed<T> {
    const fn new() -> Self {
        Self(Mutex::new(BTreeMap::new()))
    }

    fn of(&self, key: String, compute: impl FnOnce() -> T) -> Arc<T> {
        Arc::clone(self.0.lock().unwrap().entry(key).or_insert_with(|| Arc::new(compute())))
    }
}

static EXPECTED: Computed<Packed> = Computed::new();
/// Sums of the squared distances of nearest rows.
static LEAST: Computed<f64> = Computed::new();

/// Levels that fit 2 bits and normal components of variance 1, in steps of 0.14.
const NORMAL_LEVELS: [i8; 16] = [-2, 3, 9, -9, -10, -3, 3, 10, 15, 5, 0, -6, -15, 6, -5, 0];

/// Checks that rows equal the reference bit for bit: for components of any magnitude, and for levels that are few, far
/// apart, all equal or all 0, so that most paths cost the same.
pub fn check_rows(backend: &impl Backend, nbits: u8, dim: usize, num: usize) {
    let rng = &mut Rng::new(dim as u64);
    let noise = (0..16).map(|_| rng.within(-127, 127) as i8).collect();
    let signs = (0..16).map(|label| if label % 2 == 0 { 127 } else { -127 }).collect();
    for levels in [NORMAL_LEVELS.to_vec(), noise, signs, vec![1; 16], vec![0; 16]] {
        let codec = bare_codec(dim, nbits, levels);
        // NaN counts as a target of 0.
        let not_a_number = num.saturating_sub(1) * dim..num * dim - dim / 2;
        let mut embeddings: Vec<f32> = (0..num * dim).map(|_| rng.normal()).collect();
        for (row, factor) in embeddings.chunks_exact_mut(dim).zip([1.0, 0.0, 1e-30, 0.1, 10.0, 1e30, 1.0]) {
            row.iter_mut().for_each(|x| *x *= factor);
        }
        // The largest and the least component alternate every three dims.
        let ends = embeddings.iter_mut().take(dim).skip(dim / 2).enumerate();
        ends.for_each(|(d, x)| *x = if d / 3 % 2 == 0 { f32::MAX } else { f32::MIN });
        embeddings[not_a_number].iter_mut().step_by(3).for_each(|x| *x = f32::NAN);
        let found = backend.compress(&backend.load_codec(codec.clone()).unwrap(), &embeddings, &vec![0; num]).unwrap();
        let key = format!("{nbits} {dim} {num} {:?}", codec.levels);
        let expected = EXPECTED.of(key, || reference::compress(&codec, &embeddings, &vec![0; num]));
        assert!(found == *expected, "{}: {nbits} bits, {dim} dims, {:?}", backend.name(), codec.levels);
    }
}

/// Maximum squared distance of rows from their components, relative to the nearest rows: the loss from choosing the
/// beginning in one pass around the joint of the ring.
const BEGINNING_MARGIN: f64 = 1.03;

/// Checks that rows are nearly the nearest of all rows, for normal components and [`NORMAL_LEVELS`].
pub fn check_distance(backend: &impl Backend, nbits: u8, dim: usize) {
    let codec = bare_codec(dim, nbits, NORMAL_LEVELS.to_vec());
    let RowCoding::Trellis { step } = codec.coding else { panic!("a trellis") };
    let rng = &mut Rng::new(17);
    let num = 6400 / dim;
    let embeddings: Vec<f32> = (0..num * dim).map(|_| rng.normal()).collect();
    let loaded = backend.load_codec(codec.clone()).unwrap();
    let packed = backend.compress(&loaded, &embeddings, &vec![0; num]).unwrap();
    let distance = |x: &[f32], row: &[u8]| -> f64 {
        let error = |d: usize| f64::from(x[d]) - f64::from(codec.level(row, d)) * f64::from(step);
        (0..dim).map(|d| error(d).powi(2)).sum()
    };
    let rows = || embeddings.chunks_exact(dim);
    let found: f64 =
        rows().zip(packed.residuals.chunks_exact(codec.row_bytes())).map(|(x, row)| distance(x, row)).sum();
    let nearest = |x: &[f32]| {
        let components: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
        distance(x, &reference::nearest_trellis_row(&codec, &components, None))
    };
    let least = *LEAST.of(format!("{nbits} {dim}"), || rows().map(nearest).sum());
    assert!(found <= BEGINNING_MARGIN * least, "{}: {nbits} bits: {} of the least", backend.name(), found / least);
}
