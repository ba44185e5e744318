//! Instruction sets of the CPU ops: detected at run time, or forced by the environment variable `SELVEDGE_ISA`.

use crate::{Error, Result};

/// An instruction set that the CPU ops have bodies for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Isa {
    /// Plain Rust that the compiler may vectorize; runs everywhere.
    Portable,
    /// x86-64 with AVX2 and FMA.
    Avx2,
    /// [`Avx2`](Self::Avx2) with AVX-VNNI, used by linear layers in int8: Intel from Alder Lake on, AMD from Zen 5 on.
    AvxVnni,
    /// x86-64 with AVX-512 F, BW, VL, VNNI, VBMI and GFNI: Intel from Ice Lake, AMD from Zen 4 on.
    Avx512,
}

impl Isa {
    /// Every instruction set, slowest first.
    pub const ALL: [Isa; 4] = [Isa::Portable, Isa::Avx2, Isa::AvxVnni, Isa::Avx512];

    /// Name of the instruction set, as [`Isa::from_env`] reads it.
    pub fn name(self) -> &'static str {
        match self {
            Isa::Portable => "portable",
            Isa::Avx2 => "avx2",
            Isa::AvxVnni => "avxvnni",
            Isa::Avx512 => "avx512",
        }
    }

    /// Whether this machine has the instruction set.
    pub fn is_available(self) -> bool {
        match self {
            Isa::Portable => true,
            _ if cfg!(miri) => false, // Miri interprets plain Rust only, whatever the machine has
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => std::is_x86_feature_detected!("avx2") && std::is_x86_feature_detected!("fma"),
            #[cfg(target_arch = "x86_64")]
            Isa::AvxVnni => Isa::Avx2.is_available() && std::is_x86_feature_detected!("avxvnni"),
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => {
                Isa::Avx2.is_available()
                    && std::is_x86_feature_detected!("avx512f")
                    && std::is_x86_feature_detected!("avx512bw")
                    && std::is_x86_feature_detected!("avx512vl")
                    && std::is_x86_feature_detected!("avx512vnni")
                    && std::is_x86_feature_detected!("avx512vbmi")
                    && std::is_x86_feature_detected!("gfni")
            }
            #[cfg(not(target_arch = "x86_64"))]
            Isa::Avx2 | Isa::AvxVnni | Isa::Avx512 => false,
        }
    }

    /// The fastest instruction set that this machine has.
    pub fn best() -> Self {
        Self::ALL.into_iter().rev().find(|isa| isa.is_available()).unwrap_or(Self::Portable)
    }

    /// The instruction set that `SELVEDGE_ISA` names, or [`Isa::best`] if the variable is not set.
    ///
    /// # Errors
    /// [`Error::BadIsa`] if the name is unknown, or this machine lacks the instruction set.
    pub fn from_env() -> Result<Self> {
        match std::env::var("SELVEDGE_ISA") {
            Err(_) => Ok(Self::best()),
            Ok(requested) => match Self::ALL.into_iter().find(|isa| isa.name() == requested) {
                None => Err(Error::BadIsa { requested, reason: "no such instruction set" }),
                Some(isa) if !isa.is_available() => Err(Error::BadIsa { requested, reason: "this machine lacks it" }),
                Some(isa) => Ok(isa),
            },
        }
    }
}
