//! The number format that a transformer's products are computed in.

/// What a transformer's products are computed in; everything between them, and a projection, is f32.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precision {
    /// As the checkpoint's own library does.
    F32,
    /// Weights rounded once for each output, inputs for each token; sums are exact.
    Int8,
}
