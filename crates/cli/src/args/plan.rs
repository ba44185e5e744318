//! Arguments of `selvedge plan`.

use super::parse::{output_path, parse_nbits, parse_positive, parse_size};
use clap::{Args, ValueEnum};
use selvedge::plan::measure::{Size, Stage};
use std::path::PathBuf;

/// Arguments of `selvedge plan`.
#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    /// Number of passages, such as 300k, 1.5M or 10B.
    #[arg(long, value_name = "COUNT", value_parser = parse_count, help_heading = "Collection")]
    #[arg(required_unless_present_any = ["check", "measure"])]
    pub(crate) passages: Option<u64>,
    /// Mean number of tokens of a passage.
    #[arg(long, value_name = "N", value_parser = parse_positive, default_value_t = 60, help_heading = "Collection")]
    pub(crate) tokens: usize,
    /// Bits per residual component: 0, 1, 2, 4 or 8.
    #[arg(long, value_name = "BITS", value_parser = parse_nbits, default_value_t = 2, help_heading = "Collection")]
    pub(crate) nbits: u8,
    /// Bytes on disk of the stored text, id and metadata of a passage, compressed; 0 for embeddings alone.
    #[arg(long, value_name = "SIZE", value_parser = parse_size, default_value = "0", help_heading = "Collection")]
    pub(crate) text_bytes: u64,
    /// Time within which 99 of 100 queries are answered, such as 50ms or 0.2s.
    #[arg(long, value_name = "TIME", value_parser = parse_ms, default_value = "100ms", help_heading = "Service")]
    pub(crate) latency: f64,
    /// Queries per second.
    #[arg(long, value_name = "N", value_parser = parse_rate, default_value = "100", help_heading = "Service")]
    pub(crate) qps: f64,
    /// Share of the time in which every shard has a replica that runs.
    #[arg(long, value_name = "SHARE", value_parser = parse_part, default_value = "0.999", help_heading = "Service")]
    pub(crate) availability: f64,
    /// Replicas of each shard, instead of as many as throughput and availability need.
    #[arg(long, value_name = "N", value_parser = parse_positive, help_heading = "Service")]
    pub(crate) replicas: Option<usize>,
    /// Cores of a machine [default: as measured].
    #[arg(long, value_name = "N", value_parser = parse_positive, help_heading = "Machines")]
    pub(crate) cores: Option<usize>,
    /// Memory of a machine [default: as measured].
    #[arg(long, value_name = "SIZE", value_parser = parse_size, help_heading = "Machines")]
    pub(crate) memory: Option<u64>,
    /// Time on the network between router and shard, there and back.
    #[arg(long, value_name = "TIME", value_parser = parse_ms, default_value = "0.5ms", help_heading = "Machines")]
    pub(crate) hop: f64,
    /// Mean time from one failure of a machine to the next, such as 30d; 0 for none.
    #[arg(long, value_name = "TIME", value_parser = parse_ms, default_value = "30d", help_heading = "Machines")]
    pub(crate) failure_every: f64,
    /// Time until a machine that failed answers again.
    #[arg(long, value_name = "TIME", value_parser = parse_ms, default_value = "10m", help_heading = "Machines")]
    pub(crate) repair: f64,
    /// Share of searches that take --straggler-factor times as long.
    #[arg(long, value_name = "SHARE", value_parser = parse_part, default_value = "0.001", help_heading = "Machines")]
    pub(crate) straggler_share: f64,
    /// Time of a straggler, as a multiple of its time otherwise.
    #[arg(long, value_name = "N", value_parser = parse_rate, default_value = "10", help_heading = "Machines")]
    pub(crate) straggler_factor: f64,
    /// Figures of a machine, made by --measure [default: an EPYC, Zen 5, built in].
    #[arg(long, value_name = "FILE.json", help_heading = "Figures")]
    pub(crate) figures: Option<PathBuf>,
    /// Print the prediction for each measured size from the other sizes, beside its measurement.
    #[arg(long, conflicts_with_all = ["passages", "measure", "svg"], help_heading = "Figures")]
    pub(crate) check: bool,
    /// Measure this machine, and write its figures to this file.
    #[arg(long, value_name = "FILE.json", value_parser = output_path(), help_heading = "Figures")]
    #[arg(conflicts_with_all = ["passages", "figures", "json", "svg"])]
    pub(crate) measure: Option<PathBuf>,
    /// Sizes to measure, as passages and tokens of each.
    #[arg(long, value_name = "COUNTxTOKENS", value_parser = parse_sizes_of_index, value_delimiter = ',')]
    #[arg(default_value = "3kx16,10kx16,10kx60,30kx16,30kx60,100kx16", help_heading = "Figures")]
    pub(crate) sizes: Vec<Size>,
    /// Folder of the indexes that are measured, which is kept; results in it are not measured again.
    #[arg(long, value_name = "DIR", value_parser = output_path(), requires = "measure", help_heading = "Figures")]
    pub(crate) work: Option<PathBuf>,
    /// Stage of a measurement to run, of the first of --sizes.
    #[arg(long, hide = true, requires = "work")]
    pub(crate) stage: Option<StageArg>,
    /// Simulate 1 to 1,000 shards, too, and write the curves to this file.
    #[arg(long, value_name = "FILE.svg", value_parser = output_path(), help_heading = "Output")]
    pub(crate) svg: Option<PathBuf>,
    /// Print one JSON object.
    #[arg(long, help_heading = "Output")]
    pub(crate) json: bool,
    /// Seed of the simulation.
    #[arg(long, value_name = "N", default_value_t = 42, help_heading = "Output")]
    pub(crate) seed: u64,
}

/// Stage of a measurement.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(crate) enum StageArg {
    /// Build an index.
    Build,
    /// Search it.
    Search,
}

impl From<StageArg> for Stage {
    fn from(stage: StageArg) -> Self {
        match stage {
            StageArg::Build => Self::Build,
            StageArg::Search => Self::Search,
        }
    }
}

/// Largest number of passages: numbers of tokens still fit into 64 bits.
const MOST_PASSAGES: f64 = 1e15;

/// Parses a number such as `10B`, `1.5M`, `300k` or `2000`.
pub(super) fn parse_count(text: &str) -> Result<u64, String> {
    const EXPECTED: &str = "expected a number such as 2000, 300k, 1.5M or 10B, at least 1 and at most 1000T";
    let (number, unit) = number_and_unit(text).ok_or(EXPECTED)?;
    let factor = match unit.to_ascii_lowercase().as_str() {
        "" => 1.0,
        "k" => 1e3,
        "m" => 1e6,
        "b" | "g" => 1e9,
        "t" => 1e12,
        _ => return Err(EXPECTED.into()),
    };
    let count = (number * factor).round();
    if (1.0..=MOST_PASSAGES).contains(&count) { Ok(count as u64) } else { Err(EXPECTED.into()) }
}

/// Parses a time such as `50ms`, `0.2s`, `10m` or `30d` as milliseconds; only 0 needs no unit.
pub(super) fn parse_ms(text: &str) -> Result<f64, String> {
    const EXPECTED: &str = "expected a time with its unit, such as 0.5ms, 2s, 10m, 1h or 30d";
    let (number, unit) = number_and_unit(text).ok_or(EXPECTED)?;
    let ms = match unit {
        "us" => 1e-3,
        "ms" => 1.0,
        "s" => 1e3,
        "m" | "min" => 60e3,
        "h" => 3600e3,
        "d" => 86_400e3,
        "" if number == 0.0 => 0.0,
        _ => return Err(EXPECTED.into()),
    };
    Ok(number * ms)
}

/// Parses a number of queries per second.
pub(super) fn parse_rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if rate > 0.0 && f64::is_finite(rate) => Ok(rate),
        _ => Err("expected a number above 0".into()),
    }
}

/// Parses a share that is not all.
pub(super) fn parse_part(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(share) if (0.0..1.0).contains(&share) => Ok(share),
        _ => Err("expected a share, at least 0 and below 1, such as 0.999".into()),
    }
}

/// Parses the size of an index, such as `100kx60`.
pub(super) fn parse_sizes_of_index(text: &str) -> Result<Size, String> {
    let (passages, tokens) = text.split_once('x').ok_or("expected passages and tokens of each, such as 100kx60")?;
    Ok(Size { passages: parse_count(passages)?, tokens: parse_positive(tokens)? })
}

/// Splits a number from the unit after it. The number is finite and not negative.
fn number_and_unit(text: &str) -> Option<(f64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let number: f64 = text[..end].parse().ok()?;
    number.is_finite().then_some((number, text[end..].trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_have_units() {
        let cases =
            [("10B", 10_000_000_000), ("1.5M", 1_500_000), ("300k", 300_000), ("7", 7), ("2 t", 2 * 10u64.pow(12))];
        for (text, count) in cases {
            assert_eq!(parse_count(text), Ok(count), "{text}");
        }
        for text in ["", "B", "0", "-3", "10x", "1e9", "1000000T", "1.2.3M", "NaN"] {
            assert!(parse_count(text).is_err(), "{text}");
        }
    }

    #[test]
    fn times_have_units() {
        let cases =
            [("50ms", 50.0), ("0.5 s", 500.0), ("10m", 600e3), ("2h", 7200e3), ("30d", 2_592_000e3), ("0", 0.0)];
        for (text, ms) in cases {
            assert_eq!(parse_ms(text), Ok(ms), "{text}");
        }
        for text in ["50", "", "ms", "-5ms", "5 fortnights", "1M"] {
            assert!(parse_ms(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_have_passages_and_tokens() {
        assert_eq!(parse_sizes_of_index("100kx60"), Ok(Size { passages: 100_000, tokens: 60 }));
        for text in ["100k", "x60", "100kx", "100kx0"] {
            assert!(parse_sizes_of_index(text).is_err(), "{text}");
        }
    }
}
