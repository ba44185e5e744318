//! The encoder: a loaded checkpoint that turns texts into embeddings.

use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rayon::prelude::*;
use selvedge_backend::Cpu;

use crate::batch::{Batch, plan_batches};
use crate::embeddings::Embeddings;
use crate::error::{Error, Result};
use crate::models::{Architecture, Arithmetic, Precision, Scratch, Transformer};
use crate::open_checkpoint::OpenCheckpoint;
use crate::options::LoadOptions;
use crate::pipeline::{TextPipeline, TokenizedText};
use crate::projection::Projection;
use crate::shipped;
use crate::split;
use crate::text_rules::{Family, TextKind, TextRules};
use crate::weights::Weights;

/// Int8 for the shipped model, which was measured to lose nothing to speak of (README, "Encoding"); f32 for any other, whose
/// loss is not known here.
fn default_precision(model: &str) -> Precision {
    if model == shipped::NAME { Precision::Int8 } else { Precision::F32 }
}

/// A checkpoint in memory. Shared freely: encoding does not change it.
pub struct Encoder {
    model: String,
    architecture: Architecture,
    recipe: TextRules,
    pipeline: TextPipeline,
    transformer: Transformer,
    projection: Projection,
    precision: Precision,
    hidden: usize,
    dim: usize,
    batch_tokens: usize,
    fingerprint: String,
    /// What lanes that are done have left for the next ones.
    idle: Mutex<Vec<Scratch>>,
}

/// Whose hidden states `finish` of [`Encoder::run`] gets.
#[derive(Clone, Copy, PartialEq)]
enum Keep {
    All,
    /// Those of the tokens that rows keep.
    Kept,
}

impl std::fmt::Debug for Encoder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Encoder")
            .field("model", &self.model)
            .field("family", &self.recipe.family)
            .field("architecture", &self.architecture)
            .field("dim", &self.dim)
            .finish_non_exhaustive()
    }
}

impl Encoder {
    /// Loads a folder, or a hub id such as `owner/name` (fetched once into the hub's cache).
    ///
    /// # Errors
    /// Whatever keeps the checkpoint from being computed as its own library would: see [`Error`].
    pub fn load(model: &str, options: &LoadOptions) -> Result<Self> {
        let OpenCheckpoint { files, recipe, config, pipeline, mut fingerprint } = OpenCheckpoint::open(model, options)?;
        let (architecture, hidden) = (config.architecture(), config.hidden());
        let precision = options.precision.unwrap_or_else(|| default_precision(model));
        let arithmetic = Arithmetic { cpu: Cpu::new()?, precision };
        let transformer = config.load(&mut Weights::open(&files, "", Some(&mut fingerprint))?, arithmetic)?;
        let exact = Arithmetic { precision: Precision::F32, ..arithmetic };
        let (projection, dim) = Projection::load(&files, &recipe.projection, hidden, exact, &mut fingerprint)?;
        if dim % 8 != 0 || dim == 0 {
            return Err(Error::DimNotMultipleOf8 { model: model.to_owned(), dim });
        }
        tracing::debug!(model, family = ?recipe.family, ?architecture, dim, ?precision, "loaded an encoder");
        Ok(Self {
            model: files.model().to_owned(),
            architecture,
            recipe,
            pipeline,
            transformer,
            projection,
            precision,
            hidden,
            dim,
            batch_tokens: options.batch_tokens,
            fingerprint: fingerprint.finish(),
            idle: Mutex::default(),
        })
    }

    /// Components of an embedding (D).
    pub fn dim(&self) -> usize {
        self.dim
    }

    /// Components of a row of [`Encoder::encode_dense`] (H).
    pub fn hidden_dim(&self) -> usize {
        self.hidden
    }

    /// The format that the checkpoint is of.
    pub fn family(&self) -> Family {
        self.recipe.family
    }

    /// The transformer that the checkpoint holds.
    pub fn architecture(&self) -> Architecture {
        self.architecture
    }

    /// The folder or hub id, as it was asked for.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// What the products of the layers are computed in.
    pub fn precision(&self) -> Precision {
        self.precision
    }

    /// Multiply-adds of the layers' products for one token; attention is not counted.
    pub fn multiply_adds(&self) -> usize {
        self.transformer.multiply_adds()
    }

    /// All settings in force, maximum lengths included.
    pub fn recipe(&self) -> &TextRules {
        &self.recipe
    }

    /// A hash, in hex, over everything that changes an embedding: weights, sizes, tokenizer, family settings and the
    /// checkpoint's own maximum lengths. It depends neither on where the checkpoint lies nor on [`LoadOptions`], not even on
    /// the precision: embeddings computed in int8 and in f32 are near enough to meet in one index.
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The pipeline from texts to the token ids that [`Encoder::embed`] takes.
    pub fn pipeline(&self) -> &TextPipeline {
        &self.pipeline
    }

    /// The embedding of each of these tokens, as a passage that holds nothing else: (tokens, D).
    ///
    /// # Errors
    /// If the transformer has no row for an id.
    pub fn encode_tokens(&self, ids: impl IntoIterator<Item = u32>) -> Result<Embeddings> {
        self.embed(&ids.into_iter().map(|id| self.pipeline.of_token(id)).collect::<Vec<_>>())
    }

    /// Tokens that the transformer reads of these passages, those whose embeddings are not kept included.
    ///
    /// # Errors
    /// If the tokenizer fails on a text.
    pub fn count_tokens(&self, passages: &[impl AsRef<str> + Sync]) -> Result<usize> {
        Ok(self.pipeline.tokenize(passages, TextKind::Passage)?.iter().map(|row| row.ids.len()).sum())
    }

    /// Cuts a long text into parts that each fit a passage's maximum length, as byte ranges, in order.
    ///
    /// Each part, encoded as a passage, is encoded whole. It ends at the best boundary of its last half: a blank line,
    /// else the end of a line or a sentence, else white space, else the end of a token. Consecutive parts share about
    /// `overlap` tokens, at most half of a part. A text that fits is one part; blank text has none. Only white space is
    /// in no part. Time is linear in the text's length, and memory depends on the maximum length alone.
    ///
    /// # Errors
    /// If the tokenizer fails on the text, or the passage prompt alone fills the maximum length.
    pub fn split_passage(&self, text: &str, overlap: usize) -> Result<Vec<Range<usize>>> {
        split::split(&self.model, &self.pipeline, text, overlap)
    }

    /// The bytes of a passage that each of its embeddings stands for, in the order of [`Encoder::encode_passages`]'s rows;
    /// an empty range for special tokens, markers and prompts.
    ///
    /// Ranges lie on boundaries of characters. A character of several tokens is in the range of each.
    ///
    /// # Errors
    /// If the tokenizer fails on the text.
    pub fn passage_token_spans(&self, text: &str) -> Result<Vec<Range<usize>>> {
        self.pipeline.spans(text)
    }

    /// Token embeddings of passages; a passage that is empty, or all whitespace, has none.
    ///
    /// Runs on the caller's rayon pool and may be called from several of its threads at once. The result depends
    /// neither on the number of threads nor on what else is in the list.
    ///
    /// # Errors
    /// If the tokenizer fails on a text, or yields an id that the transformer has no row for.
    pub fn encode_passages(&self, texts: &[impl AsRef<str> + Sync]) -> Result<Embeddings> {
        self.encode(texts, TextKind::Passage)
    }

    /// Token embeddings of queries, `[MASK]`s included where the family adds them; an empty query has none.
    ///
    /// # Errors
    /// As [`Encoder::encode_passages`].
    pub fn encode_queries(&self, texts: &[impl AsRef<str> + Sync]) -> Result<Embeddings> {
        self.encode(texts, TextKind::Query)
    }

    /// One vector a text: the mean of the transformer's last hidden states over the attended tokens, before any
    /// projection, with unit norm. The single-vector baseline; `dim` is [`Encoder::hidden_dim`], every len is 1.
    ///
    /// # Errors
    /// As [`Encoder::encode_passages`].
    pub fn encode_dense(&self, texts: &[impl AsRef<str> + Sync], kind: TextKind) -> Result<Embeddings> {
        let rows = texts.par_iter().map(|text| self.pipeline.row(text.as_ref(), kind)).collect::<Result<Vec<_>>>()?;
        let lens = vec![1; rows.len()];
        self.run(&rows, &lens, self.hidden, Keep::All, |scratch, batch| {
            let Scratch { x, y, .. } = scratch;
            y.clear();
            y.resize(batch.spans.len() * self.hidden, 0.0);
            for (span, mean) in batch.spans.iter().zip(y.chunks_exact_mut(self.hidden)) {
                for token in x[span.start * self.hidden..].chunks_exact(self.hidden).take(span.attended) {
                    mean.iter_mut().zip(token).for_each(|(mean, x)| *mean += x);
                }
            }
            std::mem::swap(x, y);
        })
    }

    fn encode(&self, texts: &[impl AsRef<str> + Sync], kind: TextKind) -> Result<Embeddings> {
        self.embed(&self.pipeline.tokenize(texts, kind)?)
    }

    /// Embeddings of the kept tokens of tokenized texts.
    ///
    /// # Errors
    /// If the transformer has no row for an id.
    pub fn embed(&self, rows: &[TokenizedText]) -> Result<Embeddings> {
        let lens: Vec<u32> = rows.iter().map(|row| row.kept.len() as u32).collect();
        self.run(rows, &lens, self.dim, Keep::Kept, |scratch, _| self.projection.forward(scratch))
    }

    /// Sends every row through the transformer, and `finish` over its hidden states, batch by batch.
    ///
    /// `finish` leaves rows of `dim` in `scratch.x`. As many lanes as the pool has threads take batches off one list; a batch
    /// is computed on one thread.
    fn run(
        &self,
        rows: &[TokenizedText],
        lens: &[u32],
        dim: usize,
        wanted: Keep,
        finish: impl Fn(&mut Scratch, &Batch) + Sync,
    ) -> Result<Embeddings> {
        let offsets = offsets(lens, dim);
        let data = Mutex::new(vec![0.0; offsets[lens.len()]]);
        let tokens: Vec<usize> = rows.iter().map(|row| row.ids.len()).collect();
        let batches = plan_batches(&tokens, self.batch_tokens);
        let next = AtomicUsize::new(0);
        let lanes = rayon::current_num_threads().min(batches.len());
        (0..lanes).into_par_iter().with_max_len(1).try_for_each(|_| {
            let mut scratch = lock(&self.idle).pop().unwrap_or_default();
            while let Some(group) = batches.get(next.fetch_add(1, Ordering::Relaxed)) {
                let mut batch = Batch::new(group.iter().map(|&text| &rows[text]));
                if wanted == Keep::All {
                    batch.keep_all();
                }
                self.transformer.forward(&batch, &mut scratch)?;
                finish(&mut scratch, &batch);
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
            // One that a text of many batches' length has made large is not kept.
            if scratch.x.capacity() <= 2 * self.batch_tokens * self.hidden.max(self.dim) {
                lock(&self.idle).push(scratch);
            }
            Ok::<_, Error>(())
        })?;
        let data = data.into_inner().unwrap_or_else(PoisonError::into_inner);
        let num_truncated = rows.iter().filter(|row| row.is_truncated).count();
        Ok(Embeddings { dim, data, lens: lens.to_vec(), num_truncated })
    }
}

/// A lock; what a thread that panicked has left under it is as good as any.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Where each text's values start; one more for the end.
fn offsets(lens: &[u32], dim: usize) -> Vec<usize> {
    let mut offsets = vec![0; lens.len() + 1];
    for (text, &len) in lens.iter().enumerate() {
        offsets[text + 1] = offsets[text] + len as usize * dim;
    }
    offsets
}

/// Scales every row to unit norm; a row of zeros stays.
pub(crate) fn normalize(values: &mut [f32], dim: usize) {
    /// The floor under a norm that the reference libraries share.
    const LEAST_NORM: f32 = 1e-12;
    for row in values.chunks_exact_mut(dim) {
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt().max(LEAST_NORM);
        row.iter_mut().for_each(|x| *x /= norm);
    }
}
