//! Embeddings as tensors on the executor's device, for a program that scores them there.

use candle_core::Tensor;

use super::Encoder;
use crate::batch::{Batch, plan_batches};
use crate::error::{Error, Result};
use crate::forward::Forward;
use crate::text_rules::TextKind;

impl Encoder {
    /// Encodes queries as [`Encoder::encode_queries`] does, into one tensor (Q, D) f32 per text, in the order of the
    /// texts, on the device of [`Executor::Candle`](crate::Executor::Candle). Nothing is copied to the host. A blank
    /// text has a tensor of no rows.
    ///
    /// Each tensor is contiguous. The tensors of texts of one batch share a buffer, at offsets.
    ///
    /// # Errors
    /// - The encoder runs without candle: [`Error::NotCandle`].
    /// - Otherwise the errors of [`Encoder::encode_passages`].
    pub fn encode_queries_on_device(&self, texts: &[impl AsRef<str> + Sync]) -> Result<Vec<Tensor>> {
        self.encode_on_device(texts, TextKind::Query)
    }

    /// Encodes passages as [`Encoder::encode_passages`] does, into one tensor (L, D) f32 per text: see
    /// [`Encoder::encode_queries_on_device`].
    ///
    /// # Errors
    /// The errors of [`Encoder::encode_queries_on_device`].
    pub fn encode_passages_on_device(&self, texts: &[impl AsRef<str> + Sync]) -> Result<Vec<Tensor>> {
        self.encode_on_device(texts, TextKind::Passage)
    }

    fn encode_on_device(&self, texts: &[impl AsRef<str> + Sync], kind: TextKind) -> Result<Vec<Tensor>> {
        let Forward::Candle(candle) = &self.forward else { return Err(Error::NotCandle) };
        let texts = self.pipeline.tokenize(texts, kind)?;
        let lens: Vec<usize> = texts.iter().map(|text| text.ids.len()).collect();
        let mut tensors: Vec<Option<Tensor>> = vec![None; texts.len()];
        for group in plan_batches(&lens, self.batch_tokens) {
            let embeddings = candle.embeddings(&Batch::new(group.iter().map(|&text| &texts[text])))?;
            let mut start = 0;
            for text in group {
                let len = texts[text].kept.len();
                tensors[text] = Some(embeddings.narrow(0, start, len)?);
                start += len;
            }
        }
        tensors.into_iter().map(|tensor| tensor.map_or_else(|| candle.no_rows(self.dim), Ok)).collect()
    }
}
