//! Executors: the code that computes the forward pass, and its device.

use std::fmt;
use std::str::FromStr;

/// Code that computes the forward pass: transformer, projection and unit norm. Written `own`, `candle` (on the CPU),
/// `candle/cuda`, `candle/cuda/1`, `candle/metal`.
///
/// Both executors compute the same function in f32, so an index that was built with one can be searched with the other:
/// see [`Encoder::fingerprint`](crate::Encoder::fingerprint).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Executor {
    /// This crate's own layers, on the CPU, in f32 or int8.
    #[default]
    Own,
    /// The models of candle-transformers, in f32. Part of builds with the feature `candle`.
    Candle(CandleDevice),
}

/// Device of [`Executor::Candle`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CandleDevice {
    /// The CPU.
    Cpu,
    /// NVIDIA GPU, by its CUDA ordinal. Part of builds with the feature `candle-cuda`.
    Cuda(usize),
    /// Apple GPU, by its ordinal. Part of builds with the feature `candle-metal`.
    Metal(usize),
}

impl FromStr for Executor {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split('/');
        let (name, device, number) = (parts.next(), parts.next(), parts.next());
        let number = match number.map(str::parse) {
            None => Some(0),
            Some(Ok(number)) => Some(number),
            Some(Err(_)) => None,
        };
        match (name, device, number, parts.next()) {
            (Some("own"), None, Some(0), None) => Ok(Self::Own),
            (Some("candle"), None, Some(0), None) => Ok(Self::Candle(CandleDevice::Cpu)),
            (Some("candle"), Some("cpu"), Some(0), None) if text == "candle/cpu" => Ok(Self::Candle(CandleDevice::Cpu)),
            (Some("candle"), Some("cuda"), Some(number), None) => Ok(Self::Candle(CandleDevice::Cuda(number))),
            (Some("candle"), Some("metal"), Some(number), None) => Ok(Self::Candle(CandleDevice::Metal(number))),
            _ => Err("expected own, candle, candle/cuda, candle/cuda/1, ..., or candle/metal".into()),
        }
    }
}

impl fmt::Display for Executor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own => f.write_str("own"),
            Self::Candle(CandleDevice::Cpu) => f.write_str("candle"),
            Self::Candle(device) => write!(f, "candle/{device}"),
        }
    }
}

impl fmt::Display for CandleDevice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda/{number}"),
            Self::Metal(number) => write!(f, "metal/{number}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for (text, executor) in [
            ("own", Executor::Own),
            ("candle", Executor::Candle(CandleDevice::Cpu)),
            ("candle/cpu", Executor::Candle(CandleDevice::Cpu)),
            ("candle/cuda", Executor::Candle(CandleDevice::Cuda(0))),
            ("candle/cuda/3", Executor::Candle(CandleDevice::Cuda(3))),
            ("candle/metal", Executor::Candle(CandleDevice::Metal(0))),
        ] {
            assert_eq!(text.parse(), Ok(executor));
            assert_eq!(executor.to_string().parse(), Ok(executor));
        }
        for text in ["", "own/cpu", "own/", "candle/", "candle/cpu/0", "candle/cuda/x", "candle/cuda/1/2", "cuda"] {
            assert!(text.parse::<Executor>().is_err(), "{text}");
        }
    }
}
