//! Files in which NVRTC may be: CUDA toolkits, what the loader knows, and the Python packages of NVIDIA.

use std::path::{Path, PathBuf};

/// Names of the library, newest first. On Linux the plain name is part of a toolkit only.
const NAMES: &[&str] = if cfg!(windows) {
    &["nvrtc64_130_0.dll", "nvrtc64_120_0.dll"]
} else {
    &["libnvrtc.so", "libnvrtc.so.13", "libnvrtc.so.12"]
};

/// Folders of a toolkit.
const TOOLKIT: &[&str] = if cfg!(windows) { &["bin/x64", "bin"] } else { &["lib64", "lib"] };

/// Folders of the Python packages nvidia-cuda-nvrtc (CUDA 13) and nvidia-cuda-nvrtc-cu12.
const PACKAGES: &[&str] = if cfg!(windows) {
    &["nvidia/cu13/bin/x86_64", "nvidia/cuda_nvrtc/bin"]
} else {
    &["nvidia/cu13/lib", "nvidia/cuda_nvrtc/lib"]
};

/// Returns the name of the library that NVRTC of that version opens when it compiles.
pub(super) fn builtins((major, minor): (i32, i32)) -> String {
    if cfg!(windows) {
        format!("nvrtc-builtins64_{major}{minor}.dll")
    } else {
        format!("libnvrtc-builtins.so.{major}.{minor}")
    }
}

/// Returns the places of the library, in the order in which they are tried.
pub(super) fn places() -> Vec<PathBuf> {
    let of = |names: &[&str]| -> Vec<PathBuf> {
        names.iter().filter_map(std::env::var_os).filter(|path| !path.is_empty()).map(PathBuf::from).collect()
    };
    let toolkits = of(&["CUDA_HOME", "CUDA_PATH"]);
    let folders = toolkits.iter().flat_map(|home| TOOLKIT.iter().map(move |folder| home.join(folder)));
    let mut pythons = of(&["VIRTUAL_ENV", "CONDA_PREFIX"]);
    if !cfg!(windows) {
        pythons.extend(of(&["HOME"]).into_iter().map(|home| home.join(".local")));
        pythons.push("/usr/local".into());
    }
    let packages: Vec<PathBuf> = pythons.iter().flat_map(|python| packages(python)).collect();

    let in_folder = |folder: PathBuf| NAMES.iter().map(move |name| folder.join(name));
    let mut places: Vec<PathBuf> = folders.flat_map(in_folder).collect();
    places.extend(NAMES.iter().map(PathBuf::from));
    if !cfg!(windows) {
        places.extend(in_folder("/usr/local/cuda/lib64".into()));
    }
    // Python's folders have versions in their names, so only those are listed that are there.
    places.extend(packages.into_iter().flat_map(in_folder).filter(|place| place.exists()));
    places
}

/// Returns the folders of NVIDIA's packages in the environment `python`, newer versions of Python first.
fn packages(python: &Path) -> Vec<PathBuf> {
    let mut sites = vec![python.join("Lib/site-packages")];
    let versions = std::fs::read_dir(python.join("lib")).into_iter().flatten().flatten();
    let mut versions: Vec<PathBuf> =
        versions.filter(|at| at.file_name().to_string_lossy().starts_with("python3")).map(|at| at.path()).collect();
    versions.sort_by(|a, b| b.cmp(a));
    sites.extend(versions.iter().flat_map(|lib| ["site-packages", "dist-packages"].map(|name| lib.join(name))));
    let folders = sites.iter().flat_map(|site| PACKAGES.iter().map(move |package| site.join(package)));
    folders.filter(|folder| folder.is_dir()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(not(windows))]
    fn packages_of_an_environment() {
        let python = tempfile::tempdir().unwrap();
        let made = |folder: &str| {
            let folder = python.path().join(folder);
            std::fs::create_dir_all(&folder).unwrap();
            folder
        };
        assert!(packages(python.path()).is_empty());
        made("lib/python3.11/site-packages/nvidia/cublas/lib");
        made("lib/perl5/site-packages/nvidia/cu13/lib");
        let older = made("lib/python3.11/site-packages/nvidia/cuda_nvrtc/lib");
        let newer = made("lib/python3.12/dist-packages/nvidia/cu13/lib");
        assert_eq!(packages(python.path()), [newer, older]);
    }
}
