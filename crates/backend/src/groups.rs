//! Groups of centroids, of which an assignment on [two levels](Assignment::Grouped) searches the best.
//!
//! ```text
//! centroids (K, D) i8 --k-means over the centroids--> representatives (G, D) i8, a group of each centroid
//! ```
//!
//! They follow from the centroids alone: k-means starts at centroids at even distances, and cells that restart take
//! them in order. So they are stored nowhere, and are equal on all backends, as rounds of k-means are.

use crate::{Assignment, Backend, Int8Rows, Result, kmeans::HostKMeans, kmeans::KMeans};

/// Number of centroids from which [`Assignment::Grouped`] is the rule on a CPU. At half as many it takes half of the
/// time of an exact assignment (Zen 4).
pub(crate) const LEAST_CENTROIDS: usize = 1 << 14;
/// Groups that are searched for each embedding, at most. With 16 of them, 1.8 of 100 embeddings had a nearer centroid
/// among 8,192, with 32 it was 0.9, and 0.5 among 32,768 (Debian's descriptions).
pub(crate) const SEARCHED: usize = 32;
/// Rounds of k-means over the centroids.
const ROUNDS: usize = 4;

/// Groups of centroids.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Groups {
    /// `(G, D) i8`.
    pub(crate) representatives: Int8Rows,
    /// Codes of each group's centroids, ascending, `(G)`; no group is empty.
    pub(crate) members: Vec<Vec<u32>>,
}

/// Number of groups of `num_centroids`. Half as many were slower and found up to 0.1 % more, at 2^13 and at 2^15.
fn num_groups(num_centroids: usize) -> usize {
    4 * num_centroids.isqrt()
}

impl Groups {
    /// Groups `centroids (K, D) i8` with the ops of `backend`.
    ///
    /// # Errors
    /// Fails if the device does; see [`Backend`].
    ///
    /// # Panics
    /// If `dim` is 0 or not a multiple of 4, `centroids` are not whole rows, or a component is -128.
    pub(crate) fn new<B: Backend + ?Sized>(backend: &B, dim: usize, centroids: &[i8]) -> Result<Self> {
        crate::int8_rows::assert_centroids(dim, centroids);
        let num = centroids.len() / dim;
        if num == 0 {
            return Ok(Self { representatives: Vec::new().into(), members: Vec::new() });
        }
        let num_groups = num_groups(num).clamp(1, num);
        let rows: Vec<f32> = centroids.iter().map(|&c| f32::from(c)).collect();
        let starts: Vec<usize> = (0..num_groups).map(|group| group * num / num_groups).collect();
        let mut means = HostKMeans::new(backend, dim, &rows, &starts, Assignment::Exact);
        let mut next = 0;
        for _ in 0..ROUNDS {
            means.round(&mut || {
                next += 1;
                (next - 1) % num
            })?;
        }
        let representatives = means.centroids()?.centroids;
        let of_centroids = backend.assign(&backend.load_centroids(dim, &representatives)?, &rows)?;
        let mut members = vec![Vec::new(); num_groups];
        of_centroids.into_iter().zip(0..).for_each(|(group, code)| members[group as usize].push(code));
        let (representatives, members): (Vec<&[i8]>, Vec<_>) =
            representatives.chunks_exact(dim).zip(members).filter(|(_, members)| !members.is_empty()).unzip();
        Ok(Self { representatives: representatives.concat().into(), members })
    }
}
