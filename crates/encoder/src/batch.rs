//! Groups texts into ragged batches, longest first, and concatenates the tokens of a batch.

use crate::ops::Span;
use crate::pipeline::TokenizedText;

/// Tokens of several texts, concatenated; N tokens in total.
#[derive(Debug)]
pub struct Batch {
    /// Token ids; (N).
    pub ids: Vec<u32>,
    /// Place of each text in the batch, in input order.
    pub spans: Vec<Span>,
    /// Indices in the batch of the tokens whose last hidden states are returned, ascending. The last layer skips all
    /// others after its attention.
    pub kept: Vec<usize>,
}

impl Batch {
    /// Concatenates texts.
    pub fn new<'a>(texts: impl Iterator<Item = &'a TokenizedText>) -> Self {
        let mut batch = Self { ids: Vec::new(), spans: Vec::new(), kept: Vec::new() };
        for text in texts {
            batch.kept.extend(text.kept.iter().map(|at| batch.ids.len() + at));
            batch.spans.push(Span { start: batch.ids.len(), len: text.ids.len(), attended: text.attended });
            batch.ids.extend_from_slice(&text.ids);
        }
        batch
    }

    /// Keeps every token.
    pub(crate) fn keep_all(&mut self) {
        self.kept = (0..self.ids.len()).collect();
    }

    /// Number of tokens of the longest text.
    pub(crate) fn longest(&self) -> usize {
        self.spans.iter().map(|span| span.len).max().unwrap_or(0)
    }
}

/// Groups texts, given their `lens` in tokens, into batches; a batch is a list of indices into `lens`. It has at most
/// `batch_tokens` tokens or is a single text; texts without tokens are in no batch.
///
/// The longest texts come first: texts of similar length share a batch, and the expensive batches start early, which
/// balances the threads.
pub fn plan_batches(lens: &[usize], batch_tokens: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lens.len()).filter(|&text| lens[text] > 0).collect();
    order.sort_by_key(|&text| std::cmp::Reverse(lens[text]));
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut free = 0;
    for text in order {
        match groups.last_mut() {
            Some(group) if lens[text] <= free => group.push(text),
            _ => {
                groups.push(vec![text]);
                free = batch_tokens.max(lens[text]);
            }
        }
        free -= lens[text];
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plan_covers_every_text_once_within_the_budget() {
        let lens = [5, 0, 9, 3, 3, 20, 1, 4];
        let groups = plan_batches(&lens, 10);
        let mut texts: Vec<usize> = groups.concat();
        texts.sort_unstable();
        assert_eq!(texts, [0, 2, 3, 4, 5, 6, 7]);
        for group in &groups {
            let tokens: usize = group.iter().map(|&text| lens[text]).sum();
            assert!(tokens <= 10 || group.len() == 1, "{group:?}");
        }
        assert_eq!(groups[0], [5]);
        assert!(plan_batches(&[], 10).is_empty());
    }
}
