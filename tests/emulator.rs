//! Tests of the emulated CUDA machine, on which kernels run without a GPU: it must obey CUDA's rules.

#![allow(unreachable_pub)] // a test crate exports nothing

#[path = "emulator/compiler.rs"]
mod compiler;

use std::path::Path;
use std::process::Command;

/// Runs a test program, which must succeed; its output is the message of a failure.
#[track_caller]
fn run(program: &Path, arguments: &[&Path]) {
    let out = Command::new(program).args(arguments).output().unwrap();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(out.status.success(), "{}: {}{}", program.display(), text(&out.stdout), text(&out.stderr));
}

#[test]
fn the_emulated_machine_keeps_the_rules() {
    let dir = tempfile::tempdir().unwrap();
    // Threads switch by assembly on x86-64 and by ucontext elsewhere; both are tested.
    for flags in [&["-g"][..], &["-g", "-DEMULATOR_UCONTEXT"]] {
        let program = dir.path().join("selftest");
        if !compiler::compile("selftest.cpp", flags, &program) {
            return;
        }
        run(&program, &[]);
    }
}

#[test]
fn emulated_arithmetic_is_that_of_a_gpu() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("twins_test");
    if compiler::compile("twins_test.cpp", &["-g"], &program) {
        run(&program, &[]);
    }
}

#[test]
fn products_and_copies_of_warpgroups_arrive_late() {
    let dir = tempfile::tempdir().unwrap();
    let program = dir.path().join("warpgroup_test");
    if compiler::compile("warpgroup_test.cpp", &["-g"], &program) {
        run(&program, &[]);
    }
}

#[test]
fn the_emulated_libraries_do_what_cuda_does() {
    let dir = tempfile::tempdir().unwrap();
    let Some((driver, nvrtc)) = compiler::emulator(dir.path()) else { return };
    for test in ["drive", "streams_test", "graphs_test", "objects_test", "hosts_test"] {
        let program = dir.path().join(test);
        assert!(compiler::compile(&format!("{test}.cpp"), &["-g"], &program));
        run(&program, &[&driver, &nvrtc]);
    }
}
