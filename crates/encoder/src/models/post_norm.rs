//! The transformer of BERT, DistilBERT, XLM-RoBERTa and RoBERTa: learned positions, norm after each block.
//!
//! ```text
//! x = norm(word[id] + position[p] + type[0])
//! each layer: x = norm(x + attention(x)); x = norm(x + down(f(up(x))))
//! ```
//! They differ in their tensor names and in the rule of positions: [`TensorNames`] and [`Positions`].

use serde::Serialize;

use super::layers::{Arithmetic, Linear, Table, load_norm};
use super::parts::{Architecture, Scratch, keep_rows};
use crate::batch::Batch;
use crate::error::Result;
use crate::ops::{self, Attention, Elementwise, NormWeights};
use crate::weights::Weights;

/// Sizes, tensor names and rules of a transformer with a norm after each block.
#[derive(Debug, Clone, Serialize)]
pub struct PostNormConfig {
    /// Architecture of the transformer.
    pub architecture: Architecture,
    /// Least number of rows of the word embeddings' table.
    pub vocabulary: usize,
    /// Width of a hidden state (H).
    pub hidden: usize,
    /// Number of layers, each of attention and two products.
    pub num_layers: usize,
    /// Number of attention heads; it divides H.
    pub num_heads: usize,
    /// Width between the two products of a layer (I).
    pub intermediate: usize,
    /// Number of rows of the position table.
    pub table_positions: usize,
    /// Activation between the two products of a layer.
    pub activation: Elementwise,
    /// Term that is added to the variance in every norm.
    pub eps: f64,
    /// Rule by which a token's row of the position table is chosen.
    pub positions: Positions,
    /// Names of the tensors.
    #[serde(skip)]
    pub names: TensorNames,
}

/// Rule by which a token's row of the position table is chosen.
#[derive(Debug, Clone, Copy, Serialize)]
pub enum Positions {
    /// Rows 0, 1, 2, ...
    FromZero,
    /// The value is the id of the padding token: padding tokens have the row of that number, other tokens are numbered
    /// from the row after it.
    AfterPadding(u32),
}

impl Positions {
    /// Iterates over the tokens of a text, given their ids: the row of the position table for each.
    pub fn rows(self, ids: &[u32]) -> impl Iterator<Item = u32> {
        let mut counted = 0;
        (0..).zip(ids).map(move |(at, &id)| match self {
            Self::FromZero => at,
            Self::AfterPadding(pad) if id == pad => pad,
            Self::AfterPadding(pad) => {
                counted += 1;
                pad + counted
            }
        })
    }
}

/// Tensor names. The name of a layer's tensor follows the prefix and number of the layer. Names of tables are
/// complete; all others omit `.weight` and `.bias`.
#[derive(Debug, Clone)]
pub struct TensorNames {
    /// Table of word embeddings.
    pub word: &'static str,
    /// Table of positions.
    pub position: &'static str,
    /// Table of token types; DistilBERT has none.
    pub token_type: Option<&'static str>,
    /// Norm of the embeddings.
    pub norm: &'static str,
    /// Prefix of a layer, before its number.
    pub layer: &'static str,
    /// Product that makes the queries.
    pub query: &'static str,
    /// Product that makes the keys.
    pub key: &'static str,
    /// Product that makes the values.
    pub value: &'static str,
    /// Product after attention.
    pub attention_out: &'static str,
    /// Norm after attention's residual.
    pub attention_norm: &'static str,
    /// Product H to I.
    pub up: &'static str,
    /// Product I to H.
    pub down: &'static str,
    /// Norm at the end of a layer.
    pub output_norm: &'static str,
}

impl PostNormConfig {
    /// Length of the longest sequence.
    pub(super) fn longest(&self) -> usize {
        match self.positions {
            Positions::FromZero => self.table_positions,
            Positions::AfterPadding(pad) => self.table_positions.saturating_sub(pad as usize + 1),
        }
    }
}

/// The loaded transformer.
pub(crate) struct PostNorm {
    config: PostNormConfig,
    word: Table,
    /// Position table. The row of token type 0 is added to each of its rows, because all tokens have that type.
    position: Table,
    norm: NormWeights,
    layers: Vec<Layer>,
}

struct Layer {
    qkv: Linear,
    attention_out: Linear,
    attention_norm: NormWeights,
    up: Linear,
    down: Linear,
    output_norm: NormWeights,
}

impl PostNorm {
    pub(super) fn load(config: PostNormConfig, weights: &mut Weights<'_>, arithmetic: Arithmetic) -> Result<Self> {
        let PostNormConfig { hidden, eps, .. } = config;
        let names = &config.names;
        let root = weights.prefix_of(names.word)?;
        let word = Table::load(weights, &format!("{root}{}", names.word), config.vocabulary, hidden)?;
        let position = format!("{root}{}", names.position);
        let mut position = Table::load(weights, &position, config.table_positions, hidden)?;
        if let Some(name) = names.token_type {
            position.add(Table::load(weights, &format!("{root}{name}"), 1, hidden)?.row(0)?);
        }
        let norm = load_norm(weights, &format!("{root}{}", names.norm), hidden, eps, true)?;
        let layers = (0..config.num_layers)
            .map(|layer| Layer::load(&config, weights, arithmetic, &format!("{root}{}.{layer}", names.layer)))
            .collect::<Result<_>>()?;
        Ok(Self { config, word, position, norm, layers })
    }

    pub(super) fn multiply_adds(&self) -> usize {
        let of = |layer: &Layer| [&layer.qkv, &layer.attention_out, &layer.up, &layer.down].map(Linear::multiply_adds);
        self.layers.iter().flat_map(of).sum()
    }

    /// Computes hidden states: ids (N) to `scratch.x` (N, H).
    pub(super) fn forward(&self, batch: &Batch, scratch: &mut Scratch) -> Result<()> {
        self.embed(batch, &mut scratch.x)?;
        if self.layers.is_empty() {
            keep_rows(&mut scratch.x, self.config.hidden, &batch.kept);
        }
        for (at, layer) in self.layers.iter().enumerate() {
            layer.forward(batch, &self.config, at + 1 == self.layers.len(), scratch);
        }
        Ok(())
    }

    fn embed(&self, batch: &Batch, x: &mut Vec<f32>) -> Result<()> {
        x.clear();
        for span in &batch.spans {
            let ids = &batch.ids[span.tokens()];
            for (&id, position) in ids.iter().zip(self.config.positions.rows(ids)) {
                let (word, position) = (self.word.row(id)?, self.position.row(position)?);
                x.extend(word.iter().zip(position).map(|(word, position)| word + position));
            }
        }
        ops::norm(x, &self.norm);
        Ok(())
    }
}

impl Layer {
    fn load(config: &PostNormConfig, weights: &mut Weights<'_>, arithmetic: Arithmetic, prefix: &str) -> Result<Self> {
        let PostNormConfig { hidden, intermediate, eps, .. } = *config;
        let names = &config.names;
        let part = |name: &str, part: &str| format!("{prefix}.{name}.{part}");
        let qkv = [names.query, names.key, names.value];
        let qkv_weights = qkv.map(|name| part(name, "weight"));
        let qkv_biases = qkv.map(|name| part(name, "bias"));
        let mut linear = |name: &str, width_in: usize, width_out: usize| {
            Linear::load(weights, arithmetic, &part(name, "weight"), Some(&part(name, "bias")), width_in, width_out)
        };
        Ok(Self {
            attention_out: linear(names.attention_out, hidden, hidden)?,
            up: linear(names.up, hidden, intermediate)?,
            down: linear(names.down, intermediate, hidden)?,
            qkv: Linear::stacked(
                weights,
                arithmetic,
                &qkv_weights.each_ref().map(String::as_str),
                &qkv_biases.each_ref().map(String::as_str),
                hidden,
                hidden,
            )?,
            attention_norm: load_norm(weights, &format!("{prefix}.{}", names.attention_norm), hidden, eps, true)?,
            output_norm: load_norm(weights, &format!("{prefix}.{}", names.output_norm), hidden, eps, true)?,
        })
    }

    /// Computes one layer in `scratch.x`; after the last layer's attention only for the tokens that are kept.
    fn forward(&self, batch: &Batch, config: &PostNormConfig, is_last: bool, scratch: &mut Scratch) {
        let Scratch { x, y, qkv, context, wide, attention, rounded, .. } = scratch;
        self.qkv.forward(x, Elementwise::Identity, qkv, rounded);
        let settings = Attention { spans: &batch.spans, num_heads: config.num_heads, window: None };
        ops::attention(qkv, settings, attention, context);
        if is_last {
            keep_rows(context, config.hidden, &batch.kept);
            keep_rows(x, config.hidden, &batch.kept);
        }
        self.attention_out.product(context, y, rounded);
        ops::add_norm(y, self.attention_out.bias(), x, &self.attention_norm);
        self.up.forward(y, config.activation, wide, rounded);
        self.down.product(wide, x, rounded);
        ops::add_norm(x, self.down.bias(), y, &self.output_norm);
    }
}
