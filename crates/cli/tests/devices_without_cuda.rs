//! `selvedge devices` in a build without CUDA: it reports that, in the shape of every other report.
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
