//! XLM-RoBERTa and RoBERTa: BERT with positions that start after the padding token's id.

use super::bert;
use super::parts::Architecture;
use super::post_norm::{Positions, PostNormConfig};
use crate::checkpoint::Json;
use crate::error::Result;

/// Reads `config.json`.
pub(super) fn config(json: &Json) -> Result<PostNormConfig> {
    let pad = json.usize("pad_token_id")?.unwrap_or(1);
    let pad = u32::try_from(pad).map_err(|_| json.malformed("\"pad_token_id\" is not a token id"))?;
    Ok(PostNormConfig {
        architecture: Architecture::XlmRoberta,
        positions: Positions::AfterPadding(pad),
        eps: json.f64("layer_norm_eps")?.unwrap_or(1e-12),
        ..bert::config(json)?
    })
}
