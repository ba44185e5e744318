//! Centroid tables whose largest entry just fits an i16, and just does not: backends may choose the width of an entry
//! by a bound on it.

use crate::cases::{Case, Fill, Shape};
use crate::integers;
use selvedge_backend::{Backend, CheckedCodec, CodecParams};

/// Largest entry, as a part of the largest i16.
const PARTS: [f32; 4] = [0.01, 0.9999, 1.0001, 2.0];

/// A case whose largest entries, of both signs, are `part` of the largest i16. The longest centroids are the longest
/// row of the query and its opposite, so that the bound of Cauchy is reached.
fn case(shape: &Shape, part: f32) -> Case {
    let case = Case::new(shape, Fill::Random);
    let norm = |row: &&[i8]| row.iter().map(|&x| i32::from(x).pow(2)).sum::<i32>();
    let longest = case.query.data.chunks_exact(shape.dim).max_by_key(norm).expect("a row");
    let mut centroids: Vec<i8> = case.codec.centroids.iter().map(|c| c / 2).collect();
    for (at, &x) in longest.iter().enumerate() {
        (centroids[at], centroids[shape.dim + at]) = (x, -x);
    }
    let factor = part * f32::from(i16::MAX) / norm(&longest) as f32;
    let centroid_scale = factor * case.codec.residual_weight_step / case.codec.centroid_weight_step;
    let codec = CodecParams { centroids: centroids.into(), centroid_scale, ..CodecParams::clone(&case.codec) };
    Case { codec: CheckedCodec::new(codec).expect("a case's codec is valid"), ..case }
}

/// Lengths of passages: around half a tile, a tile and two tiles.
const LENGTHS: [usize; 14] = [1, 2, 3, 7, 8, 9, 15, 16, 17, 24, 31, 32, 33, 40];

/// Checks tables of each width, with passages of 1 to 40 tokens, and with corrupt ones.
pub fn check(backend: &impl Backend, shape: &Shape) {
    let shape = Shape { lengths: LENGTHS.to_vec(), ..shape.clone() };
    for (seed, part) in (shape.seed..).zip(PARTS) {
        let case = case(&Shape { seed, ..shape.clone() }, part);
        integers::check(backend, &case);
        integers::check(backend, &case.corrupted(seed));
    }
}
