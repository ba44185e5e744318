//! Forward passes of the encoder's `models/` in candle's operations, which have gradients, on padded batches.

use candle_core::{DType, Device, Tensor};
use selvedge_encoder::ops::{RotaryTable, Span};
use selvedge_encoder::{Config, ModernBertConfig, PostNormConfig, TokenizedText};

use crate::blocks::{MASKED, Scope, activate, attention};
use crate::error::Result;
use crate::params::Params;

/// Texts padded to the longest.
pub(crate) struct Padded {
    /// Token ids (B * T), 0 after the end of a text.
    ids: Vec<u32>,
    texts: usize,
    tokens: usize,
    /// Attention mask (B, 1, 1, T): 0 for tokens that are attended to, [`MASKED`] for others.
    mask: Tensor,
    /// Mask of the kept embeddings (B, T): 1 for kept ones, 0 for others.
    pub(crate) kept: Tensor,
}

impl Padded {
    pub(crate) fn new(rows: &[TokenizedText], dtype: DType) -> Result<Self> {
        let tokens = rows.iter().map(|row| row.ids.len()).max().unwrap_or(0).max(1);
        let cells = rows.len() * tokens;
        let (mut ids, mut mask, mut kept) = (vec![0; cells], vec![MASKED as f32; cells], vec![0f32; cells]);
        for (at, row) in rows.iter().enumerate() {
            let start = at * tokens;
            ids[start..start + row.ids.len()].copy_from_slice(&row.ids);
            mask[start..start + row.attended].fill(0.0);
            row.kept.iter().for_each(|&token| kept[start + token] = 1.0);
        }
        Ok(Self {
            ids,
            texts: rows.len(),
            tokens,
            mask: Tensor::from_vec(mask, (rows.len(), 1, 1, tokens), &Device::Cpu)?.to_dtype(dtype)?,
            kept: Tensor::from_vec(kept, (rows.len(), tokens), &Device::Cpu)?.to_dtype(dtype)?,
        })
    }

    /// Pads rows (N, D), the texts end to end, to (B, T, D); the padding repeats the first row.
    pub(crate) fn pad(&self, x: &Tensor, spans: &[Span]) -> Result<Tensor> {
        let row = |span: &Span, at: usize| if at < span.len { (span.start + at) as u32 } else { 0 };
        let rows: Vec<u32> = spans.iter().flat_map(|span| (0..self.tokens).map(|at| row(span, at))).collect();
        let rows = x.index_select(&Tensor::new(rows.as_slice(), &Device::Cpu)?, 0)?;
        Ok(rows.reshape((self.texts, self.tokens, x.dim(1)?))?)
    }

    fn ids(&self) -> Result<Tensor> {
        Ok(Tensor::new(self.ids.as_slice(), &Device::Cpu)?)
    }
}

/// Computes hidden states (B, T, H).
pub(crate) fn forward(config: &Config, params: &Params, batch: &Padded) -> Result<Tensor> {
    match config {
        Config::PostNorm(config) => post_norm(config, params, batch),
        Config::ModernBert(config) => modern_bert(config, params, batch),
    }
}

/// Computes the hidden states of BERT, DistilBERT and XLM-RoBERTa, as the encoder's `models/post_norm.rs` does.
fn post_norm(config: &PostNormConfig, params: &Params, batch: &Padded) -> Result<Tensor> {
    let names = &config.names;
    let prefix = params.prefix();
    let root = Scope { params, prefix };
    let mut x = (root.rows(names.word, &batch.ids()?)? + root.rows(names.position, &positions(config, batch)?)?)?;
    if let Some(name) = names.token_type {
        let first = Tensor::new(&[0u32], &Device::Cpu)?;
        x = x.broadcast_add(&root.rows(name, &first)?)?;
    }
    let mut x = root.norm(names.norm, &x, config.eps)?.reshape((batch.texts, batch.tokens, config.hidden))?;
    for layer in 0..config.num_layers {
        let prefix = format!("{prefix}{}.{layer}.", names.layer);
        let layer = Scope { params, prefix: &prefix };
        let [q, k, v] = [names.query, names.key, names.value].map(|name| layer.linear(name, &x));
        let context = attention(&q?, &k?, &v?, config.num_heads, &batch.mask)?;
        let y = (layer.linear(names.attention_out, &context)? + &x)?;
        let y = layer.norm(names.attention_norm, &y, config.eps)?;
        let up = activate(&layer.linear(names.up, &y)?, config.activation)?;
        let z = (layer.linear(names.down, &up)? + &y)?;
        x = layer.norm(names.output_norm, &z, config.eps)?;
    }
    Ok(x)
}

/// Returns each token's row of the position table.
fn positions(config: &PostNormConfig, batch: &Padded) -> Result<Tensor> {
    let all: Vec<u32> = batch.ids.chunks_exact(batch.tokens).flat_map(|ids| config.positions.rows(ids)).collect();
    Ok(Tensor::new(all.as_slice(), &Device::Cpu)?)
}

/// Computes the hidden states of ModernBERT, as the encoder's `models/modernbert.rs` does.
fn modern_bert(config: &ModernBertConfig, params: &Params, batch: &Padded) -> Result<Tensor> {
    let prefix = params.prefix();
    let root = Scope { params, prefix };
    let hidden = config.hidden;
    let x = root.rows(ModernBertConfig::WORD_TABLE, &batch.ids()?)?.reshape((batch.texts, batch.tokens, hidden))?;
    let mut x = root.norm("embeddings.norm", &x, config.eps)?;
    let local_mask = batch.mask.broadcast_add(&window(batch.tokens, config.window)?.to_dtype(params.dtype)?)?;
    for (number, &is_global) in config.is_global.iter().enumerate() {
        let prefix = format!("{prefix}layers.{number}.");
        let layer = Scope { params, prefix: &prefix };
        let normed = if number == 0 { x.clone() } else { layer.norm("attn_norm", &x, config.eps)? };
        let qkv = layer.linear("attn.Wqkv", &normed)?;
        let part = |number: usize| qkv.narrow(2, number * hidden, hidden);
        let theta = if is_global { config.global_theta } else { config.local_theta };
        let (q, k) = (rotate(&part(0)?, config.num_heads, theta)?, rotate(&part(1)?, config.num_heads, theta)?);
        let mask = if is_global { &batch.mask } else { &local_mask };
        let context = attention(&q, &k, &part(2)?.contiguous()?, config.num_heads, mask)?;
        x = (x + layer.linear("attn.Wo", &context)?)?;
        let up = layer.linear("mlp.Wi", &layer.norm("mlp_norm", &x, config.eps)?)?;
        let half = up.dim(2)? / 2;
        let gated =
            (activate(&up.narrow(2, 0, half)?.contiguous()?, config.activation)? * up.narrow(2, half, half)?)?;
        x = (x + layer.linear("mlp.Wo", &gated)?)?;
    }
    root.norm("final_norm", &x, config.eps)
}

/// Returns the mask of local attention (1, 1, T, T): 0 within `window` tokens on each side, [`MASKED`] elsewhere.
fn window(tokens: usize, window: usize) -> Result<Tensor> {
    let cell = |at: usize| if (at / tokens).abs_diff(at % tokens) <= window { 0.0 } else { MASKED as f32 };
    let cells: Vec<f32> = (0..tokens * tokens).map(cell).collect();
    Ok(Tensor::from_vec(cells, (1, 1, tokens, tokens), &Device::Cpu)?)
}

/// Applies rotary positions to x (B, T, H), as the encoder's `ops::rotate`.
fn rotate(x: &Tensor, num_heads: usize, theta: f64) -> Result<Tensor> {
    let (texts, tokens, hidden) = x.dims3()?;
    let head_dim = hidden / num_heads;
    let half = head_dim / 2;
    let table = RotaryTable::new(theta, head_dim, tokens);
    let tensor = |values| Tensor::from_vec(values, (1, tokens, 1, half), &Device::Cpu)?.to_dtype(x.dtype());
    let (cos, sin) = (tensor(table.cos)?, tensor(table.sin)?);
    let x = x.reshape((texts, tokens, num_heads, head_dim))?;
    let (a, b) = (x.narrow(3, 0, half)?, x.narrow(3, half, half)?);
    let first = (a.broadcast_mul(&cos)? - b.broadcast_mul(&sin)?)?;
    let second = (b.broadcast_mul(&cos)? + a.broadcast_mul(&sin)?)?;
    Ok(Tensor::cat(&[first, second], 3)?.reshape((texts, tokens, hidden))?)
}
