//! Constants that kernels and their launchers share. Compiler options define them for the kernels, so each value is
//! written once: here, or beside the launcher of the one op that uses it.

use super::{
    assign, centroid_sums, centroid_table, compress, decompress, filter, filter_wgmma, kmeans, maxsim_f32, peak, probe,
    quantize_query,
    resident::{STEP_CONSTANTS, TOKEN_CONSTANTS},
    rows, rules, score_kernels, search, select, survivors,
};
use crate::NO_MATCH;
use selvedge_kernels::Op;

/// Threads of a warp.
pub(super) const WARP: usize = 32;
/// Rows of the result of one int8 matrix product (`mma.m16n8k32`).
pub(super) const TILE_ROWS: usize = 16;
/// Columns of the result of one int8 matrix product.
pub(super) const TILE_COLUMNS: usize = 8;
/// Bytes that one int8 matrix product takes of each row and column.
pub(super) const TILE_DEPTH: usize = 32;
/// Components of an int8 row that a lane loads at once.
pub(super) const CHUNK: usize = 8;
/// Query tokens that a warp multiplies at a time.
pub(super) const PANEL: usize = 32;

/// Name of a constant in the kernels, and its value.
pub(super) type Constant = (&'static str, i64);

/// The constants of every op.
const COMMON: [Constant; 7] = [
    ("WARP", WARP as i64),
    ("NO_MATCH", NO_MATCH as i64),
    ("TILE_ROWS", TILE_ROWS as i64),
    ("TILE_COLUMNS", TILE_COLUMNS as i64),
    ("TILE_DEPTH", TILE_DEPTH as i64),
    ("CHUNK", CHUNK as i64),
    ("PANEL", PANEL as i64),
];

/// Whether the loads of `maxsim` and `rows` have hints for the caches: `SELVEDGE_CACHE_HINTS=0` leaves them out, to
/// measure what they gain.
fn cache_hints() -> Constant {
    ("CACHE_HINTS", i64::from(std::env::var_os("SELVEDGE_CACHE_HINTS").is_none_or(|value| value != "0")))
}

/// The constants of one op, in addition to the common ones.
fn of(op: Op) -> Vec<Constant> {
    match op {
        Op::Assign => assign::CONSTANTS.to_vec(),
        Op::CentroidSums => centroid_sums::CONSTANTS.to_vec(),
        Op::Kmeans => kmeans::CONSTANTS.to_vec(),
        Op::Compress => [&compress::CONSTANTS[..], &rules::CONSTANTS].concat(),
        Op::Decompress => [&decompress::CONSTANTS[..], &TOKEN_CONSTANTS].concat(),
        Op::CentroidTable => centroid_table::CONSTANTS.to_vec(),
        Op::Probe => [&probe::CONSTANTS[..], &select::CONSTANTS, &TOKEN_CONSTANTS].concat(),
        Op::ApproxScores => [&score_kernels::CONSTANTS[..], &TOKEN_CONSTANTS].concat(),
        Op::Maxsim => [&score_kernels::CONSTANTS[..], &TOKEN_CONSTANTS, &STEP_CONSTANTS, &[cache_hints()]].concat(),
        Op::Rows => [&rows::CONSTANTS[..], &TOKEN_CONSTANTS, &STEP_CONSTANTS, &[cache_hints()]].concat(),
        Op::Filter => [&filter::CONSTANTS[..], &TOKEN_CONSTANTS].concat(),
        Op::FilterWgmma => filter_wgmma::CONSTANTS.to_vec(),
        Op::Survivors => [&survivors::CONSTANTS[..], &select::CONSTANTS, &TOKEN_CONSTANTS].concat(),
        Op::MaxsimF32 => maxsim_f32::CONSTANTS.to_vec(),
        Op::QuantizeQuery => [&quantize_query::CONSTANTS[..], &TOKEN_CONSTANTS].concat(),
        Op::Candidates => [&search::CONSTANTS[..], &select::CONSTANTS, &TOKEN_CONSTANTS].concat(),
        Op::TopK => [&select::CONSTANTS[..], &TOKEN_CONSTANTS].concat(),
        Op::Peak => peak::CONSTANTS.to_vec(),
    }
}

/// The compiler options that define the constants of `op`'s kernels.
pub(super) fn defines(op: Op) -> impl Iterator<Item = String> {
    COMMON.into_iter().chain(of(op)).map(define)
}

fn define((name, value): Constant) -> String {
    // C++ has no negative literals: the smallest i32 is the difference of two others.
    if value < 0 { format!("-D{name}=({}-1)", value + 1) } else { format!("-D{name}={value}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> impl Iterator<Item = &str> {
        text.split(|c: char| !c.is_alphanumeric() && c != '_')
    }

    #[test]
    fn kernels_use_every_constant_and_define_none_themselves() {
        for op in Op::ALL {
            let source = selvedge_kernels::source(op);
            let code: String =
                source.lines().map(|line| line.split("//").next().expect("one part").to_owned() + "\n").collect();
            for (name, _) in of(op) {
                assert!(words(&code).any(|word| word == name), "{}: {name} is not used", op.name());
            }
            for (name, _) in COMMON.into_iter().chain(of(op)) {
                for line in code.lines().filter(|line| line.trim_start().starts_with("constexpr")) {
                    let defined = line.split('=').next().and_then(|left| words(left).filter(|w| !w.is_empty()).last());
                    assert!(defined != Some(name), "{}: {line}", op.name());
                }
            }
        }
    }

    #[test]
    fn the_smallest_number_is_an_int() {
        assert_eq!(define(("NO_MATCH", NO_MATCH.into())), "-DNO_MATCH=(-2147483647-1)");
        assert_eq!(define(("WARP", 32)), "-DWARP=32");
    }
}
