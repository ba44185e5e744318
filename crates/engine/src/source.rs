//! Where a collection's embeddings come from: text through an encoder, or arrays made elsewhere.

use crate::npy::{NpyFloats, read_lens};
use crate::{Error, Result};
use selvedge_encoder::{Embeddings, Encoder, pool};
use std::path::Path;

/// Embeddings of a collection's passages, by pid.
pub trait Source: Send {
    /// Components of an embedding.
    fn dim(&self) -> usize;
    /// Number of passages.
    fn num_passages(&self) -> usize;
    /// Tokens of a passage, at most.
    fn max_doclen(&self) -> usize;
    /// Tokens of all passages, at most.
    fn most_tokens(&self) -> usize {
        self.num_passages().saturating_mul(self.max_doclen())
    }
    /// Whether making embeddings costs so much that they are kept rather than made twice.
    fn is_costly(&self) -> bool;
    /// The embeddings of `pids`, in that order.
    fn fetch(&mut self, pids: &[u32]) -> Result<Embeddings>;
}

/// Text, encoded on demand.
pub struct TextSource<'a, F> {
    encoder: &'a Encoder,
    num_passages: usize,
    text: F,
}

impl<'a, F: FnMut(u32) -> Result<String>> TextSource<'a, F> {
    /// `text` gives the text of a pid.
    pub fn new(encoder: &'a Encoder, num_passages: usize, text: F) -> Self {
        Self { encoder, num_passages, text }
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
        self.encoder.recipe().passage.max_len
    }

    fn is_costly(&self) -> bool {
        true
    }

    fn fetch(&mut self, pids: &[u32]) -> Result<Embeddings> {
        let texts: Vec<String> = pids.iter().map(|&pid| (self.text)(pid)).collect::<Result<_>>()?;
        Ok(self.encoder.encode_passages(&texts)?)
    }
}

/// Another source, each passage's tokens pooled by a factor.
pub struct Pooled<'a> {
    inner: &'a mut dyn Source,
    factor: usize,
}

impl<'a> Pooled<'a> {
    /// `factor` is at least 1, which changes nothing.
    pub fn new(inner: &'a mut dyn Source, factor: usize) -> Self {
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
        self.inner.max_doclen().div_ceil(self.factor)
    }

    fn most_tokens(&self) -> usize {
        self.inner.most_tokens().div_ceil(self.factor) + self.num_passages()
    }

    fn is_costly(&self) -> bool {
        self.factor > 1 || self.inner.is_costly()
    }

    fn fetch(&mut self, pids: &[u32]) -> Result<Embeddings> {
        Ok(pool(self.inner.fetch(pids)?, self.factor))
    }
}

/// A `.npy` array of all embeddings and one of doclens.
pub struct ArraySource {
    npy: NpyFloats,
    offsets: Vec<u64>,
}

impl ArraySource {
    /// Opens both arrays and checks that they fit each other.
    pub fn open(embeddings: &Path, doclens: &Path) -> Result<Self> {
        let npy = NpyFloats::open(embeddings)?;
        let bad = |reason: String| Error::Npy { path: embeddings.into(), reason };
        if npy.shape.len() != 2 {
            return Err(bad(format!("has shape {:?}, expected (total_tokens, D)", npy.shape)));
        }
        if npy.dim() == 0 || npy.dim() % 8 != 0 {
            return Err(bad(format!("has dim {}, which is not a multiple of 8", npy.dim())));
        }
        let mut offsets = vec![0u64];
        for len in read_lens(doclens)? {
            offsets.push(offsets[offsets.len() - 1] + u64::from(len));
        }
        let (expected, found) = (npy.num_rows(), offsets[offsets.len() - 1] as usize);
        if expected != found {
            return Err(bad(format!(
                "has {expected} rows, but the doclens of {} add up to {found}",
                doclens.display()
            )));
        }
        if offsets.len() == 1 {
            return Err(Error::EmptyCollection { path: doclens.into() });
        }
        Ok(Self { npy, offsets })
    }
}

impl Source for ArraySource {
    fn dim(&self) -> usize {
        self.npy.dim()
    }

    fn num_passages(&self) -> usize {
        self.offsets.len() - 1
    }

    fn max_doclen(&self) -> usize {
        self.offsets.windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0) as usize
    }

    fn most_tokens(&self) -> usize {
        self.offsets.last().map_or(0, |&end| end as usize)
    }

    fn is_costly(&self) -> bool {
        false
    }

    fn fetch(&mut self, pids: &[u32]) -> Result<Embeddings> {
        let mut out = Embeddings { dim: self.npy.dim(), lens: Vec::with_capacity(pids.len()), ..Embeddings::default() };
        // Runs of neighbours are one read.
        for run in pids.chunk_by(|a, b| a + 1 == *b) {
            let (first, last) = (run[0] as usize, run[run.len() - 1] as usize);
            let (start, end) = (self.offsets[first] as usize, self.offsets[last + 1] as usize);
            self.npy.read_rows(start, end - start, &mut out.data)?;
            out.lens.extend((first..=last).map(|p| (self.offsets[p + 1] - self.offsets[p]) as u32));
        }
        Ok(out)
    }
}
