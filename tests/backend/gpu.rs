//! The CUDA backend under test: this machine's GPU, or where there is none the emulated driver of `tests/emulator/`.
//!
//! Without a C++ compiler there is neither; the suite then says so and leaves it out, unless `SELVEDGE_REQUIRE_CUDA=1`.

#[path = "../emulator/compiler.rs"]
pub mod compiler;

use selvedge_backend::Cuda;
use selvedge_backend::cuda::{Cubins, Driver, Nvrtc};
use std::sync::OnceLock;

/// The backend, made once.
pub fn cuda() -> Option<&'static Cuda> {
    static CUDA: OnceLock<Option<Cuda>> = OnceLock::new();
    CUDA.get_or_init(|| if cfg!(miri) { None } else { Cuda::new(0).ok().or_else(emulated) }).as_ref()
}

fn emulated() -> Option<Cuda> {
    // Once they are loaded nobody needs the files any more.
    let folder = tempfile::tempdir().expect("a temporary folder");
    let (driver, nvrtc) = compiler::emulator(folder.path())?;
    let driver = Driver::from_file(&driver).expect("the emulated driver loads");
    let nvrtc = Nvrtc::from_file(&nvrtc).expect("the emulated NVRTC loads");
    Some(Cuda::with(driver, nvrtc, Cubins::nowhere(), 0).expect("the emulated GPU is there"))
}

/// Embeddings that are on the device become the same query, for every backend.
#[test]
fn embeddings_on_the_device_are_a_query_like_any() {
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

/// Two of one device have a stream each, and neither waits for the other's.
#[test]
fn what_another_one_made_is_refused() {
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
    let (its_codec, _, its_query, its_table, _) = make(&other);
    let refused = |what: &str, op: &dyn Fn() -> bool| {
        assert!(catch_unwind(AssertUnwindSafe(op)).is_err(), "{what} is another one's");
    };
    refused("assign's centroids", &|| other.assign(&centroids, &[]).is_ok());
    refused("compress' codec", &|| other.compress(&codec, &[], &[]).is_ok());
    refused("load_passages' codec", &|| other.load_passages(&codec, case.passages.clone()).is_ok());
    refused("load_query's codec", &|| other.load_query(&codec, case.query.clone()).is_ok());
    refused("centroid_table's codec", &|| other.centroid_table(&codec, &its_query).is_ok());
    refused("centroid_table's query", &|| other.centroid_table(&its_codec, &query).is_ok());
    refused("decompress' passages", &|| other.decompress(&passages, 0..1).is_ok());
    refused("probe's table", &|| other.probe(&table, 1).is_ok());
    refused("approx_scores' passages", &|| other.approx_scores(&passages, &its_table, Select::All).is_ok());
    refused("approx_scores' table", &|| own.approx_scores(&passages, &its_table, Select::All).is_ok());
    refused("maxsim's passages", &|| other.maxsim(&passages, &its_query, &its_table, Select::All).is_ok());
    refused("maxsim's query", &|| own.maxsim(&passages, &its_query, &table, Select::All).is_ok());
    refused("maxsim's table", &|| own.maxsim(&passages, &query, &its_table, Select::All).is_ok());
    refused("top_k's scores", &|| other.top_k(&scores, 1).is_ok());
}
