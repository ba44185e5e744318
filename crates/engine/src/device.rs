//! Devices, chosen at run time, and the one place that makes a backend from one.

use std::str::FromStr;

/// Device that trains codecs, compresses and scores; that of the encoder is part of its
/// [`Executor`](crate::Executor). Written `cpu`, `cuda` (the first GPU), `cuda/1`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Device {
    /// The CPU.
    #[default]
    Cpu,
    /// NVIDIA GPU, by its CUDA ordinal, which `selvedge devices` lists.
    Cuda(usize),
}

impl FromStr for Device {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = |number: &str| number.parse().map_err(|_| format!("{number:?} is not the number of a GPU"));
        match (text, text.strip_prefix("cuda/")) {
            ("cpu", _) => Ok(Self::Cpu),
            ("cuda", _) => Ok(Self::Cuda(0)),
            (_, Some(given)) => number(given).map(Self::Cuda),
            _ => Err("expected cpu, cuda, or cuda/1, cuda/2, ... as `selvedge devices` lists them".into()),
        }
    }
}

impl std::fmt::Display for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda/{number}"),
        }
    }
}

/// Evaluates an expression with a name bound to the backend of a device. There is no fallback: a device that is not
/// available is an error.
macro_rules! on_device {
    ($device:expr, $backend:ident => $body:expr) => {
        match $device {
            $crate::device::Device::Cpu => {
                let $backend = selvedge_backend::Cpu::new()?;
                $body
            }
            #[cfg(feature = "cuda")]
            $crate::device::Device::Cuda(number) => {
                let $backend = selvedge_backend::Cuda::new(number)?;
                $body
            }
            #[cfg(not(feature = "cuda"))]
            $crate::device::Device::Cuda(requested) => Err(selvedge_backend::Error::NoCudaDevice {
                requested,
                reason: "this build has no CUDA; build selvedge with its feature cuda (the default has it)".into(),
            }
            .into()),
        }
    };
}
pub(crate) use on_device;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_devices() {
        for (text, device) in [("cpu", Device::Cpu), ("cuda", Device::Cuda(0)), ("cuda/3", Device::Cuda(3))] {
            assert_eq!(text.parse(), Ok(device));
            assert_eq!(device.to_string().parse(), Ok(device));
        }
        for text in ["", "cpu/0", "cuda/", "cuda/x", "cuda/-1", "gpu", "cuda:1"] {
            assert!(text.parse::<Device>().is_err(), "{text}");
        }
    }
}
