//! `rotate` in plain Rust. The AVX2 and AVX-512 bodies are this one, compiled for them, with a `within` of their own.

use crate::Rotation;

/// Components of a block, which fills whole registers of every instruction set.
pub(super) const BLOCK: usize = 16;

pub(super) fn run(rotation: &Rotation, rows: &mut [f32], back: bool) {
    run_with(rotation, rows, back, |block| {
        pairs::<1>(block);
        pairs::<2>(block);
        pairs::<4>(block);
        pairs::<8>(block);
    });
}

/// Rotates `rows (N, D) f32` in place, or back. `within` transforms a block: pairs 1, 2, 4 and 8 components apart.
#[inline(always)]
pub(super) fn run_with(rotation: &Rotation, rows: &mut [f32], back: bool, within: impl Fn(&mut [f32; BLOCK])) {
    for row in rows.chunks_exact_mut(rotation.dim()) {
        if back {
            for round in (0..rotation.rounds()).rev() {
                hadamard(&mut row[rotation.window(round)], &within);
                flip(rotation.signs(round), row);
            }
        } else {
            for round in 0..rotation.rounds() {
                flip(rotation.signs(round), row);
                hadamard(&mut row[rotation.window(round)], &within);
            }
        }
    }
}

#[inline(always)]
fn flip(signs: &[f32], row: &mut [f32]) {
    row.iter_mut().zip(signs).for_each(|(x, sign)| *x *= sign);
}

/// Orthonormal Walsh-Hadamard transform of a power-of-two window, in place; its own inverse.
#[inline(always)]
fn hadamard(x: &mut [f32], within: &impl Fn(&mut [f32; BLOCK])) {
    let mut half = 1;
    if let (blocks, []) = x.as_chunks_mut() {
        blocks.iter_mut().for_each(within);
        half = BLOCK;
    }
    while half < x.len() {
        for pair in x.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            for (a, b) in low.iter_mut().zip(high) {
                (*a, *b) = (*a + *b, *a - *b);
            }
        }
        half *= 2;
    }
    let scale = Rotation::scale(x.len());
    x.iter_mut().for_each(|v| *v *= scale);
}

/// Replaces each two components `HALF` apart by their sum and their difference.
#[inline(always)]
fn pairs<const HALF: usize>(block: &mut [f32; BLOCK]) {
    let before = *block;
    for i in 0..BLOCK {
        let other = before[i ^ HALF];
        block[i] = if i & HALF == 0 { before[i] + other } else { other - before[i] };
    }
}
