//! Rows of a trellis: equal to the reference where components are, and nearly the nearest there are.

use crate::{
    cases::{Fill, Rng, Shape, codec},
    floats::realistic,
};
use selvedge_backend::{Backend, CheckedCodec, ResidualForm, RowCoding, WeightRule, reference};

/// A codec with one weight and one centroid of zeros, whose components are the embedding as it is: nothing is rounded
/// before the search.
fn bare_codec(dim: usize, nbits: u8, levels: Vec<i8>) -> CheckedCodec {
    let shape = Shape { dim, nbits, trellis: true, weight_bits: 0, num_centroids: 1, ..Shape::small() };
    let mut codec = realistic(codec(&shape, Fill::Random, &mut Rng::new(17)), WeightRule::KeepLength);
    (codec.centroids, codec.form, codec.levels) = (vec![0; dim].into(), ResidualForm::Raw, levels);
    codec.residual_weights = vec![1];
    CheckedCodec::new(codec).expect("levels in range")
}

/// Levels like those in use: normal components of variance 1 have steps of .14.
const NORMAL_LEVELS: [i8; 16] = [-2, 3, 9, -9, -10, -3, 3, 10, 15, 5, 0, -6, -15, 6, -5, 0];

/// Rows are those of the reference, bit for bit: for components of any size, and with levels that are few, far apart,
/// all alike or all 0, so that most ways cost the same.
pub fn check_rows(backend: &impl Backend, nbits: u8, dim: usize, num: usize) {
    let rng = &mut Rng::new(dim as u64);
    let noise = (0..16).map(|_| rng.within(-127, 127) as i8).collect();
    let signs = (0..16).map(|label| if label % 2 == 0 { 127 } else { -127 }).collect();
    for levels in [NORMAL_LEVELS.to_vec(), noise, signs, vec![1; 16], vec![0; 16]] {
        let codec = bare_codec(dim, nbits, levels);
        let mut embeddings: Vec<f32> = (0..num * dim).map(|_| rng.normal()).collect();
        for (row, factor) in embeddings.chunks_exact_mut(dim).zip([1.0, 0.0, 1e-30, 0.1, 10.0, 1e30, 1.0]) {
            row.iter_mut().for_each(|x| *x *= factor);
        }
        // The largest component beside the least, from one end of the range to the other and back.
        let ends = embeddings.iter_mut().take(dim).skip(dim / 2).enumerate();
        ends.for_each(|(d, x)| *x = if d / 3 % 2 == 0 { f32::MAX } else { f32::MIN });
        let (found, expected) = (
            backend.compress(&backend.load_codec(codec.clone()).unwrap(), &embeddings, &vec![0; num]).unwrap(),
            reference::compress(&codec, &embeddings, &vec![0; num]),
        );
        assert!(found == expected, "{}: {nbits} bits, {dim} dims, {:?}", backend.name(), codec.levels);
    }
}

/// How much farther rows may be from their components than the nearest rows there are, on average: what
/// looking for the best beginning in one walk around the ring's joint may lose.
const BEGINNING_MARGIN: f64 = 1.03;

/// With normal components and levels that fit them (those of 2 bits), rows are nearly the nearest of all rows.
pub fn check_distance(backend: &impl Backend, nbits: u8, dim: usize) {
    let codec = bare_codec(dim, nbits, NORMAL_LEVELS.to_vec());
    let RowCoding::Trellis { step } = codec.coding else { panic!("a trellis") };
    let rng = &mut Rng::new(17);
    let num = 6400 / dim;
    let embeddings: Vec<f32> = (0..num * dim).map(|_| rng.normal()).collect();
    let loaded = backend.load_codec(codec.clone()).unwrap();
    let packed = backend.compress(&loaded, &embeddings, &vec![0; num]).unwrap();
    let (mut found, mut least) = (0.0, 0.0);
    for (x, row) in embeddings.chunks_exact(dim).zip(packed.residuals.chunks_exact(codec.row_bytes())) {
        let components: Vec<f64> = x.iter().map(|&x| f64::from(x)).collect();
        let error = |row: &[u8], d: usize| components[d] - f64::from(codec.level(row, d)) * f64::from(step);
        let distance = |row: &[u8]| (0..dim).map(|d| error(row, d).powi(2)).sum::<f64>();
        found += distance(row);
        least += distance(&reference::nearest_trellis_row(&codec, &components, None));
    }
    assert!(found <= BEGINNING_MARGIN * least, "{}: {nbits} bits: {} of the least", backend.name(), found / least);
}
