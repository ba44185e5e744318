//! Embeddings of a batch in shards, which are computed on all threads; a shard has texts of similar length, which need
//! little padding.
//!
//! ```text
//! rows --forward, a shard at a time--> embeddings --copied--> leaves --loss--> gradients of the leaves
//!     --backward, a shard at a time, from the leaf's gradient--> gradients of the weights
//! ```
//!
//! The chain rule is cut in two: a loss can read all texts of a batch, while each shard has a graph of its own (Gao and
//! others, 2021, "Scaling deep contrastive learning batch size under memory limited setup").

use std::ops::Range;

use candle_core::backprop::GradStore;
use candle_core::{Device, Tensor, Var};
use rayon::prelude::*;
use selvedge_encoder::{TokenizedText, plan_batches};

use crate::error::Result;
use crate::loss::Encoded;
use crate::ops;
use crate::student::Student;

/// Maximum number of tokens per shard: enough for efficient products, and few enough that a usual batch has a shard
/// for each of two cores. Each shard needs a gradient as large as the table of word embeddings.
const SHARD_TOKENS: usize = 2048;

/// Embeddings of all texts of a batch, with the graphs of their gradients.
pub(crate) struct Shards {
    /// Number of tokens of each text.
    lens: Vec<usize>,
    shards: Vec<Shard>,
}

/// Texts that are embedded together.
struct Shard {
    /// Indices of the texts.
    texts: Vec<usize>,
    encoded: Encoded,
}

impl Shards {
    /// Embeds every text. The division into shards does not depend on the number of threads.
    pub(crate) fn new(student: &Student, rows: &[TokenizedText]) -> Result<Self> {
        Self::of_tokens(student, rows, SHARD_TOKENS)
    }

    /// Embeds every text, in shards of at most `shard_tokens` tokens.
    pub(crate) fn of_tokens(student: &Student, rows: &[TokenizedText], shard_tokens: usize) -> Result<Self> {
        let lens: Vec<usize> = rows.iter().map(|row| row.ids.len()).collect();
        let embed = |texts: Vec<usize>| {
            let rows: Vec<TokenizedText> = texts.iter().map(|&text| rows[text].clone()).collect();
            Ok(Shard { encoded: student.embed(&rows)?, texts })
        };
        let shards =
            plan_batches(&lens, shard_tokens).into_par_iter().with_max_len(1).map(embed).collect::<Result<_>>()?;
        Ok(Self { lens, shards })
    }

    /// Returns the embeddings of some texts as a new variable (B, T, D), and the mask of the kept ones.
    pub(crate) fn leaf(&self, texts: Range<usize>) -> Result<(Var, Encoded)> {
        let tokens = self.lens[texts.clone()].iter().copied().max().unwrap_or(0).max(1);
        let dim = self.shards.first().map_or(Ok(1), |shard| shard.encoded.embeddings.dim(2))?;
        let (mut rows, mut kept) = (vec![0f32; texts.len() * tokens * dim], vec![0f32; texts.len() * tokens]);
        for shard in &self.shards {
            let own_tokens = shard.encoded.embeddings.dim(1)?;
            let own_rows = shard.encoded.embeddings.flatten_all()?.to_vec1::<f32>()?;
            let own_kept = shard.encoded.kept.flatten_all()?.to_vec1::<f32>()?;
            for (at, text) in shard.texts.iter().enumerate().filter(|(_, text)| texts.contains(text)) {
                let (to, from, len) = ((text - texts.start) * tokens, at * own_tokens, self.lens[*text]);
                rows[to * dim..][..len * dim].copy_from_slice(&own_rows[from * dim..][..len * dim]);
                kept[to..][..len].copy_from_slice(&own_kept[from..][..len]);
            }
        }
        let var = Var::from_tensor(&Tensor::from_vec(rows, (texts.len(), tokens, dim), &Device::Cpu)?)?;
        let kept = Tensor::from_vec(kept, (texts.len(), tokens), &Device::Cpu)?;
        let encoded = Encoded { embeddings: var.as_tensor().clone(), kept };
        Ok((var, encoded))
    }

    /// Computes the gradients of the weights, by shard, from the gradients of leaves: the texts of each leaf, and its
    /// gradient (B, T, D), `None` if no loss depends on the leaf.
    pub(crate) fn backward(&self, leaves: &[(Range<usize>, Option<&Tensor>)]) -> Result<Vec<GradStore>> {
        let mut gradients = Vec::new();
        for (texts, gradient) in leaves {
            let Some(gradient) = gradient else { continue };
            let (_, tokens, dim) = gradient.dims3()?;
            gradients.push((texts, tokens * dim, dim, gradient.flatten_all()?.to_vec1::<f32>()?));
        }
        let backward = |shard: &Shard| {
            let embeddings = &shard.encoded.embeddings;
            let (num_texts, tokens, dim) = embeddings.dims3()?;
            let mut own = vec![0f32; num_texts * tokens * dim];
            for (at, text) in shard.texts.iter().enumerate() {
                for (texts, stride, dim, values) in gradients.iter().filter(|(texts, ..)| texts.contains(text)) {
                    let len = self.lens[*text] * dim;
                    own[at * tokens * dim..][..len].copy_from_slice(&values[(text - texts.start) * stride..][..len]);
                }
            }
            let own = Tensor::from_vec(own, (num_texts, tokens, dim), &Device::Cpu)?;
            Ok(ops::seed(embeddings, own)?.backward()?)
        };
        self.shards.par_iter().with_max_len(1).map(backward).collect()
    }
}
