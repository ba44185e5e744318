//! CUDA as the backend finds it on this machine, as JSON and as text.

use super::Report;
use selvedge_backend::cuda::{self, Device, Unavailable};
use serde_json::{Value, json};
use std::path::Path;

/// Finds the driver, its devices and NVRTC.
pub(super) fn inspect() -> Report {
    let found = cuda::devices();
    Report { json: to_json(&found), lines: lines(&found) }
}

fn to_json(found: &cuda::Inventory) -> Value {
    let missing = |error: &Unavailable| json!({"missing": error.to_string()});
    let library =
        |path: &Path, version: (u32, u32)| json!({"path": path.display().to_string(), "version": dotted(version)});
    let device = |device: &Device| {
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
        "driver": found.driver.as_ref().map_or_else(missing, |d| library(d.path(), d.version())),
        "nvrtc": found.nvrtc.as_ref().map_or_else(missing, |n| library(n.path(), n.version())),
        "devices": devices,
    })
}

fn lines(found: &cuda::Inventory) -> Vec<(String, String)> {
    let unusable = |error: &Unavailable| format!("not usable: {error}");
    let missing = |error: &Unavailable| format!("none: {error}");
    let version = |path: &Path, version: (u32, u32)| format!("{} ({})", dotted(version), path.display());
    let devices = found.devices.iter().map(|d| d.as_ref().map_or_else(unusable, describe));
    let mut lines: Vec<_> = devices.enumerate().map(|(number, what)| (format!("cuda/{number}"), what)).collect();
    let driver = found.driver.as_ref().map_or_else(missing, |d| version(d.path(), d.version()));
    let nvrtc = found.nvrtc.as_ref().map_or_else(missing, |n| version(n.path(), n.version()));
    lines.extend([("driver".into(), driver), ("nvrtc".into(), nvrtc)]);
    lines
}

fn describe(device: &Device) -> String {
    let (major, minor) = device.capability;
    let gib = device.memory_bytes as f64 / f64::from(1 << 30);
    format!("{} (sm_{major}{minor}, {gib:.1} GiB, {} multiprocessors)", device.name, device.multiprocessors)
}

fn dotted((major, minor): (u32, u32)) -> String {
    format!("{major}.{minor}")
}
