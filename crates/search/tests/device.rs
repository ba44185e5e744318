//! Searches that a GPU answers by itself, on the emulated driver of `tests/emulator/`: they find what the CPU finds,
//! with few calls of the driver, beside other users of the device.
//!
//! Each test runs in a process of its own, because the driver is loaded once per process and configured by the
//! environment; those about the order of streams run with seed 0, under which nothing is done before a wait needs it,
//! and with another seed.
#![cfg(feature = "cuda")]
#![allow(unreachable_pub)] // nothing imports a test crate

#[path = "../../../tests/emulator/compiler.rs"]
mod compiler;
mod support;

use selvedge_backend::cuda::cudarc::driver::{CudaContext, CudaSlice, CudaStream};
use selvedge_backend::cuda::{CallerContext, CallerStream, Component, Cubins, CudaOptions, Driver};
use selvedge_backend::{Backend, Cpu, Cuda, Embeddings, Error as BackendError, Several};
use selvedge_index::{Check, Index, Writer};
use selvedge_search::{
    Error, Hit, Mode, PassageSet, Pending, QueryEmbeddings, Queue, QueueOptions, Ranking, SearchParams, Searcher,
    candidates,
};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use support::{DIM, index, index_of, rows};

/// The tests, and the environment of each.
const PROCESSES: [(&str, &[(&str, &str)]); 15] = [
    ("hits_stay_on_the_device", &[("EMULATED_SEED", "0")]),
    ("hits_stay_on_the_device", &[("EMULATED_SEED", "9")]),
    ("several_devices_find_what_the_cpu_finds", &[("EMULATED_DEVICES", "2")]),
    ("a_queue_answers_queries_of_the_device", &[("EMULATED_SEED", "0")]),
    ("a_queue_answers_queries_of_the_device", &[("EMULATED_SEED", "9")]),
    ("gains_of_long_queries_are_shifted", &[]),
    ("searches_find_what_the_cpu_finds", &[("EMULATED_SEED", "0")]),
    ("searches_find_what_the_cpu_finds", &[("EMULATED_SEED", "9")]),
    ("a_search_is_few_calls", &[("EMULATED_LOG", "log")]),
    ("a_search_is_few_calls", &[("EMULATED_LOG", "log"), ("EMULATED_POOLS", "0")]),
    ("threads_have_streams_of_their_own", &[("EMULATED_SEED", "0")]),
    ("threads_have_streams_of_their_own", &[("EMULATED_SEED", "9")]),
    ("the_callers_context_stays_as_it_was", &[]),
    ("an_index_beyond_the_budget_is_not_uploaded", &[("EMULATED_LOG", "log")]),
    ("embeddings_of_the_device_are_checked_there", &[]),
];

#[test]
fn in_processes() {
    let folder = tempfile::tempdir().unwrap();
    let Some((driver, nvrtc)) = compiler::emulator(folder.path()) else { return };
    for (name, environment) in PROCESSES {
        let out = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", name, "--ignored"])
            .current_dir(folder.path())
            .env("SELVEDGE_CUDA_DRIVER", &driver)
            .env("SELVEDGE_NVRTC", &nvrtc)
            .env("SELVEDGE_CUBINS", folder.path().join("cubins"))
            .envs(environment.iter().copied())
            .output()
            .unwrap();
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (stdout, stderr) = (text(&out.stdout), text(&out.stderr));
        let passed = out.status.success() && stdout.contains("1 passed");
        assert!(passed, "{name} with {environment:?}:\n{stdout}{stderr}");
    }
}

/// Adds passages as a segment of their own.
fn add(index: &Index, doclens: &[u32]) -> Index {
    let mut writer = Writer::open(index.path()).unwrap();
    let cpu = Cpu::new().unwrap();
    let mut embeddings = rows(doclens.iter().sum::<u32>() as usize);
    let (codes, packed) = index.codec().unwrap().compressor(&cpu).unwrap().compress(&cpu, &mut embeddings).unwrap();
    writer.push_passages(doclens, &codes, &packed).unwrap();
    writer.commit().unwrap();
    index.refreshed(Check::Checksums).unwrap().unwrap()
}

/// An index of several segments, some of whose passages are deleted. Equal passages are in different segments, so that
/// scores tie.
fn several_segments() -> (tempfile::TempDir, Index) {
    let (dir, index) = index(&vec![3; 150], 64);
    let index = add(&add(&add(&index, &vec![2; 40]), &[1, 0, 5]), &[4; 9]);
    let mut writer = Writer::open(index.path()).unwrap();
    for id in [0, 7, 149, 151, 192] {
        assert!(writer.delete(&id.to_string()).unwrap());
    }
    writer.commit().unwrap();
    let index = index.refreshed(Check::Checksums).unwrap().unwrap();
    assert!(index.segments().len() > 1, "{}", index.segments().len());
    (dir, index)
}

fn searchers(index: &Index) -> (Searcher<Cuda>, Searcher<Cpu>) {
    (Searcher::new(Cuda::new(0).unwrap(), index).unwrap(), Searcher::new(Cpu::new().unwrap(), index).unwrap())
}

fn funnel(k: usize, nprobe: usize, ndocs: usize, num_rescored: usize) -> SearchParams {
    SearchParams { k, mode: Mode::Approximate { nprobe, ndocs, num_rescored } }
}

/// Hits and number of scored passages.
fn found(rankings: &[Ranking]) -> Vec<(&[Hit], usize)> {
    rankings.iter().map(|ranking| (&ranking.hits[..], ranking.num_scored)).collect()
}

/// `num` queries of 0 to 11 tokens.
fn queries(num: usize) -> Vec<Vec<f32>> {
    let all = rows(num + 12);
    (0..num).map(|q| all[q * DIM..][..q % 12 * DIM].to_vec()).collect()
}

#[test]
#[ignore = "in a process of its own"]
fn searches_find_what_the_cpu_finds() {
    let (_dir, index) = several_segments();
    let (gpu, cpu) = searchers(&index);
    let every: Vec<u32> = (0..202).collect();
    let thirds: Vec<u32> = (0..202).step_by(3).collect();
    let sets: Vec<Option<Vec<u32>>> = vec![None, Some(every), Some(thirds), Some(vec![160, 3, 191]), Some(Vec::new())];
    // All routes: cells, cells of which too few have passages, so that more or all are probed; all passages; all of a
    // set; more results than passages.
    let many = [
        funnel(5, 2, 40, 15),
        funnel(1, 1, 1, 1),
        funnel(60, 1, 60, 60),
        funnel(150, 1, 160, 150),
        funnel(10, 64, 100, 20),
        funnel(500, 9, 7, 3),
        funnel(0, 1, 1, 1),
        funnel(10, usize::MAX, usize::MAX, 12),
        // Candidates that no token of the query prefers count, too.
        funnel(1, 64, 500, 500),
        SearchParams::exact(1),
        SearchParams::exact(7),
        SearchParams::exact(1000),
        SearchParams::approximate(10),
    ];
    let queries = queries(12);
    for set in &sets {
        let of = |pids: &Option<Vec<u32>>| pids.clone();
        let (of_gpu, of_cpu): (Option<PassageSet>, Option<PassageSet>) =
            (of(set).map(|pids| gpu.passages(&pids).unwrap()), of(set).map(|pids| cpu.passages(&pids).unwrap()));
        for params in many {
            let on_gpu = gpu.search_batch(&queries, &params, of_gpu.as_ref()).unwrap();
            let on_cpu = cpu.search_batch(&queries, &params, of_cpu.as_ref()).unwrap();
            assert_eq!(found(&on_gpu), found(&on_cpu), "{params:?}, {:?} passages", set.as_ref().map(Vec::len));
            let one = gpu.search(&queries[5], &params, of_gpu.as_ref()).unwrap();
            assert_eq!(found(&[one]), found(&on_cpu[5..6]), "{params:?}");
        }
    }
    // More queries than one wait answers.
    let most = [&queries[..]; 4].concat();
    let [on_gpu, on_cpu] = [gpu.search_batch(&most, &many[0], None), cpu.search_batch(&most, &many[0], None)];
    assert_eq!(found(&on_gpu.unwrap()), found(&on_cpu.unwrap()));
}

/// The sum of the largest gains of a long query needs more bits than a passage's state has.
#[test]
#[ignore = "in a process of its own"]
fn gains_of_long_queries_are_shifted() {
    let (_dir, index) = index_of(8, &[3; 150], 64);
    let (query, backend) = (rows(2000), Cpu::new().unwrap());
    let codec = index.codec().unwrap().params.clone();
    let rounded = backend.quantize_query(&codec, Embeddings::Host(&query)).unwrap();
    let probed = backend.probe(&backend.centroid_table(&codec, &rounded).unwrap(), 2).unwrap();
    assert!(candidates::gain_shift(&probed) > 0, "the query is too short to show anything");
    let (gpu, cpu) = searchers(&index);
    let params = funnel(5, 2, 40, 15);
    let [on_gpu, on_cpu] = [gpu.search(&query, &params, None), cpu.search(&query, &params, None)];
    assert_eq!(found(&[on_gpu.unwrap()]), found(&[on_cpu.unwrap()]));
}

/// Hits that stay on the device are read there by another library's work, which nothing but its stream waits for.
#[test]
#[ignore = "in a process of its own"]
fn hits_stay_on_the_device() {
    let (_dir, index) = several_segments();
    let (gpu, cpu) = searchers(&index);
    let context = CudaContext::new(0).unwrap();
    let stream = context.new_stream().unwrap();
    let caller = CallerStream::new(&stream);
    let thirds: Vec<u32> = (0..202).step_by(3).collect();
    let sets = [None, Some((gpu.passages(&thirds).unwrap(), cpu.passages(&thirds).unwrap()))];
    let all = queries(12);
    for (set, params) in sets.iter().flat_map(|set| [SearchParams::exact(7), funnel(5, 2, 40, 15)].map(|p| (set, p))) {
        for query in &all[1..] {
            let memory: CudaSlice<f32> = stream.clone_htod(query).unwrap();
            let on_device = gpu.backend().copy_of(&memory, &stream).unwrap();
            let expected = cpu.search(query, &params, set.as_ref().map(|s| &s.1)).unwrap();
            let expected: Vec<(u32, f32)> = expected.hits.iter().map(|hit| (hit.pid, hit.score)).collect();
            for query in [QueryEmbeddings::from(query.clone()), on_device.into()] {
                let hits = gpu.search_on_device(&query, &params, set.as_ref().map(|s| &s.0), &caller).unwrap();
                // SAFETY: the memory has `k` places; the slices are leaked, because it is not theirs.
                let (pids, scores) = unsafe {
                    (
                        stream.upgrade_device_ptr::<u32>(hits.pids(), hits.len()),
                        stream.upgrade_device_ptr::<f32>(hits.scores(), hits.len()),
                    )
                };
                let read = (stream.clone_dtoh(&pids).unwrap(), stream.clone_dtoh(&scores).unwrap());
                hits.read_by(&caller).unwrap();
                _ = (pids.leak(), scores.leak());
                stream.synchronize().unwrap();
                assert_eq!(hits.download().unwrap(), expected, "{params:?}");
                assert_eq!(read.0.into_iter().zip(read.1).take(expected.len()).collect::<Vec<_>>(), expected);
            }
        }
    }
    // No hits of what no search accepts, and fewer than `k` of a small index.
    let bad = gpu.backend().upload_embeddings(&[f32::NAN; DIM]).unwrap();
    let hits = gpu.search_on_device(&bad.into(), &SearchParams::exact(5), None, &caller).unwrap();
    assert_eq!((hits.len(), hits.download().unwrap()), (5, Vec::new()));
    let hits = gpu.search_on_device(&all[3].clone().into(), &SearchParams::exact(1000), None, &caller).unwrap();
    assert_eq!(
        hits.download().unwrap().len(),
        cpu.search(&all[3], &SearchParams::exact(1000), None).unwrap().hits.len()
    );
}

/// Two devices that share the passages.
#[test]
#[ignore = "in a process of its own"]
fn several_devices_find_what_the_cpu_finds() {
    let (_dir, index) = several_segments();
    let devices = || [Cuda::new(0).unwrap(), Cuda::new(1).unwrap()];
    let [first, second] = devices();
    let query = &queries(12)[11];
    let on_second = second.upload_embeddings(query).unwrap();
    let gpus = Searcher::new(Several::new(vec![first, second]), &index).unwrap();
    let cpu = Searcher::new(Cpu::new().unwrap(), &index).unwrap();
    assert_eq!(gpus.backend().name(), "cuda/0+cuda/1");
    let thirds: Vec<u32> = (0..202).step_by(3).collect();
    for pids in [None, Some(&thirds), Some(&Vec::new())] {
        let of_gpus = pids.map(|pids| gpus.passages(pids).unwrap());
        let of_cpu = pids.map(|pids| cpu.passages(pids).unwrap());
        for params in
            [SearchParams::exact(7), SearchParams::exact(1000), funnel(5, 2, 40, 15), funnel(150, 1, 160, 150)]
        {
            let on_gpus = gpus.search_batch(&queries(12), &params, of_gpus.as_ref()).unwrap();
            let on_cpu = cpu.search_batch(&queries(12), &params, of_cpu.as_ref()).unwrap();
            assert_eq!(found(&on_gpus), found(&on_cpu), "{params:?}");
            // The memory of one is copied for the other.
            let asked = [Embeddings::Device(&on_second), Embeddings::Host(query)];
            let both = gpus.search_embeddings(&asked, &params, of_gpus.as_ref()).unwrap();
            assert_eq!(found(&both), [found(&on_cpu)[11]; 2], "{params:?}");
        }
    }
    // Bad components are seen by the device that has them.
    let bad = gpus.backend().devices()[1].upload_embeddings(&[f32::NAN; DIM]).unwrap();
    let error = gpus.search_embeddings(&[Embeddings::Device(&bad)], &SearchParams::exact(3), None).unwrap_err();
    assert!(matches!(error, Error::NotFinite { token: 0 }), "{error}");
}

/// Lines of the emulator's log, with the number of each.
fn log() -> BTreeMap<String, usize> {
    let mut lines = BTreeMap::new();
    for line in std::fs::read_to_string("log").unwrap_or_default().lines() {
        let what = line.split(' ').next().unwrap().to_owned();
        *lines.entry(what).or_default() += 1;
    }
    lines
}

#[test]
#[ignore = "in a process of its own"]
fn a_search_is_few_calls() {
    let (_one, whole) = index(&vec![3; 150], 64);
    let (_several, parts) = several_segments();
    let (exact, funnel) = (SearchParams::exact(10), funnel(10, 4, 60, 20));
    for index in [&whole, &parts] {
        let (gpu, _) = searchers(index);
        let set = gpu.passages(&(0..150).step_by(2).collect::<Vec<_>>()).unwrap();
        let query = &queries(12)[11];
        for (params, most) in [(exact, 5), (funnel, 12)] {
            for set in [None, Some(&set)] {
                // The first search allocates, compiles and uploads the set.
                gpu.search(query, &params, set).unwrap();
                std::fs::write("log", "").unwrap();
                let hits = gpu.search(query, &params, set).unwrap().hits;
                assert_eq!(hits.len(), 10);
                let log = log();
                let launches = log["launch"];
                assert!(launches <= most, "{launches} launches of {params:?}");
                let expected = [("download", 1), ("launch", launches), ("upload", 1), ("wait", 1)];
                assert_eq!(log, expected.map(|(what, number)| (what.to_owned(), number)).into(), "{params:?}");

                // Several queries wait once.
                let three = [query; 3];
                gpu.search_batch(&three, &params, set).unwrap();
                std::fs::write("log", "").unwrap();
                gpu.search_batch(&three, &params, set).unwrap();
                assert_eq!((self::log()["wait"], self::log()["launch"]), (1, 3 * launches), "{params:?}");
            }
        }
    }
}

/// The 16-bit numbers nearest to f32, as bits.
fn halves(data: &[f32]) -> (Vec<u16>, Vec<u16>) {
    let bits = |x: &f32| x.to_bits();
    let bf16 = |bits: u32| (bits >> 16) as u16;
    // Exact for numbers with at most 11 significant bits from 2^-14 on, which the tests' are cut to.
    let f16 = |bits: u32| ((bits >> 16 & 0x8000) | ((bits & 0x7fff_ffff) - (112 << 23)) >> 13) as u16;
    (data.iter().map(bits).map(f16).collect(), data.iter().map(bits).map(bf16).collect())
}

/// Each thread has its own stream, on which work that has not run yet writes the embeddings.
#[test]
#[ignore = "in a process of its own"]
fn threads_have_streams_of_their_own() {
    let (_dir, index) = several_segments();
    let (gpu, cpu) = searchers(&index);
    let all = queries(48);
    let params = [SearchParams::exact(7), funnel(5, 2, 40, 15)];
    let expected = params.map(|params| cpu.search_batch(&all, &params, None).unwrap());
    let context = CudaContext::new(0).unwrap();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (gpu, all, expected, context) = (&gpu, &all, &expected, &context);
            scope.spawn(move || {
                context.bind_to_thread().unwrap();
                let stream: Arc<CudaStream> = context.new_stream().unwrap();
                for (number, query) in all.iter().enumerate().filter(|(n, query)| n % 8 == thread && !query.is_empty())
                {
                    // Zeros first: without a wait for the stream they would be searched.
                    let mut memory: CudaSlice<f32> = stream.alloc_zeros(query.len()).unwrap();
                    stream.memcpy_htod(query, &mut memory).unwrap();
                    for (params, expected) in params.iter().zip(expected) {
                        let embeddings = gpu.backend().embeddings_of(&memory, &stream).unwrap();
                        let on_gpu = gpu.search_embeddings(&[Embeddings::Device(&embeddings)], params, None).unwrap();
                        assert_eq!(found(&on_gpu), found(&expected[number..=number]), "{params:?}, query {number}");
                    }
                }
            });
        }
    });

    // Components of 16 bits, cut to what they hold, so that the CPU has the same.
    let stream = context.new_stream().unwrap();
    let cut: Vec<f32> =
        all[11].iter().map(|x| f32::from_bits((x + x.signum() / 64.0).to_bits() & 0xffff_0000)).collect();
    let (f16, bf16) = halves(&cut);
    let expected = cpu.search_batch(&[&cut], &params[1], None).unwrap();
    for (bits, component) in [(&f16, Component::F16), (&bf16, Component::Bf16)] {
        let memory: CudaSlice<u16> = stream.clone_htod(bits).unwrap();
        let pointer = { selvedge_backend::cuda::cudarc::driver::DevicePtr::device_ptr(&memory, &stream).0 };
        // SAFETY: the memory has that many components, and outlives the search.
        let embeddings =
            unsafe { gpu.backend().embeddings_at(pointer, bits.len(), component, stream.cu_stream().cast()) };
        let embeddings = embeddings.unwrap();
        assert_eq!(embeddings.download().unwrap(), cut, "{component:?}");
        let on_gpu = gpu.search_embeddings(&[Embeddings::Device(&embeddings)], &params[1], None).unwrap();
        assert_eq!(found(&on_gpu), found(&expected), "{component:?}");
        // Another backend copies them.
        let on_cpu = cpu.search_embeddings(&[Embeddings::Device(&embeddings)], &params[1], None).unwrap();
        assert_eq!(found(&on_cpu), found(&expected), "{component:?}");
    }
}

/// Queries are copied behind the work that writes them, and the caller's memory is freed before they are searched.
#[test]
#[ignore = "in a process of its own"]
fn a_queue_answers_queries_of_the_device() {
    let (_dir, index) = several_segments();
    let (gpu, cpu) = searchers(&index);
    let backend = gpu.backend().clone();
    let queue = Queue::new(Arc::new(gpu), QueueOptions::default()).unwrap();
    let (all, params) = (queries(24), SearchParams::exact(7));
    let expected = cpu.search_batch(&all, &params, None).unwrap();
    let context = CudaContext::new(0).unwrap();
    let stream = context.new_stream().unwrap();
    let copied = |query: &Vec<f32>| {
        let mut memory: CudaSlice<f32> = stream.alloc_zeros(query.len()).unwrap();
        stream.memcpy_htod(query, &mut memory).unwrap();
        backend.copy_of(&memory, &stream).unwrap()
    };
    let asked = |query: &Vec<f32>| queue.search(copied(query), params, None);
    let one =
        all.iter().map(|query| if query.is_empty() { queue.search(query.clone(), params, None) } else { asked(query) });
    let pending: Vec<Pending> = one.collect();
    // Of its batch, this query alone fails.
    let bad = asked(&vec![f32::NAN; DIM]);
    let after = asked(&all[3]);
    for (number, pending) in pending.into_iter().enumerate() {
        let ranking = pending.wait().unwrap();
        assert_eq!(found(&[ranking]), found(&expected[number..=number]), "query {number}");
    }
    assert!(matches!(bad.wait(), Err(Error::NotFinite { token: 0 })));
    assert_eq!(found(&[after.wait().unwrap()]), found(&expected[3..4]));
    // Never searched: the memory is freed behind its copy.
    drop(copied(&all[5]));
    queue.close();
    backend.synchronize().unwrap();
}

#[test]
#[ignore = "in a process of its own"]
fn the_callers_context_stays_as_it_was() {
    let (_dir, index) = several_segments();
    // The emulated driver, which cudarc then finds by its name.
    Driver::get().unwrap();
    let context = CudaContext::new(0).unwrap();
    let stream = context.new_stream().unwrap();
    let query = &queries(12)[11];
    let memory: CudaSlice<f32> = stream.clone_htod(query).unwrap();
    let expected = Searcher::new(Cpu::new().unwrap(), &index).unwrap().search(query, &SearchParams::exact(9), None);
    for from_handle in [false, true] {
        let own = match from_handle {
            false => CallerContext::new(&context),
            // SAFETY: the context lives until the end of this test.
            true => unsafe { CallerContext::from_handle(context.cu_ctx().cast()) },
        };
        let options = CudaOptions { context: Some(own), cubins: Some(Cubins::nowhere()), ..CudaOptions::default() };
        let gpu = Searcher::new(Cuda::open(options).unwrap(), &index).unwrap();
        let embeddings = gpu.backend().embeddings_of(&memory, &stream).unwrap();
        let on_gpu = gpu.search_embeddings(&[Embeddings::Device(&embeddings)], &SearchParams::exact(9), None).unwrap();
        assert_eq!(on_gpu[0].hits, expected.as_ref().unwrap().hits);
        drop(embeddings);
        drop(gpu);
        // The context lives, with the memory of the caller.
        assert_eq!(stream.clone_dtoh(&memory).unwrap(), *query);
    }
}

#[test]
#[ignore = "in a process of its own"]
fn an_index_beyond_the_budget_is_not_uploaded() {
    let (_dir, index) = several_segments();
    let open = |memory_bytes| Cuda::open(CudaOptions { memory_bytes: Some(memory_bytes), ..CudaOptions::default() });
    let small = open(5000).unwrap();
    std::fs::write("log", "").unwrap();
    let Err(Error::Backend(BackendError::OutOfDeviceMemory { wanted_bytes, free_bytes })) =
        Searcher::new(small, &index)
    else {
        panic!("5,000 bytes are too few")
    };
    assert!(wanted_bytes > 5000 && free_bytes == 5000, "{wanted_bytes}, {free_bytes}");
    assert!(!log().contains_key("upload"), "{:?}", log());
    // Room for the index, not for a search: an error, after which a smaller search works.
    let gpu = Searcher::new(open(wanted_bytes + 20_000).unwrap(), &index).unwrap();
    let long = rows(3000);
    let error = gpu.search(&long, &SearchParams::exact(3), None).unwrap_err();
    assert!(matches!(error, Error::Backend(BackendError::OutOfDeviceMemory { .. })), "{error}");
    let query = &queries(12)[1];
    let expected = Searcher::new(Cpu::new().unwrap(), &index).unwrap().search(query, &SearchParams::exact(3), None);
    assert_eq!(gpu.search(query, &SearchParams::exact(3), None).unwrap().hits, expected.unwrap().hits);
}

#[test]
#[ignore = "in a process of its own"]
fn embeddings_of_the_device_are_checked_there() {
    let (_dir, index) = several_segments();
    let gpu = Searcher::new(Cuda::new(0).unwrap(), &index).unwrap();
    let query = &queries(12)[11];
    let search = |embeddings: &[f32]| {
        let embeddings = gpu.backend().upload_embeddings(embeddings).unwrap();
        gpu.search_embeddings(&[Embeddings::Device(&embeddings)], &funnel(5, 2, 40, 15), None)
    };
    for (component, token) in [(f32::NAN, 3), (f32::NEG_INFINITY, 0), (2e12, 10)] {
        let mut bad = query.clone();
        bad[token * DIM + 5] = component;
        // A later one is not named.
        *bad.last_mut().unwrap() = f32::INFINITY;
        match search(&bad).unwrap_err() {
            Error::NotFinite { token: found } => assert_eq!((found, component.is_finite()), (token, false)),
            Error::TooLarge { token: found, component: large } => assert_eq!((found, large), (token, component)),
            error => panic!("{error}"),
        }
    }
    assert!(matches!(search(&query[1..]), Err(Error::DimMismatch { .. })));
    assert!(search(&[]).unwrap()[0].hits.is_empty());
    assert_eq!(search(query).unwrap()[0].hits.len(), 5);
    // Memory of no device.
    // SAFETY: the address is not read: it is refused.
    let other = unsafe { gpu.backend().embeddings_at(64, 8, Component::F32, std::ptr::null_mut()) };
    assert!(matches!(other, Err(BackendError::NotOfDevice { found: None, .. })), "{other:?}");
    assert!(Path::new("cubins").exists());
}
