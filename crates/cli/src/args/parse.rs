//! Values of flags: numbers within bounds, sizes with units, paths that are written.

use clap::builder::{PathBufValueParser, TypedValueParser};
use std::path::{Path, PathBuf};

/// Largest accepted number of threads. A larger one is a typing error, and exhausts the machine before rayon fails.
const MAX_THREADS: usize = 1024;

pub(super) fn parse_threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(threads @ 1..=MAX_THREADS) => Ok(threads),
        _ => Err(format!("expected 1 to {MAX_THREADS}; leave --threads out for one thread per core")),
    }
}

pub(super) fn parse_positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&number| number > 0).ok_or_else(|| "expected a number, at least 1".into())
}

pub(super) fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("expected a share, above 0 and at most 1".into()),
    }
}

pub(super) fn parse_weight(text: &str) -> Result<f32, String> {
    match text.parse() {
        Ok(weight) if (0.0..=1.0).contains(&weight) => Ok(weight),
        _ => Err("expected a weight, from 0 to 1".into()),
    }
}

pub(super) fn parse_margin(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("expected a share, at least 0 and below 1".into()),
    }
}

pub(super) fn parse_nbits(text: &str) -> Result<u8, String> {
    match text.parse() {
        Ok(nbits @ (0 | 1 | 2 | 4 | 8)) => Ok(nbits),
        _ => Err("expected 0, 1, 2, 4 or 8".into()),
    }
}

/// Parses a size in bytes such as `4GiB`, `2G` or `1000000`: `K` and `KiB` are 1024 bytes, `KB` is 1000 bytes.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    const EXPECTED: &str = "expected a size such as 4GiB, 512MiB or 4GB";
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| EXPECTED.to_string())?;
    let unit: f64 = match text[digits..].trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kib" => 1024.0,
        "m" | "mib" => 1024.0 * 1024.0,
        "g" | "gib" => 1024.0 * 1024.0 * 1024.0,
        "t" | "tib" => 1024f64.powi(4),
        "kb" => 1e3,
        "mb" => 1e6,
        "gb" => 1e9,
        "tb" => 1e12,
        _ => return Err(EXPECTED.into()),
    };
    Ok((number * unit) as u64)
}

/// Parser of a path that the command writes.
pub(super) fn output_path() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().try_map(|path| check_output(&path).map(|()| path))
}

/// Refuses `-`, which names standard input and output elsewhere, as the name of a file or folder.
pub(crate) fn check_output(path: &Path) -> Result<(), String> {
    if path != Path::new("-") {
        return Ok(());
    }
    Err("this output cannot be standard output; write ./- for a file or folder of this name".into())
}
