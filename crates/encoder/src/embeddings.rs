//! The ragged result: all rows end to end, and how many belong to each text.

/// Token embeddings of a list of texts, in the order of the texts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Embeddings {
    /// Components of one row (D).
    pub dim: usize,
    /// Rows of unit norm, row-major, text after text; (sum of `lens`, D) f32.
    pub data: Vec<f32>,
    /// Rows of each text; a text without tokens has 0.
    pub lens: Vec<u32>,
    /// Number of texts that were cut at the maximum length: they have more tokens than were encoded.
    pub num_truncated: usize,
}

impl Embeddings {
    /// The number of texts.
    pub fn num_texts(&self) -> usize {
        self.lens.len()
    }

    /// The number of rows of all texts together.
    pub fn num_embeddings(&self) -> usize {
        self.data.len() / self.dim.max(1)
    }

    /// The rows of each text in turn; (len, D) f32.
    pub fn iter(&self) -> impl Iterator<Item = &[f32]> {
        let mut rest = self.data.as_slice();
        self.lens.iter().map(move |&len| {
            let (rows, tail) = rest.split_at(len as usize * self.dim);
            rest = tail;
            rows
        })
    }
}
