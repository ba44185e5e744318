//! Operations of the encoder's `ops` with gradients, on contiguous f32 tensors: (N, ..) rows, the texts of a batch end
//! to end.
//!
//! `blocks` composes the same operations from candle's, which have gradients too. A norm then takes eleven of candle's
//! operations and attention seventeen, each a pass over memory. The operations here are tested against `blocks`.
//!
//! | op | formula | shape |
//! |---|---|---|
//! | [`bias_activation`] | `f(x + b)` | (N, W) to (N, W) |
//! | [`add_norm`] | `norm(x + b + r) g + s` | (N, H) to (N, H) |
//! | [`attention`] | `softmax(q k^T / sqrt(d)) v`, inside each text | (N, 3H) to (N, H) |
//! | [`unit`] | `x / |x|` | (N, D) to (N, D) |
//! | [`seed`] | none: the gradient that a backward pass starts with | any to a scalar |

mod activation;
mod attention;
mod norm;
mod seed;
mod unit;

use candle_core::{CpuStorage, Device, Layout, Result, Storage, Tensor, bail};

pub(crate) use activation::bias_activation;
pub(crate) use attention::attention;
pub(crate) use norm::add_norm;
pub(crate) use seed::seed;
pub(crate) use unit::unit;

/// Calls `f` with the values of some tensors; a tensor that is not contiguous is copied first.
fn with_values<T, const N: usize>(tensors: [&Tensor; N], f: impl FnOnce([&[f32]; N]) -> T) -> Result<T> {
    let tensors = tensors.map(Tensor::contiguous);
    let mut contiguous = Vec::with_capacity(N);
    for tensor in tensors {
        contiguous.push(tensor?);
    }
    let stored: Vec<_> = contiguous.iter().map(Tensor::storage_and_layout).collect();
    let mut values = [[].as_slice(); N];
    for (values, (storage, layout)) in values.iter_mut().zip(&stored) {
        let Storage::Cpu(storage) = &**storage else { bail!("expected a tensor on the CPU") };
        *values = self::values(storage, layout)?;
    }
    Ok(f(values))
}

/// Returns the values of a contiguous f32 tensor.
fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&values[start..end]),
        _ => bail!("expected a contiguous f32 tensor"),
    }
}

/// Makes a tensor of `values` with the shape of `like`.
fn tensor(values: Vec<f32>, like: &Tensor) -> Result<Tensor> {
    Tensor::from_vec(values, like.shape(), &Device::Cpu)
}
