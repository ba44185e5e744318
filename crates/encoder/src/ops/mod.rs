//! Operations of the transformer between the matrix products, in f32.
//!
//! They take slices and run on the calling thread. Each is a plain loop that `pulp` compiles once per instruction set,
//! and fuses up to five passes over (N, H) activations into one.
//!
//! The public items are those that a backward pass needs, so that training and inference compute the same numbers.
//!
//! Symbols: x input, b bias, f activation, r residual, g gain and s shift of a norm.
//!
//! | op | formula | shape |
//! |---|---|---|
//! | [`bias_activation`] | `x = f(x + b)` | (N, W), in place |
//! | `add_norm` | `x = norm(x + b + r) g + s` | (N, H), in place |
//! | `gated` | `f(x[:W]) x[W:]` | (N, 2W) to (N, W) |
//! | `rotate` | rotary positions on queries and keys | (N, 3H), in place |
//! | `add` | `x = x + y + b` | (N, W), in place |
//! | [`attention`](attention::attention) | `softmax(q k^T / sqrt(d)) v`, inside each text | (N, 3H) to (N, H) |

pub mod attention;
mod elementwise;
pub mod math;
mod norm;
mod rotary;
mod span;

use std::sync::OnceLock;

use pulp::Arch;
use selvedge_backend::Isa;

pub(crate) use attention::{Attention, attention};
pub use elementwise::{Elementwise, bias_activation};
pub(crate) use elementwise::{add, gated};
pub(crate) use norm::{NormWeights, add_norm, norm};
pub use norm::{dot, sum};
pub use rotary::RotaryTable;
pub(crate) use rotary::rotate;
pub use span::Span;

/// Instruction set of these loops, the same as the backend's.
pub(crate) fn arch() -> Arch {
    static ARCH: OnceLock<Arch> = OnceLock::new();
    *ARCH.get_or_init(|| match Isa::from_env() {
        Ok(Isa::Portable) => Arch::Scalar,
        #[cfg(target_arch = "x86_64")]
        Ok(Isa::Avx2 | Isa::AvxVnni) => pulp::x86::V3::try_new().map_or(Arch::Scalar, Arch::V3),
        // An unknown instruction set is not reported here: loading a model creates the backend, which refuses it.
        Ok(_) | Err(_) => Arch::new(),
    })
}
