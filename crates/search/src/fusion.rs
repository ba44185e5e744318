//! Fusion of two rankings of one query, such as by words and by embeddings.
//!
//! In: the rankings of the same passages, each best first. Out: one ranking.
//!
//! ```text
//! reciprocal rank:  score(passage) = sum over rankings of 1 / (60 + rank)             rank from 1
//! weighted:         score(passage) = alpha norm(a(passage)) + (1 - alpha) norm(b(passage))
//!                   norm(x) = (x - least) / (most - least), over the passages of the ranking; 0 if all are equal
//! ```
//!
//! Reciprocal ranks: Cormack, Clarke and Büttcher, "Reciprocal Rank Fusion outperforms Condorcet and individual Rank
//! Learning Methods". A passage that is in one ranking alone has no other term: by normalized scores
//! it counts there as the last one does. Ties go to the lower pid.

use selvedge_backend::Pid;
use std::collections::BTreeMap;

/// Constant of reciprocal rank fusion, of the paper.
const RANK_OFFSET: f32 = 60.0;

/// A passage and its score.
pub type Scored = (Pid, f32);

/// Fuses rankings by reciprocal ranks.
pub fn reciprocal_ranks(rankings: [&[Scored]; 2]) -> Vec<Scored> {
    let mut fused: BTreeMap<Pid, f32> = BTreeMap::new();
    for ranking in rankings {
        for (rank, &(pid, _)) in (1u32..).zip(ranking) {
            *fused.entry(pid).or_default() += 1.0 / (RANK_OFFSET + rank as f32);
        }
    }
    best_first(fused)
}

/// Fuses two rankings by the weighted sum of their normalized scores; the first has the weight `alpha`. Scores that are
/// all equal, such as the score of a single passage, are normalized to 1.
pub fn weighted(first: &[Scored], second: &[Scored], alpha: f32) -> Vec<Scored> {
    let mut fused: BTreeMap<Pid, f32> = BTreeMap::new();
    for (ranking, weight) in [(first, alpha), (second, 1.0 - alpha)] {
        let least = ranking.iter().map(|&(_, score)| score).fold(f32::INFINITY, f32::min);
        let most = ranking.iter().map(|&(_, score)| score).fold(f32::NEG_INFINITY, f32::max);
        for &(pid, score) in ranking {
            let normalized = if most > least { (score - least) / (most - least) } else { 1.0 };
            *fused.entry(pid).or_default() += weight * normalized;
        }
    }
    best_first(fused)
}

fn best_first(fused: BTreeMap<Pid, f32>) -> Vec<Scored> {
    let mut fused: Vec<Scored> = fused.into_iter().collect();
    fused.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    fused
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_are_summed() {
        let fused = reciprocal_ranks([&[(7, 9.0), (2, 8.0)], &[(2, 0.5), (5, 0.1)]]);
        let expected = [(2, 1.0 / 62.0 + 1.0 / 61.0), (7, 1.0 / 61.0), (5, 1.0 / 62.0)];
        assert_eq!(fused, expected);
        assert_eq!(reciprocal_ranks([&[], &[(9, 1.0)]]), [(9, 1.0 / 61.0)]);
        let ties = reciprocal_ranks([&[(3, 1.0)], &[(1, 1.0)]]);
        assert_eq!(ties.iter().map(|&(pid, _)| pid).collect::<Vec<_>>(), [1, 3]);
    }

    #[test]
    fn scores_are_normalized_and_weighted() {
        let (first, second) = ([(1, 10.0), (2, 5.0), (3, 0.0)], [(3, 4.0), (1, 2.0)]);
        assert_eq!(weighted(&first, &second, 0.75), [(1, 0.75), (2, 0.375), (3, 0.25)]);
        assert_eq!(weighted(&first, &second, 0.0)[0], (3, 1.0));
        assert_eq!(weighted(&[(4, 2.0), (6, 2.0)], &[], 1.0), [(4, 1.0), (6, 1.0)]);
    }
}
