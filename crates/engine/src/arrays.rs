//! Embeddings in files that other programs wrote.
//!
//! **In:** [`Arrays`], the paths. **Out:** an [`ArraySource`], which reads the rows of any passages in place, and their
//! ids. `selvedge-bridges` reads the formats, and describes them.

use crate::embedded::check_dim;
use crate::lines::Lines;
use crate::npy::check_finite;
use crate::source::Source;
use crate::{Error, Result};
use selvedge_bridges::vectors::{Container, Texts, Vectors};
use selvedge_encoder::Embeddings;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Embeddings in files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Arrays {
    /// A `.npy` array of the embeddings of all passages in order, `(total_tokens, D)`, f16 or f32; an `.npz` or
    /// `.safetensors` file, which also has the number of tokens of each passage and may have ids; or a folder of
    /// `docs.npy`, `doclens.npy` and `ids.txt`, of which the last may lack.
    pub embeddings: PathBuf,
    /// Number of tokens of each passage, `(passages)`, i32: with a `.npy` array, and only with one.
    pub doclens: Option<PathBuf>,
    /// Ids of the passages, one per line. `None` takes the ids in `embeddings`; without any, passages are numbered.
    pub ids: Option<PathBuf>,
}

impl Arrays {
    /// Embeddings in one file or folder, with lengths and ids.
    pub fn new(embeddings: impl Into<PathBuf>) -> Self {
        Self { embeddings: embeddings.into(), doclens: None, ids: None }
    }

    /// Embeddings in two `.npy` arrays, without ids.
    pub fn npy(embeddings: impl Into<PathBuf>, doclens: impl Into<PathBuf>) -> Self {
        Self { doclens: Some(doclens.into()), ..Self::new(embeddings) }
    }
}

/// Embeddings of passages or queries in files that have a number of rows for each, and perhaps ids.
pub(crate) struct Files {
    pub(crate) path: PathBuf,
    pub(crate) vectors: Vectors,
    /// File of the ids, where they have their own.
    ids: Option<PathBuf>,
}

impl Files {
    /// Opens a `.npy` array with its `lens`, a file of several arrays, or a folder. `ids` take the place of theirs.
    ///
    /// # Errors
    /// As [`ArraySource::open`], but for the dimension and the number of texts.
    pub(crate) fn open(path: &Path, lens: Option<&Path>, ids: Option<&Path>, texts: Texts) -> Result<Self> {
        let option = if texts == Texts::Passages { "doclens" } else { "lens" };
        let (mut path, mut ids) = (path.to_owned(), ids.map(Path::to_owned));
        let container = Container::of(&path).filter(|_| !path.is_dir());
        let [rows_name, lens_name, ids_name] = texts.names();
        let vectors = match (container, lens, path.is_dir()) {
            (Some(container), None, _) => Vectors::open(&path, container, texts)?,
            (None, Some(lens), false) => Vectors::of_npy(&path, lens)?,
            (None, None, true) => {
                let own = path.join(format!("{ids_name}.txt"));
                ids = ids.or_else(|| own.exists().then_some(own));
                let lens = path.join(format!("{lens_name}.npy"));
                path.push(format!("{rows_name}.npy"));
                Vectors::of_npy(&path, &lens)?
            }
            (None, None, false) => {
                let reason = "an array of embeddings needs one of the number of tokens of each text";
                return Err(Error::option(option, "not given", reason));
            }
            (_, Some(lens), _) => {
                let reason = "the embeddings are a file or folder that has the number of tokens of each text";
                return Err(Error::option(option, lens.display(), reason));
            }
        };
        Ok(Self { path, vectors, ids })
    }

    /// Number of texts.
    pub(crate) fn len(&self) -> usize {
        self.vectors.offsets().len() - 1
    }

    /// Reads the rows of consecutive texts, and appends them to `out`.
    pub(crate) fn read(&mut self, texts: Range<usize>, out: &mut Vec<f32>) -> Result<()> {
        let (first, before) = (self.vectors.offsets()[texts.start] as usize, out.len());
        self.vectors.read(texts, out)?;
        check_finite(&self.path, first, self.vectors.dim(), &out[before..])
    }

    /// Does as [`ArraySource::ids`].
    pub(crate) fn ids(&self, mut push: impl FnMut(String) -> Result<()>) -> Result<bool> {
        let mut found = 0;
        let path = if let Some(path) = &self.ids {
            let mut lines = Lines::open(path)?;
            while let Some(id) = lines.next()? {
                push(id.to_owned()).map_err(|error| lines.refused(error))?;
                found += 1;
            }
            path
        } else {
            let Some(ids) = self.vectors.ids()? else { return Ok(false) };
            for id in ids {
                push(id?)?;
                found += 1;
            }
            &self.path
        };
        match self.len() {
            expected if expected == found => Ok(true),
            expected => Err(Error::Count { path: path.clone(), expected, found }),
        }
    }
}

/// Source that reads the embeddings of [`Arrays`].
pub struct ArraySource(Files);

impl ArraySource {
    /// Opens embeddings of a dimension that is a multiple of 8.
    ///
    /// # Errors
    /// - [`Error::Io`] if a file cannot be read.
    /// - [`Error::Npy`] if it is malformed, contradicts another, or has another dimension.
    /// - [`Error::BadOption`] if lengths lack or are given twice.
    /// - [`Error::EmptyCollection`] if there is no passage.
    pub fn open(arrays: &Arrays) -> Result<Self> {
        let Arrays { embeddings, doclens, ids } = arrays;
        let files = Files::open(embeddings, doclens.as_deref(), ids.as_deref(), Texts::Passages)?;
        if check_dim(files.vectors.dim()).is_err() {
            let reason = format!("has dim {}, expected a multiple of 8 up to 32768", files.vectors.dim());
            return Err(Error::Npy { path: files.path, reason });
        }
        if files.len() == 0 {
            return Err(Error::EmptyCollection { path: files.path });
        }
        Ok(Self(files))
    }

    /// Opens embeddings of passages of an index, which have `dim` components.
    pub(crate) fn open_of_dim(arrays: &Arrays, dim: usize) -> Result<Self> {
        let source = Self::open(arrays)?;
        if source.dim() != dim {
            let reason = format!("has dim {}, the index has {dim}", source.dim());
            return Err(Error::Npy { path: source.0.path, reason });
        }
        Ok(source)
    }

    /// Calls `push` with each id; returns whether there are any. An error of `push` names the line if the ids have a
    /// file of their own.
    ///
    /// # Errors
    /// The errors of `push`; [`Error::Count`] if the number of ids is not that of the passages, [`Error::Io`] and
    /// [`Error::Npy`] if they cannot be read.
    pub fn ids(&self, push: impl FnMut(String) -> Result<()>) -> Result<bool> {
        self.0.ids(push)
    }

    /// Path of the embeddings.
    pub(crate) fn path(&self) -> &Path {
        &self.0.path
    }
}

impl Source for ArraySource {
    fn dim(&self) -> usize {
        self.0.vectors.dim()
    }

    fn num_passages(&self) -> usize {
        self.0.len()
    }

    fn max_doclen(&self) -> usize {
        self.0.vectors.offsets().windows(2).map(|w| w[1] - w[0]).max().unwrap_or(0) as usize
    }

    fn max_tokens(&self) -> usize {
        self.0.vectors.offsets().last().map_or(0, |&end| end as usize)
    }

    fn is_costly(&self) -> bool {
        false
    }

    fn needs_f32(&self) -> bool {
        self.0.vectors.needs_f32()
    }

    fn fetch(&mut self, pids: &[u32]) -> Result<Embeddings> {
        let dim = self.dim();
        let mut out = Embeddings { dim, lens: Vec::with_capacity(pids.len()), ..Embeddings::default() };
        // A run of consecutive passages is one read.
        for run in pids.chunk_by(|a, b| a + 1 == *b) {
            let (first, end) = (run[0] as usize, run[run.len() - 1] as usize + 1);
            self.0.read(first..end, &mut out.data)?;
            let offsets = self.0.vectors.offsets();
            out.lens.extend(offsets[first..=end].windows(2).map(|pair| (pair[1] - pair[0]) as u32));
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A safetensors file with the rows of each text, of 8 components.
    fn file(folder: &Path, texts: &[(&str, &[f32])]) -> PathBuf {
        let (mut entries, mut data) = (Vec::new(), Vec::new());
        for (name, rows) in texts {
            let (start, shape) = (data.len(), [rows.len() / 8, 8]);
            data.extend(rows.iter().flat_map(|x| x.to_le_bytes()));
            entries.push(format!(
                "{name:?}: {{\"dtype\": \"F32\", \"shape\": {shape:?}, \"data_offsets\": [{start}, {}]}}",
                data.len()
            ));
        }
        let header = format!("{{{}}}", entries.join(", "));
        let path = folder.join("a.safetensors");
        std::fs::write(&path, [&(header.len() as u64).to_le_bytes()[..], header.as_bytes(), &data].concat()).unwrap();
        path
    }

    #[test]
    fn faults_name_the_row_the_ids_and_the_option() {
        let dir = tempfile::tempdir().unwrap();
        let mut rows = [0.5; 24];
        rows[17] = f32::NAN;
        let arrays = Arrays::new(file(dir.path(), &[("a", &[1.0; 16]), ("b", &rows), ("c", &[2.0; 8])]));
        let mut source = ArraySource::open(&arrays).unwrap();
        assert_eq!((source.num_passages(), source.max_doclen(), source.max_tokens()), (3, 3, 6));
        let found = source.fetch(&[2, 0]).unwrap();
        assert_eq!((found.lens, found.data[0], found.data[8]), (vec![1, 2], 2.0, 1.0));
        assert!(matches!(source.fetch(&[0, 1]), Err(Error::NotFinite { row: 4, .. })));

        let ids = dir.path().join("ids.txt");
        std::fs::write(&ids, "x\ny\n").unwrap();
        let source = ArraySource::open(&Arrays { ids: Some(ids.clone()), ..arrays.clone() }).unwrap();
        let counted = source.ids(|_| Ok(()));
        assert!(matches!(counted, Err(Error::Count { path, expected: 3, found: 2 }) if path == ids));
        let twice = ArraySource::open(&Arrays { doclens: Some(ids), ..arrays });
        assert!(matches!(twice, Err(Error::BadOption { option: "doclens", .. })));
        let dim = file(dir.path(), &[]);
        assert!(matches!(ArraySource::open(&Arrays::new(dim)), Err(Error::Npy { .. })));
    }
}
