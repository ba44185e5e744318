//! Three kinds of work that run at the limits of a device: kernels/peak.cu.

use super::{
    Cuda,
    constants::{Constant, TILE_COLUMNS, TILE_DEPTH, TILE_ROWS, WARP},
    context::Buffer,
    modules::{KernelVariant, value},
};
use crate::Result;
use selvedge_kernels::Op;

const THREADS: u32 = 256;
/// Blocks per multiprocessor, which all run at once.
const BLOCKS: usize = 4;
/// Independent sums of a warp or thread.
const CHAINS: usize = 8;
/// Bytes that a thread copies at a time.
const UNIT_BYTES: usize = 16;

pub(super) const CONSTANTS: [Constant; 3] =
    [("THREADS", THREADS as i64), ("CHAINS", CHAINS as i64), ("UNIT_BYTES", UNIT_BYTES as i64)];

/// Work of known size that runs at the limits of a device: copies of memory, int8 products and f32
/// multiply-adds. Each method waits until its work is done; the caller measures the time.
#[derive(Debug)]
pub struct Peak<'a> {
    cuda: &'a Cuda,
    blocks: usize,
    from: Buffer<u8>,
    to: Buffer<u8>,
    products: Buffer<i32>,
    sums: Buffer<f32>,
}

impl Cuda {
    /// Prepares a [`Peak`], by which a caller measures the device's limits, and uploads `data` for
    /// [`Peak::copy`].
    ///
    /// # Errors
    /// [`Error::OutOfDeviceMemory`](crate::Error::OutOfDeviceMemory) if the device has no memory for twice the data,
    /// [`Error::Cuda`](crate::Error::Cuda) if a call of the driver fails.
    ///
    /// # Panics
    /// If the length of `data` is not a multiple of 16.
    pub fn peak(&self, data: &[u8]) -> Result<Peak<'_>> {
        assert_eq!(data.len() % UNIT_BYTES, 0, "the data is whole units of 16 bytes");
        let blocks = self.context.device().multiprocessors as usize * BLOCKS;
        let threads = blocks * THREADS as usize;
        let (from, to) = (self.context.upload(data)?, self.context.zeros(data.len())?);
        let (products, sums) = (self.context.zeros(threads)?, self.context.zeros(threads)?);
        Ok(Peak { cuda: self, blocks, from, to, products, sums })
    }
}

impl Peak<'_> {
    /// Copies the data from device memory to device memory.
    ///
    /// # Errors
    /// [`Error::KernelCompile`](crate::Error::KernelCompile) if the kernel does not compile,
    /// [`Error::Cuda`](crate::Error::Cuda) if a call of the driver fails.
    pub fn copy(&self) -> Result<()> {
        let kernel = self.cuda.modules.kernel(Op::Peak, KernelVariant::NONE, "copy")?;
        let num = (self.from.len() / UNIT_BYTES) as u64;
        let arguments = [self.to.argument(), self.from.argument(), value(&num)];
        // SAFETY: the arguments match the kernel's parameters; both buffers have `num` units.
        unsafe { kernel.launch((self.blocks, 1), THREADS, &arguments)? };
        self.cuda.synchronize()
    }

    /// Number of bytes that [`copy`](Self::copy) copies.
    pub fn num_bytes(&self) -> usize {
        self.from.len()
    }

    /// Downloads the bytes that [`copy`](Self::copy) has written; zeros before its first call.
    ///
    /// # Errors
    /// [`Error::Cuda`](crate::Error::Cuda) if a call of the driver fails.
    pub fn copied(&self) -> Result<Vec<u8>> {
        self.to.download()
    }

    /// Computes `rounds` times [`num_products`](Self::num_products) int8 products in tensor cores.
    ///
    /// # Errors
    /// [`Error::KernelCompile`](crate::Error::KernelCompile) if the kernel does not compile,
    /// [`Error::Cuda`](crate::Error::Cuda) if a call of the driver fails.
    pub fn products(&self, rounds: u32) -> Result<()> {
        let kernel = self.cuda.modules.kernel(Op::Peak, KernelVariant::NONE, "products")?;
        let arguments = [self.products.argument(), value(&rounds)];
        // SAFETY: the arguments match the kernel's parameters; there is a sum for each thread.
        unsafe { kernel.launch((self.blocks, 1), THREADS, &arguments)? };
        self.cuda.synchronize()
    }

    /// Number of int8 products in one round.
    pub fn num_products(&self) -> usize {
        self.products.len() / WARP * CHAINS * (TILE_ROWS * TILE_COLUMNS * TILE_DEPTH)
    }

    /// Downloads the sum of the products over all threads, plus the constant initial values of the sums.
    ///
    /// # Errors
    /// [`Error::Cuda`](crate::Error::Cuda) if a call of the driver fails.
    pub fn sum_of_products(&self) -> Result<i64> {
        Ok(self.products.download()?.into_iter().map(i64::from).sum())
    }

    /// Computes `rounds` times [`num_multiply_adds`](Self::num_multiply_adds) multiply-adds of f32.
    ///
    /// # Errors
    /// [`Error::KernelCompile`](crate::Error::KernelCompile) if the kernel does not compile,
    /// [`Error::Cuda`](crate::Error::Cuda) if a call of the driver fails.
    pub fn multiply_adds(&self, rounds: u32) -> Result<()> {
        // Keeps the sums finite.
        let factor = 0.5f32;
        let kernel = self.cuda.modules.kernel(Op::Peak, KernelVariant::NONE, "multiply_adds")?;
        let arguments = [self.sums.argument(), value(&factor), value(&rounds)];
        // SAFETY: the arguments match the kernel's parameters; there is a sum for each thread.
        unsafe { kernel.launch((self.blocks, 1), THREADS, &arguments)? };
        self.cuda.synchronize()
    }

    /// Number of multiply-adds in one round.
    pub fn num_multiply_adds(&self) -> usize {
        self.sums.len() * CHAINS
    }
}
