//! Options of loading a checkpoint.

use crate::executor::{CandleDevice, Executor};
use crate::models::Precision;

/// Options of loading a checkpoint. `Default` keeps its settings, but for the length of
/// [queries](Self::query_maxlen).
#[derive(Debug, Clone, Default)]
pub struct LoadOptions {
    /// Maximum number of tokens of a query, prefix token and `[MASK]`s included; `None` for the checkpoint's own where
    /// queries are padded with `[MASK]`, and for 256 or the transformer's longest sequence where they are not.
    pub query_maxlen: Option<usize>,
    /// Maximum number of tokens of a passage, prefix token included; `None` for the checkpoint's own.
    pub passage_maxlen: Option<usize>,
    /// Maximum number of tokens of a batch, padding excluded; a longer text is a batch of its own. `None` for 256, or
    /// 16,384 on a GPU. Each thread computes one batch at a time and needs about `4 bytes * batch_tokens * (6 H + I)`
    /// for it, with 3 I instead of I for ModernBERT. H and I are the transformer's hidden and intermediate widths:
    /// 4 MB per thread for a MiniLM (384, 1536) at 256.
    pub batch_tokens: Option<usize>,
    /// Number format of the layers' products; `None` for int8 with the shipped model and f32 with any other. The
    /// executor candle computes in f32 only.
    pub precision: Option<Precision>,
    /// Code that computes the forward pass.
    pub executor: Executor,
    /// Branch, tag or commit of a hub model; `None` for `main`. Ignored for a folder.
    pub revision: Option<String>,
}

/// Default of [`LoadOptions::batch_tokens`] on a CPU: enough for the matrix products to run at full speed, few enough
/// for the activations to stay in L2. 1,024 is equally fast within the noise and needs four times the memory.
const CPU_BATCH_TOKENS: usize = 256;
/// Default of [`LoadOptions::batch_tokens`] on a GPU: about 90 passages of 180 tokens, so that a product fills the
/// device, in 1 GB of activations for BERT's base size.
const GPU_BATCH_TOKENS: usize = 16_384;

impl LoadOptions {
    /// Maximum number of tokens of a batch, with the executor's default.
    pub(crate) fn batch_tokens(&self) -> usize {
        self.batch_tokens.unwrap_or(match self.executor {
            Executor::Own | Executor::Candle(CandleDevice::Cpu) => CPU_BATCH_TOKENS,
            Executor::Candle(CandleDevice::Cuda(_) | CandleDevice::Metal(_)) => GPU_BATCH_TOKENS,
        })
    }
}
