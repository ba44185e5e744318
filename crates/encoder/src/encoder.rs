//! The encoder: a loaded checkpoint that turns texts into embeddings.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;

use crate::batch::{Batch, plan_batches};
use crate::embeddings::Embeddings;
use crate::error::{Error, Result};
use crate::executor::Executor;
use crate::forward::{Forward, Loading};
use crate::models::{Architecture, Precision, Scratch};
use crate::open_checkpoint::Settings;
use crate::options::LoadOptions;
use crate::pipeline::{EmbeddedToken, TextPipeline, TokenizedText};
use crate::split;
use crate::text_rules::{Family, TextKind, TextRules};

#[cfg(feature = "candle")]
mod on_device;

/// A loaded checkpoint. Encoding takes `&self`, so one encoder serves many threads.
pub struct Encoder {
    model: String,
    architecture: Architecture,
    text_rules: TextRules,
    pipeline: TextPipeline,
    forward: Forward,
    executor: Executor,
    precision: Precision,
    hidden: usize,
    dim: usize,
    batch_tokens: usize,
    fingerprint: String,
    /// Scratch buffers returned by finished workers, for the next ones.
    idle: Mutex<Vec<Scratch>>,
}

/// Tokens whose hidden states [`Encoder::run`] passes to `finish`.
#[derive(Clone, Copy, PartialEq)]
enum Keep {
    /// All tokens.
    All,
    /// The tokens of [`TokenizedText::kept`].
    Kept,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder")
            .field("model", &self.model)
            .field("family", &self.text_rules.family)
            .field("architecture", &self.architecture)
            .field("dim", &self.dim)
            .finish_non_exhaustive()
    }
}

impl Encoder {
    /// Loads a folder, the shipped model by its name, or a hub id such as `owner/name`, which is fetched once into the
    /// hub's cache.
    ///
    /// # Errors
    /// - Settings or tokenizer cannot be used: the errors of [`OpenCheckpoint::open`](crate::OpenCheckpoint::open).
    /// - The weights cannot be read: the errors of [`OpenCheckpoint::weights`](crate::OpenCheckpoint::weights).
    /// - A tensor does not fit: [`Error::MissingTensor`], [`Error::ShapeMismatch`], [`Error::UnsupportedDtype`],
    ///   [`Error::NonFinite`].
    /// - The embeddings' dimension is 0 or not a multiple of 8: [`Error::DimNotMultipleOf8`].
    /// - A layer is too wide for int8: [`Error::TooWideForInt8`].
    /// - The requested instruction set is not available: [`Error::Backend`].
    /// - The executor candle is not in this build, has no such device or does not compute in int8:
    ///   [`Error::NoCandle`], [`Error::NoCandleDevice`], [`Error::CandleInt8`].
    pub fn load(model: &str, options: &LoadOptions) -> Result<Self> {
        let loading = Loading::new(model, options)?;
        let Settings { files, text_rules, config, pipeline, mut fingerprint } = Settings::open(model, options)?;
        let (architecture, hidden) = (config.architecture(), config.hidden());
        let (executor, precision) = (loading.executor(), loading.precision());
        let (forward, dim) = loading.load(config, &files, &text_rules, &mut fingerprint)?;
        if dim % 8 != 0 || dim == 0 {
            return Err(Error::DimNotMultipleOf8 { model: model.to_owned(), dim });
        }
        tracing::debug!(
            model, family = ?text_rules.family, ?architecture, dim, %executor, ?precision, "loaded an encoder"
        );
        Ok(Self {
            model: files.model().to_owned(),
            architecture,
            text_rules,
            pipeline,
            forward,
            executor,
            precision,
            hidden,
            dim,
            batch_tokens: options.batch_tokens(),
            fingerprint: fingerprint.finish(),
            idle: Mutex::default(),
        })
    }

    /// Number of components of an embedding (D).
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Number of components of a vector of [`Encoder::encode_dense`] (H).
    pub fn hidden_dim(&self) -> usize {
        self.hidden
    }

    /// Format of the checkpoint.
    pub fn family(&self) -> Family {
        self.text_rules.family
    }

    /// Architecture of the checkpoint's transformer.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// Folder, hub id or name of the shipped model, as requested.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Number format of the layers' products.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Code that computes the forward pass.
    pub fn executor(&self) -> Executor {
        self.executor
    }

    /// Number of multiply-adds of the layers' products per token, attention excluded.
    pub fn multiply_adds(&self) -> usize {
        self.forward.multiply_adds()
    }

    /// Rules for texts and settings of the projection, with the maximum lengths in force.
    pub fn text_rules(&self) -> &TextRules {
        &self.text_rules
    }

    /// Hash, in hex, over everything that changes an embedding: weights, sizes, tokenizer, family settings and the
    /// checkpoint's own maximum lengths. It depends neither on the checkpoint's path nor on [`LoadOptions`]. The
    /// precision is excluded because int8 and f32 embeddings are close enough to share an index. So is the executor:
    /// both compute the same function of the same weights in f32, and a component differs by at most 1e-6 or so, as
    /// between two instruction sets. A query is rounded to int8 before it is scored, in steps of 1e-3 or more.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// Pipeline from texts to the token ids that [`Encoder::embed`] takes.
    pub fn pipeline(&self) -> &TextPipeline {
        &self.pipeline
    }

    /// Encodes each token id as a passage of that token alone, into one embedding per id: (ids, D).
    ///
    /// # Errors
    /// [`Error::TokenOutOfRange`] if the transformer has no embedding for an id.
    pub fn encode_tokens(&self, ids: impl IntoIterator<Item = u32>) -> Result<Embeddings> {
        self.embed(&ids.into_iter().map(|id| self.pipeline.single_token(id)).collect::<Vec<_>>())
    }

    /// Counts the tokens that the transformer reads of these passages, after truncation, including tokens whose
    /// embeddings are not kept.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if the tokenizer fails on a text.
    pub fn count_tokens(&self, passages: &[impl AsRef<str> + Sync]) -> Result<usize> {
        Ok(self.pipeline.tokenize(passages, TextKind::Passage)?.iter().map(|text| text.ids.len()).sum())
    }

    /// Splits a long text into parts that each fit a passage's maximum length: byte ranges, in order.
    ///
    /// No part is truncated when it is encoded as a passage. A part ends at the best boundary in its second half: a
    /// blank line, else the end of a line or a sentence, else whitespace, else the end of a token. Consecutive parts
    /// share about `overlap` tokens, at most half of a part. A text that fits is one part; blank text has no parts.
    /// All characters outside the parts are whitespace. Time is linear in the text's length, and memory depends on the
    /// maximum length alone.
    ///
    /// # Errors
    /// - The tokenizer fails on the text: [`Error::Tokenizer`].
    /// - The passage prompt alone fills the maximum length: [`Error::MaxLength`].
    pub fn split_passage(&self, text: &str, overlap: usize) -> Result<Vec<Range<usize>>> {
        split::split(&self.model, &self.pipeline, text, overlap)
    }

    /// Byte ranges of a passage's tokens, one per embedding, in the order of [`Encoder::encode_passages`]; empty ranges
    /// for special tokens, prefix tokens and prompts.
    ///
    /// Ranges start and end at character boundaries. A character that is split into several tokens is in the range of
    /// each.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if the tokenizer fails on the text.
    pub fn passage_token_spans(&self, text: &str) -> Result<Vec<Range<usize>>> {
        Ok(self.embedded_tokens(text, TextKind::Passage)?.into_iter().map(|token| token.span).collect())
    }

    /// Tokens of a text, one per embedding, in the order of [`Encoder::encode_queries`] or
    /// [`Encoder::encode_passages`], with their origins and their byte ranges, as
    /// [`Encoder::passage_token_spans`] returns them.
    ///
    /// # Errors
    /// [`Error::Tokenizer`] if the tokenizer fails on the text.
    pub fn embedded_tokens(&self, text: &str, kind: TextKind) -> Result<Vec<EmbeddedToken>> {
        self.pipeline.embedded_tokens(text, kind)
    }

    /// Encodes passages into token embeddings; a passage that is empty, or all whitespace, has none.
    ///
    /// Runs on the caller's rayon pool and may be called from several threads at once. The embeddings of a text depend
    /// neither on the number of threads nor on the other texts; with the executor candle, which pads texts to a common
    /// length, their last digits do.
    ///
    /// # Errors
    /// - The tokenizer fails on a text: [`Error::Tokenizer`].
    /// - The tokenizer returns an id that the transformer has no embedding for: [`Error::TokenOutOfRange`].
    /// - An operation of the executor candle fails: [`Error::Candle`].
    pub fn encode_passages(&self, texts: &[impl AsRef<str> + Sync]) -> Result<Embeddings> {
        self.encode(texts, TextKind::Passage)
    }

    /// Encodes queries into token embeddings, including the `[MASK]`s of query expansion; an empty query has none.
    ///
    /// # Errors
    /// The errors of [`Encoder::encode_passages`].
    pub fn encode_queries(&self, texts: &[impl AsRef<str> + Sync]) -> Result<Embeddings> {
        self.encode(texts, TextKind::Query)
    }

    /// Encodes each text into one vector, as a single-vector baseline: the mean of the last hidden states over the
    /// attended tokens, before the projection, with unit norm. The result's `dim` is [`Encoder::hidden_dim`], and every
    /// entry of its `lens` is 1.
    ///
    /// # Errors
    /// The errors of [`Encoder::encode_passages`].
    pub fn encode_dense(&self, texts: &[impl AsRef<str> + Sync], kind: TextKind) -> Result<Embeddings> {
        let texts =
            texts.par_iter().map(|text| self.pipeline.tokenize_one(text.as_ref(), kind)).collect::<Result<Vec<_>>>()?;
        let lens = vec![1; texts.len()];
        self.run(&texts, &lens, self.hidden, Keep::All, |scratch, batch| {
            self.forward.hidden_states(batch, scratch)?;
            let Scratch { x, y, .. } = scratch;
            y.clear();
            y.resize(batch.spans.len() * self.hidden, 0.0);
            for (span, mean) in batch.spans.iter().zip(y.chunks_exact_mut(self.hidden)) {
                for token in x[span.start * self.hidden..].chunks_exact(self.hidden).take(span.attended) {
                    mean.iter_mut().zip(token).for_each(|(mean, x)| *mean += x);
                }
            }
            std::mem::swap(x, y);
            Ok(())
        })
    }

    fn encode(&self, texts: &[impl AsRef<str> + Sync], kind: TextKind) -> Result<Embeddings> {
        self.embed(&self.pipeline.tokenize(texts, kind)?)
    }

    /// Encodes tokenized texts into the embeddings of their kept tokens.
    ///
    /// # Errors
    /// - The transformer has no embedding for an id: [`Error::TokenOutOfRange`].
    /// - An operation of the executor candle fails: [`Error::Candle`].
    pub fn embed(&self, texts: &[TokenizedText]) -> Result<Embeddings> {
        let lens: Vec<u32> = texts.iter().map(|text| text.kept.len() as u32).collect();
        self.run(texts, &lens, self.dim, Keep::Kept, |scratch, batch| self.forward.embeddings(batch, scratch))
    }

    /// Computes vectors of every text, batch by batch: `compute` leaves rows of `dim` values in `scratch.x`, which are
    /// scaled to unit norm.
    ///
    /// As many workers as the pool has threads take batches from one list; a batch is computed on one thread. On a GPU
    /// there is one worker.
    fn run(
        &self,
        texts: &[TokenizedText],
        lens: &[u32],
        dim: usize,
        keep: Keep,
        compute: impl Fn(&mut Scratch, &Batch) -> Result<()> + Sync,
    ) -> Result<Embeddings> {
        let offsets = offsets(lens, dim);
        let data = Mutex::new(vec![0.0; offsets[lens.len()]]);
        let tokens: Vec<usize> = texts.iter().map(|text| text.ids.len()).collect();
        let batches = plan_batches(&tokens, self.batch_tokens);
        let next = AtomicUsize::new(0);
        let workers = self.forward.max_workers().min(batches.len());
        (0..workers).into_par_iter().with_max_len(1).try_for_each(|_| {
            let mut scratch = lock(&self.idle).pop().unwrap_or_default();
            while let Some(group) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                let mut batch = Batch::new(group.iter().map(|&text| &texts[text]));
                if keep == Keep::All {
                    batch.keep_all();
                }
                compute(&mut scratch, &batch)?;
                normalize(&mut scratch.x, dim);
                let mut data = lock(&data);
                let mut rest = scratch.x.as_slice();
                for &text in group {
                    let target = &mut data[offsets[text]..offsets[text + 1]];
                    let (values, tail) = rest.split_at(target.len());
                    target.copy_from_slice(values);
                    rest = tail;
                }
            }
            // Scratch that grew beyond two batches, for a very long text, is dropped.
            if scratch.x.capacity() <= self.batch_tokens.saturating_mul(2 * self.hidden.max(self.dim)) {
                lock(&self.idle).push(scratch);
            }
            Ok::<_, Error>(())
        })?;
        let data = data.into_inner().unwrap_or_else(PoisonError::into_inner);
        let num_truncated = texts.iter().filter(|text| text.is_truncated).count();
        Ok(Embeddings { dim, data, lens: lens.to_vec(), num_truncated })
    }
}

/// Locks a mutex. Poisoning is ignored: the guarded values are valid at any time.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Start of each text's values, followed by the end.
fn offsets(lens: &[u32], dim: usize) -> Vec<usize> {
    let mut offsets = vec![0; lens.len() + 1];
    for (text, &len) in lens.iter().enumerate() {
        offsets[text + 1] = offsets[text] + len as usize * dim;
    }
    offsets
}

/// Scales every row to unit norm; a row of zeros stays zero.
pub(crate) fn normalize(values: &mut [f32], dim: usize) {
    /// Lower bound of the divisor, as in the reference libraries.
    const LEAST_NORM: f32 = 1e-12;
    for row in values.chunks_exact_mut(dim) {
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt().max(LEAST_NORM);
        row.iter_mut().for_each(|x| *x /= norm);
    }
}
