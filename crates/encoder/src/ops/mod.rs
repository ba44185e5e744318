//! The transformer's work between the matrix products, on contiguous f32 tensors of the CPU.
//!
//! candle multiplies; these passes are fused here because one pass over (N, H) activations in place of five is what
//! they cost. Each is a plain loop that `pulp` compiles once per instruction set, split over the caller's threads.
//!
//! | op | formula | shape |
//! |---|---|---|
//! | [`bias_activation`] | `x = f(x + b)` | (N, W), in place |
//! | [`add_norm`] | `x = norm(x + b + r) g + s` | (N, H), in place |
//! | [`gated`] | `f(x[:W]) x[W:]` | (N, 2W) to (N, W) |
//! | [`rotate`] | rotary positions on queries and keys | (N, 3H), in place |
//! | [`int8_product`] | `x W^T`, both rounded | (N, in) to (N, out) |
//! | [`attention`] | `softmax(q k^T / sqrt(d)) v`, inside each text | (N, 3H) to (N, H) |

pub(crate) mod attention;
mod elementwise;
mod int8;
pub(crate) mod math;
mod norm;
mod rotary;

use candle_core::{CpuStorage, Layout, Result, bail};

pub(crate) use attention::{Attention, attention};
pub(crate) use elementwise::{BiasRows, Elementwise, Visit, bias_activation, gated};
pub(crate) use int8::int8_product;
pub(crate) use norm::{NormWeights, add_norm, dot, norm, sum};
pub(crate) use rotary::{RotaryTable, rotate};

/// Values that one parallel task should have at least: below it, waking a thread costs more than it saves.
const MIN_TASK_VALUES: usize = 1 << 15;

/// Rows of one parallel task over rows of `width` values.
fn task_rows(width: usize) -> usize {
    MIN_TASK_VALUES.div_ceil(width.max(1))
}

/// The values of a contiguous f32 tensor.
pub(crate) fn values<'a>(storage: &'a CpuStorage, layout: &Layout) -> Result<&'a [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&values[start..end]),
        _ => bail!("expected a contiguous f32 tensor"),
    }
}

/// The values of a contiguous f32 tensor, to be changed.
fn values_mut<'a>(storage: &'a mut CpuStorage, layout: &Layout) -> Result<&'a mut [f32]> {
    match (storage, layout.contiguous_offsets()) {
        (CpuStorage::F32(values), Some((start, end))) => Ok(&mut values[start..end]),
        _ => bail!("expected a contiguous f32 tensor"),
    }
}
