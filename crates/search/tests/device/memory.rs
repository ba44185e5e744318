//! Memory and streams that a search shares with other users of the device.

use crate::support::{DIM, rows};
use crate::{found, funnel, queries, searchers, several_segments};
use selvedge_backend::cuda::cudarc::driver::{CudaContext, CudaSlice, CudaStream, DevicePtr};
use selvedge_backend::cuda::{CallerContext, CallerStream, Component, Cubins, CudaOptions, Driver};
use selvedge_backend::{Backend, Cpu, Cuda, Embeddings, Error as BackendError};
use selvedge_search::{Error, Pending, QueryEmbeddings, Queue, QueueOptions, SearchParams, Searcher};
use std::path::Path;
use std::sync::Arc;

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
    for (query, k) in [(&all[3], 0), (&all[0], 5)] {
        let hits = gpu.search_on_device(&query.clone().into(), &SearchParams::exact(k), None, &caller).unwrap();
        assert!(hits.is_empty() && hits.download().unwrap().is_empty());
    }
    let hits = gpu.search_on_device(&all[3].clone().into(), &SearchParams::exact(1000), None, &caller).unwrap();
    assert_eq!(
        hits.download().unwrap().len(),
        cpu.search(&all[3], &SearchParams::exact(1000), None).unwrap().hits.len()
    );
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
        let pointer = memory.device_ptr(&stream).0;
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

/// Queries are copied after the work that writes them, and the caller's memory is freed before they are searched.
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
    // Never searched: the memory is freed after its copy.
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

/// A context of the caller lives as long as the searcher, whoever else drops it.
#[test]
#[ignore = "in a process of its own"]
fn the_callers_context_is_kept() {
    let (_dir, index) = several_segments();
    Driver::get().unwrap();
    let context = CudaContext::new(0).unwrap();
    let own = CallerContext::new(&context);
    let gpu = Cuda::open(CudaOptions { context: Some(own.clone()), ..CudaOptions::default() }).unwrap();
    drop((own, context));
    let gpu = Searcher::new(gpu, &index).unwrap();
    assert_eq!(gpu.search(&queries(4)[3], &SearchParams::exact(9), None).unwrap().hits.len(), 9);
    // Of another device.
    let other = CallerContext::new(&CudaContext::new(1).unwrap());
    let refused = Cuda::open(CudaOptions { context: Some(other), ..CudaOptions::default() });
    assert!(matches!(refused, Err(BackendError::NoCudaDevice { requested: 0, .. })), "{refused:?}");
    // Embeddings of another device, or of another `Cuda`, are copied.
    let query = &queries(12)[11];
    let hits = gpu.search(query, &SearchParams::exact(9), None).unwrap().hits;
    for other in [Cuda::new(0).unwrap(), Cuda::new(1).unwrap()] {
        let embeddings = other.upload_embeddings(query).unwrap();
        let found = gpu.search_embeddings(&[Embeddings::Device(&embeddings)], &SearchParams::exact(9), None).unwrap();
        assert_eq!(found[0].hits, hits);
        let bad = other.upload_embeddings(&[f32::NAN; DIM]).unwrap();
        let error = gpu.search_embeddings(&[Embeddings::Device(&bad)], &SearchParams::exact(9), None).unwrap_err();
        assert!(matches!(error, Error::NotFinite { token: 0 }), "{error}");
    }
}

/// Memory that a dropped index has freed is there for the next one, and the memory of an idle lane for another one.
#[test]
#[ignore = "in a process of its own"]
fn freed_memory_is_found() {
    let (_dir, index) = several_segments();
    let gpu = Cuda::new(0).unwrap();
    let all = 1 << 20; // EMULATED_MEMORY
    // As much as leaves no second place.
    let filling = vec![0.5; all / 4 / 2];
    for _ in 0..3 {
        drop(gpu.upload_embeddings(&filling).unwrap());
        let before = gpu.device_bytes();
        let searcher = Searcher::new(gpu.clone(), &index).unwrap();
        assert!(gpu.device_bytes() > before);
        drop(searcher);
        gpu.check_memory(all as u64 / 2).unwrap();
    }
    // Two lanes of queries of this length fit, but not three: four threads take turns.
    let gpu = Searcher::new(gpu, &index).unwrap();
    let long = rows(880);
    let expected = Searcher::new(Cpu::new().unwrap(), &index).unwrap().search(&long, &SearchParams::exact(3), None);
    let expected = expected.unwrap().hits;
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..2 {
                    let found = gpu.search(&long, &SearchParams::exact(3), None).unwrap();
                    assert_eq!(found.hits, expected);
                }
            });
        }
    });
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

/// Memory is freed after the work that reads it, and not before: a set and an index that are dropped while their search
/// runs, and hits that are dropped while the caller's work reads them. What is allocated next is written over them.
#[test]
#[ignore = "in a process of its own"]
fn memory_outlives_the_work_that_reads_it() {
    let (_dir, index) = several_segments();
    let gpu = Cuda::new(0).unwrap();
    let cpu = Searcher::new(Cpu::new().unwrap(), &index).unwrap();
    let context = CudaContext::new(0).unwrap();
    let stream = context.new_stream().unwrap();
    let caller = CallerStream::new(&stream);
    let thirds: Vec<u32> = (0..202).step_by(3).collect();
    let write_over = || (1..40).map(|num| gpu.upload_embeddings(&rows(num)).unwrap()).collect::<Vec<_>>();
    for (at, query) in queries(12)[1..].iter().enumerate() {
        let params = if at % 2 == 0 { SearchParams::exact(7) } else { funnel(5, 2, 40, 15) };
        let set = cpu.passages(&thirds).unwrap();
        let expected = cpu.search(query, &params, Some(&set)).unwrap().hits;
        let searcher = Searcher::new(gpu.clone(), &index).unwrap();
        let set = searcher.passages(&thirds).unwrap();
        // The first search within a set waits for its upload.
        searcher.search_on_device(&query.clone().into(), &params, Some(&set), &caller).unwrap();
        let hits = searcher.search_on_device(&query.clone().into(), &params, Some(&set), &caller).unwrap();
        drop(set);
        let over_the_set = write_over();
        drop(searcher);
        let over_the_index = write_over();
        // SAFETY: the memory has `k` places; the slice is leaked, because it is not its own.
        let pids = unsafe { stream.upgrade_device_ptr::<u32>(hits.pids(), hits.len()) };
        let copy = stream.clone_dtod(&pids).unwrap();
        pids.leak();
        hits.read_by(&caller).unwrap();
        drop(hits);
        let over_the_hits = write_over();
        let copy = stream.clone_dtoh(&copy).unwrap();
        let expected: Vec<u32> = expected.iter().map(|hit| hit.pid).collect();
        assert_eq!(copy[..expected.len()], expected, "{params:?}");
        drop((over_the_set, over_the_index, over_the_hits));
    }
}
