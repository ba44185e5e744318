//! `selvedge devices`: what this machine can compute with.

#[cfg(feature = "cuda")]
mod cuda;

#[cfg(feature = "cuda")]
use cuda::look;

use crate::{Result, args::DevicesArgs, output};
use selvedge_backend::Isa;
use serde_json::{Value, json};
use std::io::Write;

/// What there is of CUDA.
struct Report {
    /// As the command's JSON has it: the driver, NVRTC, the devices.
    json: Value,
    /// For a reader: names, and what there is to say of each.
    lines: Vec<(String, String)>,
}

/// In a build that cannot use any of it.
#[cfg(not(feature = "cuda"))]
fn look() -> Report {
    let missing = "this build has no CUDA; build selvedge with its feature cuda (the default has it)";
    Report {
        json: json!({"driver": {"missing": missing}, "nvrtc": {"missing": missing}, "devices": []}),
        lines: vec![("cuda".into(), format!("none: {missing}"))],
    }
}

/// Prints them.
pub(crate) fn devices(args: &DevicesArgs) -> Result<()> {
    let (isa, found) = (Isa::from_env()?, look());
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
