//! What is minimized. Scores are MaxSim over unit rows, as the encoder gives them.

use candle_core::{D, Device, Tensor};
use selvedge_encoder::{Embeddings, TextPipeline, TokenizedText};

use crate::blocks::{NEVER, log_softmax, softmax};
use crate::error::{Error, Result};

/// Texts in a batch: unit rows (B, T, D), and 1 for rows that count, 0 for others (B, T).
#[derive(Debug, Clone)]
pub struct Encoded {
    /// One row a token, unit length.
    pub embeddings: Tensor,
    /// Which of them are kept.
    pub kept: Tensor,
}

/// MaxSim of every query with every passage, `sum over i of max over t of <q_i, x_t>`: (B queries, P passages).
pub fn maxsim(queries: &Encoded, passages: &Encoded) -> Result<Tensor> {
    let (num_queries, query_tokens, dim) = queries.embeddings.dims3()?;
    let (num_passages, tokens, _) = passages.embeddings.dims3()?;
    let q = queries.embeddings.reshape((num_queries * query_tokens, dim))?;
    let x = passages.embeddings.reshape((num_passages * tokens, dim))?;
    let sims = q.matmul(&x.t()?)?.reshape((num_queries * query_tokens, num_passages, tokens))?;
    let never = ((1.0 - &passages.kept)? * NEVER)?.reshape((1, num_passages, tokens))?;
    let best = sims.broadcast_add(&never)?.max(D::Minus1)?;
    let best = best.broadcast_mul(&queries.kept.reshape((num_queries * query_tokens, 1))?)?;
    Ok(best.reshape((num_queries, query_tokens, num_passages))?.sum(1)?)
}

/// MaxSim of every query with its own passages alone, which come in its order: (B queries, B * n passages) to (B, n).
/// The same as [`own`] of [`maxsim`], for a B-th of the products.
pub fn own_maxsim(queries: &Encoded, passages: &Encoded) -> Result<Tensor> {
    let (num_queries, query_tokens, dim) = queries.embeddings.dims3()?;
    let (num_passages, tokens, _) = passages.embeddings.dims3()?;
    let n = num_passages / num_queries;
    let x = passages.embeddings.reshape((num_queries, n * tokens, dim))?;
    let sims = queries.embeddings.matmul(&x.t()?)?.reshape((num_queries, query_tokens, n, tokens))?;
    let never = ((1.0 - &passages.kept)? * NEVER)?.reshape((num_queries, 1, n, tokens))?;
    let best = sims.broadcast_add(&never)?.max(D::Minus1)?;
    Ok(best.broadcast_mul(&queries.kept.unsqueeze(2)?)?.sum(1)?)
}

/// Of all scores (B, B * n) those of a query's own passages, which come in its order: (B, n).
pub fn own(scores: &Tensor) -> Result<Tensor> {
    let (num_queries, all) = scores.dims2()?;
    let n = all / num_queries;
    let rows: Vec<u32> = (0..all as u32).map(|at| at / n as u32 * all as u32 + at).collect();
    let at = Tensor::new(rows.as_slice(), &Device::Cpu)?;
    Ok(scores.flatten_all()?.index_select(&at, 0)?.reshape((num_queries, n))?)
}

/// Distillation: `KL(teacher || student)` of the distributions that scores (B, n) give over a query's own passages,
/// mean over queries (ColBERTv2, section 3.2).
pub fn divergence(scores: &Tensor, teacher: &Tensor) -> Result<Tensor> {
    let wanted = softmax(teacher)?;
    let gap = (log_softmax(teacher)? - log_softmax(scores)?)?;
    Ok((wanted * gap)?.sum(D::Minus1)?.mean_all()?)
}

/// In-batch negatives: cross entropy of each query's first own passage among the passages of all, scores (B, B * n)
/// over `temperature`.
pub fn in_batch(scores: &Tensor, temperature: f64) -> Result<Tensor> {
    let (num_queries, all) = scores.dims2()?;
    let first: Vec<u32> = (0..num_queries as u32).map(|q| q * all as u32 + q * (all / num_queries) as u32).collect();
    let logs = log_softmax(&(scores / temperature)?)?.flatten_all()?;
    Ok(logs.index_select(&Tensor::new(first.as_slice(), &Device::Cpu)?, 0)?.mean_all()?.neg()?)
}

/// Token by token: `1 - cos` between rows of a student and of its teacher, mean over `pairs` of them: a text, a position
/// in the student's row of it, and the number of the teacher's embedding. 0 where there is no pair.
///
/// # Errors
/// [`Error::TeacherDim`] where the teacher's embeddings have another dimension.
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
    let wanted: Vec<f32> = pairs.iter().flat_map(|&(_, _, at)| &teacher.data[at * dim..][..dim]).copied().collect();
    let wanted = Tensor::from_vec(wanted, (rows.len(), dim), &Device::Cpu)?;
    let mean = ((own * wanted)?.sum_all()? / rows.len() as f64)?;
    Ok((1.0 - mean)?)
}

/// The tokens that both keep of each text, as far as both cut it into the same ones: markers, augmentation and skiplists
/// may differ. For [`token_distance`].
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

/// A teacher's ragged rows, padded.
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
