//! Random rotations of rows, in place: see [`Rotation`]. `rows (N, D) f32`.
//!
//! A transform takes sums and differences of pairs of components, each rounded once, so all bodies give the same bits.

#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod portable;

use crate::{Isa, Rotation};
use std::sync::OnceLock;

/// Rotates rows, or rotates them back, on the calling thread.
pub(crate) fn rotate(rotation: &Rotation, rows: &mut [f32], back: bool) {
    static ISA: OnceLock<Isa> = OnceLock::new();
    // A rotation belongs to no backend. A name that `SELVEDGE_ISA` gives in vain is the error of `Cpu::new`.
    let isa = *ISA.get_or_init(|| Isa::from_env().unwrap_or(Isa::Portable));
    dispatch!(isa, rotation, rows, back);
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rounds of `Rotation`'s docs, one pair of components after the other.
    fn naive(rotation: &Rotation, row: &mut [f32], back: bool) {
        let rounds = rotation.rounds();
        for round in 0..rounds {
            let round = if back { rounds - 1 - round } else { round };
            let flip = |row: &mut [f32]| row.iter_mut().zip(rotation.signs(round)).for_each(|(x, sign)| *x *= sign);
            if !back {
                flip(row);
            }
            let window = &mut row[rotation.window(round)];
            let mut half = 1;
            while half < window.len() {
                for low in (0..window.len()).filter(|low| low & half == 0) {
                    let (a, b) = (window[low], window[low + half]);
                    (window[low], window[low + half]) = (a + b, a - b);
                }
                half *= 2;
            }
            let scale = Rotation::scale(window.len());
            window.iter_mut().for_each(|x| *x *= scale);
            if back {
                flip(row);
            }
        }
    }

    #[test]
    fn every_instruction_set_rotates_to_the_same_bits() {
        for dim in [8, 16, 24, 48, 56, 96, 128, 320] {
            let rotation = Rotation::new(dim, 7);
            let original: Vec<f32> = (0..3 * dim).map(|i| ((i * 37 % 101) as f32 - 50.3) / 50.0).collect();
            for back in [false, true] {
                let mut expected = original.clone();
                expected.chunks_exact_mut(dim).for_each(|row| naive(&rotation, row, back));
                for isa in Isa::ALL.into_iter().filter(|isa| isa.is_available()) {
                    let mut rows = original.clone();
                    dispatch!(isa, &rotation, &mut rows, back);
                    let same = rows.iter().zip(&expected).all(|(a, b)| a.to_bits() == b.to_bits());
                    assert!(same, "{}, dim {dim}, back {back}", isa.name());
                }
            }
        }
    }
}
