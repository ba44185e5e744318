//! Runs the system's C++ compiler on the sources of this folder.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles `source`, a file of this folder, with `flags` to `out`. Returns false if there is no compiler, or on
/// systems other than Linux.
///
/// # Panics
/// If the source does not compile, or if nothing can be compiled and `SELVEDGE_REQUIRE_CUDA` is set.
pub fn compile(source: &str, flags: &[&str], out: &Path) -> bool {
    let compiler = std::env::var_os("CXX").unwrap_or("c++".into());
    let source = Path::new(file!()).with_file_name(source);
    // `file!()` is relative to the workspace; tests run in their package's folder.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find(|folder| folder.join(&source).exists());
    let source = root.expect("the source is in the workspace").join(source);
    let folder = source.parent().expect("a file is in a folder").display();
    let missing = if cfg!(target_os = "linux") {
        let compiled = Command::new(compiler)
            .args(["-std=c++17", "-O1", "-Wall", "-Wextra", &format!("-DEMULATOR_FOLDER=\"{folder}\"")])
            .args(flags)
            .arg(&source)
            .arg("-o")
            .arg(out)
            // Separate parts of the C library on older systems; they come after the sources that need them.
            .args(["-ldl", "-pthread"])
            .output();
        match compiled {
            // The exit code of a child that found no program to run, on systems that notice it only then (QEMU).
            Ok(compiled) if compiled.status.code() == Some(127) => "no C++ compiler".to_owned(),
            Ok(compiled) => {
                assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
                return true;
            }
            Err(error) => format!("no C++ compiler: {error}"),
        }
    } else {
        "the emulated GPU runs on Linux only".to_owned()
    };
    assert!(std::env::var_os("SELVEDGE_REQUIRE_CUDA").is_none(), "{missing}");
    eprintln!("skipped: {missing}");
    false
}

/// Compiles the emulated driver and the emulated NVRTC into `folder` and returns their paths, or `None` if nothing can
/// be compiled.
///
/// # Panics
/// As [`compile`].
#[allow(dead_code)] // not every test that includes this file needs them
pub fn emulator(folder: &Path) -> Option<(PathBuf, PathBuf)> {
    let build = |source: &str, name: &str, soname: &str| {
        let library = folder.join(name);
        compile(source, &["-shared", "-fPIC", &format!("-Wl,-soname,{soname}")], &library).then_some(library)
    };
    // The first name by which cudarc asks the loader for the driver: a library that is loaded and has this SONAME is
    // taken before any file of the system.
    Some((build("driver.cpp", "libcuda.so.1", "libcuda.so")?, build("nvrtc.cpp", "libnvrtc.so.13", "libnvrtc.so.13")?))
}
