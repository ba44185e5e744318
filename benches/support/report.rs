//! The table of a run: Markdown to paste, and CSV in the schema of `benches/record/`.

use super::limits::{Limit, Peak, rate};
use super::sampler::Sample;

/// Header line of the CSV.
const CSV_HEADER: &str = "name,engine,machine,isa,threads,shape,unit,median,mad,n,recall,commit";

/// Identity of a row.
#[derive(Clone, Debug)]
pub struct Subject {
    /// Name of the op.
    pub op: String,
    /// Program that is measured: `selvedge`, or one to compare with.
    pub engine: &'static str,
    /// Name of the backend: `cpu/avx2`, `cuda/0`.
    pub backend: String,
    pub threads: usize,
    /// Sizes and settings: `Q=32 L=84 nbits=2`.
    pub shape: String,
}

impl Subject {
    /// The name that command lines select by.
    pub fn name(&self) -> String {
        format!("{}/{}/{}", self.op, self.backend, self.shape)
    }

    /// Instruction set of a CPU, or `cuda`.
    fn isa(&self) -> &str {
        match self.backend.split_once('/') {
            Some(("cpu", isa)) => isa,
            Some((device, _)) => device,
            None => "",
        }
    }
}

/// Units of a call's output, to report as a throughput.
#[derive(Clone, Copy, Debug)]
pub struct Units {
    pub amount: usize,
    /// `MAC` (multiply-adds), `B` (bytes) or a countable noun.
    pub unit: &'static str,
}

/// Work that a call cannot avoid, in the unit of the resource that bounds it.
#[derive(Clone, Copy, Debug)]
pub struct Work {
    pub limit: Limit,
    pub amount: usize,
}

impl Work {
    /// Products of int8 numbers.
    pub fn int8(amount: usize) -> Self {
        Self { limit: Limit::Int8, amount }
    }

    /// Multiply-adds of f32 numbers.
    pub fn f32(amount: usize) -> Self {
        Self { limit: Limit::F32, amount }
    }

    /// Bytes read and written.
    pub fn memory(amount: usize) -> Self {
        Self { limit: Limit::Memory, amount }
    }

    /// The work itself as a throughput.
    pub fn units(self) -> Units {
        Units { amount: self.amount, unit: self.limit.unit() }
    }
}

/// A measured row.
#[derive(Clone, Debug)]
pub struct Row {
    pub subject: Subject,
    pub sample: Sample,
    pub units: Units,
    pub limit: Limit,
    /// Part of the limit that was reached. None if the limit is unknown on this machine.
    pub of_limit: Option<f64>,
}

impl Row {
    /// Compares a sample with the limits of one core or of the GPU.
    pub fn new(subject: Subject, sample: Sample, units: Units, work: Work, peaks: &[Peak]) -> Self {
        let reached = work.amount as f64 / subject.threads as f64 / sample.median;
        let of_limit = rate(peaks, work.limit).map(|rate| reached / rate);
        Self { subject, sample, units, limit: work.limit, of_limit }
    }

    /// The row of a measured limit.
    pub fn of_peak(peak: &Peak, backend: &str, shape: &str, peaks: &[Peak]) -> Self {
        let subject = Subject {
            op: peak.name.to_owned(),
            engine: "selvedge",
            backend: backend.to_owned(),
            threads: 1,
            shape: shape.to_owned(),
        };
        let work = Work { limit: peak.limit, amount: peak.amount };
        Self::new(subject, peak.sample, work.units(), work, peaks)
    }

    /// Amount per second at the median time.
    fn throughput(&self) -> f64 {
        self.units.amount as f64 / self.sample.median
    }

    /// Median, its relative deviation, throughput and part of the limit, in words.
    pub fn summary(&self) -> String {
        let [time, n, throughput, of_limit] = self.figures();
        format!("{time}, n = {n}, {throughput}, {of_limit}")
    }

    fn figures(&self) -> [String; 4] {
        let deviation = 100.0 * self.sample.mad / self.sample.median;
        let of_limit = self.of_limit.map_or_else(|| "unknown".to_owned(), |part| format!("{part:.2}"));
        [
            format!("{} ± {deviation:.1} %", seconds(self.sample.median)),
            self.sample.n.to_string(),
            throughput(self.throughput(), self.units.unit),
            format!("{of_limit} of {}", self.limit.name()),
        ]
    }
}

/// The rows as a Markdown table, its columns aligned for terminals.
pub fn markdown(rows: &[Row]) -> String {
    let head = ["op", "backend", "shape", "threads", "time (median ± MAD)", "n", "throughput", "of the limit"];
    let mut lines = vec![head.map(str::to_owned)];
    lines.extend(rows.iter().map(|row| {
        let Subject { op, backend, threads, shape, .. } = row.subject.clone();
        let [time, n, throughput, of_limit] = row.figures();
        [op, backend, shape, threads.to_string(), time, n, throughput, of_limit]
    }));
    let widths: Vec<usize> =
        (0..head.len()).map(|at| lines.iter().map(|line| line[at].chars().count()).max().unwrap_or(0)).collect();
    let mut table = String::new();
    for (number, line) in lines.iter().enumerate() {
        let cells = line.iter().zip(&widths).map(|(cell, width)| format!(" {cell:width$} |"));
        table.push_str(&format!("|{}\n", cells.collect::<String>()));
        if number == 0 {
            let rules = widths.iter().map(|width| format!("{}|", "-".repeat(width + 2)));
            table.push_str(&format!("|{}\n", rules.collect::<String>()));
        }
    }
    table
}

/// The rows as CSV: for each its median and least time, its throughput and its part of the limit.
pub fn csv(rows: &[Row], machine: &str, commit: &str) -> String {
    let mut out = format!("{CSV_HEADER}\n");
    for row in rows {
        let Subject { op, engine, threads, shape, .. } = &row.subject;
        let Sample { median, mad, least, n } = row.sample;
        let mut line = |suffix: &str, unit: &str, median: f64, mad: &str| {
            let name = format!("{op}{suffix}");
            let fields = [&*name, engine, machine, row.subject.isa(), &threads.to_string(), shape, unit];
            let fields = fields.map(quoted).join(",");
            out.push_str(&format!("{fields},{},{mad},{n},,{}\n", significant(median), quoted(commit)));
        };
        line("", "us", median * 1e6, &significant(mad * 1e6));
        line("_min", "us", least * 1e6, "");
        let (per_second, unit) = match row.units.unit {
            "MAC" => (row.throughput() / 1e9, "GMAC/s".to_owned()),
            "B" => (row.throughput() / 1e9, "GB/s".to_owned()),
            unit => (row.throughput(), format!("{unit}/s")),
        };
        line("", &unit, per_second, "");
        if let Some(part) = row.of_limit {
            line("_of_limit", "ratio", part, "");
        }
    }
    out
}

/// A CSV field, quoted as in RFC 4180.
fn quoted(field: &str) -> String {
    if field.contains([',', '"', '\n']) { format!("\"{}\"", field.replace('"', "\"\"")) } else { field.to_owned() }
}

/// Four significant digits, without an exponent.
fn significant(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return "0".to_owned();
    }
    let decimals = 3 - value.abs().log10().floor() as i32;
    let text = format!("{value:.*}", decimals.clamp(0, 12) as usize);
    if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.').to_owned() } else { text }
}

/// A time with its unit.
fn seconds(time: f64) -> String {
    match time {
        t if t >= 1.0 => format!("{} s", significant(t)),
        t if t >= 1e-3 => format!("{} ms", significant(t * 1e3)),
        t => format!("{} µs", significant(t * 1e6)),
    }
}

/// A rate with its unit: `252 GMAC/s`, `12.3 GB/s`, `1.9 M embeddings/s`.
fn throughput(rate: f64, unit: &str) -> String {
    match unit {
        "MAC" | "B" => format!("{} G{unit}/s", significant3(rate / 1e9)),
        _ if rate >= 1e9 => format!("{} G {unit}/s", significant3(rate / 1e9)),
        _ if rate >= 1e6 => format!("{} M {unit}/s", significant3(rate / 1e6)),
        _ => format!("{} {unit}/s", significant3(rate)),
    }
}

/// Three significant digits above 1.
fn significant3(value: f64) -> String {
    match value {
        v if v >= 100.0 => format!("{v:.0}"),
        v if v >= 10.0 => format!("{v:.1}"),
        v => format!("{v:.2}"),
    }
}
