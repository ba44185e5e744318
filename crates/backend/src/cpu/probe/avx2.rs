//! `probe` with AVX2: the portable body, whose eight lanes become one register.

use super::portable;
use crate::cpu::passages::Table;

/// The best `keep` entries of the eight columns from `first` on, each best first.
#[target_feature(enable = "avx2,fma")]
pub(super) fn run(table: &Table, first: usize, keep: usize) -> Vec<Vec<u64>> {
    portable::run(table, first, keep)
}
