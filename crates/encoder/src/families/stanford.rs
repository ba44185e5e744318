//! Stanford ColBERT: `linear.weight` in the transformer's own file, settings in `artifact.metadata`.
//!
//! Rules of `colbert.modeling`: a prefix token at position 1 of both kinds of text; every query is padded with `[MASK]`
//! to exactly `query_maxlen`, attended or not; the embeddings of punctuation and padding tokens are dropped from
//! passages. Missing settings have the defaults of its `ColBERTConfig`.

use crate::checkpoint::Checkpoint;
use crate::error::Result;
use crate::text_rules::{DenseSpec, Expansion, Family, PrefixToken, SkiplistRule, TextConfig, TextRules, punctuation};

const DEFAULT_QUERY_MAXLEN: usize = 32;
const DEFAULT_DOC_MAXLEN: usize = 220;
const DEFAULT_QUERY_TOKEN: &str = "[unused0]";
const DEFAULT_DOC_TOKEN: &str = "[unused1]";

/// Reads the metadata. `hidden` is the width of the transformer.
pub(super) fn read(checkpoint: &Checkpoint, hidden: usize) -> Result<TextRules> {
    let metadata = checkpoint.decisive_json("artifact.metadata")?;
    let metadata = metadata.as_ref();
    let count = |key| metadata.map_or(Ok(None), |metadata| metadata.usize(key));
    let flag = |key| metadata.map_or(Ok(None), |metadata| metadata.bool(key));
    let token = |key, default: &str| -> Result<_> {
        let token = metadata.map_or(Ok(None), |metadata| metadata.string(key))?;
        // The reference looks the id up without a check: a spelling that the vocabulary lacks is the unknown token.
        Ok(Some(PrefixToken { token: token.unwrap_or_else(|| default.to_owned()), or_unknown: true }))
    };
    let query_maxlen = count("query_maxlen")?.unwrap_or(DEFAULT_QUERY_MAXLEN);
    let skips = flag("mask_punctuation")?.unwrap_or(true);
    Ok(TextRules {
        family: Family::Stanford,
        query: TextConfig {
            max_len: query_maxlen,
            prefix_token: token("query_token_id", DEFAULT_QUERY_TOKEN)?,
            ..TextConfig::default()
        },
        passage: TextConfig {
            max_len: count("doc_maxlen")?.unwrap_or(DEFAULT_DOC_MAXLEN),
            prefix_token: token("doc_token_id", DEFAULT_DOC_TOKEN)?,
            skiplist: if skips { punctuation() } else { Vec::new() },
            skiplist_rule: SkiplistRule::FirstPieceAndPadding,
            ..TextConfig::default()
        },
        expansion: Some(Expansion {
            length: query_maxlen,
            attend: flag("attend_to_mask_tokens")?.unwrap_or(false),
            token: None,
            replace_pad: true,
        }),
        strip: false,
        lowercase: false,
        projection: vec![DenseSpec::inline("linear.weight", hidden, count("dim")?)],
    })
}
