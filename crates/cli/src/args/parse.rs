//! Values of flags: numbers within bounds, sizes with units.

/// More threads than this are a slip of the finger, and take the machine down before rayon complains.
const MAX_THREADS: usize = 1024;

pub(super) fn parse_threads(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(threads @ 1..=MAX_THREADS) => Ok(threads),
        _ => Err(format!("it can be 1 to {MAX_THREADS}; leave --threads out for one thread a core")),
    }
}

pub(super) fn parse_positive(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|&number| number > 0).ok_or_else(|| "it is a number, at least 1".into())
}

pub(super) fn parse_share(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if share > 0.0 && share <= 1.0 => Ok(share),
        _ => Err("it is a share, above 0 and at most 1".into()),
    }
}

pub(super) fn parse_margin(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("it is a share, at least 0 and below 1".into()),
    }
}

pub(super) fn parse_nbits(text: &str) -> Result<u8, String> {
    match text.parse() {
        Ok(nbits @ (0 | 1 | 2 | 4 | 8)) => Ok(nbits),
        _ => Err("it can be 0, 1, 2, 4 or 8".into()),
    }
}

/// `4GiB`, `512MiB`, `2G`, `1000000`; powers of 1024 with or without the `i`, of 1000 with `B` alone.
pub(super) fn parse_size(text: &str) -> Result<u64, String> {
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..digits].parse().map_err(|_| "write it like 4GiB or 512MiB".to_string())?;
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
        _ => return Err("write it like 4GiB or 512MiB".into()),
    };
    Ok((number * unit) as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;

    #[test]
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
    }

    #[test]
    fn sizes() {
        assert_eq!(parse_size("4GiB"), Ok(4 << 30));
        assert_eq!(parse_size("1.5k"), Ok(1536));
        assert_eq!(parse_size("3MB"), Ok(3_000_000));
        assert!(parse_size("GiB").is_err() && parse_size("4 apples").is_err());
    }
}
