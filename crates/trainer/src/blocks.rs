//! Parts of a transformer in candle's operations, which have gradients. Shapes: (B, T, H), padded.

use candle_core::{D, Tensor};
use selvedge_encoder::ops::Elementwise;

use crate::error::Result;
use crate::params::Params;

/// Minimum length that a row is divided by.
pub(crate) const MIN_LENGTH: f64 = 1e-12;
/// Number added to masked similarities: far below every real one.
pub(crate) const MASKED: f64 = -1e4;

/// Parameters of the root folder whose names begin with a prefix.
#[derive(Clone, Copy)]
pub(crate) struct Scope<'a> {
    pub(crate) params: &'a Params,
    pub(crate) prefix: &'a str,
}

impl<'a> Scope<'a> {
    fn get(self, name: &str) -> Result<&'a Tensor> {
        self.params.get("", &format!("{}{name}", self.prefix))
    }

    /// Returns the weight of a linear layer.
    pub(crate) fn weight(self, name: &str) -> Result<&'a Tensor> {
        self.get(&format!("{name}.weight"))
    }

    /// Returns the bias of a linear layer that must have one.
    pub(crate) fn bias(self, name: &str) -> Result<&'a Tensor> {
        self.get(&format!("{name}.bias"))
    }

    fn find(self, name: &str) -> Option<&'a Tensor> {
        self.get(name).ok()
    }

    /// Computes `x W^T + b`, or `x W^T` for a layer without a bias.
    pub(crate) fn linear(self, name: &str, x: &Tensor) -> Result<Tensor> {
        linear(x, self.weight(name)?, self.find(&format!("{name}.bias")))
    }

    /// Returns the gain of a norm, and its shift if it has one. The first BERT checkpoints call them gamma and beta.
    pub(crate) fn norm_weights(self, name: &str) -> Result<(&'a Tensor, Option<&'a Tensor>)> {
        let gain = self.find(&format!("{name}.weight"));
        let gain = gain.map_or_else(|| self.get(&format!("{name}.gamma")), Ok)?;
        Ok((gain, self.find(&format!("{name}.bias")).or_else(|| self.find(&format!("{name}.beta")))))
    }

    /// Computes `(x - mean) / sqrt(variance + eps) g + s`.
    pub(crate) fn norm(self, name: &str, x: &Tensor, eps: f64) -> Result<Tensor> {
        let (gain, shift) = self.norm_weights(name)?;
        let centered = x.broadcast_sub(&x.mean_keepdim(D::Minus1)?)?;
        let variance = centered.sqr()?.mean_keepdim(D::Minus1)?;
        let normed = centered.broadcast_div(&(variance + eps)?.sqrt()?)?.broadcast_mul(gain)?;
        Ok(match shift {
            Some(shift) => normed.broadcast_add(shift)?,
            None => normed,
        })
    }

    /// Returns the rows `ids (N) u32` of a table: (N, H).
    pub(crate) fn rows(self, name: &str, ids: &Tensor) -> Result<Tensor> {
        Ok(self.get(name)?.index_select(ids, 0)?)
    }
}

/// Computes `x W^T + b`; x (.., in), weight (out, in).
pub(crate) fn linear(x: &Tensor, weight: &Tensor, bias: Option<&Tensor>) -> Result<Tensor> {
    let (out, width) = weight.dims2()?;
    let mut shape = x.dims().to_vec();
    let y = x.reshape(((), width))?.matmul(&weight.t()?)?;
    let y = match bias {
        Some(bias) => y.broadcast_add(bias)?,
        None => y,
    };
    *shape.last_mut().expect("at least one dimension") = out;
    Ok(y.reshape(shape)?)
}

/// Computes `f(x)`.
pub(crate) fn activate(x: &Tensor, f: Elementwise) -> Result<Tensor> {
    Ok(match f {
        Elementwise::Identity => x.clone(),
        Elementwise::Tanh => x.tanh()?,
        Elementwise::Relu => x.relu()?,
        Elementwise::Gelu => x.gelu_erf()?,
        Elementwise::GeluTanh => x.gelu()?,
        Elementwise::Silu => x.silu()?,
        Elementwise::Sigmoid => ((x.neg()?.exp()? + 1.0)?.recip())?,
    })
}

/// Computes `softmax(q k^T / sqrt(d) + mask) v`; q, k, v (B, T, H), mask (B or 1, 1, T or 1, T).
pub(crate) fn attention(q: &Tensor, k: &Tensor, v: &Tensor, num_heads: usize, mask: &Tensor) -> Result<Tensor> {
    let (texts, tokens, hidden) = q.dims3()?;
    let head_dim = hidden / num_heads;
    let heads = |x: &Tensor| x.reshape((texts, tokens, num_heads, head_dim))?.transpose(1, 2)?.contiguous();
    let (q, k, v) = (heads(q)?, heads(k)?, heads(v)?);
    let scores = (q.matmul(&k.t()?.contiguous()?)? * (1.0 / (head_dim as f64).sqrt()))?.broadcast_add(mask)?;
    // A token whose keys are all masked gets zeros.
    let allowed = mask.ge(MASKED / 2.0)?.to_dtype(scores.dtype())?;
    let weights = softmax(&scores)?.broadcast_mul(&allowed)?;
    Ok(weights.matmul(&v)?.transpose(1, 2)?.reshape((texts, tokens, hidden))?)
}

/// Computes the softmax over the last dimension.
pub(crate) fn softmax(x: &Tensor) -> Result<Tensor> {
    let exponentials = shifted(x)?.exp()?;
    Ok(exponentials.broadcast_div(&exponentials.sum_keepdim(D::Minus1)?)?)
}

/// Computes the logarithm of the softmax over the last dimension.
pub(crate) fn log_softmax(x: &Tensor) -> Result<Tensor> {
    let x = shifted(x)?;
    Ok(x.broadcast_sub(&x.exp()?.sum_keepdim(D::Minus1)?.log()?)?)
}

/// Subtracts the maximum of each row, which changes neither the softmax nor its gradient.
fn shifted(x: &Tensor) -> Result<Tensor> {
    Ok(x.broadcast_sub(&x.detach().max_keepdim(D::Minus1)?)?)
}

/// Scales rows to unit length.
pub(crate) fn unit(x: &Tensor) -> Result<Tensor> {
    Ok(x.broadcast_div(&(x.sqr()?.sum_keepdim(D::Minus1)? + MIN_LENGTH * MIN_LENGTH)?.sqrt()?)?)
}
