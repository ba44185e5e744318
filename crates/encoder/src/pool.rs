//! Token pooling: a passage's rows in clusters, each cluster one row.
//!
//! **In:** rows of unit norm (T, D) of each passage, a factor f. **Out:** `ceil(T / f)` rows of unit norm: means of the
//! clusters that Ward's linkage of the rows makes (Clavié, Chaffin and Adams, 2024, arXiv 2409.14683), in the order of
//! each cluster's first row. Queries stay as they are.

use kodama::{Method, linkage};
use rayon::prelude::*;

use crate::embeddings::Embeddings;

/// Pools every text by `factor`; 1 leaves all as they are.
///
/// # Panics
/// If `factor` is 0.
pub fn pool(embeddings: Embeddings, factor: usize) -> Embeddings {
    assert_ne!(factor, 0, "a factor is at least 1");
    if factor == 1 {
        return embeddings;
    }
    let texts: Vec<&[f32]> = embeddings.iter().collect();
    let pooled: Vec<Vec<f32>> = texts.into_par_iter().map(|rows| pool_rows(rows, embeddings.dim, factor)).collect();
    let lens = pooled.iter().map(|rows| (rows.len() / embeddings.dim) as u32).collect();
    Embeddings { data: pooled.concat(), lens, ..embeddings }
}

/// One passage: (T, D) to (ceil(T / factor), D).
fn pool_rows(rows: &[f32], dim: usize, factor: usize) -> Vec<f32> {
    let num_rows = rows.len() / dim;
    let num_clusters = num_rows.div_ceil(factor);
    if num_clusters == num_rows {
        return rows.to_vec();
    }
    let row = |at: usize| &rows[at * dim..][..dim];
    let mut distances = Vec::with_capacity(num_rows * (num_rows - 1) / 2);
    for a in 0..num_rows {
        distances.extend((a + 1..num_rows).map(|b| distance(row(a), row(b))));
    }
    let joined = linkage(&mut distances, num_rows, Method::Ward);
    // Steps come nearest first; step s makes the cluster num_rows + s.
    let mut parent: Vec<usize> = (0..2 * num_rows - 1).collect();
    for (step, pair) in joined.steps().iter().take(num_rows - num_clusters).enumerate() {
        parent[pair.cluster1] = num_rows + step;
        parent[pair.cluster2] = num_rows + step;
    }
    let mut place = vec![None; parent.len()];
    let mut pooled: Vec<f32> = Vec::with_capacity(num_clusters * dim);
    for at in 0..num_rows {
        let mut cluster = at;
        while parent[cluster] != cluster {
            cluster = parent[cluster];
        }
        let place = *place[cluster].get_or_insert_with(|| {
            pooled.resize(pooled.len() + dim, 0.0);
            pooled.len() - dim
        });
        pooled[place..place + dim].iter_mut().zip(row(at)).for_each(|(sum, x)| *sum += x);
    }
    crate::encoder::normalize(&mut pooled, dim);
    pooled
}

/// Euclidean, which Ward's linkage is made for.
fn distance(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| (a - b) * (a - b)).sum::<f32>().sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unit(angles: &[f32]) -> Vec<f32> {
        angles.iter().flat_map(|angle| [angle.cos(), angle.sin()]).collect()
    }

    #[test]
    fn near_rows_become_their_mean_in_the_order_of_the_first() {
        // Two pairs and one alone; ceil(5 / 2) = 3 rows.
        let rows = unit(&[2.0, 0.1, 2.1, 0.0, -1.5]);
        let embeddings =
            Embeddings { dim: 2, data: [rows, unit(&[0.3])].concat(), lens: vec![5, 0, 1], num_truncated: 1 };
        let pooled = pool(embeddings.clone(), 2);
        assert_eq!((pooled.lens, pooled.num_truncated), (vec![3, 0, 1], 1));
        let expected = unit(&[2.05, 0.05, -1.5, 0.3]);
        assert!(pooled.data.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{:?}", pooled.data);
        assert_eq!(pool(embeddings.clone(), 1), embeddings);
    }

    #[test]
    fn every_factor_gives_as_many_rows_as_it_says() {
        let angles: Vec<f32> = (0..23).map(|i| (i * i) as f32 * 0.37).collect();
        let embeddings = Embeddings { dim: 2, data: unit(&angles), lens: vec![23], num_truncated: 0 };
        for factor in 1..30 {
            let pooled = pool(embeddings.clone(), factor);
            assert_eq!(pooled.lens, [23u32.div_ceil(factor as u32)]);
            assert!(pooled.data.chunks(2).all(|row| (row[0].hypot(row[1]) - 1.0).abs() < 1e-5));
        }
    }
}
