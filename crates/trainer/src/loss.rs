//! Losses. Scores are MaxSim over unit-norm embeddings, as in the search.

use candle_core::{D, Device, Tensor};
use selvedge_encoder::{Embeddings, TextPipeline, TokenizedText};

use crate::blocks::{MASKED, log_softmax, softmax};
use crate::error::{Error, Result};

/// Embeddings of a batch of texts, padded.
#[derive(Debug, Clone)]
pub struct Encoded {
    /// Unit-norm embedding of each token: (B, T, D).
    pub embeddings: Tensor,
    /// Mask of the kept embeddings: 1 for kept ones, 0 for others and for padding; (B, T).
    pub kept: Tensor,
}

/// Computes the MaxSim of every query with every passage: B queries and P passages to scores (B, P).
///
/// A score is `sum over i of max over t of <q_i, x_t>` over the kept embeddings q of the query and x of the passage.
///
/// # Errors
/// [`Error::Tensor`] if the dimensions of the embeddings differ.
pub fn maxsim(queries: &Encoded, passages: &Encoded) -> Result<Tensor> {
    let (num_queries, query_tokens, dim) = queries.embeddings.dims3()?;
    let (num_passages, tokens, _) = passages.embeddings.dims3()?;
    let q = queries.embeddings.reshape((num_queries * query_tokens, dim))?;
    let x = passages.embeddings.reshape((num_passages * tokens, dim))?;
    let sims = q.matmul(&x.t()?)?.reshape((num_queries * query_tokens, num_passages, tokens))?;
    let mask = ((1.0 - &passages.kept)? * MASKED)?.reshape((1, num_passages, tokens))?;
    let best = sims.broadcast_add(&mask)?.max(D::Minus1)?;
    let best = best.broadcast_mul(&queries.kept.reshape((num_queries * query_tokens, 1))?)?;
    Ok(best.reshape((num_queries, query_tokens, num_passages))?.sum(1)?)
}

/// Computes the MaxSim of every query with its own passages: (B queries, B * n passages) to (B, n).
///
/// The passages are in the order of the queries. The result equals [`own`] of [`maxsim`], with 1 / B of the
/// multiply-adds.
///
/// # Errors
/// [`Error::Tensor`] if there are not n passages per query, or the dimensions of the embeddings differ.
///
/// # Panics
/// If there is no query.
pub fn own_maxsim(queries: &Encoded, passages: &Encoded) -> Result<Tensor> {
    let (num_queries, query_tokens, dim) = queries.embeddings.dims3()?;
    let (num_passages, tokens, _) = passages.embeddings.dims3()?;
    let n = num_passages / num_queries;
    let x = passages.embeddings.reshape((num_queries, n * tokens, dim))?;
    let sims = queries.embeddings.matmul(&x.t()?)?.reshape((num_queries, query_tokens, n, tokens))?;
    let mask = ((1.0 - &passages.kept)? * MASKED)?.reshape((num_queries, 1, n, tokens))?;
    let best = sims.broadcast_add(&mask)?.max(D::Minus1)?;
    Ok(best.broadcast_mul(&queries.kept.unsqueeze(2)?)?.sum(1)?)
}

/// Selects the scores of each query's own passages from all scores: (B, B * n) to (B, n).
///
/// The passages are in the order of the queries.
///
/// # Errors
/// [`Error::Tensor`] if the scores are not a matrix, or there are not n passages per query.
///
/// # Panics
/// If there is no query, or there are fewer passages than queries.
pub fn own(scores: &Tensor) -> Result<Tensor> {
    let (num_queries, all) = scores.dims2()?;
    let n = all / num_queries;
    let rows: Vec<i64> = (0..all).map(|at| (at / n * all + at) as i64).collect();
    let at = Tensor::new(rows.as_slice(), &Device::Cpu)?;
    Ok(scores.flatten_all()?.index_select(&at, 0)?.reshape((num_queries, n))?)
}

/// Computes the loss of distillation, `KL(teacher || student)` of the softmax of the scores (B, n) over a query's
/// passages, mean over queries (ColBERTv2, section 3.2).
///
/// # Errors
/// [`Error::Tensor`] if the shapes of the scores differ.
pub fn divergence(scores: &Tensor, teacher: &Tensor) -> Result<Tensor> {
    let target = softmax(teacher)?;
    let gap = (log_softmax(teacher)? - log_softmax(scores)?)?;
    Ok((target * gap)?.sum(D::Minus1)?.mean_all()?)
}

/// Computes the loss of in-batch negatives: the cross entropy of each query's first own passage among the passages of
/// all queries, for scores (B, B * n) divided by `temperature`; mean over queries.
///
/// # Errors
/// [`Error::Tensor`] if the scores are not a matrix.
pub fn in_batch(scores: &Tensor, temperature: f64) -> Result<Tensor> {
    let (num_queries, all) = scores.dims2()?;
    let first = answers(num_queries, all);
    let logs = log_softmax(&(scores / temperature)?)?.flatten_all()?;
    Ok(logs.index_select(&Tensor::new(first.as_slice(), &Device::Cpu)?, 0)?.mean_all()?.neg()?)
}

/// Positions of each query's first own passage in the scores of all queries with `all` passages, row-major. They are
/// i64, since the scores of a batch may be more than 2^32.
fn answers(num_queries: usize, all: usize) -> Vec<i64> {
    (0..num_queries).map(|q| (q * all + q * (all / num_queries)) as i64).collect()
}

/// Computes the loss by token: `1 - cos` between the student's and the teacher's embeddings, mean over `pairs`.
///
/// A pair is the index of a text, a position in the student's tokens of that text, and the index of the teacher's
/// embedding, counted over all texts. Without a pair the loss is 0.
///
/// # Errors
/// - [`Error::TeacherDim`] if the teacher's embeddings have another dimension.
/// - [`Error::Tensor`] if a pair names a position that the student does not have.
///
/// # Panics
/// If a pair names an embedding that the teacher does not have.
pub fn token_distance(student: &Encoded, teacher: &Embeddings, pairs: &[(usize, usize, usize)]) -> Result<Tensor> {
    let (texts, tokens, dim) = student.embeddings.dims3()?;
    if dim != teacher.dim {
        return Err(Error::TeacherDim { student: dim, teacher: teacher.dim });
    }
    if pairs.is_empty() {
        return Ok(Tensor::zeros((), candle_core::DType::F32, &Device::Cpu)?);
    }
    let rows: Vec<u32> = pairs.iter().map(|&(text, position, _)| (text * tokens + position) as u32).collect();
    let own = student.embeddings.reshape((texts * tokens, dim))?;
    let own = own.index_select(&Tensor::new(rows.as_slice(), &Device::Cpu)?, 0)?;
    let target: Vec<f32> = pairs.iter().flat_map(|&(_, _, at)| &teacher.data[at * dim..][..dim]).copied().collect();
    let target = Tensor::from_vec(target, (rows.len(), dim), &Device::Cpu)?;
    let mean = ((own * target)?.sum_all()? / rows.len() as f64)?;
    Ok((1.0 - mean)?)
}

/// Pairs the tokens of each text that both student and teacher keep, for [`token_distance`].
///
/// A text is paired up to the first token in which the two tokenizations differ. Prefix tokens, expansion and skiplists
/// may differ.
pub(crate) fn shared_tokens(
    own: (&TextPipeline, &[TokenizedText]),
    teacher: (&TextPipeline, &[TokenizedText]),
) -> Vec<(usize, usize, usize)> {
    let (mut pairs, mut first) = (Vec::new(), 0);
    for (text, (row, of_teacher)) in own.1.iter().zip(teacher.1).enumerate() {
        for ((at, token), (there, other)) in own.0.text_tokens(row).zip(teacher.0.text_tokens(of_teacher)) {
            if token != other {
                break;
            }
            if let (Ok(_), Ok(number)) = (row.kept.binary_search(&at), of_teacher.kept.binary_search(&there)) {
                pairs.push((text, at, first + number));
            }
        }
        first += of_teacher.kept.len();
    }
    pairs
}

/// Pads a teacher's embeddings.
pub(crate) fn padded(embeddings: &Embeddings) -> Result<Encoded> {
    let (dim, texts) = (embeddings.dim, embeddings.lens.len());
    let tokens = embeddings.lens.iter().copied().max().unwrap_or(0).max(1) as usize;
    let (mut rows, mut kept) = (vec![0f32; texts * tokens * dim], vec![0f32; texts * tokens]);
    let mut from = embeddings.data.as_slice();
    for (text, &len) in embeddings.lens.iter().enumerate() {
        let (own, rest) = from.split_at(len as usize * dim);
        rows[text * tokens * dim..][..own.len()].copy_from_slice(own);
        kept[text * tokens..][..len as usize].fill(1.0);
        from = rest;
    }
    Ok(Encoded {
        embeddings: Tensor::from_vec(rows, (texts, tokens, dim), &Device::Cpu)?,
        kept: Tensor::from_vec(kept, (texts, tokens), &Device::Cpu)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A batch of 16,384 queries with 32 passages each has 2^33 scores.
    #[test]
    fn positions_of_answers_do_not_overflow() {
        assert_eq!(answers(3, 6), [0, 8, 16]);
        let positions = answers(1 << 14, 1 << 19);
        assert_eq!(positions.last(), Some(&(((1 << 14) - 1) * ((1 << 19) + 32))));
    }
}
