//! The emulated machine that kernels run on where there is no GPU: does it keep CUDA's rules?

#![allow(unreachable_pub)] // a test crate has no outside

#[path = "emulator/compiler.rs"]
mod compiler;

use std::process::Command;

#[cfg(unix)]
#[test]
fn the_emulated_machine_keeps_the_rules() {
    let dir = tempfile::tempdir().unwrap();
    // The switch of x86-64, where that is what this machine has, and the one of all others.
    for flags in [&["-g"][..], &["-g", "-DEMULATOR_UCONTEXT"]] {
        let program = dir.path().join("selftest");
        if !compiler::compile("selftest.cpp", flags, &program) {
            return;
        }
        let out = Command::new(&program).output().unwrap();
        assert!(out.status.success(), "{flags:?}: {}", String::from_utf8_lossy(&out.stdout));
    }
}
