//! Forward pass of the encoder's `models/post_norm.rs` with gradients, on ragged batches: no padding, and
//! [`crate::ops`] between the products. It is tested against `forward.rs`, the same pass in candle's operations.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use selvedge_encoder::ops::{Elementwise, Span};
use selvedge_encoder::{Batch, PostNormConfig};

use crate::blocks::Scope;
use crate::error::{Error, Result};
use crate::ops;
use crate::params::Params;

/// Computes hidden states (N, H).
pub(crate) fn post_norm(config: &PostNormConfig, params: &Params, batch: &Batch) -> Result<Tensor> {
    let names = &config.names;
    let prefix = params.prefix();
    let root = Scope { params, prefix };
    let positions: Vec<u32> =
        batch.spans.iter().flat_map(|span| config.positions.rows(&batch.ids[span.tokens()])).collect();
    let (word, position) = (root.rows(names.word, &ids(&batch.ids)?)?, root.rows(names.position, &ids(&positions)?)?);
    let kind = match names.token_type {
        Some(name) => root.rows(name, &ids(&[0])?)?.squeeze(0)?,
        None => Tensor::zeros(config.hidden, DType::F32, &Device::Cpu)?,
    };
    let mut x = ops::add_norm(&word, &kind, &position, weights_of(root, names.norm)?, config.eps)?;
    let spans: Arc<[Span]> = batch.spans.as_slice().into();
    for layer in 0..config.num_layers {
        let prefix = format!("{prefix}{}.{layer}.", names.layer);
        x = self::layer(config, Scope { params, prefix: &prefix }, &x, &spans)?;
    }
    Ok(x)
}

/// Computes one layer: (N, H) to (N, H).
fn layer(config: &PostNormConfig, layer: Scope<'_>, x: &Tensor, spans: &Arc<[Span]>) -> Result<Tensor> {
    let names = &config.names;
    let product = |x: &Tensor, name: &str| Ok::<_, Error>(x.matmul(&layer.weight(name)?.t()?)?);
    let [q, k, v] =
        [names.query, names.key, names.value].map(|name| Ok::<_, Error>((layer.weight(name)?, layer.bias(name)?)));
    let ((wq, bq), (wk, bk), (wv, bv)) = (q?, k?, v?);
    let qkv = x.matmul(&Tensor::cat(&[wq, wk, wv], 0)?.t()?)?;
    let qkv = ops::bias_activation(&qkv, &Tensor::cat(&[bq, bk, bv], 0)?, Elementwise::Identity)?;
    let context = ops::attention(&qkv, spans, config.num_heads)?;
    let y = product(&context, names.attention_out)?;
    let norm = weights_of(layer, names.attention_norm)?;
    let y = ops::add_norm(&y, layer.bias(names.attention_out)?, x, norm, config.eps)?;
    let up = ops::bias_activation(&product(&y, names.up)?, layer.bias(names.up)?, config.activation)?;
    let z = product(&up, names.down)?;
    Ok(ops::add_norm(&z, layer.bias(names.down)?, &y, weights_of(layer, names.output_norm)?, config.eps)?)
}

/// Returns the gain and the shift of a norm.
fn weights_of<'a>(scope: Scope<'a>, name: &str) -> Result<(&'a Tensor, &'a Tensor)> {
    let (gain, shift) = scope.norm_weights(name)?;
    // The error of a norm without a shift names the missing tensor.
    Ok((gain, shift.map_or_else(|| scope.bias(name), Ok)?))
}

fn ids(ids: &[u32]) -> Result<Tensor> {
    Ok(Tensor::new(ids, &Device::Cpu)?)
}
