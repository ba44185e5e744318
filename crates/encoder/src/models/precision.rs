//! Number format of a transformer's matrix products.

/// Number format of a transformer's matrix products. The projection and all other operations are computed in f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// 32-bit floating point, as in the checkpoint's own library.
    F32,
    /// 8-bit integers with one scale per output of the weights and per token of the inputs; sums are exact.
    Int8,
}
