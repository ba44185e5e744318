//! MaxSim of texts and of embeddings, exact in f32.

use crate::encoding::EncodeQueue;
use crate::error::{ApiError, Result};
use crate::routes::encode::all;
use crate::state::App;
use selvedge::{Backend, Cpu, TextKind};
use std::sync::Arc;
use std::time::Instant;

/// A query, documents and their scores.
pub(crate) struct Scored {
    /// Components of an embedding.
    pub(crate) dim: usize,
    /// Embeddings of the query, `(Q, D) f32`.
    pub(crate) query: Vec<f32>,
    /// Embeddings of each document, `(T, D) f32`.
    pub(crate) documents: Vec<Vec<f32>>,
    /// MaxSim of each document; 0 for one without embeddings.
    pub(crate) scores: Vec<f32>,
}

impl Scored {
    /// Documents by their scores, best first; equal scores in the order of the request.
    pub(crate) fn order(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.scores.len()).collect();
        order.sort_by(|&a, &b| self.scores[b].total_cmp(&self.scores[a]));
        order
    }

    /// Mean similarity of the query's tokens with their best matches, from 0 to 1.
    pub(crate) fn mean(&self, score: f32) -> f32 {
        (score / self.num_query_tokens().max(1) as f32).clamp(0.0, 1.0)
    }

    /// Embeddings of the query and of all documents.
    pub(crate) fn num_tokens(&self) -> usize {
        self.num_query_tokens() + self.documents.iter().map(Vec::len).sum::<usize>() / self.dim
    }

    fn num_query_tokens(&self) -> usize {
        self.query.len() / self.dim
    }
}

/// Scores texts for a query.
pub(crate) async fn score_texts(
    app: &App,
    model: &Arc<EncodeQueue>,
    query: String,
    documents: Vec<String>,
    deadline: Instant,
) -> Result<Scored> {
    if query.trim().is_empty() {
        return Err(ApiError::bad_request("the query is empty"));
    }
    if documents.is_empty() {
        return Err(ApiError::bad_request("there is no document"));
    }
    let query = model.encode(query, TextKind::Query, deadline).await?;
    let documents = all(app, model, documents, TextKind::Passage, deadline).await?;
    score(app, model.encoder().dim(), query, documents).await
}

/// Scores embeddings of documents for a query.
pub(crate) async fn score(app: &App, dim: usize, query: Vec<f32>, documents: Vec<Vec<f32>>) -> Result<Scored> {
    let score = move || {
        let scores = maxsim(dim, &query, &documents)?;
        Ok(Scored { dim, query, documents, scores })
    };
    app.reads.run(score).await?
}

/// MaxSim of a query `(Q, D) f32` with each document `(T, D) f32`; 0 for one without embeddings.
pub(crate) fn maxsim(dim: usize, query: &[f32], documents: &[Vec<f32>]) -> Result<Vec<f32>> {
    let mut offsets = vec![0];
    for document in documents {
        offsets.push(offsets[offsets.len() - 1] + document.len() / dim);
    }
    let failed = |error| ApiError::from(selvedge::Error::from(error));
    let cpu = Cpu::new().map_err(failed)?;
    let query_offsets = [0, query.len() / dim];
    let scores = cpu.maxsim_f32(dim, query, &query_offsets, &documents.concat(), &offsets).map_err(failed)?;
    Ok(scores.into_iter().map(|score| if score.is_finite() { score } else { 0.0 }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scores_are_sums_of_the_best_similarities() {
        let query = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let row = |a: f32, b: f32| [a, b, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        let documents = vec![vec![], [row(0.6, 0.8), row(0.8, -0.6)].concat(), row(-1.0, -1.0).to_vec()];
        let scores = maxsim(8, &query, &documents).unwrap();
        assert_eq!(scores, [0.0, 0.8 + 0.8, -2.0]);
        let scored = Scored { dim: 8, query: query.to_vec(), documents, scores };
        assert_eq!(scored.order(), [1, 0, 2]);
        assert_eq!(scored.num_tokens(), 2 + 3);
        assert_eq!((scored.mean(1.6), scored.mean(-2.0), scored.mean(2.1)), (0.8, 0.0, 1.0));
    }
}
