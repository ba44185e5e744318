//! Figures that the operating system keeps of this process and this machine. Only Linux has these files.

use crate::{Error, Result};
use std::path::Path;

/// Ticks of a second in `/proc/self/stat`: 100 in Linux's interface, whatever the kernel's own clock.
const TICKS_PER_S: f64 = 100.0;

/// Name of the processor.
pub(super) fn processor() -> Result<String> {
    let path = Path::new("/proc/cpuinfo");
    let info = read(path)?;
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    Ok(model.map_or(std::env::consts::ARCH, |(_, model)| model.trim()).to_owned())
}

/// Bytes of memory of the machine.
pub(super) fn memory_bytes() -> Result<u64> {
    kib_of(Path::new("/proc/meminfo"), "MemTotal:")
}

/// Largest resident size of this process so far, mapped pages included.
pub(super) fn peak_bytes() -> Result<u64> {
    kib_of(Path::new("/proc/self/status"), "VmHWM:")
}

/// Processor time of this process so far, of all threads.
pub(super) fn cpu_s() -> Result<f64> {
    let path = Path::new("/proc/self/stat");
    let stat = read(path)?;
    // utime and stime, fields 14 and 15 of proc(5); the name of the program, the second, ends with a parenthesis.
    let (_, fields) = stat.rsplit_once(')').ok_or_else(|| malformed(path))?;
    let ticks: Vec<f64> = fields.split_whitespace().skip(11).take(2).filter_map(|field| field.parse().ok()).collect();
    match ticks[..] {
        [user, system] => Ok((user + system) / TICKS_PER_S),
        _ => Err(malformed(path)),
    }
}

fn kib_of(path: &Path, name: &str) -> Result<u64> {
    let text = read(path)?;
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.map(|kib| kib << 10).ok_or_else(|| malformed(path))
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).map_err(Error::io(path))
}

fn malformed(path: &Path) -> Error {
    Error::BadFile { path: path.into(), reason: "does not have the figures of Linux".into() }
}
