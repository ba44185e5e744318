//! Searches on a GPU from many threads that share its stream. Without a GPU the emulated driver of `tests/emulator/` is
//! used; without a C++ compiler the test is skipped, unless `SELVEDGE_REQUIRE_CUDA=1`.
#![cfg(feature = "cuda")]
#![allow(unreachable_pub)] // nothing imports a test crate

#[path = "../../../tests/emulator/compiler.rs"]
mod compiler;
mod support;

use rayon::ThreadPoolBuilder;
use selvedge_backend::cuda::{Cubins, Driver, Nvrtc};
use selvedge_backend::{Cpu, Cuda};
use selvedge_index::{Check, Writer};
use selvedge_search::{Hit, Mode, Ranking, SearchParams, Searcher};
use support::{index, rows};

fn cuda() -> Option<Cuda> {
    if let Ok(cuda) = Cuda::new(0) {
        return Some(cuda);
    }
    // The files are not needed after they are loaded.
    let folder = tempfile::tempdir().unwrap();
    let (driver, nvrtc) = compiler::emulator(folder.path())?;
    let (driver, nvrtc) = (Driver::from_file(&driver).unwrap(), Nvrtc::from_file(&nvrtc).unwrap());
    Some(Cuda::with(driver, nvrtc, Cubins::nowhere(), 0).unwrap())
}

/// Searches in both modes, with and without a set of passages, on four threads, on one and on the CPU, and compares the
/// hits.
fn compare(on_gpu: &Searcher<Cuda>, on_cpu: &Searcher<Cpu>, queries: &[Vec<f32>]) {
    let even: Vec<u32> = (0..120).step_by(2).collect();
    let sets = (on_gpu.passages(&even).unwrap(), on_cpu.passages(&even).unwrap());
    let [many, one] = [4, 1].map(|threads| ThreadPoolBuilder::new().num_threads(threads).build().unwrap());
    let funnel = SearchParams { k: 5, mode: Mode::Approximate { nprobe: 2, ndocs: 40, num_rescored: 15 } };
    for (params, is_restricted) in
        [(funnel, false), (SearchParams::exact(7), false), (funnel, true), (SearchParams::exact(7), true)]
    {
        let (of_gpu, of_cpu) = (is_restricted.then_some(&sets.0), is_restricted.then_some(&sets.1));
        let found = |outcomes: Vec<Ranking>| -> Vec<(Vec<Hit>, usize)> {
            outcomes.into_iter().map(|outcome| (outcome.hits, outcome.num_scored)).collect()
        };
        let together = many.install(|| on_gpu.search_batch(queries, &params, of_gpu)).unwrap();
        let alone = one.install(|| on_gpu.search_batch(queries, &params, of_gpu)).unwrap();
        let cpu = one.install(|| on_cpu.search_batch(queries, &params, of_cpu)).unwrap();
        let [together, alone, cpu] = [together, alone, cpu].map(found);
        assert_eq!(together, alone, "{params:?}");
        assert_eq!(alone, cpu, "{params:?}");
        assert!(cpu.iter().zip(queries).all(|((found, _), query)| found.is_empty() == query.is_empty()));
    }
}

/// The first thread compiles the kernels, tables and scores of different queries are allocated and freed in turn, and
/// another thread frees the index. Then passages are deleted and added, and the searchers follow.
#[test]
fn a_batch_is_the_same_on_many_threads_as_on_one_and_on_the_cpu() {
    let Some(cuda) = cuda() else { return };
    let (_dir, index) = index(&vec![3; 120], 64);
    let on_gpu = Searcher::new(cuda, &index).unwrap();
    let on_cpu = Searcher::new(Cpu::new().unwrap(), &index).unwrap();
    let queries: Vec<Vec<f32>> =
        (0..24).map(|q| rows(32)[q * support::DIM..][..q % 9 * support::DIM].to_vec()).collect();
    compare(&on_gpu, &on_cpu, &queries);

    let mut writer = Writer::open(index.path()).unwrap();
    for id in [0, 1, 3, 50, 51, 118] {
        assert!(writer.delete(&id.to_string()).unwrap());
    }
    let cpu = Cpu::new().unwrap();
    let (codes, packed) = index.codec().unwrap().compressor(&cpu).unwrap().compress(&cpu, &mut rows(20)).unwrap();
    writer.push_passages(&[4; 5], &codes, &packed).unwrap();
    writer.commit().unwrap();
    let changed = index.refreshed(Check::Checksums).unwrap().unwrap();
    compare(&on_gpu.followed(&changed).unwrap(), &on_cpu.followed(&changed).unwrap(), &queries);
    // The searchers of the generation before answer as before.
    compare(&on_gpu, &on_cpu, &queries);
    // Dropped on a thread that has not used the device before.
    std::thread::spawn(move || drop(on_gpu)).join().unwrap();
}
