//! A build without optional features: `selvedge devices` reports that there is no CUDA, in the shape of every other
//! report, and `--executor candle` how to build it.
#![cfg(not(feature = "cuda"))]
#![allow(missing_docs)]

use serde_json::Value;
use std::process::Command;

fn devices(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_selvedge"));
    let out = command.arg("devices").args(arguments).env_remove("SELVEDGE_ISA").output().expect("selvedge starts");
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    String::from_utf8(out.stdout).expect("text")
}

#[test]
fn it_says_that_there_is_no_cuda() {
    let said = "this build has no CUDA";
    let text = devices(&[]);
    assert!(text.starts_with("cpu ") && text.contains(&format!("cuda     none: {said}")), "{text}");

    let found: Value = serde_json::from_str(&devices(&["--json"])).expect("one JSON object");
    assert!(found["cpu"]["available"].as_array().unwrap().contains(&found["cpu"]["used"]));
    assert_eq!(found["cuda"]["devices"], Value::Array(vec![]));
    for library in ["driver", "nvrtc"] {
        assert!(found["cuda"][library]["missing"].as_str().unwrap().starts_with(said));
    }
}

#[test]
#[cfg(not(feature = "candle"))]
fn it_says_how_to_build_the_executor_candle() {
    let words = ["encode", "texts.tsv", "out", "--executor", "candle/cuda"];
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::write(folder.path().join("texts.tsv"), "a\tthe woven edge\n").expect("a file");
    let mut command = Command::new(env!("CARGO_BIN_EXE_selvedge"));
    let out = command.args(words).current_dir(&folder).output().expect("selvedge starts");
    let said = String::from_utf8(out.stderr).expect("text");
    assert_eq!(out.status.code(), Some(1), "{said}");
    assert!(said.contains("--features candle") && said.contains("candle-cuda"), "{said}");
}
