//! Writer of uncompressed embeddings, as NumPy arrays in a folder.

use crate::npy::NpyWriter;
use crate::staged::Staged;
use crate::{Error, Result};
use half::f16;
use selvedge_encoder::{Embeddings, TextKind};
use std::path::{Path, PathBuf};

/// Returns the names of the arrays and of the ids of texts: embeddings, tokens per text, ids.
fn names(kind: TextKind) -> [&'static str; 3] {
    match kind {
        TextKind::Query => ["queries.npy", "querylens.npy", "queryids.txt"],
        TextKind::Passage => ["docs.npy", "doclens.npy", "ids.txt"],
    }
}

/// Returns the first file of `folder` that a [`Saver`] of texts of this kind would replace.
pub fn existing(folder: &Path, kind: TextKind) -> Option<PathBuf> {
    names(kind).map(|name| folder.join(name)).into_iter().find(|path| path.exists())
}

/// Writes embeddings `(total_tokens, D)`, tokens per text and ids into a folder: `docs.npy`, `doclens.npy` and
/// `ids.txt` of passages; `queries.npy`, `querylens.npy` and `queryids.txt` of queries. Each file appears when it is
/// complete.
pub struct Saver {
    kind: TextKind,
    rows: NpyWriter,
    dim: usize,
    is_f32: bool,
    lens: Vec<u32>,
    /// Dropped after the files.
    folder: OutFolder,
}

impl Saver {
    /// Creates the folder and the file of rows, of `dim` components in f32 or f16. f16 is for rows of unit norm: a
    /// component above 65,504 becomes infinite, and one below 3e-8 becomes zero.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be created or written.
    pub fn create(folder: &Path, kind: TextKind, dim: usize, is_f32: bool) -> Result<Self> {
        let folder = OutFolder::create(folder)?;
        let [rows_name, ..] = names(kind);
        let rows = NpyWriter::create(&folder.path.join(rows_name))?;
        Ok(Self { kind, rows, dim, is_f32, lens: Vec::new(), folder })
    }

    /// Appends the embeddings of more texts.
    ///
    /// # Errors
    /// [`Error::Io`], such as a full disk.
    pub fn push(&mut self, embeddings: &Embeddings) -> Result<()> {
        let bytes: Vec<u8> = if self.is_f32 {
            embeddings.data.iter().flat_map(|x| x.to_le_bytes()).collect()
        } else {
            embeddings.data.iter().flat_map(|&x| f16::from_f32(x).to_le_bytes()).collect()
        };
        self.lens.extend_from_slice(&embeddings.lens);
        self.rows.write(&bytes)
    }

    /// Completes the files: writes the headers, the lengths, and `ids`, one for each text in the order of pushing.
    ///
    /// # Errors
    /// The first error that `ids` yields, and [`Error::Io`].
    pub fn finish(self, ids: impl Iterator<Item = Result<String>>) -> Result<()> {
        let [_, lens_name, ids_name] = names(self.kind);
        let mut lens = NpyWriter::create(&self.folder.path.join(lens_name))?;
        for len in &self.lens {
            lens.write(&len.to_le_bytes())?;
        }
        let mut file = Staged::create(&self.folder.path.join(ids_name))?;
        for id in ids {
            file.write_line(&id?)?;
        }
        let tokens = self.lens.iter().map(|&l| l as usize).sum();
        self.rows.finish(if self.is_f32 { "<f4" } else { "<f2" }, &[tokens, self.dim])?;
        lens.finish("<i4", &[self.lens.len()])?;
        file.finish()
    }
}

/// Output folder. It is removed at the end if it was created here and is still empty.
struct OutFolder {
    path: PathBuf,
    is_new: bool,
}

impl OutFolder {
    fn create(path: &Path) -> Result<Self> {
        let is_new = !path.is_dir();
        std::fs::create_dir_all(path).map_err(Error::io(path))?;
        Ok(Self { path: path.into(), is_new })
    }
}

impl Drop for OutFolder {
    fn drop(&mut self) {
        if self.is_new {
            // Fails if the folder holds a file.
            let _ = std::fs::remove_dir(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::staged::tests::names as files;

    /// A failure at the last id leaves no file under its final name, and no folder that was not there before.
    #[test]
    fn files_appear_when_all_are_complete() {
        let dir = tempfile::tempdir().unwrap();
        let rows = Embeddings { dim: 8, data: vec![0.5; 16], lens: vec![2, 0], num_truncated: 0 };
        let saver = |folder: &Path| {
            let mut saver = Saver::create(folder, TextKind::Passage, 8, false).unwrap();
            saver.push(&rows).unwrap();
            saver
        };
        let ids = |last| [Ok("a".to_owned()), last].into_iter();
        let (new, old) = (dir.path().join("new"), dir.path().join("old"));
        std::fs::create_dir(&old).unwrap();
        for folder in [&new, &old] {
            assert!(matches!(saver(folder).finish(ids(Err(Error::NoTokens))), Err(Error::NoTokens)));
        }
        assert!(existing(&new, TextKind::Passage).is_none());
        assert_eq!((files(dir.path()), files(&old)), (vec!["old".to_owned()], vec![]));
        saver(&new).finish(ids(Ok("b".into()))).unwrap();
        assert_eq!(files(&new), ["doclens.npy", "docs.npy", "ids.txt"]);
        assert_eq!(existing(&new, TextKind::Passage), Some(new.join("docs.npy")));
        assert_eq!(existing(&new, TextKind::Query), None);
        assert_eq!(std::fs::read_to_string(new.join("ids.txt")).unwrap(), "a\nb\n");
    }
}
