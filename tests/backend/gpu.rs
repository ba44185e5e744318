//! The CUDA backend under test: the GPU of this machine, or the emulated driver of `tests/emulator/`.
//!
//! With neither a GPU nor a C++ compiler for the emulator, the suite skips CUDA with a message, or fails under
//! `SELVEDGE_REQUIRE_CUDA=1`.

#[path = "../emulator/opened.rs"]
mod opened;

pub use opened::{compiler, open};
use selvedge_backend::Cuda;
use selvedge_backend::cuda::CudaOptions;
use std::sync::OnceLock;

/// Returns the CUDA backend, created on first use; `None` if there is none.
pub fn cuda() -> Option<&'static Cuda> {
    static CUDA: OnceLock<Option<Cuda>> = OnceLock::new();
    CUDA.get_or_init(|| open(CudaOptions::default())).as_ref()
}

/// Returns the CUDA backend, and another one without the kernels of one architecture alone.
pub fn cudas() -> impl Iterator<Item = &'static Cuda> {
    static PORTABLE: OnceLock<Option<Cuda>> = OnceLock::new();
    let portable = || open(CudaOptions { portable: true, ..CudaOptions::default() });
    cuda().into_iter().chain(PORTABLE.get_or_init(portable))
}

/// Embeddings in device memory give the same quantized query as those in host memory, on the GPU and on the CPU.
#[test]
fn embeddings_on_the_device_give_the_same_query() {
    use crate::cases::{Case, Fill, Rng, Shape};
    use selvedge_backend::{Backend, CheckedCodec, CodecParams, Cpu, Embeddings, reference};

    let Some(cuda) = cuda() else { return };
    let case = Case::new(&Shape::small(), Fill::Random);
    let codec = CheckedCodec::new(CodecParams { rotation: Some(5), ..CodecParams::clone(&case.codec) }).unwrap();
    let (resident, cpu) = (cuda.load_codec(codec.clone()).unwrap(), Cpu::new().unwrap());
    for query_len in [0, 1, 13] {
        let embeddings = Rng::new(1).unit_rows(query_len, codec.dim);
        let uploaded = cuda.upload_embeddings(&embeddings).unwrap();
        assert!(uploaded.download().unwrap() == embeddings);
        let expected = reference::quantize_query(&codec, &embeddings);
        let query = cuda.quantize_query(&resident, Embeddings::Device(&uploaded)).unwrap();
        assert!(cuda.download_query(&query).unwrap() == expected);
        let query = cpu.quantize_query(&codec, Embeddings::Device(&uploaded)).unwrap();
        assert!(cpu.download_query(&query).unwrap() == expected);
    }
}

/// Each op panics on handles of another [`Cuda`]: even two backends of one device have separate streams, and one stream
/// does not wait for the kernels of the other.
#[test]
fn handles_of_another_backend_are_refused() {
    use crate::cases::{Case, Fill, Shape};
    use selvedge_backend::{Backend, Select};
    use std::panic::{AssertUnwindSafe, catch_unwind};

    let (Some(own), Some(other)) = (cuda(), open(CudaOptions::default())) else { return };
    let case = Case::new(&Shape::small(), Fill::Random);
    let make = |cuda: &Cuda| {
        let codec = cuda.load_codec(case.codec.clone()).unwrap();
        let passages = cuda.load_passages(&codec, case.passages.clone()).unwrap();
        let query = cuda.load_query(&codec, case.query.clone()).unwrap();
        let table = cuda.centroid_table(&codec, &query).unwrap();
        let scores = cuda.approx_scores(&passages, &table, Select::All).unwrap();
        (codec, passages, query, table, scores)
    };
    let centroids = own.load_centroids(case.codec.dim, &case.codec.centroids).unwrap();
    let (codec, passages, query, table, scores) = make(own);
    let (other_codec, _, other_query, other_table, _) = make(&other);
    let refused = |what: &str, op: &dyn Fn() -> bool| {
        assert!(catch_unwind(AssertUnwindSafe(op)).is_err(), "{what} of another backend is accepted");
    };
    refused("assign's centroids", &|| other.assign(&centroids, &[]).is_ok());
    refused("compress' codec", &|| other.compress(&codec, &[], &[]).is_ok());
    refused("load_passages' codec", &|| other.load_passages(&codec, case.passages.clone()).is_ok());
    refused("load_query's codec", &|| other.load_query(&codec, case.query.clone()).is_ok());
    refused("centroid_table's codec", &|| other.centroid_table(&codec, &other_query).is_ok());
    refused("centroid_table's query", &|| other.centroid_table(&other_codec, &query).is_ok());
    refused("decompress' passages", &|| other.decompress(&passages, 0..1).is_ok());
    refused("probe's table", &|| other.probe(&table, 1).is_ok());
    refused("approx_scores' passages", &|| other.approx_scores(&passages, &other_table, Select::All).is_ok());
    refused("approx_scores' table", &|| own.approx_scores(&passages, &other_table, Select::All).is_ok());
    refused("maxsim's passages", &|| other.maxsim(&passages, &other_query, &other_table, Select::All).is_ok());
    refused("maxsim's query", &|| own.maxsim(&passages, &other_query, &table, Select::All).is_ok());
    refused("maxsim's table", &|| own.maxsim(&passages, &query, &other_table, Select::All).is_ok());
    refused("top_k's scores", &|| other.top_k(&scores, 1).is_ok());
}

/// The best candidates of probed cells as their definition has them: by the sum of the gains, then by pid.
fn candidates(probed: &selvedge_backend::Probed, lists: &selvedge_backend::CellLists, ndocs: usize) -> Vec<u32> {
    let gains =
        |i: usize| probed.token(i).iter().map(move |&(code, entry)| (code, entry.saturating_sub(probed.missing[i])));
    let largest = (0..probed.missing.len()).map(|i| gains(i).map(|(_, gain)| gain.max(0) as u64).max().unwrap_or(0));
    let shift = (u64::BITS - largest.sum::<u64>().leading_zeros()).saturating_sub(24);
    let mut best = std::collections::BTreeMap::<u32, Vec<Option<i32>>>::new();
    for i in 0..probed.missing.len() {
        for (code, gain) in gains(i) {
            let list = lists.starts[code as usize] as usize..lists.starts[code as usize + 1] as usize;
            for &pid in &lists.pids[list] {
                let of_token = &mut best.entry(pid).or_insert_with(|| vec![None; probed.missing.len()])[i];
                *of_token = Some(of_token.map_or(gain.max(0) >> shift, |before| before.max(gain.max(0) >> shift)));
            }
        }
    }
    let mut sums: Vec<(i64, u32)> =
        best.into_iter().map(|(pid, gains)| (-gains.into_iter().flatten().map(i64::from).sum::<i64>(), pid)).collect();
    sums.sort_unstable();
    sums.into_iter().take(ndocs).map(|(_, pid)| pid).collect()
}

/// Whole searches on the device find what the single ops of the reference find one after another. Small numbers make
/// most scores equal, so that the order of equal ones shows, and cells without gain.
#[test]
fn a_device_index_finds_what_the_single_ops_find() {
    use crate::cases::{Case, Fill, Rng, Shape};
    use selvedge_backend::{
        Backend, CellLists, CheckedCodec, CodecParams, Embeddings, IndexPart, Plan, Route, Select, reference,
    };
    use std::sync::Arc;

    let Some(cuda) = cuda() else { return };
    // The last one has passages enough to be selected from in chunks.
    let many = [(1, 70), (2, 70), (2, 70), (2, 70), (3, 70), (3, 70), (3, 70), (5, 70), (33, 70), (2, 4200)];
    for (seed, (query_len, num_passages)) in (1..).zip(many) {
        let rng = &mut Rng::new(seed);
        let lengths = (0..num_passages).map(|pid| [2, 0, 3, 1][pid as usize % 4]).collect();
        let shape = Shape { dim: 8, num_centroids: 13, query_len, lengths, ..Shape::small() };
        let case = Case::new(&shape, Fill::Random);
        let codec = CheckedCodec::new(CodecParams {
            centroids: case.codec.centroids.iter().map(|c| c.signum()).collect::<Vec<_>>().into(),
            // Half of the tables have entries of i16.
            centroid_scale: case.codec.centroid_scale / [1.0, 64.0][seed as usize % 2],
            ..CodecParams::clone(&case.codec)
        });
        let codec = codec.unwrap();
        let (resident, k) = (cuda.load_codec(codec.clone()).unwrap(), codec.num_centroids());
        // Lists of any passages: lists of the codes would leave few ties.
        let mut lists = CellLists { starts: vec![0], pids: Vec::new() };
        for code in 0..k as u32 {
            lists.pids.extend((0..num_passages).filter(|pid| (pid * 7 + code * 5) % 11 < 1));
            lists.starts.push(lists.pids.len() as u64);
        }
        let passages = Arc::new(cuda.load_passages(&resident, case.passages.clone()).unwrap());
        cuda.load_lists(&passages, &|| lists.clone()).unwrap();
        let index = cuda.load_index(&resident, vec![IndexPart { passages, first_pid: 0 }]).unwrap().unwrap();
        let embeddings: Vec<f32> = rng.unit_rows(query_len, codec.dim).iter().map(|x| x.signum()).collect();
        let query = reference::quantize_query(&codec, &embeddings);
        let table = reference::centroid_table(&codec, &query);
        for (nprobe, ndocs, num_rescored) in [(1, 5, 3), (k, 1, 1), (k, 7, 7), (k - 1, 20, 4), (3, 70, 70), (k, 70, 9)]
        {
            let route = Route::Cells { nprobe, ndocs, num_rescored };
            let found = index.search(&[Embeddings::Host(&embeddings)], &Plan { k: 5, route }, None).unwrap();
            let candidates = candidates(&reference::probe(&table, query.len(), nprobe), &lists, ndocs);
            let approx =
                reference::approx_scores(&codec, &case.passages, &table, query.len(), Select::Pids(&candidates));
            let rescored = reference::top_k(&approx, Select::Pids(&candidates), num_rescored);
            let rescored: Vec<u32> = rescored.iter().map(|hit| hit.pid).collect();
            let scores = reference::maxsim(&codec, &case.passages, &query, &table, Select::Pids(&rescored));
            let expected = reference::top_k(&scores, Select::Pids(&rescored), 5);
            assert_eq!(found[0].hits, expected, "{query_len} tokens, {route:?}");
            assert_eq!((found[0].candidates, found[0].rescored), (candidates.len(), rescored.len()), "{route:?}");
        }
        let found = index.search(&[Embeddings::Host(&embeddings)], &Plan { k: 5, route: Route::Everything }, None);
        let scores = reference::maxsim(&codec, &case.passages, &query, &table, Select::All);
        assert_eq!(found.unwrap()[0].hits, reference::top_k(&scores, Select::All, 5), "{query_len} tokens");
    }
}
