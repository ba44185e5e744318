//! Parquet files with a column of lists of lists of floats.
//!
//! **In:** a file, as pyarrow writes it. **Out:** its rows as points. One column has the embeddings in f16, f32 or f64:
//! lists of lists, of a fixed size or not. Ids are in a column `id` or `_id`, or are the numbers of the rows. One
//! column of strings is the text, and all others are metadata.
//!
//! Rows are read one by one, and pages decompressed one by one. The crate parquet trusts some sizes and dates of a
//! file: its panic is an error here.

use super::{FoundPoints, Point, Points, document};
use crate::{Error, Result, folder};
use parquet::basic::{LogicalType, Type};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::reader::RowIter;
use parquet::record::{Field, Row};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fs::File;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

/// Columns that hold ids, the first that a file has.
const ID_COLUMNS: [&str; 2] = ["id", "_id"];

/// Options of reading a file.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Column of the embeddings; `None` takes the only column of lists of lists of floats.
    pub vectors: Option<String>,
    /// Column of the text; `None` takes the first of [`TEXT_FIELDS`](super::TEXT_FIELDS).
    pub text: Option<String>,
}

/// A file that is read.
pub struct Table {
    path: PathBuf,
    rows: RowIter<'static>,
    number: u64,
    found: FoundPoints,
    id: Option<&'static str>,
    text: Option<String>,
    /// Whether an error ended the rows.
    is_ended: bool,
}

impl Table {
    /// Opens a file, and reads up to the first row with embeddings to learn their dimension.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be read, [`Error::Malformed`] if it is no Parquet file, or has rows that are not as
    /// expected, [`Error::Columns`] if the column of the embeddings cannot be chosen, or that of the text is missing.
    pub fn open(path: &Path, options: &Options) -> Result<Self> {
        let reader = reader_of(path)?;
        let schema = reader.metadata().file_metadata().schema_descr();
        let columns: Vec<String> = schema.root_schema().get_fields().iter().map(|f| f.name().to_owned()).collect();
        let has = |name: &str| columns.iter().any(|column| column == name);
        let vector = choose(path, schema.columns(), options.vectors.as_deref())?;
        if let Some(text) = options.text.as_deref().filter(|text| !has(text)) {
            let reason = format!("has no column {text:?} of texts");
            return Err(Error::Columns { path: path.into(), reason, names: columns });
        }
        let id = ID_COLUMNS.into_iter().find(|name| has(name));
        let points = u64::try_from(reader.metadata().file_metadata().num_rows()).ok();
        let rows = RowIter::from_file_into(Box::new(reader));
        let found = FoundPoints { format: "parquet", dim: 0, points, vector };
        let text = options.text.clone();
        let mut table = Self { path: path.into(), rows, number: 0, found, id, text, is_ended: false };
        while table.found.dim == 0 {
            table.read().ok_or_else(|| Error::malformed(path, "has no embedding"))??;
        }
        // From the first row on again, so that memory holds none of them.
        Ok(Self { rows: RowIter::from_file_into(Box::new(reader_of(path)?)), number: 0, ..table })
    }

    /// Reads the next row.
    fn read(&mut self) -> Option<Result<Point>> {
        let path = &self.path;
        let row = guarded(path, || self.rows.next().transpose().map_err(|error| error.to_string())).transpose()?;
        let point = row.and_then(|row| {
            let (dim, vector) = (self.found.dim, self.found.vector.as_str());
            guarded(path, || point(row, vector, self.id, self.number, self.text.as_deref(), dim))
        });
        self.number += 1;
        Some(point.map(|(point, dim)| {
            self.found.dim = dim;
            point
        }))
    }
}

impl Points for Table {
    fn found(&self) -> &FoundPoints {
        &self.found
    }
}

impl Iterator for Table {
    type Item = Result<Point>;

    fn next(&mut self) -> Option<Self::Item> {
        // After an error the crate's reader is in no state to go on.
        let point = if self.is_ended { None } else { self.read() };
        self.is_ended = !matches!(point, Some(Ok(_)));
        point
    }
}

fn reader_of(path: &Path) -> Result<SerializedFileReader<File>> {
    let (file, _) = folder::open(path)?;
    guarded(path, || SerializedFileReader::new(file).map_err(|error| error.to_string()))
}

/// Calls the crate parquet. A file for which it panics is malformed, and is not read any further.
fn guarded<T>(path: &Path, call: impl FnOnce() -> Result<T, String>) -> Result<T> {
    let result = catch_unwind(AssertUnwindSafe(call)).unwrap_or_else(|_| Err("is damaged".into()));
    result.map_err(|reason| Error::malformed(path, reason))
}

/// Chooses the column of the embeddings among those whose only leaves are floats in lists of lists.
fn choose(path: &Path, leaves: &[parquet::schema::types::ColumnDescPtr], name: Option<&str>) -> Result<String> {
    let mut fits: BTreeMap<&str, bool> = BTreeMap::new();
    for leaf in leaves {
        let is_half = leaf.logical_type_ref() == Some(&LogicalType::Float16);
        let is_float = is_half || matches!(leaf.physical_type(), Type::FLOAT | Type::DOUBLE);
        let is_matrix = is_float && leaf.max_rep_level() == 2;
        let column = leaf.path().parts().first().map_or("", String::as_str);
        // A column with two leaves is a structure.
        fits.entry(column).and_modify(|fits| *fits = false).or_insert(is_matrix);
    }
    let names: Vec<String> = fits.into_iter().filter(|&(_, fits)| fits).map(|(name, _)| name.to_owned()).collect();
    let bad = |reason: String| Error::Columns { path: path.into(), reason, names: names.clone() };
    match (name, names.as_slice()) {
        (Some(name), _) if names.iter().any(|known| known == name) => Ok(name.to_owned()),
        (Some(name), _) => Err(bad(format!("has no column {name:?} of lists of lists of floats"))),
        (None, [only]) => Ok(only.clone()),
        (None, []) => Err(bad("has no column of lists of lists of floats".into())),
        (None, _) => Err(bad("has several columns of lists of lists of floats".into())),
    }
}

/// Makes a point of a row. `dim` is 0 until it is known; returns it as well. The error is the rest of a sentence that
/// begins with the file.
fn point(
    row: Row,
    vector: &str,
    id: Option<&str>,
    number: u64,
    text: Option<&str>,
    mut dim: usize,
) -> Result<(Point, usize), String> {
    let (mut fields, mut rows, mut name) = (Map::new(), Vec::new(), number.to_string());
    for (column, field) in row.into_columns() {
        if column == vector {
            matrix(&field, &mut dim, &mut rows)
                .map_err(|reason| format!("row {number}, column {column:?}: {reason}"))?;
        } else if Some(column.as_str()) == id {
            name = match field.to_json_value() {
                Value::String(id) => id,
                Value::Number(id) => id.to_string(),
                other => return Err(format!("row {number} has the id {other}, expected a string or a number")),
            };
        } else if !matches!(field, Field::Null) {
            fields.insert(column, field.to_json_value());
        }
    }
    Ok((Point { document: document(name, fields, text), rows }, dim))
}

/// Appends the rows of a list of lists.
fn matrix(field: &Field, dim: &mut usize, out: &mut Vec<f32>) -> Result<(), String> {
    let rows = match field {
        Field::ListInternal(rows) => rows.elements(),
        // A passage without a token.
        Field::Null => return Ok(()),
        other => return Err(format!("{other} is no list")),
    };
    for row in rows {
        let row = match row {
            Field::ListInternal(row) => row,
            Field::Null => return Err("a list of embeddings has a null".into()),
            other => return Err(format!("{other} is no list of numbers")),
        };
        if *dim == 0 {
            *dim = row.len();
        }
        if row.len() != *dim || *dim == 0 {
            return Err(format!("an embedding has {} components, expected {dim}", row.len()));
        }
        for component in row.elements() {
            out.push(match component {
                Field::Float16(x) => x.to_f32(),
                Field::Float(x) => *x,
                Field::Double(x) => *x as f32,
                Field::Null => return Err("an embedding has a null".into()),
                other => return Err(format!("{other} is no number")),
            });
        }
    }
    Ok(())
}
