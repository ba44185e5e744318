//! What the device can do at most: kernels/peak.cu.

use super::{
    Cuda,
    context::Buffer,
    grid::WARP,
    modules::{KernelVariant, value},
};
use crate::Result;
use selvedge_kernels::Op;

const THREADS: u32 = 256;
/// Blocks for each multiprocessor: as many as it holds at once.
const BLOCKS: usize = 4;
/// Sums of a warp, or thread, that are added to in turn.
const CHAINS: usize = 8;
/// Products of one matrix product, 16 by 8 by 32, of a warp.
const PRODUCTS: usize = 16 * 8 * 32;
/// Bytes of a unit that is copied.
const UNIT_BYTES: usize = 16;

/// Work for the device whose amount is known, for whoever takes the time. Each method waits until it is done.
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
    /// Work that takes `data`, whole units of 16 bytes, for what is copied.
    ///
    /// # Panics
    /// If they are not whole.
    pub fn peak(&self, data: &[u8]) -> Result<Peak<'_>> {
        assert_eq!(data.len() % UNIT_BYTES, 0, "whole units");
        let blocks = self.context.device().multiprocessors as usize * BLOCKS;
        let threads = blocks * THREADS as usize;
        let (from, to) = (self.context.upload(data)?, self.context.zeros(data.len())?);
        let (products, sums) = (self.context.zeros(threads)?, self.context.zeros(threads)?);
        Ok(Peak { cuda: self, blocks, from, to, products, sums })
    }
}

impl Peak<'_> {
    /// Copies the data from device memory to device memory.
    pub fn copy(&self) -> Result<()> {
        let kernel = self.cuda.modules.kernel(Op::Peak, KernelVariant::NONE, "copy")?;
        let units = (self.from.len() / UNIT_BYTES) as u64;
        let arguments = [self.from.argument(), value(&units), self.to.argument()];
        // SAFETY: the arguments are the kernel's; both buffers have as many units.
        unsafe { kernel.launch((self.blocks, 1), THREADS, &arguments)? };
        self.cuda.synchronize()
    }

    /// How many bytes that are.
    pub fn num_bytes(&self) -> usize {
        self.from.len()
    }

    /// What was copied.
    pub fn copied(&self) -> Result<Vec<u8>> {
        self.to.download()
    }

    /// Products of int8 in tensor cores: `rounds * num_products`.
    pub fn products(&self, rounds: u32) -> Result<()> {
        let kernel = self.cuda.modules.kernel(Op::Peak, KernelVariant::NONE, "products")?;
        let arguments = [value(&rounds), self.products.argument()];
        // SAFETY: the arguments are the kernel's; there is room for each thread's sum.
        unsafe { kernel.launch((self.blocks, 1), THREADS, &arguments)? };
        self.cuda.synchronize()
    }

    /// Products in one round.
    pub fn num_products(&self) -> usize {
        self.products.len() / WARP * CHAINS * PRODUCTS
    }

    /// What they come to, over all threads.
    pub fn sum_of_products(&self) -> Result<i64> {
        Ok(self.products.download()?.into_iter().map(i64::from).sum())
    }

    /// Multiply-adds of f32: `rounds * num_multiply_adds`.
    pub fn multiply_adds(&self, rounds: u32) -> Result<()> {
        // Sums stay finite.
        let factor = 0.5f32;
        let kernel = self.cuda.modules.kernel(Op::Peak, KernelVariant::NONE, "multiply_adds")?;
        let arguments = [value(&rounds), value(&factor), self.sums.argument()];
        // SAFETY: the arguments are the kernel's; there is room for each thread's sum.
        unsafe { kernel.launch((self.blocks, 1), THREADS, &arguments)? };
        self.cuda.synchronize()
    }

    /// Multiply-adds in one round.
    pub fn num_multiply_adds(&self) -> usize {
        self.sums.len() * CHAINS
    }
}
