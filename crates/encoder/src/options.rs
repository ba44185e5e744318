//! Options of loading a checkpoint.

use crate::models::Precision;

/// Options of loading a checkpoint. `Default` keeps the checkpoint's own settings.
#[derive(Debug, Clone)]
pub struct LoadOptions {
    /// Maximum number of tokens of a query, prefix token and `[MASK]`s included; `None` for the checkpoint's own.
    pub query_maxlen: Option<usize>,
    /// Maximum number of tokens of a passage, prefix token included; `None` for the checkpoint's own.
    pub passage_maxlen: Option<usize>,
    /// Maximum number of tokens of a batch; a longer text is a batch of its own. Each thread computes one batch at a
    /// time and needs about `4 bytes * batch_tokens * (6 H + I)` for it, with 3 I instead of I for ModernBERT. H and I
    /// are the transformer's hidden and intermediate widths: 4 MB per thread for a MiniLM (384, 1536) at 256.
    pub batch_tokens: usize,
    /// Number format of the layers' products; `None` for int8 with the shipped model and f32 with any other.
    pub precision: Option<Precision>,
    /// Branch, tag or commit of a hub model; `None` for `main`. Ignored for a folder.
    pub revision: Option<String>,
}

/// Default of [`LoadOptions::batch_tokens`]: enough for the matrix products to run at full speed, few enough for the
/// activations to stay in L2. 1,024 is equally fast within the noise and needs four times the memory.
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
