//! The CUDA backend under test: the GPU of this machine, or the emulated driver of `tests/emulator/`.
//!
//! With neither a GPU nor a C++ compiler for the emulator, the suite skips CUDA with a message, or fails under
//! `SELVEDGE_REQUIRE_CUDA=1`.

#[path = "../emulator/compiler.rs"]
pub mod compiler;

use selvedge_backend::Cuda;
use selvedge_backend::cuda::{Cubins, Driver, Nvrtc};
use std::sync::OnceLock;

/// Returns the CUDA backend, created on first use; `None` if there is none.
pub fn cuda() -> Option<&'static Cuda> {
    static CUDA: OnceLock<Option<Cuda>> = OnceLock::new();
    CUDA.get_or_init(|| if cfg!(miri) { None } else { Cuda::new(0).ok().or_else(emulated) }).as_ref()
}

fn emulated() -> Option<Cuda> {
    // A process has one driver.
    static LIBRARIES: OnceLock<Option<(Driver, Nvrtc)>> = OnceLock::new();
    let load = || {
        // The files may be deleted once they are loaded.
        let folder = tempfile::tempdir().expect("a temporary folder");
        let (driver, nvrtc) = compiler::emulator(folder.path())?;
        let driver = Driver::from_file(&driver).expect("the emulated driver loads");
        Some((driver, Nvrtc::from_file(&nvrtc).expect("the emulated NVRTC loads")))
    };
    let (driver, nvrtc) = (*LIBRARIES.get_or_init(load))?;
    Some(Cuda::with(driver, nvrtc, Cubins::nowhere(), 0).expect("the emulated GPU is there"))
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

    let (Some(own), Some(other)) = (cuda(), Cuda::new(0).ok().or_else(emulated)) else { return };
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
