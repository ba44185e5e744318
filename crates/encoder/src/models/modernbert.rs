//! ModernBERT: rotary positions, gated units, norm before each block, most layers local.
//!
//! ```text
//! x = norm(word[id])
//! each layer: x = x + out(attention(rotate(qkv(norm(x))))); x = x + out(f(a) b) where (a, b) = in(norm(x))
//! x = norm(x)
//! ```
//! The first layer has no norm before attention, because the embeddings' norm precedes it. Local layers attend to
//! `local_attention / 2` tokens on each side and have a rotary base of their own.

use serde::Serialize;

use super::layers::{Arithmetic, Linear, Table, load_norm};
use super::parts::{Scratch, activation, head_dim, keep_rows, num_layers, num_positions, width};
use crate::batch::Batch;
use crate::checkpoint::Json;
use crate::error::{Error, Result};
use crate::ops::{self, Attention, Elementwise, NormWeights};
use crate::weights::Weights;

/// Sizes and rules of a ModernBERT.
#[derive(Debug, Clone, Serialize)]
pub struct ModernBertConfig {
    /// Least number of rows of the word embeddings' table.
    pub vocabulary: usize,
    /// Width of a hidden state (H).
    pub hidden: usize,
    /// Number of attention heads; it divides H.
    pub num_heads: usize,
    /// Width of a head.
    pub head_dim: usize,
    /// Width of a gated unit (I).
    pub intermediate: usize,
    /// Maximum number of tokens of a sequence.
    pub positions: usize,
    /// Activation of a gated unit.
    pub activation: Elementwise,
    /// Term that is added to the variance in every norm.
    pub eps: f64,
    /// Whether norms have a shift.
    pub norm_bias: bool,
    /// Whether attention's products have a bias.
    pub attention_bias: bool,
    /// Whether the gated unit's products have a bias.
    pub mlp_bias: bool,
    /// Rotary base of global layers.
    pub global_theta: f64,
    /// Rotary base of local layers.
    pub local_theta: f64,
    /// Number of tokens on each side that a local layer attends to.
    pub window: usize,
    /// Whether a layer attends to the whole text, per layer.
    pub is_global: Vec<bool>,
}

impl ModernBertConfig {
    /// Name of the word embeddings' table.
    pub const WORD_TABLE: &'static str = "embeddings.tok_embeddings.weight";

    /// Reads `config.json`.
    pub(super) fn read(json: &Json) -> Result<Self> {
        let count = |key| json.required(key, json.usize(key)?);
        let flag = |key| Ok::<_, Error>(json.bool(key)?.unwrap_or(false));
        let hidden = width(json, "hidden_size")?;
        let num_heads = count("num_attention_heads")?;
        let head_dim = head_dim(json, hidden, num_heads)?;
        if !head_dim.is_multiple_of(2) {
            return Err(json.malformed(format!("heads of {head_dim} components cannot be rotated in pairs")));
        }
        check_rope(json)?;
        let global_theta = theta(json, "full_attention", "global_rope_theta", 160_000.0)?;
        Ok(Self {
            vocabulary: count("vocab_size")?,
            hidden,
            num_heads,
            head_dim,
            intermediate: width(json, "intermediate_size")?,
            positions: num_positions(json, "max_position_embeddings")?,
            activation: activation(json, "hidden_activation")?,
            eps: json.f64("norm_eps")?.unwrap_or(1e-5),
            norm_bias: flag("norm_bias")?,
            attention_bias: flag("attention_bias")?,
            mlp_bias: flag("mlp_bias")?,
            global_theta,
            local_theta: theta(json, "sliding_attention", "local_rope_theta", 10_000.0)?,
            window: json.usize("local_attention")?.unwrap_or(128) / 2,
            is_global: layer_types(json, num_layers(json, "num_hidden_layers")?)?,
        })
    }
}

/// Refuses scaled rotary positions, whether for all layers, for one kind of layer, or in the form of older
/// configurations.
fn check_rope(json: &Json) -> Result<()> {
    let parameters = json.get("rope_parameters");
    let of_kinds = parameters.and_then(|all| all.as_object()).into_iter().flat_map(|all| all.values());
    for rope in of_kinds.chain(parameters).chain(json.get("rope_scaling")) {
        let kind = rope.get("rope_type").or_else(|| rope.get("type")).filter(|kind| !kind.is_null());
        if let Some(kind) = kind.filter(|kind| kind.as_str() != Some("default")) {
            let kind = kind.as_str().map_or_else(|| kind.to_string(), str::to_owned);
            return Err(Error::Unsupported { path: json.path.clone(), what: format!("rope_type {kind}") });
        }
    }
    Ok(())
}

/// Rotary base: under `rope_parameters` in newer configurations, at the top level in older ones.
fn theta(json: &Json, kind: &str, flat: &str, default: f64) -> Result<f64> {
    let nested = json.get("rope_parameters").and_then(|all| all.get(kind)).and_then(|one| one.get("rope_theta"));
    match nested {
        Some(theta) => theta.as_f64().ok_or_else(|| json.malformed("a \"rope_theta\" is not a number")),
        None => Ok(json.f64(flat)?.unwrap_or(default)),
    }
}

/// Whether each layer attends to the whole text: by `layer_types`, or every n-th.
fn layer_types(json: &Json, num_layers: usize) -> Result<Vec<bool>> {
    match json.strings("layer_types")? {
        Some(types) if types.len() == num_layers => Ok(types.iter().map(|kind| kind == "full_attention").collect()),
        Some(types) => Err(json.malformed(format!("{} \"layer_types\" for {num_layers} layers", types.len()))),
        None => {
            let every = json.usize("global_attn_every_n_layers")?.unwrap_or(3).max(1);
            Ok((0..num_layers).map(|layer| layer % every == 0).collect())
        }
    }
}

/// The loaded transformer.
pub(crate) struct ModernBert {
    config: ModernBertConfig,
    word: Table,
    norm: NormWeights,
    layers: Vec<Layer>,
    final_norm: NormWeights,
}

struct Layer {
    attention_norm: Option<NormWeights>,
    qkv: Linear,
    attention_out: Linear,
    mlp_norm: NormWeights,
    /// Both halves of the gated unit, stacked.
    up: Linear,
    down: Linear,
    is_global: bool,
}

impl ModernBert {
    pub(super) fn load(config: ModernBertConfig, weights: &mut Weights<'_>, arithmetic: Arithmetic) -> Result<Self> {
        let root = weights.prefix_of(ModernBertConfig::WORD_TABLE)?;
        let word =
            Table::load(weights, &format!("{root}{}", ModernBertConfig::WORD_TABLE), config.vocabulary, config.hidden)?;
        let norm = |weights: &mut Weights<'_>, name: &str| {
            load_norm(weights, &format!("{root}{name}"), config.hidden, config.eps, config.norm_bias)
        };
        let embedding_norm = norm(weights, "embeddings.norm")?;
        let final_norm = norm(weights, "final_norm")?;
        let layers = (0..config.is_global.len())
            .map(|layer| Layer::load(&config, weights, arithmetic, &format!("{root}layers.{layer}"), layer))
            .collect::<Result<_>>()?;
        Ok(Self { config, word, norm: embedding_norm, layers, final_norm })
    }

    pub(super) fn multiply_adds(&self) -> usize {
        let of = |layer: &Layer| [&layer.qkv, &layer.attention_out, &layer.up, &layer.down].map(Linear::multiply_adds);
        self.layers.iter().flat_map(of).sum()
    }

    /// Computes hidden states: ids (N) to `scratch.x` (N, H).
    pub(super) fn forward(&self, batch: &Batch, scratch: &mut Scratch) -> Result<()> {
        let config = &self.config;
        scratch.x.clear();
        for &id in &batch.ids {
            scratch.x.extend_from_slice(self.word.row(id)?);
        }
        ops::norm(&mut scratch.x, &self.norm);
        if self.layers.is_empty() {
            keep_rows(&mut scratch.x, config.hidden, &batch.kept);
        }
        let [global, local] = &mut scratch.rotary;
        global.reach(config.global_theta, config.head_dim, batch.longest());
        local.reach(config.local_theta, config.head_dim, batch.longest());
        for (at, layer) in self.layers.iter().enumerate() {
            layer.forward(batch, config, at + 1 == self.layers.len(), scratch);
        }
        ops::norm(&mut scratch.x, &self.final_norm);
        Ok(())
    }
}

impl Layer {
    fn load(
        config: &ModernBertConfig,
        weights: &mut Weights<'_>,
        arithmetic: Arithmetic,
        prefix: &str,
        layer: usize,
    ) -> Result<Self> {
        let ModernBertConfig { hidden, intermediate, .. } = *config;
        let norm = |weights: &mut Weights<'_>, name: &str| {
            load_norm(weights, &format!("{prefix}.{name}"), hidden, config.eps, config.norm_bias)
        };
        let linear = |weights: &mut Weights<'_>, name: &str, bias: bool, width_in: usize, width_out: usize| {
            let bias = bias.then(|| format!("{prefix}.{name}.bias"));
            Linear::load(weights, arithmetic, &format!("{prefix}.{name}.weight"), bias.as_deref(), width_in, width_out)
        };
        Ok(Self {
            attention_norm: if layer == 0 { None } else { Some(norm(weights, "attn_norm")?) },
            qkv: linear(weights, "attn.Wqkv", config.attention_bias, hidden, 3 * hidden)?,
            attention_out: linear(weights, "attn.Wo", config.attention_bias, hidden, hidden)?,
            mlp_norm: norm(weights, "mlp_norm")?,
            up: linear(weights, "mlp.Wi", config.mlp_bias, hidden, 2 * intermediate)?,
            down: linear(weights, "mlp.Wo", config.mlp_bias, intermediate, hidden)?,
            is_global: config.is_global[layer],
        })
    }

    /// Computes one layer in `scratch.x`; after the last layer's attention only for the tokens that are kept.
    fn forward(&self, batch: &Batch, config: &ModernBertConfig, is_last: bool, scratch: &mut Scratch) {
        let Scratch { x, y, qkv, context, wide, gated, attention, rounded, rotary: [global, local] } = scratch;
        let ModernBertConfig { hidden, intermediate, num_heads, .. } = *config;
        y.clone_from(x);
        if let Some(norm) = &self.attention_norm {
            ops::norm(y, norm);
        }
        self.qkv.forward(y, Elementwise::Identity, qkv, rounded);
        ops::rotate(qkv, 3 * hidden, &batch.spans, if self.is_global { global } else { local });
        let window = (!self.is_global).then_some(config.window);
        ops::attention(qkv, Attention { spans: &batch.spans, num_heads, window }, attention, context);
        if is_last {
            keep_rows(context, hidden, &batch.kept);
            keep_rows(x, hidden, &batch.kept);
        }
        self.attention_out.product(context, y, rounded);
        ops::add(x, y, hidden, self.attention_out.bias());
        y.clone_from(x);
        ops::norm(y, &self.mlp_norm);
        self.up.forward(y, Elementwise::Identity, wide, rounded);
        ops::gated(wide, intermediate, config.activation, gated);
        self.down.product(gated, y, rounded);
        ops::add(x, y, hidden, self.down.bias());
    }
}
