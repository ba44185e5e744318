//! Three kinds of work that run at the limits of a device: kernels/peak.cu.

use super::{
    Cuda,
    constants::{Constant, TILE_COLUMNS, TILE_DEPTH, TILE_ROWS, WARP},
    context::Buffer,
    modules::{KernelVariant, value},
};
use crate::Result;
use selvedge_kernels::Op;

pub(super) const THREADS: u32 = 256;
/// Blocks per multiprocessor, which all run at once.
const BLOCKS: usize = 4;
/// Independent sums of a warp or thread.
pub(super) const CHAINS: usize = 8;
/// Instructions of a chain of integers in a round.
pub(super) const REPEATS: usize = 8;
/// Bytes of a load.
pub(super) const UNIT_BYTES: usize = 16;
/// Loads of a thread that are in flight at once.
pub(super) const LOADS: usize = 4;

pub(super) const CONSTANTS: [Constant; 5] = [
    ("THREADS", THREADS as i64),
    ("CHAINS", CHAINS as i64),
    ("UNIT_BYTES", UNIT_BYTES as i64),
    ("LOADS", LOADS as i64),
    ("REPEATS", REPEATS as i64),
];

/// Work of known size that runs at the limits of a device: copies of memory, int8 products and f32
/// multiply-adds. Each method waits until its work is done; the caller measures the time.
#[derive(Debug)]
pub struct Peak<'a> {
    cuda: &'a Cuda,
    pub(super) blocks: usize,
    pub(super) from: Buffer<u8>,
    pub(super) to: Buffer<u8>,
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
        Peak::new(self, self.context.upload(data)?)
    }
}

impl<'a> Peak<'a> {
    /// Prepares it for these data.
    pub(super) fn new(cuda: &'a Cuda, from: Buffer<u8>) -> Result<Self> {
        assert_eq!(from.len() % UNIT_BYTES, 0, "the data is whole units of 16 bytes");
        let context = &cuda.context;
        let blocks = context.device().multiprocessors as usize * BLOCKS;
        let threads = blocks * THREADS as usize;
        let to = context.zeros(from.len())?;
        Ok(Peak { cuda, blocks, from, to, products: context.zeros(threads)?, sums: context.zeros(threads)? })
    }
}

impl Peak<'_> {
    /// Copies the data from device memory to device memory.
    ///
    /// # Errors
    /// [`Error::KernelCompile`](crate::Error::KernelCompile) if the kernel does not compile,
    /// [`Error::Cuda`](crate::Error::Cuda) if a call of the driver fails.
    pub fn copy(&self) -> Result<()> {
        self.start_copy()?;
        self.cuda.synchronize()
    }

    /// Starts [`Self::copy`].
    pub(super) fn start_copy(&self) -> Result<()> {
        let kernel = self.cuda.modules.kernel(Op::Peak, KernelVariant::NONE, "copy")?;
        let num = (self.from.len() / UNIT_BYTES) as u64;
        let arguments = [self.to.argument(), self.from.argument(), value(&num)];
        // SAFETY: the arguments match the kernel's parameters; both buffers have `num` units.
        unsafe { kernel.launch((self.blocks, 1), THREADS, &arguments) }
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
        self.start_products(rounds)?;
        self.cuda.synchronize()
    }

    /// Starts [`Self::products`].
    pub(super) fn start_products(&self, rounds: u32) -> Result<()> {
        let kernel = self.cuda.modules.kernel(Op::Peak, KernelVariant::NONE, "products")?;
        let arguments = [self.products.argument(), value(&rounds)];
        // SAFETY: the arguments match the kernel's parameters; there is a sum for each thread.
        unsafe { kernel.launch((self.blocks, 1), THREADS, &arguments) }
    }

    /// Number of int8 products in one round.
    pub fn num_products(&self) -> usize {
        self.products.len() / WARP * CHAINS * (TILE_ROWS * TILE_COLUMNS * TILE_DEPTH)
    }

    /// Downloads the sum of the products over all threads, plus the constant initial values of the sums, modulo 2^32.
    ///
    /// # Errors
    /// [`Error::Cuda`](crate::Error::Cuda) if a call of the driver fails.
    pub fn sum_of_products(&self) -> Result<u32> {
        Ok(self.products.download()?.into_iter().fold(0, |sum, of_thread| sum.wrapping_add(of_thread as u32)))
    }

    /// Returns the sum of the products of one round over all threads, modulo 2^32.
    pub fn expected_sum(&self) -> u32 {
        let of_warp = (0..CHAINS).map(|chain| sum_of_chain(chain % 2, chain / 2)).fold(0, u32::wrapping_add);
        of_warp.wrapping_mul((self.products.len() / WARP) as u32)
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

/// Four pseudorandom bytes, as kernels/peak.cu has them.
fn some_bytes(lane: usize, number: usize) -> [i8; 4] {
    let bits = (lane as u32 * 64 + number as u32).wrapping_mul(0x9e37_79b1);
    let bits = (bits ^ bits >> 15).wrapping_mul(0x85eb_ca6b);
    (bits ^ bits >> 13).to_le_bytes().map(|byte| byte as i8)
}

/// Returns the sum of all entries of the product of left side `a` with right side `b`, modulo 2^32. The entries of a
/// product add up to the sum over its depth of (sum of a column of the left side) times (sum of a row of the right).
fn sum_of_chain(a: usize, b: usize) -> u32 {
    // Of the bytes 4 t .. 4 t + 3 (half 0) and 4 t + 16 .. 4 t + 19 (half 1) of the depth.
    let sum = |word: &dyn Fn(usize) -> [i8; 4], byte: usize| (0..8).map(|g| i32::from(word(g)[byte])).sum::<i32>();
    let mut all = 0u32;
    for (half, t) in [0, 1].into_iter().flat_map(|half| (0..4).map(move |t| (half, t))) {
        for byte in 0..4 {
            // Registers 0 and 2 have rows 0 to 7 of both halves, 1 and 3 have rows 8 to 15.
            let left = sum(&|g| some_bytes(4 * g + t, 4 * a + 2 * half), byte)
                + sum(&|g| some_bytes(4 * g + t, 4 * a + 2 * half + 1), byte);
            let right = sum(&|g| some_bytes(4 * g + t, 8 + 2 * b + half), byte);
            all = all.wrapping_add((left * right) as u32);
        }
    }
    all
}
