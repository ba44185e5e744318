//! Batches that are filtered only in part, or not at all, and several at once.

use super::{Loaded, alike, queries, unclamped};
use crate::cases::{Fill, Rng, Shape};
use crate::gpu::{cuda, open};
use selvedge_backend::cuda::CudaOptions;
use selvedge_backend::{Backend, Cuda, Embeddings, Error, Found, Plan, Result, Route};
use std::panic::{AssertUnwindSafe, catch_unwind};

const PLAN: Plan = Plan { k: 7, route: Route::Everything };

impl Loaded<'_> {
    /// The results of queries of the host, in one call.
    fn found(&self, queries: &[Vec<f32>]) -> Result<Vec<Found>> {
        let embeddings: Vec<Embeddings<'_>> = queries.iter().map(|query| Embeddings::Host(query)).collect();
        self.index.search(&embeddings, &PLAN, None)
    }

    /// Checks that queries find what the reference finds.
    fn finds(&self, queries: &[Vec<f32>]) -> Result<()> {
        for (query, found) in queries.iter().zip(self.found(queries)?) {
            assert_eq!(found.hits, self.expected(query, PLAN.k, None));
        }
        Ok(())
    }

    /// Does the same, and returns how many were filtered. No other thread searches.
    fn filtered(&self, queries: &[Vec<f32>]) -> Result<usize> {
        let before = self.batched().0;
        self.finds(queries).map(|()| (self.batched().0 - before) as usize)
    }
}

/// An index of small passages.
fn small(cuda: &Cuda, seed: u64) -> Loaded<'_> {
    let rng = &mut Rng::new(seed);
    let shape = Shape { dim: 32, trellis: true, num_centroids: 5, ..Shape::small() };
    let codec = unclamped(&shape, Fill::Random, rng);
    let segments = [60, 20].map(|num| alike(&codec, num, 9, rng));
    Loaded::new(cuda, codec, segments.into())
}

/// The sums of a query of many components could exceed an i32: it is not filtered, others may be.
#[test]
fn a_long_query_of_a_batch_is_scanned() {
    let Some(cuda) = cuda() else { return };
    println!("{}", cuda.name());
    let rng = &mut Rng::new(7);
    let shape = Shape { dim: 4096, nbits: 1, trellis: true, weight_bits: 0, num_centroids: 3, ..Shape::small() };
    let codec = unclamped(&shape, Fill::Random, rng);
    let passages = alike(&codec, 20, 3, rng);
    let loaded = Loaded::new(cuda, codec, vec![passages]);
    let mut asked = queries(5, 4096, 2, rng);
    asked[1] = rng.unit_rows(16, 4096);
    assert_eq!(loaded.filtered(&asked).unwrap(), 5, "2^16 components");
    asked[3] = rng.unit_rows(17, 4096);
    assert!(loaded.filtered(&asked).unwrap() <= 4, "more than 2^16 components");
}

/// Components that are not finite, or too large, are refused by name, and other queries of the batch find theirs.
#[test]
fn a_refused_query_leaves_the_others_of_its_batch() {
    let Some(cuda) = cuda() else { return };
    println!("{}", cuda.name());
    let (loaded, rng) = (small(cuda, 8), &mut Rng::new(9));
    let mut asked = queries(9, 32, 4, rng);
    let bad = [(0, 5, f32::INFINITY), (4, 31, f32::NAN), (5, 0, 1e13), (8, 2, f32::NEG_INFINITY)];
    for (query, component, value) in bad {
        asked[query][component] = value;
    }
    // Half of the queries are in the memory of the device.
    let uploaded: Vec<_> = asked.iter().map(|query| cuda.upload_embeddings(query).unwrap()).collect();
    let embeddings = |at: usize| match at % 2 {
        0 => Embeddings::Host(&asked[at]),
        _ => Embeddings::Device(&uploaded[at]),
    };
    let found = loaded.index.search(&(0..9).map(embeddings).collect::<Vec<_>>(), &PLAN, None).unwrap();
    assert_eq!(loaded.batched(), (9, 0));
    for (at, (query, found)) in asked.iter().zip(found).enumerate() {
        match bad.iter().find(|(bad, ..)| *bad == at) {
            Some(&(_, component, value)) => {
                let (number, refused) = found.refused.expect("not finite, or too large");
                assert_eq!((number, refused.to_bits()), (component, value.to_bits()), "query {at}");
            }
            None => {
                assert_eq!((found.refused, found.hits), (None, loaded.expected(query, 7, None)), "query {at}");
            }
        }
    }
    // A query without tokens is a bug of the caller, and leaves no trace.
    asked[2].clear();
    assert!(catch_unwind(AssertUnwindSafe(|| loaded.found(&asked))).is_err());
    assert_eq!(loaded.filtered(&asked[..1]).unwrap(), 0);
    assert_eq!(loaded.filtered(&queries(5, 32, 4, rng)).unwrap(), 5);
}

/// With little memory, a batch is scanned, or fails as a scan does; with more memory it is filtered. After a
/// failure no memory is held but the certificate's.
#[test]
fn a_batch_without_memory_is_scanned() {
    const BUDGET: u64 = 8 << 20;
    const STEP: u64 = 4096;
    let Some(cuda) = open(CudaOptions { memory_bytes: Some(BUDGET), ..CudaOptions::default() }) else { return };
    println!("{}", cuda.name());
    let (loaded, rng) = (small(&cuda, 10), &mut Rng::new(11));
    let asked = queries(6, 32, 3, rng);
    let leaving =
        |free: u64| cuda.upload_embeddings(&vec![0.0; ((BUDGET - cuda.device_bytes() - free) / 4) as usize]).unwrap();
    let (mut failed, mut scanned, mut free) = (0, 0, 0);
    let of_certificate = (loaded.codec.centroids.len() + 4 * loaded.codec.centroid_weights.len()) as u64;
    let filtered = loop {
        let _others = leaving(free);
        let before = cuda.device_bytes();
        match loaded.filtered(&asked) {
            Ok(0) => scanned += 1,
            Ok(filtered) => break filtered,
            Err(Error::OutOfDeviceMemory { .. }) => {
                failed += 1;
                assert!(cuda.device_bytes() <= before + of_certificate, "memory of a search that failed");
            }
            Err(error) => panic!("{error}"),
        }
        free += STEP;
    };
    assert!(failed > 0 && scanned > 0, "{failed}, {scanned}");
    assert_eq!(filtered, 6);
    // A batch at a time has its memory.
    let _others = leaving(0);
    std::thread::scope(|scope| {
        for _ in 0..3 {
            scope.spawn(|| loaded.finds(&asked).unwrap());
        }
    });
}

/// Several threads search one index, the first time too, when the certificate is measured.
#[test]
fn batches_of_several_threads_find_what_each_finds() {
    let Some(cuda) = cuda() else { return };
    println!("{}", cuda.name());
    for seed in 12..15 {
        let (loaded, rng) = (&small(cuda, seed), &mut Rng::new(seed));
        let of_threads: Vec<Vec<Vec<f32>>> = [5, 9, 4].map(|num| queries(num, 32, 40, rng)).into();
        std::thread::scope(|scope| {
            for asked in &of_threads {
                scope.spawn(move || [asked, asked].map(|asked| loaded.finds(asked).unwrap()));
            }
        });
        assert_eq!(loaded.batched(), (36, 0));
    }
}
