//! Rounds of spherical k-means: the default body of [`Backend::kmeans`], made of the other ops.

use crate::{Assignment, Backend, Int8Rows, Result, round_to_int8};

/// A sample and its centroids, which rounds of k-means improve; see [`Backend::kmeans`].
pub trait KMeans {
    /// Assigns each row of the sample to its nearest rounded centroid, and moves each centroid to the sum of its rows,
    /// scaled to unit length. A centroid whose sum has no length, or an infinite one, restarts: it becomes the row of
    /// the sample that `restart` returns, scaled to unit length if it has a length. `restart` is called once for each
    /// of them, in ascending order of their codes.
    ///
    /// # Errors
    /// Fails if the device does; see [`Backend`].
    ///
    /// # Panics
    /// If `restart` returns a number that is not below the number of rows.
    fn round(&mut self, restart: &mut dyn FnMut() -> usize) -> Result<()>;

    /// Copies the rounded centroids to the host.
    ///
    /// # Errors
    /// Fails if the device does; see [`Backend`].
    fn centroids(&self) -> Result<RoundedCentroids>;
}

/// Int8 centroids with their scale, as an index stores them.
#[derive(Clone, Debug, PartialEq)]
pub struct RoundedCentroids {
    /// Int8 centroids, `(K, D) i8`, within -127..=127.
    pub centroids: Int8Rows,
    /// Size of one int8 step as a real number: a component is `centroids[i] * scale`.
    pub scale: f32,
}

impl RoundedCentroids {
    /// Centroids whose largest magnitude was `127 * scale`. Centroids of zeros have the scale 1.
    pub(crate) fn new(centroids: Int8Rows, scale: f32) -> Self {
        Self { centroids, scale: if scale > 0.0 { scale } else { 1.0 } }
    }
}

/// Length at or below which a sum has no direction.
pub(crate) const LEAST_NORM: f32 = 1e-12;

/// K-means with the sample and the centroids in the memory of the host.
pub(crate) struct HostKMeans<'a, B: ?Sized> {
    backend: &'a B,
    dim: usize,
    sample: &'a [f32],
    /// `(K, D) f32`.
    centroids: Vec<f32>,
    assignment: Assignment,
}

impl<'a, B: Backend + ?Sized> HostKMeans<'a, B> {
    pub(crate) fn new(backend: &'a B, dim: usize, sample: &'a [f32], starts: &[usize], assignment: Assignment) -> Self {
        assert_sample(dim, sample, starts);
        let mut all = Self { backend, dim, sample, centroids: vec![0.0; starts.len() * dim], assignment };
        starts.iter().enumerate().for_each(|(code, &row)| all.restart(code, row));
        all
    }

    fn restart(&mut self, code: usize, row: usize) {
        let centroid = &mut self.centroids[code * self.dim..][..self.dim];
        centroid.copy_from_slice(&self.sample[row * self.dim..][..self.dim]);
        normalize(centroid);
    }
}

impl<B: Backend + ?Sized> KMeans for HostKMeans<'_, B> {
    fn round(&mut self, restart: &mut dyn FnMut() -> usize) -> Result<()> {
        let (dim, num_centroids) = (self.dim, self.centroids.len() / self.dim);
        let rounded = round(&self.centroids).centroids;
        let loaded = match self.assignment {
            Assignment::Exact => self.backend.load_centroids(dim, &rounded)?,
            Assignment::Grouped => self.backend.load_grouped_centroids(dim, &rounded)?,
        };
        let codes = self.backend.assign(&loaded, self.sample)?;
        (self.centroids, _) = self.backend.centroid_sums(dim, self.sample, &codes, num_centroids)?;
        for code in 0..num_centroids {
            // The sum of no rows has no length.
            if !normalize(&mut self.centroids[code * dim..][..dim]) {
                self.restart(code, restart());
            }
        }
        Ok(())
    }

    fn centroids(&self) -> Result<RoundedCentroids> {
        Ok(round(&self.centroids))
    }
}

/// Checks the arguments of [`Backend::kmeans`].
///
/// # Panics
/// If `dim` is 0 or not a multiple of 4, the sample is not whole rows, there is no start, or one is not a row of the
/// sample.
pub(crate) fn assert_sample(dim: usize, sample: &[f32], starts: &[usize]) {
    assert!(dim > 0 && dim.is_multiple_of(4), "rows of a multiple of 4 components");
    assert!(sample.len().is_multiple_of(dim), "k-means needs whole rows");
    assert!(!starts.is_empty() && u32::try_from(starts.len()).is_ok(), "at least one centroid, fewer than 2^32");
    assert!(starts.iter().all(|&row| row < sample.len() / dim), "centroids start at rows of the sample");
}

/// Rounds centroids to int8 with one scale. Residuals are taken from the rounded centroids, so rounding loses nothing.
fn round(centroids: &[f32]) -> RoundedCentroids {
    let mut rounded = vec![0; centroids.len()];
    let scale = round_to_int8(centroids, &mut rounded);
    RoundedCentroids::new(rounded.into(), scale)
}

/// Scales a row to unit length; returns false and leaves it unchanged if its length is zero or not finite.
fn normalize(row: &mut [f32]) -> bool {
    let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
    let usable = norm.is_finite() && norm > LEAST_NORM;
    if usable {
        row.iter_mut().for_each(|x| *x /= norm);
    }
    usable
}
