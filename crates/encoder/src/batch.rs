//! Cuts a list of rows into ragged batches, longest first, and lays a batch's tokens end to end.

use crate::ops::Span;
use crate::pipeline::TokenizedText;

/// The tokens of some texts, end to end; N tokens in all.
#[derive(Debug)]
pub struct Batch {
    /// Token ids; (N).
    pub ids: Vec<u32>,
    /// One per text, in the order that they were given.
    pub spans: Vec<Span>,
    /// Tokens whose last hidden states are asked for, ascending: what only others' would need is not computed.
    pub kept: Vec<usize>,
}

impl Batch {
    /// Lays texts end to end.
    pub fn new<'a>(rows: impl Iterator<Item = &'a TokenizedText>) -> Self {
        let mut batch = Self { ids: Vec::new(), spans: Vec::new(), kept: Vec::new() };
        for row in rows {
            batch.kept.extend(row.kept.iter().map(|at| batch.ids.len() + at));
            batch.spans.push(Span { start: batch.ids.len(), len: row.ids.len(), attended: row.attended });
            batch.ids.extend_from_slice(&row.ids);
        }
        batch
    }

    /// Keeps every token.
    pub(crate) fn keep_all(&mut self) {
        self.kept = (0..self.ids.len()).collect();
    }

    /// The most tokens of one text.
    pub(crate) fn longest(&self) -> usize {
        self.spans.iter().map(|span| span.len).max().unwrap_or(0)
    }
}

/// Groups the numbers of texts, given their `lens`, so that each group has at most `batch_tokens` tokens, or is a single text; texts
/// without tokens are in none.
///
/// Longest first: rows of like length share a batch, and the costly batches start early, which balances threads.
pub fn plan_batches(lens: &[usize], batch_tokens: usize) -> Vec<Vec<usize>> {
    let mut order: Vec<usize> = (0..lens.len()).filter(|&row| lens[row] > 0).collect();
    order.sort_by_key(|&row| std::cmp::Reverse(lens[row]));
    let mut groups: Vec<Vec<usize>> = Vec::new();
    let mut room = 0;
    for row in order {
        match groups.last_mut() {
            Some(group) if lens[row] <= room => group.push(row),
            _ => {
                groups.push(vec![row]);
                room = batch_tokens.max(lens[row]);
            }
        }
        room -= lens[row];
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plan_covers_every_row_once_within_the_budget() {
        let lens = [5, 0, 9, 3, 3, 20, 1, 4];
        let groups = plan_batches(&lens, 10);
        let mut rows: Vec<usize> = groups.concat();
        rows.sort_unstable();
        assert_eq!(rows, [0, 2, 3, 4, 5, 6, 7]);
        for group in &groups {
            let tokens: usize = group.iter().map(|&row| lens[row]).sum();
            assert!(tokens <= 10 || group.len() == 1, "{group:?}");
        }
        assert_eq!(groups[0], [5]);
        assert!(plan_batches(&[], 10).is_empty());
    }
}
