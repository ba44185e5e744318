//! Stages of the measurement: one function each, and each in its own process.

use crate::error::{Error, Result};
use crate::options::Options;
use crate::recipe::{self, Recipe};
use crate::synth::{self, Synth};
use selvedge::build::{BuildOptions, pipeline};
use selvedge::metrics::overlap;
use selvedge_backend::Cpu;
use selvedge_index::{Check, Index, ManifestInfo, Writer};
use selvedge_search::{Mode, SearchParams, Searcher};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::fs;
use std::path::Path;
use std::time::Instant;

/// Number of results requested, and depth of recall.
const K: usize = 10;
/// Number of passes over the queries; the fastest of each query counts.
const PASSES: usize = 3;
/// Number of settings measured with all passes, after one pass has selected them.
const FINALISTS: usize = 3;
/// Grid of settings. For each `nprobe`, values of `num_rescored` are tried from the least on, until one reaches the
/// recall or takes too long.
const NPROBES: [usize; 7] = [2, 4, 8, 16, 32, 64, 128];
const NUM_RESCORED: [usize; 15] = [16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024, 1536, 2048];
/// Ratio of `ndocs` to `num_rescored`.
const NDOCS_PER_RESCORED: usize = 4;

/// Measurements of a build.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Built {
    /// Wall time, without the time of generating passages.
    pub seconds: f64,
    /// Time of generating passages; the sampled ones are generated twice.
    pub making_seconds: f64,
    /// Largest resident size of the process.
    pub peak_mb: f64,
    pub threads: usize,
}

/// Measurements of one setting.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Measured {
    pub nprobe: usize,
    #[serde(rename = "nfull")]
    pub num_rescored: usize,
    /// Fraction of the top 10 of exact f32 MaxSim that is found.
    pub recall: f64,
    pub p50_ms: f64,
    pub p95_ms: f64,
    /// Means of the stages: centroid table and probe; candidates and their approximate scores; MaxSim.
    pub probe_ms: f64,
    pub candidates_ms: f64,
    pub score_ms: f64,
}

/// Measurements of an index.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Queried {
    pub passages: usize,
    pub tokens: u64,
    pub centroids: usize,
    pub bytes_per_vector: f64,
    pub open_ms: f64,
    /// Largest resident size of the searching process, including the touched pages of the mapped index.
    pub peak_mb: f64,
    /// Fastest setting that reaches the target recall, or the one with the best recall if none does.
    pub cheapest: Measured,
    /// Default setting.
    pub default: Measured,
    /// Exhaustive search, up to `--exhaustive-up-to` passages.
    pub exhaustive: Option<Measured>,
}

/// Computes the clusters and neighbours of the source.
pub fn prepare(options: &Options) -> Result<()> {
    recipe::prepare(&options.embeddings_dir(), &options.source_dir())
}

/// Builds the index of `passages` by the function that `selvedge index` runs.
pub fn build(options: &Options, passages: usize) -> Result<()> {
    let path = options.index(passages);
    if path.exists() {
        // The index is complete, but its measurements are missing.
        fs::remove_dir_all(&path).map_err(Error::io(&path))?;
    }
    let mut source = collection(options, passages)?;
    let backend = Cpu::new()?;
    let build_options = BuildOptions {
        nbits: options.nbits,
        memory_budget: options.memory_budget_mib << 20,
        ..BuildOptions::default()
    };
    let started = Instant::now();
    let mut writer = Writer::create(&path)?;
    pipeline::run(&backend, &mut writer, &mut source, &build_options, None, &())?;
    writer.finish(ManifestInfo::default())?;
    let seconds = (started.elapsed() - source.spent()).as_secs_f64();
    let making_seconds = source.spent().as_secs_f64();
    let built = Built { seconds, making_seconds, peak_mb: peak_mb(), threads: rayon::current_num_threads() };
    keep(&options.built(passages), &built)
}

/// Computes the exact ranking of `passages`.
pub fn truth(options: &Options, passages: usize) -> Result<()> {
    let queries = synth::queries(&options.embeddings_dir(), options.queries)?;
    let pids: Vec<u32> = (0..passages as u32).collect();
    let truth = selvedge::truth::exact(&Cpu::new()?, &mut collection(options, passages)?, &queries, &pids, K, &())?;
    keep(&options.truth(passages), &truth)
}

fn collection(options: &Options, passages: usize) -> Result<Synth> {
    let recipe = Recipe::open(&options.embeddings_dir(), &options.source_dir())?;
    Ok(Synth::new(recipe, passages, options.mean_len, options.seed))
}

/// Searches the index of `passages`, one query at a time on one thread.
pub fn query(options: &Options, passages: usize) -> Result<()> {
    let workload = Workload {
        queries: synth::queries(&options.embeddings_dir(), options.queries)?,
        truth: kept(&options.truth(passages))?,
    };
    let open = || -> Result<_> {
        let started = Instant::now();
        let index = Index::open(&options.index(passages), Check::Structure)?;
        let searcher = Searcher::new(Cpu::new()?, &index)?;
        Ok((started.elapsed().as_secs_f64() * 1e3, index, searcher))
    };
    let (first, second) = (open()?.0, open()?.0);
    let (third, index, searcher) = open()?;
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().expect("a thread can be had");
    let (cheapest, default, peak_mb, exhaustive) = one_thread.install(|| -> Result<_> {
        // The first pass makes the pages of the index resident.
        let params = searcher.params(K, None);
        workload.measure(&searcher, params, 1)?;
        let default = workload.measure(&searcher, params, PASSES)?;
        let cheapest = workload.cheapest(&searcher, options.recall)?;
        let (peak_mb, is_measured) = (peak_mb(), passages <= options.exhaustive_up_to);
        let exhaustive = is_measured.then(|| workload.measure(&searcher, SearchParams::exact(K), 1)).transpose()?;
        Ok((cheapest, default, peak_mb, exhaustive))
    })?;
    let bytes: u64 = index.bytes_on_disk().values().sum();
    let queried = Queried {
        passages,
        tokens: index.num_tokens(),
        centroids: index.manifest().codec.num_centroids,
        bytes_per_vector: bytes as f64 / index.num_tokens() as f64,
        open_ms: first.min(second).min(third),
        peak_mb,
        cheapest,
        default,
        exhaustive,
    };
    keep(&options.queried(passages), &queried)
}

/// Queries and their exact top 10.
struct Workload {
    queries: Vec<Vec<f32>>,
    truth: Vec<Vec<u32>>,
}

/// Returns the search parameters of a setting.
fn funnel(nprobe: usize, num_rescored: usize) -> SearchParams {
    SearchParams { k: K, mode: Mode::Approximate { nprobe, ndocs: NDOCS_PER_RESCORED * num_rescored, num_rescored } }
}

/// Returns the arguments of [`funnel`]; zeros for the exhaustive search.
fn setting(params: &SearchParams) -> (usize, usize) {
    match params.mode {
        Mode::Approximate { nprobe, num_rescored, .. } => (nprobe, num_rescored),
        _ => (0, 0),
    }
}

impl Workload {
    /// Searches for every query `passes` times.
    fn measure(&self, searcher: &Searcher<Cpu>, params: SearchParams, passes: usize) -> Result<Measured> {
        let num_queries = self.queries.len();
        let mut best = vec![f64::INFINITY; num_queries];
        let mut stages = vec![[0f64; 3]; num_queries];
        let mut found = vec![Vec::new(); num_queries];
        for _ in 0..passes {
            for (i, query) in self.queries.iter().enumerate() {
                let started = Instant::now();
                let outcome = searcher.search(query, &params, None)?;
                let ms = started.elapsed().as_secs_f64() * 1e3;
                if ms < best[i] {
                    let us = outcome.stages_us;
                    (best[i], stages[i]) = (ms, [us.probe, us.candidates + us.approx, us.score]);
                }
                found[i] = outcome.hits.iter().map(|hit| hit.pid).collect();
            }
        }
        best.sort_by(f64::total_cmp);
        let at = |share: f64| best[((num_queries - 1) as f64 * share).round() as usize];
        let mean_ms = |stage: usize| stages.iter().map(|s| s[stage]).sum::<f64>() / num_queries as f64 / 1e3;
        let (nprobe, num_rescored) = setting(&params);
        Ok(Measured {
            nprobe,
            num_rescored,
            recall: overlap(&found, &self.truth, K),
            p50_ms: at(0.5),
            p95_ms: at(0.95),
            probe_ms: mean_ms(0),
            candidates_ms: mean_ms(1),
            score_ms: mean_ms(2),
        })
    }

    /// Returns the fastest setting that reaches `recall`, or the one with the best recall if none does.
    fn cheapest(&self, searcher: &Searcher<Cpu>, recall: f64) -> Result<Measured> {
        let (mut reached, mut others) = (Vec::new(), Vec::new());
        let mut quickest = f64::INFINITY;
        for nprobe in NPROBES {
            for num_rescored in NUM_RESCORED {
                let candidate = self.measure(searcher, funnel(nprobe, num_rescored), 1)?;
                if candidate.recall >= recall {
                    quickest = quickest.min(candidate.p50_ms);
                    reached.push(candidate);
                    break;
                }
                others.push(candidate);
                // More candidates take longer still. The factor allows for noise.
                if candidate.p50_ms > 1.5 * quickest {
                    break;
                }
            }
        }
        reached.sort_by(|a, b| a.p50_ms.total_cmp(&b.p50_ms));
        others.sort_by(|a, b| b.recall.total_cmp(&a.recall).then(a.p50_ms.total_cmp(&b.p50_ms)));
        let finalists = if reached.is_empty() { &others[..1] } else { &reached[..reached.len().min(FINALISTS)] };
        let mut measured: Vec<Measured> = finalists
            .iter()
            .map(|a| self.measure(searcher, funnel(a.nprobe, a.num_rescored), PASSES))
            .collect::<Result<_>>()?;
        measured.sort_by(|a, b| a.p50_ms.total_cmp(&b.p50_ms));
        Ok(measured[0])
    }
}

/// Writes a result as JSON.
fn keep<T: Serialize>(path: &Path, result: &T) -> Result<()> {
    let json = serde_json::to_vec_pretty(result).expect("results are plain numbers");
    // Renamed when it is complete, since a file that exists is not computed again.
    let partial = path.with_extension("partial");
    fs::write(&partial, json).map_err(Error::io(&partial))?;
    fs::rename(&partial, path).map_err(Error::io(path))
}

/// Reads a result that [`keep`] wrote.
pub fn kept<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let json = fs::read(path).map_err(Error::io(path))?;
    serde_json::from_slice(&json).map_err(|source| Error::Kept { path: path.into(), source })
}

/// Returns the largest resident size of this process so far, in 10^6 bytes; NaN if the system does not report it.
fn peak_mb() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<f64>().ok());
    kib.map_or(f64::NAN, |kib| kib * 1024.0 / 1e6)
}
