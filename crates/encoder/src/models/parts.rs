//! The parts of a transformer beside its layers: its name, the buffers of a forward pass, and fields of `config.json`.

use selvedge_backend::cpu::RoundedRows;
use serde::Serialize;

use crate::checkpoint::Json;
use crate::error::{Error, Result};
use crate::ops::{Elementwise, RotaryTable, attention};

/// Which transformer a checkpoint holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Architecture {
    /// Learned positions, norm after each block.
    Bert,
    /// BERT without token types.
    DistilBert,
    /// BERT whose positions skip padding and start after it; RoBERTa is computed the same way.
    XlmRoberta,
    /// Rotary positions, gated units, norm before each block, most layers local.
    ModernBert,
}

/// What a forward pass writes on its way. Kept from batch to batch: once it has seen the largest, nothing is allocated.
#[derive(Default)]
pub(crate) struct Scratch {
    /// Hidden states; (N, H).
    pub(crate) x: Vec<f32>,
    /// What a block adds to them, or gets of them; (N, H).
    pub(crate) y: Vec<f32>,
    /// (N, 3H).
    pub(super) qkv: Vec<f32>,
    /// What attention makes of it; (N, H).
    pub(super) context: Vec<f32>,
    /// Between a block's two products: (N, I), of gated units (N, 2I).
    pub(crate) wide: Vec<f32>,
    /// What gates leave; (N, I).
    pub(super) gated: Vec<f32>,
    pub(super) attention: attention::Scratch,
    /// Of global and of local layers; its positions are those of the longest text so far.
    pub(super) rotary: [RotaryTable; 2],
    pub(crate) rounded: RoundedRows,
}

/// The rows of x (N, W) that are kept, ascending.
pub(super) fn keep_rows(x: &mut Vec<f32>, width: usize, kept: &[usize]) {
    for (to, from) in kept.iter().enumerate().filter(|(to, from)| to != *from) {
        x.copy_within(from * width..(from + 1) * width, to * width);
    }
    x.truncate(kept.len() * width);
}

/// Layers of a model at most: a configuration with more is a slip, and would fill the memory with their settings.
const MOST_LAYERS: usize = 10_000;

/// The number of layers that `key` names.
pub(super) fn num_layers(json: &Json, key: &str) -> Result<usize> {
    match json.required(key, json.usize(key)?)? {
        count if count <= MOST_LAYERS => Ok(count),
        count => Err(json.malformed(format!("field {key:?} is {count}; at most {MOST_LAYERS} layers are read"))),
    }
}

/// The width that `key` names: at least 1.
pub(super) fn width(json: &Json, key: &str) -> Result<usize> {
    match json.required(key, json.usize(key)?)? {
        0 => Err(json.malformed(format!("field {key:?} is 0"))),
        width => Ok(width),
    }
}

/// How many heads of which width; they have to fill H exactly.
pub(super) fn head_dim(json: &Json, hidden: usize, num_heads: usize) -> Result<usize> {
    match hidden.checked_div(num_heads) {
        Some(head_dim) if head_dim * num_heads == hidden && head_dim > 0 => Ok(head_dim),
        _ => Err(json.malformed(format!("{num_heads} heads do not divide a width of {hidden}"))),
    }
}

/// The activation that `key` names; GELU where it is left out.
pub(super) fn activation(json: &Json, key: &str) -> Result<Elementwise> {
    let name = json.string(key)?.unwrap_or_else(|| "gelu".into());
    let unsupported = || Error::Unsupported { path: json.path.clone(), what: format!("{key} {name}") };
    Elementwise::by_name(&name).ok_or_else(unsupported)
}
