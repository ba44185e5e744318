//! Copies of the golden checkpoints, to be changed.

use std::path::{Path, PathBuf};

use selvedge_encoder::{Encoder, Error, LoadOptions};
use tempfile::TempDir;

/// Folder of a golden checkpoint.
pub fn golden(case: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(case)
}

/// Copies a golden checkpoint into a temporary folder.
pub fn copy(case: &str) -> TempDir {
    let dir = TempDir::new().unwrap();
    copy_folder(&golden(case), dir.path());
    dir
}

pub fn copy_folder(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy_folder(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// Replaces a text that a file contains.
pub fn replace(path: impl AsRef<Path>, from: &str, to: &str) {
    let text = std::fs::read_to_string(&path).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    std::fs::write(path, text.replace(from, to)).unwrap();
}

/// Loads a checkpoint with a maximum passage length that every golden checkpoint has positions for.
pub fn load(folder: impl AsRef<Path>) -> Result<Encoder, Error> {
    let options = LoadOptions { passage_maxlen: Some(40), ..LoadOptions::default() };
    Encoder::load(folder.as_ref().to_str().unwrap(), &options)
}
