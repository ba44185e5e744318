//! The choices of whoever loads a checkpoint.

use crate::models::Precision;

/// What a caller may choose when loading; `Default` takes from the checkpoint what it says.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Tokens of a query at most, markers and `[MASK]`s included; `None` for the checkpoint's own.
    pub query_maxlen: Option<usize>,
    /// Tokens of a passage at most, markers included; `None` for the checkpoint's own.
    pub passage_maxlen: Option<usize>,
    /// Tokens of one batch at most; a longer text is a batch of its own. Each thread works on one batch at a time, and
    /// needs up to about `4 bytes * batch_tokens * (6 H + 3 I)` for it, H and I being the transformer's hidden and
    /// intermediate widths: 4 to 7 MB a thread for a MiniLM (384, 1536) at 256.
    pub batch_tokens: usize,
    /// What the products of the layers are computed in; `None` for int8 with the shipped model and f32 with any other.
    pub precision: Option<Precision>,
    /// Branch, tag or commit of a hub model; `None` for `main`. A folder has none.
    pub revision: Option<String>,
}

/// Enough rows for the matrix products to run at full speed, few enough for the activations to stay in L2. (1,024 was as fast
/// within the noise, and needs four times the memory.)
const DEFAULT_BATCH_TOKENS: usize = 256;

impl Default for LoadOptions {
    fn default() -> Self {
        Self {
            query_maxlen: None,
            passage_maxlen: None,
            batch_tokens: DEFAULT_BATCH_TOKENS,
            precision: None,
            revision: None,
        }
    }
}
