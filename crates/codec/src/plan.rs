//! ColBERTv2's rules for how much to sample and how many centroids to make.
//!
//! Source: the reference implementation's `collection_indexer.py`, as quoted by the PLAID paper:
//! `1 + floor(16 sqrt(120 P))` sampled passages, `K = 2^floor(log2(16 sqrt(N)))` centroids for an
//! estimated `N` embeddings, 5 % of the sampled embeddings (at most 50,000) held out for the levels,
//! four k-means iterations. One number is not theirs: [`POINTS_PER_CENTROID`].

/// Iterations of k-means.
pub const KMEANS_ITERATIONS: usize = 4;
/// Sampled embeddings that k-means looks at, for each centroid, at most. faiss takes 256. On Debian (K = 16,384, 4
/// bits) 84, 43 and 27 points a centroid gave recall@10 of .9771, .9766 and .9774, in 53, 28 and 22 s of building and
/// with 771, 382 and 258 MB of memory; 48 keeps a margin.
pub const POINTS_PER_CENTROID: usize = 48;
/// Held-out embeddings, at most.
pub const MAX_HELD_OUT: usize = 50_000;

/// Passages to sample out of `num_passages`.
pub fn sampled_passages(num_passages: usize) -> usize {
    let wanted = 1 + (16.0 * (120.0 * num_passages as f64).sqrt()) as usize;
    wanted.min(num_passages)
}

/// Number of centroids for about `num_embeddings` embeddings.
pub fn num_centroids(num_embeddings: usize) -> usize {
    let wanted = 16.0 * (num_embeddings.max(1) as f64).sqrt();
    1 << (wanted.log2().floor() as u32)
}

/// Sampled embeddings that training of so many centroids has a use for.
pub fn sampled_embeddings(num_centroids: usize) -> usize {
    // A twentieth of the sample is held out of k-means.
    num_centroids.saturating_mul(POINTS_PER_CENTROID).saturating_mul(20) / 19
}

/// Sampled embeddings to hold out of k-means.
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
