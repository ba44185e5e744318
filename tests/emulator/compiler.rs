//! The system's C++ compiler, for what stands in this folder.

use std::path::{Path, PathBuf};
use std::process::Command;

/// Compiles `source`, a file of this folder, with `flags` to `out`. False where there is no compiler, or no Linux, for
/// which alone this is written; `SELVEDGE_REQUIRE_CUDA=1` does not put up with that.
///
/// # Panics
/// If it does not compile.
pub fn compile(source: &str, flags: &[&str], out: &Path) -> bool {
    let compiler = std::env::var_os("CXX").unwrap_or("c++".into());
    let source = Path::new(file!()).with_file_name(source);
    // `file!()` is relative to the workspace; tests run in their package's folder.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find(|folder| folder.join(&source).exists());
    let source = root.expect("the source is in the workspace").join(source);
    let folder = source.parent().expect("it lies in a folder").display();
    let missing = if cfg!(target_os = "linux") {
        let compiled = Command::new(compiler)
            .args(["-std=c++17", "-O1", "-Wall", "-Wextra", &format!("-DEMULATOR_FOLDER=\"{folder}\"")])
            .args(flags)
            .arg(&source)
            .arg("-o")
            .arg(out)
            // Parts of the C library in older systems; behind what needs them.
            .args(["-ldl", "-pthread"])
            .output();
        match compiled {
            // What a child says that found nothing to run, where the system could not tell before (QEMU's).
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

/// The emulated driver and the emulated NVRTC, compiled into `folder`; none where they cannot be.
///
/// # Panics
/// If one does not compile.
#[allow(dead_code)] // not every test that includes this file needs them
pub fn emulator(folder: &Path) -> Option<(PathBuf, PathBuf)> {
    let build = |source: &str, name: &str| {
        let library = folder.join(name);
        compile(source, &["-shared", "-fPIC"], &library).then_some(library)
    };
    Some((build("driver.cpp", "libcuda.so.1")?, build("nvrtc.cpp", "libnvrtc.so.13")?))
}
