//! The system's C++ compiler, for what stands in this folder.

use std::path::Path;
use std::process::Command;

/// Compiles `source`, a file of this folder, with `flags` to `out`. False where there is no compiler, which
/// `SELVEDGE_REQUIRE_CUDA=1` does not put up with.
///
/// # Panics
/// If it does not compile.
pub fn compile(source: &str, flags: &[&str], out: &Path) -> bool {
    let compiler = std::env::var_os("CXX").unwrap_or("c++".into());
    let source = Path::new(file!()).with_file_name(source);
    // `file!()` is relative to the workspace; tests run in their package's folder.
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().find(|folder| folder.join(&source).exists());
    let source = root.expect("the source is in the workspace").join(source);
    let compiled = Command::new(compiler)
        .args(["-std=c++17", "-O1", "-Wall", "-Wextra"])
        .args(flags)
        .arg(source)
        .arg("-o")
        .arg(out)
        .output();
    match compiled {
        Ok(compiled) => {
            assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
            true
        }
        Err(error) if std::env::var_os("SELVEDGE_REQUIRE_CUDA").is_some() => panic!("no C++ compiler: {error}"),
        Err(error) => {
            eprintln!("skipped: no C++ compiler: {error}");
            false
        }
    }
}
