//! `selvedge devices`: the instruction sets and CUDA devices of this machine.

#[cfg(feature = "cuda")]
mod cuda;

#[cfg(feature = "cuda")]
use cuda::inspect;

use crate::{Result, args::DevicesArgs, output};
use selvedge_backend::Isa;
use serde_json::{Value, json};
use std::io::Write;

/// CUDA on this machine: the driver, NVRTC and the devices.
struct Report {
    /// JSON of the report.
    json: Value,
    /// Text of the report: lines of a name and a description.
    lines: Vec<(String, String)>,
}

/// Reports that this build cannot use CUDA.
#[cfg(not(feature = "cuda"))]
fn inspect() -> Report {
    let missing = "this build has no CUDA; build selvedge with its feature cuda (the default has it)";
    Report {
        json: json!({"driver": {"missing": missing}, "nvrtc": {"missing": missing}, "devices": []}),
        lines: vec![("cuda".into(), format!("none: {missing}"))],
    }
}

/// Prints the CPU's instruction sets and the CUDA devices.
pub(crate) fn devices(args: &DevicesArgs) -> Result<()> {
    let (isa, found) = (Isa::from_env()?, inspect());
    let mut out = std::io::stdout().lock();
    if args.json { output::print(writeln!(out, "{}", to_json(isa, found))) } else { text(&mut out, isa, &found) }
}

fn available() -> Vec<&'static str> {
    Isa::ALL.into_iter().filter(|isa| isa.is_available()).map(Isa::name).collect()
}

fn to_json(isa: Isa, found: Report) -> Value {
    json!({"cpu": {"used": isa.name(), "available": available(), "cores": cores()}, "cuda": found.json})
}

fn text(out: &mut impl Write, isa: Isa, found: &Report) -> Result<()> {
    let mut line = |name: &str, what: &str| output::print(writeln!(out, "{name:<8} {what}"));
    line("cpu", &format!("{} ({} cores; it has {})", isa.name(), cores(), available().join(", ")))?;
    found.lines.iter().try_for_each(|(name, what)| line(name, what))
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
