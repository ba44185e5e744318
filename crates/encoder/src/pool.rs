//! Token pooling: the embeddings of a passage are clustered, and each cluster is replaced by its mean.
//!
//! **In:** embeddings of unit norm (T, D) of each passage, a factor f. **Out:** `ceil(T / f)` embeddings of unit norm:
//! the means of the clusters of Ward's linkage (Clavié, Chaffin and Adams, 2024, arXiv 2409.14683), in the order of
//! each cluster's first embedding. Queries are not pooled.
//!
//! Linkage needs the distances of all pairs of embeddings, 4 bytes each. A passage of more than 2,048 embeddings is
//! therefore pooled in windows of 2,048 consecutive ones, rounded down to a multiple of f: 8 MiB of distances at a
//! time.

use std::borrow::Cow;

use kodama::{Method, linkage};
use rayon::prelude::*;

use crate::embeddings::Embeddings;
use crate::error::{Error, Result};

/// Maximum number of embeddings that are compared with each other.
const LONGEST_WINDOW: usize = 2048;

/// Pools the embeddings of each text: T embeddings become `ceil(T / factor)`, the means of their clusters by Ward's
/// linkage, scaled to unit norm.
///
/// The means are in the order of each cluster's first embedding. Texts of more than 2,048 embeddings are pooled in
/// windows of at most that many. A factor of 1 returns the input. Embeddings whose norms are far from 1 are normalized
/// first.
///
/// # Errors
/// [`Error::NonFiniteEmbedding`] if a component is a NaN or an infinity.
///
/// # Panics
/// If `factor` is 0.
pub fn pool(embeddings: Embeddings, factor: usize) -> Result<Embeddings> {
    assert_ne!(factor, 0, "a factor is at least 1");
    if factor == 1 {
        return Ok(embeddings);
    }
    let dim = embeddings.dim;
    if let Some(at) = embeddings.data.iter().position(|x| !x.is_finite()) {
        return Err(Error::NonFiniteEmbedding { row: at / dim, component: at % dim });
    }
    let texts: Vec<&[f32]> = embeddings.iter().collect();
    let pooled: Vec<Vec<f32>> = texts.into_par_iter().map(|rows| pool_text(rows, dim, factor)).collect();
    let lens = pooled.iter().map(|rows| (rows.len() / dim) as u32).collect();
    Ok(Embeddings { data: pooled.concat(), lens, ..embeddings })
}

/// Pools one passage, window by window: (T, D) to (ceil(T / factor), D).
fn pool_text(rows: &[f32], dim: usize, factor: usize) -> Vec<f32> {
    // A multiple of the factor, so that the windows' outputs add up to ceil(T / factor).
    let window = (LONGEST_WINDOW / factor * factor).max(factor);
    let mut pooled = Vec::with_capacity((rows.len() / dim).div_ceil(factor) * dim);
    for rows in rows.chunks(window.saturating_mul(dim)) {
        pool_rows(&of_unit_norm(rows, dim), dim, factor, &mut pooled);
    }
    pooled
}

/// Normalizes rows; returns the input if every norm is between 0.5 and 2, or 0.
fn of_unit_norm(rows: &[f32], dim: usize) -> Cow<'_, [f32]> {
    // A row of zeros has no direction; its distance to any other row is that row's norm.
    let is_fit =
        |row: &[f32]| (0.25..4.0).contains(&row.iter().map(|x| x * x).sum::<f32>()) || row.iter().all(|&x| x == 0.0);
    if rows.chunks_exact(dim).all(is_fit) {
        return Cow::Borrowed(rows);
    }
    let mut scaled = rows.to_vec();
    for row in scaled.chunks_exact_mut(dim) {
        let norm = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
        if norm > 0.0 {
            row.iter_mut().for_each(|x| *x = (f64::from(*x) / norm) as f32);
        }
    }
    Cow::Owned(scaled)
}

/// Pools one window: appends (ceil(T / factor), D) to `pooled`.
fn pool_rows(rows: &[f32], dim: usize, factor: usize, pooled: &mut Vec<f32>) {
    let num_rows = rows.len() / dim;
    let num_clusters = num_rows.div_ceil(factor);
    let first = pooled.len();
    let mut place = vec![None; num_rows];
    for (row, cluster) in rows.chunks_exact(dim).zip(clusters(rows, dim, num_clusters)) {
        let place = *place[cluster].get_or_insert_with(|| {
            pooled.resize(pooled.len() + dim, 0.0);
            pooled.len() - dim
        });
        pooled[place..place + dim].iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
    if num_clusters < num_rows {
        crate::encoder::normalize(&mut pooled[first..], dim);
    }
}

/// Returns the cluster of each row, as the number of the cluster's first row.
fn clusters(rows: &[f32], dim: usize, num_clusters: usize) -> Vec<usize> {
    let num_rows = rows.len() / dim;
    if num_clusters == num_rows || num_clusters == 1 {
        return (0..num_rows).map(|at| at.min(num_clusters - 1)).collect();
    }
    let row = |at: usize| &rows[at * dim..][..dim];
    let mut distances = Vec::with_capacity(num_rows * (num_rows - 1) / 2);
    for a in 0..num_rows {
        distances.extend((a + 1..num_rows).map(|b| distance(row(a), row(b))));
    }
    let joined = linkage(&mut distances, num_rows, Method::Ward);
    // Steps are sorted by distance; step s makes the cluster num_rows + s.
    let mut parent: Vec<usize> = (0..2 * num_rows - 1).collect();
    for (step, pair) in joined.steps().iter().take(num_rows - num_clusters).enumerate() {
        parent[pair.cluster1] = num_rows + step;
        parent[pair.cluster2] = num_rows + step;
    }
    // A cluster is named by its first row.
    let mut first = vec![None; parent.len()];
    let of_row = |at: usize| {
        let mut cluster = at;
        while parent[cluster] != cluster {
            cluster = parent[cluster];
        }
        *first[cluster].get_or_insert(at)
    };
    (0..num_rows).map(of_row).collect()
}

/// Euclidean distance, which Ward's linkage is defined for.
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
        let pooled = pool(embeddings.clone(), 2).unwrap();
        assert_eq!((pooled.lens, pooled.num_truncated), (vec![3, 0, 1], 1));
        let expected = unit(&[2.05, 0.05, -1.5, 0.3]);
        assert!(pooled.data.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-6), "{:?}", pooled.data);
        assert_eq!(pool(embeddings.clone(), 1).unwrap(), embeddings);
    }

    #[test]
    fn every_factor_gives_as_many_rows_as_it_says() {
        let angles: Vec<f32> = (0..23).map(|i| (i * i) as f32 * 0.37).collect();
        let embeddings = Embeddings { dim: 2, data: unit(&angles), lens: vec![23], num_truncated: 0 };
        for factor in 1..30 {
            let pooled = pool(embeddings.clone(), factor).unwrap();
            assert_eq!(pooled.lens, [23u32.div_ceil(factor as u32)]);
            assert!(pooled.data.chunks(2).all(|row| (row[0].hypot(row[1]) - 1.0).abs() < 1e-5));
        }
    }

    #[test]
    fn long_passages_are_pooled_in_windows() {
        // Each value occurs in two consecutive rows, and again after 1,400 rows, in part in another window. If all
        // rows were compared with each other, equal rows of different windows would be in one cluster.
        let len = 2 * LONGEST_WINDOW + 5;
        let angles: Vec<f32> = (0..len).map(|i| (i / 2) as f32 % 700.0 * 0.009).collect();
        let data = unit(&angles);
        for factor in [2, 3, LONGEST_WINDOW - 1, LONGEST_WINDOW + 1, len, 3 * len] {
            let embeddings = Embeddings { dim: 2, data: data.clone(), lens: vec![len as u32], num_truncated: 0 };
            assert_eq!(pool(embeddings, factor).unwrap().lens, [len.div_ceil(factor) as u32], "{factor}");
        }
        let window = LONGEST_WINDOW * 2;
        let alone =
            Embeddings { dim: 2, data: data[..window].to_vec(), lens: vec![LONGEST_WINDOW as u32], num_truncated: 0 };
        let whole = Embeddings { dim: 2, data, lens: vec![len as u32], num_truncated: 0 };
        let (alone, whole) = (pool(alone, 2).unwrap(), pool(whole, 2).unwrap());
        assert_eq!(alone.data[..], whole.data[..alone.data.len()], "a window depends on rows outside it");
    }

    #[test]
    fn rows_of_any_length_count_by_their_direction() {
        let rows = unit(&[2.0, 0.1, 2.1, 0.0, -1.5]);
        let of = |scale: f32| {
            let data = rows.iter().map(|x| x * scale).collect();
            pool(Embeddings { dim: 2, data, lens: vec![5], num_truncated: 0 }, 2)
        };
        let expected = of(1.0).unwrap();
        for scale in [1e-30, 1e20, 3e38] {
            let found = of(scale).unwrap();
            assert!(found.data.iter().zip(&expected.data).all(|(a, b)| (a - b).abs() < 1e-6), "{scale}: {found:?}");
        }
        let zeros = Embeddings { dim: 2, data: vec![0.0; 8], lens: vec![4], num_truncated: 0 };
        assert_eq!(pool(zeros, 2).unwrap().data, [0.0; 4]);
        for bad in [f32::NAN, f32::INFINITY] {
            assert!(matches!(of(bad).unwrap_err(), Error::NonFiniteEmbedding { row: 0, component: 0 }));
        }
    }
}
