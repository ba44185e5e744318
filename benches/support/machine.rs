//! The machine and the code that a report is about.

use super::backends::{gpu, gpu_name};
use std::process::Command;

/// Processor, number of cores, and the GPU if there is one.
pub fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or(std::env::consts::ARCH, |(_, model)| model.trim());
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let gpu = gpu().as_ref().and_then(|_| gpu_name()).map(|name| format!(", {name}"));
    format!("{model}, {cores} cores{}", gpu.unwrap_or_default())
}

/// Short hash of the checked out commit, `-dirty` after it if files differ. Empty outside a git repository.
pub fn commit() -> String {
    first_line("git", &["describe", "--always", "--dirty", "--abbrev=7", "--exclude=*"])
}

/// Version of the compiler. Empty if it is not on the path.
pub fn rustc() -> String {
    first_line("rustc", &["--version"])
}

/// First line that a program prints; empty if it cannot be run or fails.
fn first_line(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().ok().filter(|output| output.status.success());
    let text = output.map(|output| String::from_utf8_lossy(&output.stdout).into_owned()).unwrap_or_default();
    text.lines().next().unwrap_or_default().to_owned()
}
