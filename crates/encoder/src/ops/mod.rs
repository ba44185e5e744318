//! The transformer's work between the matrix products, in f32.
//!
//! On plain slices and the calling thread. Each is a plain loop that `pulp` compiles once per instruction set; what would be five
//! passes over (N, H) activations is one.
//!
//! | op | formula | shape |
//! |---|---|---|
//! | [`bias_activation`] | `x = f(x + b)` | (N, W), in place |
//! | [`add_norm`] | `x = norm(x + b + r) g + s` | (N, H), in place |
//! | [`gated`] | `f(x[:W]) x[W:]` | (N, 2W) to (N, W) |
//! | [`rotate`] | rotary positions on queries and keys | (N, 3H), in place |
//! | [`add`] | `x = x + y + b` | (N, W), in place |
//! | [`attention`] | `softmax(q k^T / sqrt(d)) v`, inside each text | (N, 3H) to (N, H) |

pub(crate) mod attention;
mod elementwise;
pub(crate) mod math;
mod norm;
mod rotary;
mod span;

use std::sync::OnceLock;

use pulp::Arch;
use selvedge_backend::Isa;

pub(crate) use attention::{Attention, attention};
pub(crate) use elementwise::{BiasRows, Elementwise, Visit, add, bias_activation, gated};
pub(crate) use norm::{NormWeights, add_norm, dot, norm, sum};
pub(crate) use rotary::{RotaryTable, rotate};
pub(crate) use span::Span;

/// The instruction set of these loops: that of the backend's.
pub(crate) fn arch() -> Arch {
    static ARCH: OnceLock<Arch> = OnceLock::new();
    *ARCH.get_or_init(|| match Isa::from_env() {
        Ok(Isa::Portable) => Arch::Scalar,
        #[cfg(target_arch = "x86_64")]
        Ok(Isa::Avx2 | Isa::AvxVnni) => pulp::x86::V3::try_new().map_or(Arch::Scalar, Arch::V3),
        // A wrong name is an error to whoever loads a model, which asks for the backend's.
        Ok(_) | Err(_) => Arch::new(),
    })
}
