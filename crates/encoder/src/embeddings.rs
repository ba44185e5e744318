//! The ragged result: the embeddings of all texts, concatenated, and their number per text.

/// Token embeddings of a list of texts, in the order of the texts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Embeddings {
    /// Number of components of an embedding (D).
    pub dim: usize,
    /// Embeddings of unit norm, row-major, text after text; (sum of `lens`, D) f32.
    pub data: Vec<f32>,
    /// Number of embeddings of each text; 0 for a text without tokens.
    pub lens: Vec<u32>,
    /// Number of texts that were cut at the maximum length: they have more tokens than were encoded.
    pub num_truncated: usize,
}

impl Embeddings {
    /// Number of texts.
    pub fn num_texts(&self) -> usize {
        self.lens.len()
    }

    /// Number of embeddings of all texts together.
    pub fn num_embeddings(&self) -> usize {
        self.data.len() / self.dim.max(1)
    }

    /// Iterates over the embeddings of each text; (len, D) f32.
    pub fn iter(&self) -> impl Iterator<Item = &[f32]> {
        let mut rest = self.data.as_slice();
        self.lens.iter().map(move |&len| {
            let (rows, tail) = rest.split_at(len as usize * self.dim);
            rest = tail;
            rows
        })
    }
}
