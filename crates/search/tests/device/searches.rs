//! Searches by every route, on one device and on several, and their calls of the driver.

use crate::support::{DIM, index, index_of, rows};
use crate::{found, funnel, log, queries, searchers, several_segments};
use selvedge_backend::cuda::CudaOptions;
use selvedge_backend::{Backend, Cpu, Cuda, Embeddings, Error as BackendError, Several};
use selvedge_search::{Error, PassageSet, SearchParams, Searcher, candidates};

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
    for params in [SearchParams::exact(3), funnel(5, 2, 40, 15)] {
        let error = gpus.search_embeddings(&[Embeddings::Device(&bad)], &params, None).unwrap_err();
        assert!(matches!(error, Error::NotFinite { token: 0 }), "{error}");
    }
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
                let calls = log();
                let launches = calls["launch"];
                assert!(launches <= most, "{launches} launches of {params:?}");
                let expected = [("download", 1), ("launch", launches), ("upload", 1), ("wait", 1)];
                assert_eq!(calls, expected.map(|(what, number)| (what.to_owned(), number)).into(), "{params:?}");

                // Several queries wait once.
                let three = [query; 3];
                gpu.search_batch(&three, &params, set).unwrap();
                std::fs::write("log", "").unwrap();
                gpu.search_batch(&three, &params, set).unwrap();
                assert_eq!((log()["wait"], log()["launch"]), (1, 3 * launches), "{params:?}");
            }
        }
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
    // Enough for the index, not for a search: an error, after which a smaller search works.
    let gpu = Searcher::new(open(wanted_bytes + 20_000).unwrap(), &index).unwrap();
    let long = rows(3000);
    let error = gpu.search(&long, &SearchParams::exact(3), None).unwrap_err();
    assert!(matches!(error, Error::Backend(BackendError::OutOfDeviceMemory { .. })), "{error}");
    let query = &queries(12)[1];
    let expected = Searcher::new(Cpu::new().unwrap(), &index).unwrap().search(query, &SearchParams::exact(3), None);
    assert_eq!(gpu.search(query, &SearchParams::exact(3), None).unwrap().hits, expected.unwrap().hits);
}
