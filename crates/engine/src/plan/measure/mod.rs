//! Measurement of this machine for a plan: indexes of synthetic passages are built and searched.
//!
//! ```text
//! for each size    make --> docs.npy, lens.npy, queries.npy
//!                  build --> index, built.json         a process of its own: peak memory, processor time
//!                  search --> searched.json            another one: resident memory, times
//! ```
//!
//! In: sizes, and a function that runs a stage in a new process, which calls [`run`]. Out: [`Figures`]. Results that a
//! folder has are not measured again.

mod collection;
mod system;
mod text;

use super::figures::{Built, Figures, Searched, SizeFigures};
use crate::build::{Arrays, BuildOptions, from_arrays};
use crate::npy::NpyFloats;
use crate::{Error, Result};
use collection::{DIM, FILES};
use selvedge_backend::{Backend, Cpu};
use selvedge_index::{Check, Index};
use selvedge_search::{SearchParams, Searcher};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// Queries of each index, ColBERTv2's number of tokens of a query, and the results of a search.
const QUERIES: usize = 200;
const QUERY_TOKENS: usize = 32;
const K: usize = 10;
/// Queries that are searched exhaustively, too, and passes over all queries, of which the fastest time of each query
/// counts: the others have waited for other processes. Of a pass before these nothing is kept.
const EXHAUSTIVE: usize = 10;
const PASSES: usize = 15;
/// Quantiles that are kept.
const QUANTILES: usize = 50;
const INDEX: &str = "index";

/// Size of an index to measure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Size {
    /// Number of passages.
    pub passages: u64,
    /// Mean number of tokens of a passage.
    pub tokens: usize,
}

/// Stage of a measurement, which has a process for itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// Builds an index.
    Build,
    /// Searches it.
    Search,
}

impl Size {
    fn folder(self, work: &Path) -> PathBuf {
        work.join(format!("{}x{}", self.passages, self.tokens))
    }
}

impl Stage {
    /// Name for a command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Search => "search",
        }
    }

    fn result(self, folder: &Path) -> PathBuf {
        folder.join(match self {
            Self::Build => "built.json",
            Self::Search => "searched.json",
        })
    }
}

/// Measures indexes of `sizes` in the folder `work`. `spawn` runs [`run`] with its arguments in a new process.
///
/// # Errors
/// The errors of `spawn`, of builds and of searches; [`Error::Io`] and [`Error::BadFile`] if `work` cannot be used, or
/// if the operating system is not Linux, whose figures of a process are needed.
pub fn measure<E: From<Error>>(
    sizes: &[Size],
    nbits: u8,
    work: &Path,
    mut spawn: impl FnMut(Stage, Size) -> Result<(), E>,
) -> Result<Figures, E> {
    let memory_bytes = system::memory_bytes()?;
    let mut measured = Vec::with_capacity(sizes.len());
    for &size in sizes {
        let folder = size.folder(work);
        let docs = folder.join(FILES[0]);
        if !Stage::Build.result(&folder).exists() {
            collection::write(&folder, (size.passages, size.tokens), (QUERIES, QUERY_TOKENS))?;
            spawn(Stage::Build, size)?;
            std::fs::remove_file(&docs).map_err(Error::io(&docs))?;
        }
        if !Stage::Search.result(&folder).exists() {
            spawn(Stage::Search, size)?;
        }
        let index = Index::open(&folder.join(INDEX), Check::Structure).map_err(Error::from)?;
        measured.push(SizeFigures {
            passages: size.passages,
            vectors: index.num_tokens(),
            centroids: index.manifest().codec.num_centroids as u64,
            built: kept(&Stage::Build.result(&folder))?,
            searched: kept(&Stage::Search.result(&folder))?,
        });
    }
    let (encode_tokens_per_s, encode_query_ms) = text::encoding()?;
    Ok(Figures {
        machine: format!("{}, selvedge {}", system::processor()?, env!("CARGO_PKG_VERSION")),
        backend: Cpu::new().map_err(Error::from)?.name(),
        cores: std::thread::available_parallelism().map_or(1, usize::from),
        memory_bytes,
        dim: DIM,
        nbits,
        query_tokens: QUERY_TOKENS,
        k: K,
        encode_tokens_per_s,
        encode_query_ms,
        sizes: measured,
    })
}

/// Runs one stage of one size in this process, which has done nothing else, and writes its result into `work`.
///
/// # Errors
/// As [`measure`].
pub fn run(stage: Stage, size: Size, nbits: u8, work: &Path) -> Result<()> {
    let folder = size.folder(work);
    match stage {
        Stage::Build => keep(&stage.result(&folder), &build(&folder, nbits)?),
        Stage::Search => keep(&stage.result(&folder), &search(&folder)?),
    }
}

fn build(folder: &Path, nbits: u8) -> Result<Built> {
    let path = folder.join(INDEX);
    if path.exists() {
        // A build that was complete, and whose result was not written.
        std::fs::remove_dir_all(&path).map_err(Error::io(&path))?;
    }
    let arrays = Arrays::npy(folder.join(FILES[0]), folder.join(FILES[1]));
    let options = BuildOptions { nbits, ..BuildOptions::default() };
    let (started, cpu_s) = (Instant::now(), system::cpu_s()?);
    from_arrays(&arrays, &path, &options, &())?;
    let (build_wall_s, build_cpu_s) = (started.elapsed().as_secs_f64(), system::cpu_s()? - cpu_s);
    let disk_bytes = Index::open(&path, Check::Structure)?.bytes_on_disk().values().sum();
    Ok(Built { disk_bytes, build_cpu_s, build_wall_s, build_peak_bytes: system::peak_bytes()? })
}

fn search(folder: &Path) -> Result<Searched> {
    let index = Index::open(&folder.join(INDEX), Check::Structure)?;
    let searcher = Searcher::new(Cpu::new()?, &index)?;
    let mut npy = NpyFloats::open(&folder.join(FILES[2]))?;
    let mut rows = Vec::new();
    npy.read_rows(0, npy.num_rows(), &mut rows)?;
    let queries: Vec<&[f32]> = rows.chunks_exact(QUERY_TOKENS * DIM).collect();
    let params = SearchParams::approximate(K);
    let mut found = 0;
    for query in queries.iter().take(EXHAUSTIVE) {
        let exact = searcher.search(query, &SearchParams::exact(K), None)?.hits;
        let hits = searcher.search(query, &params, None)?.hits;
        found += hits.iter().filter(|hit| exact.iter().any(|other| other.pid == hit.pid)).count();
    }
    // One core each, as in a server that has many queries at a time.
    let one = crate::plan::one_thread()?;
    let mut best = vec![f64::INFINITY; queries.len()];
    one.install(|| {
        (0..=PASSES).try_for_each(|pass| {
            queries.iter().zip(&mut best).try_for_each(|(query, best)| {
                let started = Instant::now();
                searcher.search(query, &params, None)?;
                if pass > 0 {
                    *best = best.min(started.elapsed().as_secs_f64() * 1e3);
                }
                Ok::<_, Error>(())
            })
        })
    })?;
    best.sort_by(f64::total_cmp);
    let quantile = |part: f64| best[(part * best.len() as f64) as usize];
    Ok(Searched {
        memory_bytes: system::peak_bytes()?,
        search_ms: quantile(0.5),
        search_quantiles_ms: (0..QUANTILES).map(|n| rounded(quantile((n as f64 + 0.5) / QUANTILES as f64))).collect(),
        found: found as f64 / (K * EXHAUSTIVE.min(queries.len())) as f64,
    })
}

/// Microseconds are precise enough.
fn rounded(ms: f64) -> f64 {
    (ms * 1e3).round().max(1.0) / 1e3
}

/// Writes a result. It appears when it is complete, since one that exists is not measured again.
fn keep(path: &Path, result: &impl Serialize) -> Result<()> {
    let partial = path.with_extension("partial");
    let json = serde_json::to_vec_pretty(result).expect("figures are plain numbers");
    std::fs::write(&partial, json).map_err(Error::io(&partial))?;
    std::fs::rename(&partial, path).map_err(Error::io(path))
}

fn kept<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let json = std::fs::read(path).map_err(Error::io(path))?;
    serde_json::from_slice(&json).map_err(|error| Error::BadFile { path: path.into(), reason: error.to_string() })
}
