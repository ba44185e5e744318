//! Padding of a ragged batch to tensors of one length per text.

use candle_core::{Device, Result, Tensor};

use crate::batch::Batch;
use crate::ops::Span;

/// Id of the padding: any row of the table does, because no kept token attends to it. XLM-RoBERTa numbers the tokens of
/// a text from its start, so that padding at the end moves none.
const PADDING: u32 = 0;

/// Texts of a batch in blocks of one length each.
pub(super) struct Padded {
    pub(super) blocks: Vec<Block>,
    /// Rows of the kept tokens in the hidden states of all blocks, end to end; (N) u32.
    pub(super) kept: Tensor,
}

/// Texts padded to the length T.
pub(super) struct Block {
    /// Token ids; (B, T) u32.
    pub(super) ids: Tensor,
    /// 1 for tokens that are attended to, 0 for padding and expansion tokens that are not; (B, T) u32.
    pub(super) mask: Tensor,
}

impl Padded {
    /// Pads all texts to one block or, for a model without a mask, puts texts of each length into a block of their own.
    pub(super) fn new(batch: &Batch, device: &Device, has_mask: bool) -> Result<Self> {
        let share_block = |a: &Span, b: &Span| has_mask || a.len == b.len;
        let groups: Vec<&[Span]> = batch.spans.chunk_by(share_block).collect();
        let mut blocks = Vec::with_capacity(groups.len());
        let mut row_of = Vec::with_capacity(batch.ids.len());
        let mut first_row = 0;
        for spans in groups {
            let len = spans.iter().map(|span| span.len).max().unwrap_or(0);
            let (mut ids, mut mask) = (Vec::new(), Vec::new());
            for span in spans {
                row_of.extend(first_row..first_row + span.len as u32);
                first_row += len as u32;
                ids.extend_from_slice(&batch.ids[span.tokens()]);
                ids.resize(ids.len() + len - span.len, PADDING);
                mask.resize(mask.len() + span.attended, 1u32);
                mask.resize(ids.len(), 0);
            }
            let shape = (spans.len(), len);
            let (ids, mask) = (Tensor::from_vec(ids, shape, device)?, Tensor::from_vec(mask, shape, device)?);
            blocks.push(Block { ids, mask });
        }
        let kept: Vec<u32> = batch.kept.iter().map(|&at| row_of[at]).collect();
        Ok(Self { blocks, kept: Tensor::new(kept, device)? })
    }
}
