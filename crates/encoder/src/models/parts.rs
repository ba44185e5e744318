//! Parts of a transformer other than its layers: the architecture, the buffers of a forward pass, and checks of
//! `config.json`.

use std::ops::RangeInclusive;

use selvedge_backend::cpu::RoundedRows;
use serde::Serialize;

use crate::checkpoint::Json;
use crate::error::{Error, Result};
use crate::ops::{Elementwise, RotaryTable, attention};

/// Architecture of a checkpoint's transformer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Architecture {
    /// Learned positions, norm after each block.
    Bert,
    /// BERT without token types.
    DistilBert,
    /// BERT whose positions start after the padding token's id; also used for RoBERTa.
    XlmRoberta,
    /// Rotary positions, gated units, norm before each block, most layers local.
    ModernBert,
    /// BERT with a bias of attention by distance (ALiBi) in place of positions, and gated units. Only the executor
    /// candle has it.
    JinaBert,
    /// BERT with rotary positions and gated units. Only the executor candle has it.
    NomicBert,
}

/// Buffers of a forward pass. They are reused: after the largest batch, nothing more is allocated.
#[derive(Default)]
pub(crate) struct Scratch {
    /// Hidden states; (N, H).
    pub(crate) x: Vec<f32>,
    /// Input or output of a block; (N, H).
    pub(crate) y: Vec<f32>,
    /// Queries, keys and values; (N, 3H).
    pub(super) qkv: Vec<f32>,
    /// Output of attention; (N, H).
    pub(super) context: Vec<f32>,
    /// Values between the two products of a block: (N, I), or (N, 2I) for gated units.
    pub(crate) wide: Vec<f32>,
    /// Output of gated units; (N, I).
    pub(super) gated: Vec<f32>,
    pub(super) attention: attention::Scratch,
    /// Rotary tables of global and of local layers, for the longest text so far.
    pub(super) rotary: [RotaryTable; 2],
    pub(crate) rounded: RoundedRows,
}

/// Keeps only the rows `kept`, ascending, of x (N, W).
pub(super) fn keep_rows(x: &mut Vec<f32>, width: usize, kept: &[usize]) {
    for (to, from) in kept.iter().enumerate().filter(|(to, from)| to != *from) {
        x.copy_within(from * width..(from + 1) * width, to * width);
    }
    x.truncate(kept.len() * width);
}

/// Largest accepted number of layers. A larger number is a mistake in the configuration, and the settings of that many
/// layers could fill the memory.
const MAX_LAYERS: usize = 10_000;
/// Largest accepted number of positions: a query may be expanded to that many tokens, whose ids and hidden states have
/// to fit in memory. Published models have up to 2^17.
const MAX_POSITIONS: usize = 1 << 20;
/// Largest accepted width of a layer. Queries, keys and values are stacked, so three times the width must not
/// overflow.
const MAX_WIDTH: usize = 1 << 30;

/// Number of layers under `key`.
pub(super) fn num_layers(json: &Json, key: &str) -> Result<usize> {
    count_within(json, key, 0..=MAX_LAYERS)
}

/// Number of positions under `key`: rows of a table, or the longest sequence.
pub(super) fn num_positions(json: &Json, key: &str) -> Result<usize> {
    count_within(json, key, 1..=MAX_POSITIONS)
}

/// Width of a layer under `key`, at least 1.
pub(super) fn width(json: &Json, key: &str) -> Result<usize> {
    count_within(json, key, 1..=MAX_WIDTH)
}

fn count_within(json: &Json, key: &str, accepted: RangeInclusive<usize>) -> Result<usize> {
    match json.required(key, json.usize(key)?)? {
        count if accepted.contains(&count) => Ok(count),
        count => {
            Err(json.malformed(format!("field {key:?} is {count}, outside {}..={}", accepted.start(), accepted.end())))
        }
    }
}

/// Width of a head. The heads have to fill H exactly.
pub(super) fn head_dim(json: &Json, hidden: usize, num_heads: usize) -> Result<usize> {
    match hidden.checked_div(num_heads) {
        Some(head_dim) if head_dim * num_heads == hidden && head_dim > 0 => Ok(head_dim),
        _ => Err(json.malformed(format!("{num_heads} heads do not divide a width of {hidden}"))),
    }
}

/// Activation under `key`; GELU if it is missing.
pub(super) fn activation(json: &Json, key: &str) -> Result<Elementwise> {
    let name = json.string(key)?.unwrap_or_else(|| "gelu".into());
    let unsupported = || Error::Unsupported { path: json.path.clone(), what: format!("{key} {name}") };
    Elementwise::by_name(&name).ok_or_else(unsupported)
}
