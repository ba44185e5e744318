//! Runs the package's Python tests on the extension library that cargo built for this test.
//!
//! `.ci/python` makes a wheel of it and installs that in fresh environments. Without Python 3.10 or a package index it
//! says so and skips the tests, unless `REQUIRE_PYTHON=1`.

#![cfg(target_os = "linux")]
#![allow(missing_docs)]

use std::path::Path;
use std::process::Command;

#[test]
fn python_tests_pass() {
    let this = std::env::current_exe().unwrap();
    let library = this.with_file_name("libselvedge_python.so");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../.ci/python");
    let tests = Command::new(script).arg("test").arg(library).status().unwrap();
    assert!(tests.success(), "see above");
}
