//! `selvedge devices`: what this machine can compute with.

use crate::{Result, args::DevicesArgs, output};
use selvedge_backend::{
    Isa,
    cuda::{self, Found},
};
use serde_json::{Value, json};
use std::{io::Write, path::Path};

/// Prints them.
pub(crate) fn devices(args: &DevicesArgs) -> Result<()> {
    let (isa, found) = (Isa::from_env()?, cuda::devices());
    let mut out = std::io::stdout().lock();
    if args.json { output::print(writeln!(out, "{}", to_json(isa, &found))) } else { text(&mut out, isa, &found) }
}

fn available() -> Vec<&'static str> {
    Isa::ALL.into_iter().filter(|isa| isa.is_available()).map(Isa::name).collect()
}

fn to_json(isa: Isa, found: &Found) -> Value {
    let missing = |error: &cuda::Unavailable| json!({"missing": error.to_string()});
    let library =
        |path: &Path, version: (u32, u32)| json!({"path": path.display().to_string(), "version": dotted(version)});
    let device = |device: &cuda::Device| {
        json!({
            "ordinal": device.ordinal,
            "name": device.name,
            "compute_capability": dotted(device.capability),
            "memory_bytes": device.memory_bytes,
            "multiprocessors": device.multiprocessors,
        })
    };
    let devices: Vec<Value> = found.devices.iter().map(|d| d.as_ref().map_or_else(missing, device)).collect();
    json!({
        "cpu": {"used": isa.name(), "available": available(), "cores": cores()},
        "cuda": {
            "driver": found.driver.as_ref().map_or_else(missing, |d| library(d.path(), d.version())),
            "nvrtc": found.nvrtc.as_ref().map_or_else(missing, |n| library(n.path(), n.version())),
            "devices": devices,
        },
    })
}

fn text(out: &mut impl Write, isa: Isa, found: &Found) -> Result<()> {
    let mut line = |name: &str, what: String| output::print(writeln!(out, "{name:<8} {what}"));
    line("cpu", format!("{} ({} cores; it has {})", isa.name(), cores(), available().join(", ")))?;
    for (number, device) in found.devices.iter().enumerate() {
        line(&format!("cuda/{number}"), device.as_ref().map_or_else(|error| format!("not usable: {error}"), describe))?;
    }
    let version = |path: &Path, version: (u32, u32)| format!("{} ({})", dotted(version), path.display());
    let missing = |error: &cuda::Unavailable| format!("none: {error}");
    line("driver", found.driver.as_ref().map_or_else(missing, |d| version(d.path(), d.version())))?;
    line("nvrtc", found.nvrtc.as_ref().map_or_else(missing, |n| version(n.path(), n.version())))
}

fn describe(device: &cuda::Device) -> String {
    let (major, minor) = device.capability;
    let gib = device.memory_bytes as f64 / f64::from(1 << 30);
    format!("{} (sm_{major}{minor}, {gib:.1} GiB, {} multiprocessors)", device.name, device.multiprocessors)
}

fn dotted((major, minor): (u32, u32)) -> String {
    format!("{major}.{minor}")
}

fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}
