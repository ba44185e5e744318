//! Options of a build and of opening, as Python gives them.

use crate::errors::{invalid, wrong_type};
use pyo3::conversion::FromPyObjectOwned;
use pyo3::exceptions::PyOverflowError;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use selvedge::{
    BuildOptions, CodecKind, Device, Language, LoadOptions, Model, OpenOptions, Precision, collection::ReadOptions,
};
use std::path::PathBuf;

/// Reads options from a dictionary; an error names the one that has another type.
pub(crate) fn read<'py, T: FromPyObjectOwned<'py>>(options: &Bound<'py, PyDict>) -> PyResult<T> {
    options.extract::<T>().map_err(|error| named(options.py(), error.into()))
}

/// Error of an option, by its name: the last of those that say "failed to extract field Settings.name", whose cause has
/// the reason.
fn named(py: Python<'_>, mut error: PyErr) -> PyErr {
    let mut name = String::new();
    while let Some(cause) = error.cause(py) {
        name = error.value(py).to_string().rsplit('.').next().unwrap_or_default().to_owned();
        error = cause;
    }
    let message = format!("{name}: {}", error.value(py));
    match error.is_instance_of::<PyOverflowError>(py) {
        true => invalid(message),
        false => wrong_type(message),
    }
}

/// Options of loading an encoder.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct LoadSettings {
    precision: Option<String>,
    query_maxlen: Option<usize>,
    passage_maxlen: Option<usize>,
}

impl LoadSettings {
    pub(crate) fn options(&self) -> PyResult<LoadOptions> {
        let precision = match self.precision.as_deref() {
            None => None,
            Some("f32") => Some(Precision::F32),
            Some("int8") => Some(Precision::Int8),
            Some(other) => return Err(invalid(format!("precision is {other:?}; expected \"f32\" or \"int8\""))),
        };
        let Self { query_maxlen, passage_maxlen, .. } = *self;
        Ok(LoadOptions { precision, query_maxlen, passage_maxlen, ..LoadOptions::default() })
    }
}

/// Options of a build.
#[derive(FromPyObject)]
#[pyo3(from_item_all)]
pub(crate) struct BuildSettings {
    model: String,
    load: LoadSettings,
    nbits: u8,
    codec: String,
    codec_from: Option<PathBuf>,
    centroids: Option<usize>,
    pool: usize,
    language: Option<String>,
    seed: u64,
    memory: u64,
    device: String,
    split_words: Option<usize>,
    include: Vec<String>,
    exclude: Vec<String>,
}

impl BuildSettings {
    pub(crate) fn options(&self) -> PyResult<BuildOptions> {
        let codec = match self.codec.as_str() {
            "selvedge" => CodecKind::Selvedge,
            "colbertv2" => CodecKind::ColbertV2,
            other => return Err(invalid(format!("codec is {other:?}; expected \"selvedge\" or \"colbertv2\""))),
        };
        let language = self.language.as_deref().map(str::parse::<Language>).transpose();
        Ok(BuildOptions {
            model: self.model.clone(),
            encoder: self.load.options()?,
            device: device(&self.device)?,
            codec,
            nbits: self.nbits,
            num_centroids: self.centroids,
            codec_from: self.codec_from.clone(),
            assignment: None,
            pool: self.pool,
            memory_budget: self.memory,
            language: language.map_err(|error| invalid(error.to_string()))?,
            seed: self.seed,
            made_by: None,
            read: read_options(self.split_words, &self.include, &self.exclude),
            save_embeddings: None,
        })
    }
}

/// Options of reading a folder.
pub(crate) fn read_options(split_words: Option<usize>, include: &[String], exclude: &[String]) -> ReadOptions {
    ReadOptions { split_words, include: include.to_vec(), exclude: exclude.to_vec(), ..ReadOptions::default() }
}

/// Device by its name.
pub(crate) fn device(name: &str) -> PyResult<Device> {
    name.parse().map_err(|reason| invalid(format!("device is {name:?}: {reason}")))
}

/// Options of opening an index.
pub(crate) fn open_options(
    model: Option<String>,
    any_model: bool,
    load: &LoadSettings,
    device: Device,
) -> PyResult<OpenOptions> {
    let model = model.map_or(Model::OfIndex, Model::Named);
    Ok(OpenOptions { model, any_model, encoder: load.options()?, device, load_model: false })
}
