//! `kmeans`: kernels/kmeans.cu, with `assign` and `centroid_sums`.
//!
//! ```text
//! slice n      upload --> round_rows --> assign --> sort ----> sums (f64) of all slices
//! slice n + 1            upload --> round_rows --> assign -...--> sums
//! ops' stream                                                       --> means --> restart --> round_centroids
//! ```
//!
//! The first slices of the sample stay on the device, as many as fit, after the first round. The others are uploaded
//! again in each round, while the one before is assigned. A row takes 640 bytes at 128 components; at 2^18 centroids
//! its assignment is estimated to take seven times as long as its upload.

use super::{
    Cuda,
    assign::{AssignKernels, Centroids},
    centroid_sums::SumKernels,
    constants::Constant,
    context::Buffer,
    grid::resident_blocks,
    modules::{Kernel, KernelVariant, value},
    slots::{Mark, SLOTS, TakenSlots, slice_rows},
};
use crate::{
    Backend, Result,
    kmeans::{KMeans, LEAST_NORM, RoundedCentroids, assert_sample},
};
use selvedge_kernels::Op;

const THREADS: u32 = 256;

pub(super) const CONSTANTS: [Constant; 2] =
    [("THREADS", THREADS as i64), ("LEAST_NORM_BITS", LEAST_NORM.to_bits() as i64)];

/// A run of k-means on a device.
#[derive(Debug)]
pub(super) struct DeviceKMeans<'a> {
    /// The first slices, once they were uploaded. Dropped first: freed in the order of the slots' streams, which the
    /// slots wait for.
    held: Vec<Slice>,
    /// Dropped before the other buffers, which their work uses.
    slots: TakenSlots<'a>,
    cuda: &'a Cuda,
    dim: usize,
    sample: &'a [f32],
    slice_rows: usize,
    /// Number of slices that are held at most.
    most_held: usize,
    kernels: Kernels,
    /// `(K, D)`.
    sums: Buffer<f64>,
    /// `(K, D)`.
    centroids: Buffer<f32>,
    rounded: Centroids,
    /// Bits of the largest magnitude of the centroids.
    largest: Buffer<u32>,
    /// Number of cells that restart, and their codes, `(K)`.
    num_restarts: Buffer<u32>,
    restarts: Buffer<u32>,
}

/// Rows of the sample in device memory.
#[derive(Debug)]
struct Slice {
    embeddings: Buffer<f32>,
    rounded: Buffer<i8>,
}

#[derive(Debug)]
struct Kernels {
    assign: AssignKernels,
    sums: SumKernels,
    means: Kernel,
    restart: Kernel,
    largest: Kernel,
    round_centroids: Kernel,
}

impl<'a> DeviceKMeans<'a> {
    /// Starts at rows of the sample.
    ///
    /// # Errors
    /// [`OutOfDeviceMemory`](crate::Error::OutOfDeviceMemory) before anything is uploaded, if the centroids, their sums
    /// and a few slices do not fit.
    ///
    /// # Panics
    /// As [`assert_sample`].
    pub(super) fn new(cuda: &'a Cuda, dim: usize, sample: &'a [f32], starts: &[usize]) -> Result<Self> {
        assert_sample(dim, sample, starts);
        let (context, num) = (&cuda.context, starts.len());
        let slice_rows = slice_rows(context, dim).min(sample.len() / dim);
        let slice = slice_rows as u64 * (4 * dim + Centroids::pitch(dim)) as u64;
        // Sums and centroids, and codes and order of each slice in progress.
        let centroids = (num * dim) as u64 * 12 + Centroids::bytes(dim, num) + num as u64 * 4;
        let working = slice + 4 * slice_rows as u64 + SumKernels::sort_bytes(slice_rows, num);
        let needed = centroids + SLOTS as u64 * working;
        cuda.check_memory(needed)?;
        let most_held = held_slices(context.free_within_budget()?.saturating_sub(needed), slice);
        let kernel = |name| cuda.modules.kernel(Op::Kmeans, KernelVariant::NONE, name);
        let mut all = Self {
            slots: cuda.slots.take(context)?,
            cuda,
            dim,
            sample,
            slice_rows,
            held: Vec::new(),
            most_held,
            kernels: Kernels {
                assign: AssignKernels::new(cuda, dim)?,
                sums: SumKernels::new(cuda)?,
                means: kernel("means")?,
                restart: kernel("restart")?,
                largest: kernel("largest")?,
                round_centroids: kernel("round_centroids")?,
            },
            sums: context.allocate(num * dim)?,
            centroids: context.allocate(num * dim)?,
            rounded: Centroids::uninitialized(context, dim, num)?,
            largest: context.allocate(1)?,
            num_restarts: context.allocate(1)?,
            restarts: context.allocate(num)?,
        };
        all.restart((0..).zip(starts.iter().copied()))?;
        all.round_centroids()?;
        Ok(all)
    }

    /// Adds slice `at` of the sample to the sums: after `summed`, with centroids that are rounded at `ready`. Returns
    /// the end of its work.
    fn add_slice(&mut self, at: usize, ready: &Mark, summed: Option<&Mark>) -> Result<Mark> {
        let Kernels { assign, sums, .. } = &self.kernels;
        let slot = &mut self.slots[at % SLOTS];
        let rows = self.slice_rows * self.dim;
        let uploaded = if at < self.held.len() {
            None
        } else {
            let end = self.sample.len().min((at + 1) * rows);
            let embeddings = slot.start_upload(&self.sample[at * rows..end])?;
            let rounded = assign.round_rows(slot.stream(), &embeddings)?;
            Some(Slice { embeddings, rounded })
        };
        let slice = uploaded.as_ref().unwrap_or_else(|| &self.held[at]);
        slot.start();
        let stream = slot.stream();
        ready.wait(stream)?;
        let codes = assign.assign(stream, &self.rounded, &slice.rounded)?;
        let sorted = sums.sort(stream, &codes, self.rounded.len())?;
        if let Some(summed) = summed {
            summed.wait(stream)?;
        }
        sums.add(stream, &self.sums, &slice.embeddings, &sorted, self.dim)?;
        let done = Mark::new(&self.cuda.context, stream)?;
        if at < self.most_held {
            self.held.extend(uploaded);
        }
        Ok(done)
    }

    /// Sets centroids to rows of the sample, at unit length: pairs of a code and a row.
    fn restart(&self, pairs: impl Iterator<Item = (u32, usize)>) -> Result<()> {
        let (dim, context) = (self.dim, &self.cuda.context);
        let pairs: Vec<_> = pairs.collect();
        for some in pairs.chunks(self.slice_rows) {
            let codes: Vec<u32> = some.iter().map(|&(code, _)| code).collect();
            let rows = some.iter().flat_map(|&(_, row)| &self.sample[row * dim..][..dim]);
            let (rows, codes) = (context.upload(&rows.copied().collect::<Vec<f32>>())?, context.upload(&codes)?);
            let (width, num) = (dim as u32, some.len() as u32);
            let arguments = [self.centroids.argument(), rows.argument(), codes.argument(), value(&width), value(&num)];
            // SAFETY: the arguments match the kernel's parameters; codes are below K.
            unsafe { self.kernels.restart.launch(self.blocks(some.len()), THREADS, &arguments)? };
        }
        Ok(())
    }

    /// Rounds the centroids.
    fn round_centroids(&mut self) -> Result<()> {
        self.largest.clear()?;
        let (num, pitch, padded) = (self.rounded.len(), Centroids::pitch(self.dim), self.rounded.padded_len());
        let (components, width, pitch) = ((num * self.dim) as u64, self.dim as u32, pitch as u32);
        let (num_centroids, num_padded) = (num as u32, padded as u32);
        let of_largest = [self.largest.argument(), self.centroids.argument(), value(&components)];
        let of_round = [self.rounded.rows().argument(), self.centroids.argument(), self.largest.argument()];
        let sizes = [value(&width), value(&pitch), value(&num_centroids), value(&num_padded)];
        let blocks = self.blocks(padded);
        // SAFETY: the arguments match the kernels' parameters; the arrays are (K, D) and (padded, pitch).
        unsafe {
            self.kernels.largest.launch(blocks, THREADS, &of_largest)?;
            self.kernels.round_centroids.launch(blocks, THREADS, &[&of_round[..], &sizes].concat())
        }
    }

    /// Blocks for a warp per row, as many as keep the device busy.
    fn blocks(&self, rows: usize) -> (usize, usize) {
        resident_blocks(&self.cuda.context, rows, THREADS)
    }

    /// Makes centroids of the sums, and returns the codes of those that restart, ascending.
    fn means(&mut self) -> Result<Vec<u32>> {
        self.num_restarts.clear()?;
        let (width, num_centroids) = (self.dim as u32, self.rounded.len() as u32);
        let arguments = [
            self.centroids.argument(),
            self.num_restarts.argument(),
            self.restarts.argument(),
            self.sums.argument(),
            value(&width),
            value(&num_centroids),
        ];
        // SAFETY: the arguments match the kernel's parameters; the arrays are (K, D), (1) and (K).
        unsafe { self.kernels.means.launch(self.blocks(self.rounded.len()), THREADS, &arguments)? };
        let number = self.num_restarts.download()?[0] as usize;
        if number == 0 {
            return Ok(Vec::new());
        }
        let mut codes = self.restarts.download()?;
        codes.truncate(number);
        codes.sort_unstable();
        Ok(codes)
    }
}

impl KMeans for DeviceKMeans<'_> {
    fn round(&mut self, restart: &mut dyn FnMut() -> usize) -> Result<()> {
        let done = self.whole_round(restart);
        if done.is_err() {
            // Slices that still run would add to the sums of the next round.
            self.slots.iter_mut().for_each(|slot| _ = slot.settle());
        }
        done
    }

    fn centroids(&self) -> Result<RoundedCentroids> {
        let largest = f32::from_bits(self.largest.download()?[0]);
        Ok(RoundedCentroids::new(self.rounded.download()?.into(), largest / 127.0))
    }
}

impl DeviceKMeans<'_> {
    fn whole_round(&mut self, restart: &mut dyn FnMut() -> usize) -> Result<()> {
        self.sums.clear()?;
        let cuda = self.cuda;
        let ready = Mark::new(&cuda.context, cuda.context.stream())?;
        let mut summed = None;
        for at in 0..self.sample.len().div_ceil(self.slice_rows * self.dim) {
            summed = Some(self.add_slice(at, &ready, summed.as_ref())?);
        }
        summed.expect("a sample has rows").wait(cuda.context.stream())?;
        let codes = self.means()?;
        self.restart(codes.into_iter().map(|code| (code, restart())))?;
        self.round_centroids()
    }
}

/// Number of slices of `bytes` that stay in memory of which `free_bytes` are free: an eighth is left to others.
fn held_slices(free_bytes: u64, bytes: u64) -> usize {
    usize::try_from((free_bytes - free_bytes / 8) / bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_held_in_seven_eighths_of_the_free_memory() {
        // 12.6 M rows of MS MARCO's sample are 193 slices of 41.9 MB.
        let slice = 65_536 * 640;
        assert_eq!(held_slices(8 * slice, slice), 7);
        assert_eq!(held_slices(8 * slice - 1, slice), 7);
        assert_eq!(held_slices(7 * slice, slice), 6);
        assert_eq!((held_slices(slice, slice), held_slices(0, slice)), (0, 0));
        assert!(held_slices(140 << 30, slice) > 193);
        assert_eq!(held_slices(u64::MAX, 1), (u64::MAX - u64::MAX / 8) as usize);
    }

    /// The memory of 2^18 centroids at 128 components, computed by hand.
    #[test]
    fn sizes_of_many_centroids_have_64_bits() {
        assert_eq!(Centroids::bytes(128, 1 << 18), 1 << 25);
        assert_eq!(Centroids::bytes(4096, 1 << 24), 1 << 36);
        assert_eq!(Centroids::bytes(40, 65), 128 * 64);
        // Codes and numbers twice, 256 counts for each of 128 tiles, and the starts.
        assert_eq!(SumKernels::sort_bytes(65_536, 1 << 18), 4 * (4 * 65_536 + 256 * 128 + (1 << 18) + 1));
    }
}
