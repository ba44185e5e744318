//! `selvedge devices` with a CUDA driver, without one, and with another file in its place.
#![cfg(feature = "cuda")]
#![allow(missing_docs, unreachable_pub)]

#[path = "../../../tests/emulator/compiler.rs"]
mod compiler;

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};

fn devices(arguments: &[&str], variables: &[(&str, &Path)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_selvedge"));
    let command = command.arg("devices").args(arguments).env_remove("SELVEDGE_ISA");
    command.envs(variables.iter().copied()).output().expect("selvedge starts")
}

fn json(variables: &[(&str, &Path)]) -> Value {
    let out = devices(&["--json"], variables);
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    serde_json::from_slice(&out.stdout).expect("one JSON object")
}

#[test]
fn what_is_missing_is_named() {
    let nowhere = Path::new("/nowhere/lib.so");
    let found = json(&[("SELVEDGE_CUDA_DRIVER", nowhere), ("SELVEDGE_NVRTC", nowhere)]);
    assert!(found["cpu"]["available"].as_array().unwrap().contains(&found["cpu"]["used"]));
    assert_eq!(found["cuda"]["devices"], Value::Array(vec![]));
    for library in ["driver", "nvrtc"] {
        let missing = found["cuda"][library]["missing"].as_str().unwrap();
        assert!(missing.contains("was not found") && missing.contains("/nowhere/lib.so"), "{missing}");
    }
}

#[test]
fn a_file_that_is_no_library_is_told_apart_from_none() {
    let this = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"));
    let found = json(&[("SELVEDGE_CUDA_DRIVER", this)]);
    let missing = found["cuda"]["driver"]["missing"].as_str().unwrap();
    assert!(missing.contains("Cargo.toml: "), "{missing}");
}

#[cfg(unix)]
#[test]
fn an_emulated_driver_is_believed() {
    let dir = tempfile::tempdir().unwrap();
    let library = dir.path().join("libcuda.so.1");
    if !compiler::compile("driver.cpp", &["-shared", "-fPIC"], &library) {
        return;
    }
    let driver = ("SELVEDGE_CUDA_DRIVER", &*library);
    let found = json(&[driver, ("EMULATED_DEVICES", Path::new("2"))]);
    assert_eq!(found["cuda"]["driver"]["version"], "13.0");
    let listed = found["cuda"]["devices"].as_array().unwrap();
    assert_eq!(listed.len(), 2);
    for (ordinal, device) in listed.iter().enumerate() {
        assert_eq!(device["ordinal"], ordinal);
        assert_eq!(device["name"], format!("Emulated GPU {ordinal}"));
        assert_eq!(device["compute_capability"], "9.0");
        assert_eq!((&device["memory_bytes"], &device["multiprocessors"]), (&(1u64 << 30).into(), &4.into()));
    }
    let text = String::from_utf8(devices(&[], &[driver]).stdout).unwrap();
    assert!(text.contains("cuda/0   Emulated GPU 0 (sm_90, 1.0 GiB, 4 multiprocessors)"), "{text}");

    // A driver without a device, and a library that is not a driver.
    let none = json(&[driver, ("EMULATED_DEVICES", Path::new("0"))]);
    let missing = none["cuda"]["driver"]["missing"].as_str().unwrap();
    assert!(missing.contains("cuInit failed with code 100 (the driver has no usable device"), "{missing}");
    let other = json(&[("SELVEDGE_NVRTC", driver.1)]);
    let missing = other["cuda"]["nvrtc"]["missing"].as_str().unwrap();
    assert!(missing.contains("nvrtcVersion is missing"), "{missing}");
}
