//! Runs the package's Python tests on the extension library that cargo built for this test.
//!
//! `.ci/python` makes a wheel of it and installs that in fresh environments. Without Python 3.10 or a package index it
//! says so and skips the tests, unless `REQUIRE_PYTHON=1`. The tests of a GPU run on the emulated driver of
//! `tests/emulator/`.

#![cfg(target_os = "linux")]
#![allow(missing_docs, unreachable_pub)]

#[path = "../../../tests/emulator/compiler.rs"]
mod compiler;

use std::path::Path;
use std::process::Command;

#[test]
fn python_tests_pass() {
    let this = std::env::current_exe().unwrap();
    let library = this.with_file_name("libselvedge_python.so");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.ci/python");
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
    std::fs::create_dir_all(&folder).unwrap();
    let mut tests = Command::new(script);
    if let Some((driver, nvrtc)) = compiler::emulator(&folder) {
        tests.env("SELVEDGE_CUDA_DRIVER", driver).env("SELVEDGE_NVRTC", nvrtc);
        tests.env("SELVEDGE_CUBINS", folder.join("cubins"));
    }
    let tests = tests.arg("test").arg(library).status().unwrap();
    assert!(tests.success(), "see above");
}
