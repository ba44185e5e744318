//! Rotation and rounding of a query, row by row, with the transform by its recursive definition.

use crate::{CheckedCodec, QuantizedQuery, Rotation};

/// Rotates `embeddings (Q, D) f32` by the codec's rotation, if it has one, and rounds them to int8 with one scale.
pub fn quantize_query(codec: &CheckedCodec, embeddings: &[f32]) -> QuantizedQuery {
    let rotated: Vec<f32> = match codec.rotation() {
        None => embeddings.to_vec(),
        Some(rotation) => embeddings.chunks_exact(codec.dim).flat_map(|row| rotate(rotation, row)).collect(),
    };
    let largest = rotated.iter().fold(0f32, |largest, x| largest.max(x.abs()));
    let factor = if largest > 0.0 { 127.0 / largest } else { 0.0 };
    let data = rotated.iter().map(|x| (x * factor).round_ties_even().clamp(-127.0, 127.0) as i8).collect();
    QuantizedQuery { dim: codec.dim, data, scale: largest / 127.0 }
}

/// Rotates one row, `(D) f32`: in each round signs are flipped, and a window of the components is transformed.
fn rotate(rotation: &Rotation, row: &[f32]) -> Vec<f32> {
    let mut row = row.to_vec();
    for round in 0..rotation.rounds() {
        row = row.iter().zip(rotation.signs(round)).map(|(x, sign)| x * sign).collect();
        let window = rotation.window(round);
        let scale = 1.0 / (window.len() as f32).sqrt();
        let transformed = hadamard(&row[window.clone()]);
        row[window].iter_mut().zip(transformed).for_each(|(x, y)| *x = y * scale);
    }
    row
}

/// Walsh-Hadamard transform without its scale: `H(low, high) = (H(low) + H(high), H(low) - H(high))`.
fn hadamard(x: &[f32]) -> Vec<f32> {
    if x.len() < 2 {
        return x.to_vec();
    }
    let (low, high) = x.split_at(x.len() / 2);
    let (low, high) = (hadamard(low), hadamard(high));
    let pairs = || low.iter().zip(&high);
    pairs().map(|(a, b)| a + b).chain(pairs().map(|(a, b)| a - b)).collect()
}
