//! Timed work at the limits of a device, for `benches/roof`: the kernels of kernels/peak.cu, launches, waits, copies.

use super::{
    Cuda,
    calls::{Event, Graph},
    context::Buffer,
    modules::{Kernel, KernelVariant, value},
    peak::{CHAINS, LOADS, Peak, REPEATS, THREADS, UNIT_BYTES},
};
use crate::Result;
use selvedge_kernels::Op;
use std::time::Instant;

/// An instruction of integers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Instruction {
    /// Any function of three words, bit by bit.
    Lop3,
    /// Any four bytes of two words.
    Prmt,
    /// A product and a sum of 32 bits.
    Imad,
    /// Four products of bytes and their sum.
    Idp,
}

impl Instruction {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Lop3, Self::Prmt, Self::Imad, Self::Idp];

    /// Name of the instruction and of its kernel.
    pub fn name(self) -> &'static str {
        match self {
            Self::Lop3 => "lop3",
            Self::Prmt => "prmt",
            Self::Imad => "imad",
            Self::Idp => "idp",
        }
    }
}

/// Work on a device.
#[derive(Clone, Copy, Debug)]
pub enum Work {
    /// One pass of [`Peak::copy`].
    Copy,
    /// Rounds of [`Peak::products`].
    Products(u32),
    /// Reads of whole rows at pseudorandom places in the first bytes of the data.
    Gather {
        /// 16, 32, 64 or 128.
        row_bytes: usize,
        /// Bytes in which the rows are, at most all.
        within: usize,
        /// Rounds of [`Micro::bytes_of_gather`].
        rounds: u32,
    },
    /// Rounds of [`Micro::num_instructions`].
    Integers(Instruction, u32),
}

/// A call whose time counts on the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Latency {
    /// The launch of a kernel without work, not waited for.
    Launch,
    /// The launch of a kernel without work, waited for.
    LaunchAndWait,
    /// A wait for a stream without work.
    Wait,
    /// A recorded graph of ten such launches, waited for.
    GraphOfTen,
    /// The copy of 4 KB from pageable memory of the host, waited for.
    Upload,
}

/// Prepared work. The data is made on the device.
#[derive(Debug)]
pub struct Micro<'a> {
    cuda: &'a Cuda,
    peak: Peak<'a>,
    out: Buffer<u32>,
}

impl Cuda {
    /// Prepares work on `bytes` bytes of pseudorandom data, of which half is copied.
    ///
    /// # Errors
    /// [`Error::OutOfDeviceMemory`](crate::Error::OutOfDeviceMemory) if the device has no memory for twice the data,
    /// [`Error::KernelCompile`](crate::Error::KernelCompile) if a kernel does not compile,
    /// [`Error::Cuda`](crate::Error::Cuda) if a call of the driver fails.
    ///
    /// # Panics
    /// If `bytes` is not a multiple of 16, or 64 GiB or more.
    pub fn micro(&self, bytes: usize) -> Result<Micro<'_>> {
        let units = u32::try_from(bytes / UNIT_BYTES).expect("less than 64 GiB");
        let peak = Peak::new(self, self.context.allocate(bytes)?)?;
        let out = self.context.zeros(peak.blocks * THREADS as usize)?;
        let fill = self.modules.kernel(Op::Peak, KernelVariant::NONE, "fill")?;
        let arguments = [peak.from.argument(), value(&units)];
        // SAFETY: the arguments match the kernel's parameters; the buffer has as many units.
        unsafe { fill.launch((units.div_ceil(THREADS) as usize, 1), THREADS, &arguments)? };
        self.synchronize()?;
        Ok(Micro { cuda: self, peak, out })
    }
}

impl Micro<'_> {
    /// The data, downloaded.
    ///
    /// # Errors
    /// [`Error::Cuda`](crate::Error::Cuda) if a call of the driver fails.
    pub fn data(&self) -> Result<Vec<u8>> {
        self.peak.from.download()
    }

    /// A word for each thread of the last gathering or instructions, downloaded.
    ///
    /// # Errors
    /// [`Error::Cuda`](crate::Error::Cuda) if a call of the driver fails.
    pub fn words(&self) -> Result<Vec<u32>> {
        self.out.download()
    }

    /// The copies and products.
    pub fn peak(&self) -> &Peak<'_> {
        &self.peak
    }

    /// Bytes that all threads read in a round of gathering.
    pub fn bytes_of_gather(&self) -> usize {
        self.out.len() * LOADS * UNIT_BYTES
    }

    /// Instructions of all threads in a round.
    pub fn num_instructions(&self) -> usize {
        self.out.len() * CHAINS * REPEATS
    }

    /// Runs the work, and returns the seconds that it took on the device.
    ///
    /// # Errors
    /// [`Error::KernelCompile`](crate::Error::KernelCompile) if the kernel does not compile,
    /// [`Error::Cuda`](crate::Error::Cuda) if a call of the driver fails.
    ///
    /// # Panics
    /// If rows are not of 16, 32, 64 or 128 bytes, or there is none within the data.
    pub fn seconds(&self, work: Work) -> Result<f64> {
        let kernel = |name| self.cuda.modules.kernel(Op::Peak, KernelVariant::NONE, name);
        match work {
            Work::Copy => self.timed(|| self.peak.start_copy()),
            Work::Products(rounds) => self.timed(|| self.peak.start_products(rounds)),
            Work::Integers(instruction, rounds) => {
                let (kernel, arguments) = (kernel(instruction.name())?, [self.out.argument(), value(&rounds)]);
                // SAFETY: the arguments match the kernel's parameters; there is a word for each thread.
                self.timed(|| unsafe { kernel.launch((self.peak.blocks, 1), THREADS, &arguments) })
            }
            Work::Gather { row_bytes, within, rounds } => {
                assert!([1, 2, 4, 8].map(|units| units * UNIT_BYTES).contains(&row_bytes), "rows of {row_bytes} bytes");
                assert!((row_bytes..=self.peak.from.len()).contains(&within), "{within} bytes are within the data");
                let (num_rows, row_units) = ((within / row_bytes) as u32, (row_bytes / UNIT_BYTES) as u32);
                let (out, rows) = (self.out.argument(), self.peak.from.argument());
                let arguments = [out, rows, value(&num_rows), value(&row_units), value(&rounds)];
                let kernel = kernel("gather")?;
                // SAFETY: the arguments match the kernel's parameters; a word for each thread, and the rows are
                // within the data.
                self.timed(|| unsafe { kernel.launch((self.peak.blocks, 1), THREADS, &arguments) })
            }
        }
    }

    /// Makes the call, and returns the seconds that it took on the host.
    ///
    /// # Errors
    /// As [`Self::seconds`].
    pub fn latency(&self, call: Latency) -> Result<f64> {
        let (context, zero) = (&self.cuda.context, 0u64);
        let kernel = self.cuda.modules.kernel(Op::Peak, KernelVariant::NONE, "copy")?;
        let arguments = [self.peak.to.argument(), self.peak.from.argument(), value(&zero)];
        // SAFETY: the arguments match the kernel's parameters; it copies nothing.
        let launch = |kernel: &Kernel| unsafe { kernel.launch((1, 1), THREADS, &arguments) };
        context.synchronize()?;
        let begin = match call {
            Latency::GraphOfTen => {
                let entered = context.enter()?;
                let graph = Graph::record(&entered, context.stream(), || (0..10).try_for_each(|_| launch(&kernel)))?;
                let begin = Instant::now();
                // SAFETY: the kernel and its memory live until the wait below.
                let done = unsafe { graph.launch(&entered, context.stream()) }.and_then(|()| context.synchronize());
                let seconds = begin.elapsed().as_secs_f64();
                graph.destroy(&entered);
                return done.map(|()| seconds);
            }
            _ => Instant::now(),
        };
        match call {
            Latency::Launch => launch(&kernel)?,
            Latency::LaunchAndWait => launch(&kernel).and_then(|()| context.synchronize())?,
            Latency::Upload => drop(context.upload(&[0u8; 4096])?),
            Latency::Wait | Latency::GraphOfTen => context.synchronize()?,
        }
        let seconds = begin.elapsed().as_secs_f64();
        context.synchronize()?;
        Ok(seconds)
    }

    /// Seconds on the device between the begin and the end of the work that `start` puts on the stream.
    fn timed(&self, start: impl FnOnce() -> Result<()>) -> Result<f64> {
        let context = &self.cuda.context;
        let entered = context.enter()?;
        let begin = Event::record_time(&entered, context.stream())?;
        let end = start().and_then(|()| Event::record_time(&entered, context.stream()));
        let seconds = end.and_then(|end| {
            let seconds = context.synchronize().and_then(|()| end.seconds_since(&entered, &begin));
            end.destroy(&entered);
            seconds
        });
        begin.destroy(&entered);
        seconds
    }
}
