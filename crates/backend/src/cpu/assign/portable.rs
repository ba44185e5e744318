//! `assign` in plain Rust.

use crate::cpu::tile::{WIDTH, portable::tile};

/// The best product so far of one embedding, lane by lane, and its panel.
#[derive(Clone)]
struct Best {
    product: [f32; WIDTH],
    panel: [u32; WIDTH],
}

/// `rows (n, D) f32`, `panels (ceil(K / 16), D, 16) f32` -> `codes (n) u32`.
pub(super) fn run(dim: usize, rows: &[f32], panels: &[f32], codes: &mut [u32]) {
    let row = |i: usize| &rows[i * dim..(i + 1) * dim];
    let mut best = vec![Best { product: [f32::NEG_INFINITY; WIDTH], panel: [0; WIDTH] }; codes.len()];
    for (p, panel) in panels.chunks_exact(dim * WIDTH).enumerate() {
        for i in (0..codes.len()).step_by(2) {
            let j = (i + 1).min(codes.len() - 1);
            let products = tile([row(i), row(j)], panel);
            keep(&mut best[i], &products[0], p as u32);
            keep(&mut best[j], &products[1], p as u32);
        }
    }
    for (code, best) in codes.iter_mut().zip(&best) {
        *code = best.code();
    }
}

/// Takes over the products that exceed the best so far.
fn keep(best: &mut Best, products: &[f32; WIDTH], panel: u32) {
    for ((best, of), &product) in best.product.iter_mut().zip(&mut best.panel).zip(products) {
        let better = product > *best;
        *best = if better { product } else { *best };
        *of = if better { panel } else { *of };
    }
}

impl Best {
    /// The code of the best lane; among equals the lowest.
    fn code(&self) -> u32 {
        let code = |lane: usize| self.panel[lane] * WIDTH as u32 + lane as u32;
        let better = |a: usize, b: usize| {
            self.product[b] > self.product[a] || (self.product[b] == self.product[a] && code(b) < code(a))
        };
        code((0..WIDTH).fold(0, |a, b| if better(a, b) { b } else { a }))
    }
}
