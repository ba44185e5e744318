//! The backends of this machine whose ops are timed.

use super::limits::{self, Peak};
use selvedge_backend::cuda::devices;
use selvedge_backend::{Backend, Cpu, Cuda, Isa};
use std::sync::OnceLock;

/// Divisor of a CPU's work per call that gives the work of the emulated GPU.
const EMULATED_PART: usize = 64;

/// Runs a block once per backend that `$bench` measures; a macro, because [`Backend`] is generic.
#[macro_export]
macro_rules! each_backend {
    ($bench:ident, $backend:ident => $body:block) => {
        for $backend in &$bench.cpus() $body
        for $backend in $crate::support::backends::gpu().as_slice() $body
    };
}

/// A backend whose ops are timed.
pub trait Timed: Backend {
    /// Waits for the work submitted so far: some ops of a GPU return before it is done.
    fn wait(&self);

    /// Selects the amount of work of a call: `gpu` is larger than `cpu`, to outweigh the launch of a kernel.
    fn size(&self, cpu: usize, gpu: usize) -> usize;

    /// Limits of the device.
    fn peaks(&self) -> &'static [Peak];
}

impl Timed for Cpu {
    fn wait(&self) {}

    fn size(&self, cpu: usize, _gpu: usize) -> usize {
        cpu
    }

    fn peaks(&self) -> &'static [Peak] {
        limits::of_one_core()
    }
}

impl Timed for Cuda {
    fn wait(&self) {
        self.synchronize().expect("the device works");
    }

    fn size(&self, cpu: usize, gpu: usize) -> usize {
        if gpu_is_emulated() { cpu.div_ceil(EMULATED_PART) } else { gpu }
    }

    fn peaks(&self) -> &'static [Peak] {
        limits::of_gpu(self)
    }
}

/// Every instruction set of this machine, slowest first.
pub fn all_cpus() -> Vec<Cpu> {
    let available = Isa::ALL.into_iter().filter(|isa| isa.is_available());
    available.map(|isa| Cpu::with_isa(isa).expect("available")).collect()
}

/// The fastest instruction set, for work that is not timed.
pub fn fastest_cpu() -> Cpu {
    Cpu::with_isa(Isa::best()).expect("available")
}

/// The first GPU. The emulated one counts only if `SELVEDGE_BENCH_EMULATED` is set: its times mean nothing.
pub fn gpu() -> &'static Option<Cuda> {
    static GPU: OnceLock<Option<Cuda>> = OnceLock::new();
    GPU.get_or_init(|| {
        if gpu_is_emulated() && std::env::var_os("SELVEDGE_BENCH_EMULATED").is_none() {
            eprintln!("no GPU: the first one is emulated");
            return None;
        }
        Cuda::new(0).map_err(|error| eprintln!("no GPU: {error}")).ok()
    })
}

/// Name of the first GPU.
pub fn gpu_name() -> Option<String> {
    devices().devices.into_iter().next().and_then(Result::ok).map(|device| device.name)
}

/// Returns whether the first GPU is the emulated one of tests/emulator.
fn gpu_is_emulated() -> bool {
    static EMULATED: OnceLock<bool> = OnceLock::new();
    *EMULATED.get_or_init(|| gpu_name().is_some_and(|name| name.starts_with("Emulated")))
}
