//! Writer of uncompressed embeddings: NumPy arrays in a folder, an `.npz` archive, or safetensors.

mod container;

use self::container::{OneFile, Shapes};
use crate::npy::NpyWriter;
use crate::staged::Staged;
use crate::{Error, Result};
use half::f16;
use selvedge_bridges::vectors::{Container, Texts};
use selvedge_encoder::{Embeddings, TextKind};
use std::path::{Path, PathBuf};

fn texts(kind: TextKind) -> Texts {
    match kind {
        TextKind::Query => Texts::Queries,
        TextKind::Passage => Texts::Passages,
    }
}

/// Returns the names of the files of a folder: embeddings, tokens per text, ids.
fn names(kind: TextKind) -> [String; 3] {
    let [rows, lens, ids] = texts(kind).names();
    [format!("{rows}.npy"), format!("{lens}.npy"), format!("{ids}.txt")]
}

/// Returns the first file that a [`Saver`] of texts of this kind would replace at `out`.
pub fn existing(out: &Path, kind: TextKind) -> Option<PathBuf> {
    match Container::of(out) {
        Some(_) => out.exists().then(|| out.to_owned()),
        None => names(kind).map(|name| out.join(name)).into_iter().find(|path| path.exists()),
    }
}

/// Writes embeddings `(total_tokens, D)`, tokens per text and ids.
///
/// If the path ends in `.npz` or `.safetensors`, it is one file with the arrays `docs` and `doclens` of passages, or
/// `queries` and `querylens` of queries. Ids are one per line: in an `.npz` the file `ids.txt` or `queryids.txt` of the
/// archive, in safetensors a tensor `ids` or `queryids` of UTF-8 bytes. Any other path is a folder: `docs.npy`,
/// `doclens.npy` and `ids.txt`, or `queries.npy`, `querylens.npy` and `queryids.txt`. Each file appears when it is
/// complete.
pub struct Saver {
    kind: TextKind,
    dim: usize,
    is_f32: bool,
    lens: Vec<u32>,
    target: Target,
}

enum Target {
    /// The folder is dropped after the file.
    Folder(NpyWriter, OutFolder),
    File(Box<OneFile>),
}

impl Saver {
    /// Creates the folder or the file, for rows of `dim` components in f32 or f16. f16 is for rows of unit norm: a
    /// component above 65,504 becomes infinite, and one below 3e-8 becomes zero.
    ///
    /// # Errors
    /// [`Error::Io`] if the folder cannot be created or written, or the file cannot.
    pub fn create(out: &Path, kind: TextKind, dim: usize, is_f32: bool) -> Result<Self> {
        let target = match Container::of(out) {
            Some(container) => Target::File(Box::new(OneFile::create(out, container)?)),
            None => {
                let folder = OutFolder::create(out)?;
                Target::Folder(NpyWriter::create(&folder.path.join(&names(kind)[0]))?, folder)
            }
        };
        Ok(Self { kind, dim, is_f32, lens: Vec::new(), target })
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
        match &mut self.target {
            Target::Folder(rows, _) => rows.write(&bytes),
            Target::File(file) => file.write(&bytes),
        }
    }

    /// Completes the files: writes the headers, the lengths, and `ids`, one for each text in the order of pushing.
    ///
    /// # Errors
    /// The first error that `ids` yields, and [`Error::Io`].
    pub fn finish(self, ids: impl Iterator<Item = Result<String>>) -> Result<()> {
        let Self { kind, dim, is_f32, lens, target } = self;
        // The folder is dropped after its files.
        let (folder, rows) = match target {
            Target::Folder(rows, folder) => (folder, rows),
            Target::File(mut file) => {
                for id in ids {
                    file.write_id(&id?)?;
                }
                return file.finish(&Shapes { texts: texts(kind), is_f32, dim, lens: &lens });
            }
        };
        let [_, lens_name, ids_name] = names(kind);
        let mut lens_file = NpyWriter::create(&folder.path.join(lens_name))?;
        for len in &lens {
            lens_file.write(&len.to_le_bytes())?;
        }
        let mut file = Staged::create(&folder.path.join(ids_name))?;
        for id in ids {
            file.write_line(&id?)?;
        }
        let tokens = lens.iter().map(|&l| l as usize).sum();
        rows.finish(if is_f32 { "<f4" } else { "<f2" }, &[tokens, dim])?;
        lens_file.finish("<i4", &[lens.len()])?;
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

    #[test]
    fn one_file_appears_when_it_is_complete() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a.npz", "a.safetensors"] {
            let out = dir.path().join(name);
            let saver = Saver::create(&out, TextKind::Query, 8, true).unwrap();
            assert!(matches!(saver.finish([Err(Error::NoTokens)].into_iter()), Err(Error::NoTokens)));
            assert_eq!((files(dir.path()), existing(&out, TextKind::Query)), (vec![], None), "{name}");
        }
        assert!(Saver::create(&dir.path().join("none/a.npz"), TextKind::Query, 8, true).is_err());
    }

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
