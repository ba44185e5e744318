//! The backends of this machine, each with the sizes that it can afford.

/// Coverage of a sweep over sizes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sweep {
    /// Every size.
    Full,
    /// Sizes at the edges of the kernels' tiles, for CUDA: each dim and coding is compiled separately there, and the
    /// GPU may be emulated.
    Edges,
}

impl Sweep {
    /// Returns `all` for a full sweep, and `edges` otherwise.
    pub fn of<T: Copy>(self, all: &[T], edges: &[T]) -> Vec<T> {
        if self == Self::Full { all.to_vec() } else { edges.to_vec() }
    }

    pub fn dims(self) -> Vec<usize> {
        self.of(&DIMS, &EDGE_DIMS)
    }
}

/// Expands a body once per backend of this machine; a macro, since [`Backend`] is generic. `sweep` is the coverage that
/// the backend can afford.
macro_rules! each_backend {
    ($backend:ident => $body:expr) => {
        each_backend!($backend, _sweep => $body)
    };
    ($backend:ident, $sweep:ident => $body:expr) => {
        // A bug that is planted in a kernel is sought on the emulated GPU alone.
        let has_cpus = std::env::var_os("EMULATED_MUTATION").is_none();
        for isa in Isa::ALL.into_iter().filter(|isa| has_cpus && isa.is_available()) {
            let ($backend, $sweep) = (&Cpu::with_isa(isa).expect("it is available"), Sweep::Full);
            println!("{}", $backend.name());
            $body;
        }
        // Three devices, of which each has a share of the passages.
        if has_cpus {
            let devices = [Isa::Portable; 3].map(|isa| Cpu::with_isa(isa).expect("everywhere"));
            let ($backend, $sweep) = (&Several::new(devices.into()), Sweep::Edges);
            println!("{}", $backend.name());
            $body;
        }
        if let Some($backend) = gpu::cuda() {
            let $sweep = Sweep::Edges;
            println!("{}", $backend.name());
            $body;
        }
    };
}

/// Codings of rows: bits per component, and whether a trellis chooses them.
pub const CODINGS: [(u8, bool); 7] = [(0, false), (1, false), (1, true), (2, false), (2, true), (4, false), (8, false)];
/// Dims of a full sweep: one group of 8 components, full and partial SIMD steps, common widths of models, and the
/// largest.
pub const DIMS: [usize; 9] = [8, 48, 64, 96, 128, 320, 384, 768, 4096];
/// Dims at the edges of the CUDA kernels: less than a step of 32 components, a partial step, full steps, and more
/// components than registers hold.
pub const EDGE_DIMS: [usize; 5] = [8, 48, 64, 128, 328];
