//! Sources of a collection's embeddings. [`TextSource`] encodes text, [`ArraySource`] reads files.

use crate::progress::Progress;
use crate::{Error, Result};
use selvedge_encoder::{Embeddings, Encoder, Executor, TextKind, pool};
use std::time::{Duration, Instant};

/// Bytes of text that are encoded at a time. The tokenizer needs about a hundred times as much memory.
const TEXT_BYTES: usize = 1 << 20;
/// Maximum number of texts that are encoded at a time: it limits the memory of the embeddings.
const BLOCK_TEXTS: usize = 1024;
/// Number of texts that are encoded first; it changes with the time that they take.
const FIRST_TEXTS: usize = 16;
/// Time that a block of texts should take at most: nothing can be cancelled in between. Smaller blocks cost little: the
/// shipped model took 3.3 s for 6,144 descriptions in blocks of 345 to 690, and 3.4 s in blocks of 256 (two cores of a
/// Zen 3).
const BLOCK_TIME: Duration = Duration::from_secs(1);

pub use crate::arrays::ArraySource;

/// Embeddings of a collection's passages, by pid.
pub trait Source: Send {
    /// Number of components of an embedding.
    fn dim(&self) -> usize;
    /// Number of passages.
    fn num_passages(&self) -> usize;
    /// Upper bound of the number of tokens of a passage.
    fn max_doclen(&self) -> usize;
    /// Upper bound of the number of tokens of all passages together.
    fn max_tokens(&self) -> usize {
        self.num_passages().saturating_mul(self.max_doclen())
    }
    /// Whether embeddings should be kept rather than computed twice.
    fn is_costly(&self) -> bool;
    /// Whether f16 cannot hold the embeddings; it can if they are of unit norm or came as f16.
    fn needs_f32(&self) -> bool {
        false
    }
    /// Returns the embeddings of `pids`, in that order.
    ///
    /// # Errors
    /// If a passage cannot be read or encoded.
    fn fetch(&mut self, pids: &[u32]) -> Result<Embeddings>;
}

/// Texts that are encoded together: about 1 MiB or one longer text, and at most 1,024 texts. When they are encoded, the
/// number for the next block is set by the time that it took.
pub(crate) struct TextBlock {
    texts: Vec<String>,
    bytes: usize,
    most_texts: usize,
}

impl Default for TextBlock {
    fn default() -> Self {
        Self { texts: Vec::new(), bytes: 0, most_texts: BLOCK_TEXTS }
    }
}

impl TextBlock {
    /// Block of texts for [`encode`](Self::encode).
    pub(crate) fn to_encode() -> Self {
        Self { most_texts: FIRST_TEXTS, ..Self::default() }
    }

    pub(crate) fn push(&mut self, text: String) {
        self.bytes += text.len();
        self.texts.push(text);
    }

    /// Whether the block is to be encoded before another text is pushed.
    pub(crate) fn is_full(&self) -> bool {
        self.bytes >= TEXT_BYTES || self.texts.len() >= self.most_texts
    }

    pub(crate) fn texts(&self) -> &[String] {
        &self.texts
    }

    pub(crate) fn clear(&mut self) {
        self.texts.clear();
        self.bytes = 0;
    }

    /// Encodes the texts and empties the block. With our own layers an embedding does not depend on the texts beside
    /// its own, so the size of a block changes no result; with others it stays the same.
    pub(crate) fn encode(&mut self, encoder: &Encoder, kind: TextKind) -> Result<Embeddings> {
        let started = Instant::now();
        let embeddings = match kind {
            TextKind::Query => encoder.encode_queries(&self.texts)?,
            TextKind::Passage => encoder.encode_passages(&self.texts)?,
        };
        let took = started.elapsed();
        if encoder.executor() != Executor::Own {
            self.most_texts = BLOCK_TEXTS;
        } else if took > BLOCK_TIME {
            self.most_texts = (self.most_texts / 2).max(1);
        } else if self.texts.len() >= self.most_texts && took < BLOCK_TIME / 2 {
            self.most_texts = (self.most_texts * 2).min(BLOCK_TEXTS);
        }
        self.clear();
        Ok(embeddings)
    }
}

/// Source that encodes text on demand.
pub struct TextSource<'a, F> {
    encoder: &'a Encoder,
    num_passages: usize,
    text: F,
    progress: &'a dyn Progress,
    block: TextBlock,
    num_truncated: usize,
}

impl<'a, F: FnMut(u32) -> Result<String>> TextSource<'a, F> {
    /// Creates a source of `num_passages` passages; `text` returns the text of a pid. `progress` may cancel the
    /// encoding; steps are reported by the caller.
    pub fn new(encoder: &'a Encoder, num_passages: usize, text: F, progress: &'a dyn Progress) -> Self {
        Self { encoder, num_passages, text, progress, block: TextBlock::to_encode(), num_truncated: 0 }
    }

    /// Number of fetched passages that were cut at the encoder's maximum length.
    pub fn num_truncated(&self) -> usize {
        self.num_truncated
    }
}

impl<F: FnMut(u32) -> Result<String> + Send> Source for TextSource<'_, F> {
    fn dim(&self) -> usize {
        self.encoder.dim()
    }

    fn num_passages(&self) -> usize {
        self.num_passages
    }

    fn max_doclen(&self) -> usize {
        self.encoder.text_rules().passage.max_len
    }

    fn is_costly(&self) -> bool {
        true
    }

    fn fetch(&mut self, pids: &[u32]) -> Result<Embeddings> {
        let mut out = Embeddings { dim: self.dim(), ..Embeddings::default() };
        self.block.clear();
        for (at, &pid) in pids.iter().enumerate() {
            self.block.push((self.text)(pid)?);
            if self.block.is_full() || at + 1 == pids.len() {
                if self.progress.is_cancelled() {
                    return Err(Error::Cancelled);
                }
                append(&mut out, self.block.encode(self.encoder, TextKind::Passage)?);
            }
        }
        self.num_truncated += out.num_truncated;
        Ok(out)
    }
}

/// Upper bound of the number of tokens of a passage of at most `max_doclen` tokens that are pooled by `factor`.
pub(crate) fn pooled_doclen(max_doclen: usize, factor: usize) -> usize {
    max_doclen.div_ceil(factor)
}

/// Source that pools the tokens of each passage of another source, by a factor.
pub struct Pooled<'a> {
    inner: &'a mut dyn Source,
    factor: usize,
}

impl<'a> Pooled<'a> {
    /// Pools the tokens of `inner`; a factor of 1 changes nothing.
    ///
    /// # Panics
    /// If `factor` is 0.
    pub fn new(inner: &'a mut dyn Source, factor: usize) -> Self {
        assert_ne!(factor, 0, "a factor is at least 1");
        Self { inner, factor }
    }
}

impl Source for Pooled<'_> {
    fn dim(&self) -> usize {
        self.inner.dim()
    }

    fn num_passages(&self) -> usize {
        self.inner.num_passages()
    }

    fn max_doclen(&self) -> usize {
        pooled_doclen(self.inner.max_doclen(), self.factor)
    }

    fn max_tokens(&self) -> usize {
        self.inner.max_tokens().div_ceil(self.factor) + self.num_passages()
    }

    fn is_costly(&self) -> bool {
        self.factor > 1 || self.inner.is_costly()
    }

    fn needs_f32(&self) -> bool {
        self.inner.needs_f32()
    }

    fn fetch(&mut self, pids: &[u32]) -> Result<Embeddings> {
        let mut out = Embeddings { dim: self.dim(), ..Embeddings::default() };
        // A block is sized by its tokens after pooling. One piece has about that number of tokens before pooling.
        for piece in pids.chunks(pids.len().div_ceil(self.factor).max(1)) {
            append(&mut out, pool(self.inner.fetch(piece)?, self.factor)?);
        }
        Ok(out)
    }
}

/// Appends the embeddings of more passages.
fn append(to: &mut Embeddings, mut more: Embeddings) {
    if to.data.is_empty() {
        // The first embeddings are often the only ones: they are moved, not copied.
        std::mem::swap(&mut to.data, &mut more.data);
    }
    to.data.append(&mut more.data);
    to.lens.append(&mut more.lens);
    to.num_truncated += more.num_truncated;
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    /// Passages of 6 tokens whose components are the pid; records the most passages fetched at once.
    struct Counted {
        most_at_once: usize,
    }

    impl Source for Counted {
        fn dim(&self) -> usize {
            8
        }

        fn num_passages(&self) -> usize {
            100
        }

        fn max_doclen(&self) -> usize {
            6
        }

        fn is_costly(&self) -> bool {
            false
        }

        fn fetch(&mut self, pids: &[u32]) -> Result<Embeddings> {
            self.most_at_once = self.most_at_once.max(pids.len());
            let data = pids.iter().flat_map(|&pid| vec![pid as f32; 6 * 8]).collect();
            Ok(Embeddings { dim: 8, data, lens: vec![6; pids.len()], num_truncated: pids.len() })
        }
    }

    /// A block is sized by the tokens after pooling, so fewer passages are fetched at a time.
    #[test]
    fn pooling_holds_no_more_tokens_than_a_block() {
        let mut counted = Counted { most_at_once: 0 };
        let mut pooled = Pooled::new(&mut counted, 3);
        let pids: Vec<u32> = (10..30).collect();
        let got = pooled.fetch(&pids).unwrap();
        assert_eq!(got.lens, vec![2; 20]);
        let expected = pool(Counted { most_at_once: 0 }.fetch(&pids).unwrap(), 3);
        assert_eq!(got, expected.unwrap());
        assert_eq!(counted.most_at_once, 7);
        assert!(Pooled::new(&mut counted, 3).fetch(&[]).unwrap().lens.is_empty());
    }

    /// Stops at the second check.
    #[derive(Default)]
    struct Stops(AtomicUsize);

    impl Progress for Stops {
        fn report(&self, _: crate::progress::Step) {}

        fn is_cancelled(&self) -> bool {
            self.0.fetch_add(1, Ordering::Relaxed) > 0
        }
    }

    #[test]
    fn encoding_is_cancelled_between_blocks() {
        let (encoder, stops, read) = (
            Encoder::load("shipped", &selvedge_encoder::LoadOptions::default()).unwrap(),
            Stops::default(),
            AtomicUsize::new(0),
        );
        let text = |pid| {
            read.fetch_add(1, Ordering::Relaxed);
            Ok(format!("passage {pid}"))
        };
        let mut source = TextSource::new(&encoder, 5000, text, &stops);
        let pids: Vec<u32> = (0..5000).collect();
        assert!(matches!(source.fetch(&pids), Err(Error::Cancelled)));
        // The second block was read, and not encoded.
        let read = read.load(Ordering::Relaxed);
        assert!(FIRST_TEXTS < read && read <= 3 * FIRST_TEXTS, "{read}");
    }
}
