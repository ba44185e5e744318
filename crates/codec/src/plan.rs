//! Sizes of a training run: passages to sample, centroids, held-out embeddings, k-means rounds.
//!
//! Source: ColBERTv2's reference implementation, `collection_indexer.py`, as quoted by the PLAID paper:
//! `1 + floor(16 sqrt(120 P))` sampled passages, `K = 2^floor(log2(16 sqrt(N)))` centroids for an estimated `N`
//! embeddings, 5 % of the sampled embeddings (at most 50,000) held out for the levels, four rounds of k-means. Only
//! [`POINTS_PER_CENTROID`] differs (faiss: 256).

/// Rounds of k-means.
pub const KMEANS_ITERATIONS: usize = 4;
/// Largest number of sampled embeddings per centroid that k-means uses. 27 are enough: the crate's README has recall,
/// time and memory for 27, 43 and 84. 48 keeps a margin.
pub const POINTS_PER_CENTROID: usize = 48;
/// Largest number of held-out embeddings.
pub const MAX_HELD_OUT: usize = 50_000;

/// Number of passages to sample out of `num_passages`: `1 + floor(16 sqrt(120 P))`, at most all.
pub fn sampled_passages(num_passages: usize) -> usize {
    let target = 1 + (16.0 * (120.0 * num_passages as f64).sqrt()) as usize;
    target.min(num_passages)
}

/// Number of centroids for about `num_embeddings` embeddings: `2^floor(log2(16 sqrt(N)))`, at least 16.
pub fn num_centroids(num_embeddings: usize) -> usize {
    let target = 16.0 * (num_embeddings.max(1) as f64).sqrt();
    1 << (target.log2().floor() as u32)
}

/// Number of sampled embeddings that training `num_centroids` centroids uses: [`POINTS_PER_CENTROID`] for
/// each centroid, and a twentieth of the sample that is held out of k-means.
pub fn sampled_embeddings(num_centroids: usize) -> usize {
    // k-means sees 19/20 of the sample; the rest is held out.
    num_centroids.saturating_mul(POINTS_PER_CENTROID).saturating_mul(20) / 19
}

/// Number of sampled embeddings to hold out of k-means: a twentieth, at most [`MAX_HELD_OUT`].
pub fn held_out(num_sampled: usize) -> usize {
    (num_sampled / 20).min(MAX_HELD_OUT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_give_the_published_sizes() {
        // MS MARCO: 597.9 M embeddings -> 2^18 centroids (PLAID, section 3).
        assert_eq!(num_centroids(597_900_000), 1 << 18);
        assert_eq!(num_centroids(1_392_563), 1 << 14);
        assert_eq!(num_centroids(0), 16);
        assert_eq!(sampled_passages(100), 100);
        assert_eq!(sampled_passages(8_841_823), 1 + 521_172);
        assert_eq!(held_out(2_000_000), 50_000);
    }
}
