//! Embeddings of many texts in one file: NumPy's `.npz`, or `.safetensors`; or in a pair of `.npy` files.
//!
//! **In:** a file. **Out:** [`Vectors`]: the rows of any texts, read in place, and the ids of all.
//!
//! | layout | arrays |
//! |---|---|
//! | one matrix | `docs` `(total_tokens, D)`, `doclens` `(texts)` integers; of queries `queries`, `querylens` |
//! | one array per text | `(tokens, D)` each, in the order of their names, in which a last number counts as a number |
//!
//! Rows are f16, bf16 or f32. With one matrix, ids are optional: an array `ids` of strings, of integers, or of the
//! UTF-8 bytes of one id per line; in an `.npz`, also a file `ids.txt` like that (`queryids` for queries). With one
//! array per text they are the names; `arr_0` of `numpy.savez` is the id 0.

mod ids;
mod npz;
mod safetensors;

use self::ids::Ids;
use crate::array::{Kind, Place, check_floats, floats, read_at};
use crate::{Array, Error, Result, folder};
use std::collections::BTreeMap;
use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};

/// Kind of the texts, which names the arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Texts {
    /// `docs`, `doclens`, `ids`.
    Passages,
    /// `queries`, `querylens`, `queryids`.
    Queries,
}

impl Texts {
    /// Names of the arrays: rows, rows per text, ids.
    pub fn names(self) -> [&'static str; 3] {
        match self {
            Self::Passages => ["docs", "doclens", "ids"],
            Self::Queries => ["queries", "querylens", "queryids"],
        }
    }
}

/// Format of a file of embeddings with all its arrays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// A zip archive of `.npy` files, as `numpy.savez` writes it.
    Npz,
    /// A header in JSON, and the bytes of all tensors.
    Safetensors,
}

impl Container {
    /// Returns the format that the ending of a path names.
    pub fn of(path: &Path) -> Option<Self> {
        match path.extension()?.to_str()? {
            "npz" => Some(Self::Npz),
            "safetensors" => Some(Self::Safetensors),
            _ => None,
        }
    }
}

/// Arrays of a file, by name; the error of one is the rest of a sentence that begins with its name.
struct Catalog {
    arrays: BTreeMap<String, Result<Place, String>>,
    /// Place of the ids of an `.npz`, one per line.
    lines: Option<Range<u64>>,
    /// Ids in the metadata of a `.safetensors`, one per line.
    text: Option<String>,
}

/// Embeddings of texts in a file.
pub struct Vectors {
    path: PathBuf,
    file: File,
    kind: Kind,
    dim: u64,
    rows: Rows,
    /// First row of each text, and the end.
    offsets: Vec<u64>,
    ids: Option<Ids>,
}

/// Place of the rows in the file.
enum Rows {
    /// One matrix, which begins at this byte.
    Matrix(u64),
    /// A matrix per text, which begin at these bytes.
    PerText(Vec<u64>),
}

impl Vectors {
    /// Opens a file of this format.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Malformed`] if it is malformed, compressed, of another layout, or
    /// its arrays contradict each other.
    pub fn open(path: &Path, container: Container, texts: Texts) -> Result<Self> {
        let catalog = match container {
            Container::Npz => npz::open(path, texts)?,
            Container::Safetensors => safetensors::open(path, texts)?,
        };
        let [rows, lens, ids] = texts.names();
        match (catalog.arrays.contains_key(rows), catalog.arrays.contains_key(lens)) {
            (true, true) => Self::matrix(path, catalog, texts),
            (false, false) => Self::per_text(path, catalog, ids),
            (has_rows, _) => {
                let (has, lacks) = if has_rows { (rows, lens) } else { (lens, rows) };
                Err(Error::malformed(path, format!("has an array {has:?}, but no {lacks:?}, which belongs to it")))
            }
        }
    }

    /// Opens a pair of `.npy` files: rows `(total_tokens, D)`, and rows per text.
    ///
    /// # Errors
    /// As [`Vectors::open`].
    pub fn of_npy(rows: &Path, lens: &Path) -> Result<Self> {
        let (array, counts) = (crate::npy::open(rows)?, crate::npy::open(lens)?.all_u32()?);
        let of = format!("the doclens of {}", lens.display());
        Self::of_matrix(rows, array.place().clone(), counts, &of).map_err(|reason| Error::malformed(rows, reason))
    }

    fn matrix(path: &Path, catalog: Catalog, texts: Texts) -> Result<Self> {
        let [rows, lens, ids] = texts.names();
        let place = |name: &str| match &catalog.arrays[name] {
            Ok(place) => Ok(place.clone()),
            Err(reason) => Err(in_file(path, name, reason)),
        };
        let counts = Array::of_place(path, folder::open(path)?.0, place(lens)?).all_u32();
        let counts = counts.map_err(|error| match error {
            Error::Malformed { reason, .. } => in_file(path, lens, &reason),
            error => error,
        })?;
        let vectors = Self::of_matrix(path, place(rows)?, counts, &format!("its {lens:?}"));
        let vectors = vectors.map_err(|reason| in_file(path, rows, &reason))?;
        let array = catalog.arrays.contains_key(ids).then(|| place(ids)).transpose()?;
        let ids = match (array, catalog.lines, catalog.text) {
            (Some(place), ..) => Some(Ids::of_array(place).map_err(|reason| in_file(path, ids, &reason))?),
            (_, Some(lines), _) => Some(Ids::Lines(lines)),
            (.., text) => text.map(Ids::Text),
        };
        Ok(Self { ids, ..vectors })
    }

    /// The error is the rest of a sentence that begins with the name of the rows.
    fn of_matrix(path: &Path, place: Place, counts: Vec<u32>, of: &str) -> Result<Self, String> {
        let &[found, dim] = place.shape.as_slice() else {
            return Err(format!("has shape {:?}, expected (total_tokens, D)", place.shape));
        };
        check_floats(&place)?;
        let offsets = offsets(counts.into_iter().map(u64::from));
        let expected = offsets[offsets.len() - 1];
        if expected != found {
            return Err(format!("has {found} rows, but {of} add up to {expected}"));
        }
        let file = File::open(path).map_err(|error| error.to_string())?;
        let rows = Rows::Matrix(place.start);
        Ok(Self { path: path.into(), file, kind: place.kind, dim, rows, offsets, ids: None })
    }

    fn per_text(path: &Path, catalog: Catalog, ids: &str) -> Result<Self> {
        let is_ids = |place: &Result<Place, String>| {
            place.as_ref().is_ok_and(|place| place.shape.len() != 2 || check_floats(place).is_err())
        };
        if catalog.arrays.get(ids).is_some_and(is_ids) || catalog.lines.is_some() || catalog.text.is_some() {
            let reason = format!("has {ids:?} beside one array per text, whose names are the ids; leave them out");
            return Err(Error::malformed(path, reason));
        }
        let mut arrays: Vec<_> = catalog.arrays.into_iter().collect();
        arrays.sort_by_cached_key(|(name, _)| natural(name));
        let mut first: Option<(Kind, u64)> = None;
        let (mut starts, mut counts) = (Vec::with_capacity(arrays.len()), Vec::with_capacity(arrays.len()));
        for (name, place) in &arrays {
            let bad = |reason: &str| {
                let layouts = "a file has one array (total_tokens, D) \"docs\" with \"doclens\" (for queries, \
                               \"queries\" with \"querylens\"), or one array (tokens, D) per text";
                in_file(path, name, &format!("{reason}; {layouts}"))
            };
            let place = place.as_ref().map_err(|reason| bad(reason))?;
            let &[rows, dim] = place.shape.as_slice() else {
                return Err(bad(&format!("has shape {:?}, expected (tokens, D)", place.shape)));
            };
            check_floats(place).map_err(|reason| bad(&reason))?;
            let (kind, expected) = *first.get_or_insert((place.kind, dim));
            if (place.kind, dim) != (kind, expected) {
                let (found, kind) = (place.kind.name(), kind.name());
                return Err(bad(&format!("is {found} of dim {dim}, those before are {kind} of dim {expected}")));
            }
            starts.push(place.start);
            counts.push(rows);
        }
        let Some((kind, dim)) = first else { return Err(Error::malformed(path, "holds no array")) };
        let names = arrays.into_iter().map(|(name, _)| name).collect();
        let (file, offsets) = (folder::open(path)?.0, offsets(counts.into_iter()));
        let ids = Some(Ids::of_names(names));
        Ok(Self { path: path.into(), file, kind, dim, rows: Rows::PerText(starts), offsets, ids })
    }

    /// Number of components of a row.
    pub fn dim(&self) -> usize {
        self.dim as usize
    }

    /// First row of each text, and the number of rows.
    pub fn offsets(&self) -> &[u64] {
        &self.offsets
    }

    /// Whether rows are f32 or bf16, whose range f16 lacks.
    pub fn needs_f32(&self) -> bool {
        self.kind != Kind::F16
    }

    /// Reads the rows of consecutive texts, and appends them to `out`. Components may be NaN or infinite.
    ///
    /// # Errors
    /// [`Error::Io`] if they cannot be read.
    ///
    /// # Panics
    /// If there are fewer texts.
    pub fn read(&mut self, texts: Range<usize>, out: &mut Vec<f32>) -> Result<()> {
        let row_bytes = self.dim * self.kind.bytes();
        match &self.rows {
            Rows::Matrix(start) => {
                let (first, end) = (self.offsets[texts.start], self.offsets[texts.end]);
                read_rows(&mut self.file, self.kind, start + first * row_bytes, (end - first) * row_bytes, out)
            }
            Rows::PerText(starts) => texts.into_iter().try_for_each(|text| {
                let bytes = (self.offsets[text + 1] - self.offsets[text]) * row_bytes;
                read_rows(&mut self.file, self.kind, starts[text], bytes, out)
            }),
        }
        .map_err(Error::io(&self.path))
    }

    /// Ids of the texts in their order, if the file has them. There may be more or fewer than texts.
    ///
    /// # Errors
    /// [`Error::Io`] if the file cannot be opened.
    pub fn ids(&self) -> Result<Option<Box<dyn Iterator<Item = Result<String>> + '_>>> {
        self.ids.as_ref().map(|ids| ids.read(&self.path)).transpose()
    }
}

fn read_rows(file: &mut File, kind: Kind, at: u64, bytes: u64, out: &mut Vec<f32>) -> std::io::Result<()> {
    let mut buffer = vec![0u8; bytes as usize];
    read_at(file, at, &mut buffer)?;
    floats(kind, &buffer, out);
    Ok(())
}

/// First row of each text, and the end. Counts of arrays that lie in files add up to less than 2^64.
fn offsets(counts: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut end = 0u64;
    let ends = counts.map(|count| {
        end = end.saturating_add(count);
        end
    });
    std::iter::once(0).chain(ends).collect()
}

/// Key of the order of names: the text before a last number, the number, and the whole name.
fn natural(name: &str) -> (String, u64, String) {
    let stem = name.trim_end_matches(|c: char| c.is_ascii_digit());
    (stem.to_owned(), name[stem.len()..].parse().unwrap_or(0), name.to_owned())
}

fn in_file(path: &Path, name: &str, reason: &str) -> Error {
    Error::malformed(path, format!("its array {name:?} {reason}"))
}
