//! `cargo bench --bench python`: what a search costs from Python, beside the same search from Rust, in one run.
//!
//! ```text
//! Rust: Engine::search_embeddings    Python: Index.search of an array, in another process
//! ```
//!
//! The index has 2,000 passages of 20 random embeddings of 128 components, and metadata; a query has 32 tokens. Both
//! return 10 passages: of a fast search without their metadata, and of one by default with it. Rounds alternate, and
//! medians are of all calls. A call's own cost is its time less the engine's, `stages_us` and `output_us`: the two
//! programs are compiled differently, and the engine may be faster in one of them. `SELVEDGE_PYTHON` names an
//! interpreter that has the wheel `selvedge-search`; by default it is `python3`.

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use selvedge::{BuildOptions, Document, EmbeddedDocument, Engine, OpenOptions, SearchOptions, build, npy::NpyWriter};
use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::time::Instant;

const DIM: usize = 128;
const QUERY_TOKENS: usize = 32;
const QUERIES: usize = 200;
const ROUNDS: usize = 7;

/// Random rows of unit norm.
fn rows(rng: &mut ChaCha8Rng, count: usize) -> Vec<f32> {
    let mut data: Vec<f32> = (0..count * DIM).map(|_| rng.random_range(-1.0..1.0)).collect();
    for row in data.chunks_exact_mut(DIM) {
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= norm);
    }
    data
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

/// Times of calls in microseconds: of the whole calls, and without the engine's.
#[derive(Default)]
struct Calls {
    whole: Vec<f64>,
    own: Vec<f64>,
}

impl Calls {
    fn add(&mut self, whole: &[f64], own: &[f64]) {
        self.whole.extend(whole);
        self.own.extend(own);
    }
}

fn main() {
    let folder = tempfile::tempdir().unwrap();
    let (path, queries_path) = (folder.path().join("index"), folder.path().join("queries.npy"));
    let mut rng = ChaCha8Rng::seed_from_u64(7);
    let documents = (0..2000).map(|id| {
        let document =
            Document { id: id.to_string(), text: String::new(), metadata: Some(serde_json::json!({ "n": id })) };
        Ok(EmbeddedDocument { document, embeddings: rows(&mut rng, 20) })
    });
    build::from_embedded(DIM, documents, &path, &BuildOptions::default(), &()).unwrap();
    let mut rng = ChaCha8Rng::seed_from_u64(8);
    let queries: Vec<Vec<f32>> = (0..QUERIES).map(|_| rows(&mut rng, QUERY_TOKENS)).collect();
    let mut file = NpyWriter::create(&queries_path).unwrap();
    for query in &queries {
        file.write(&query.iter().flat_map(|x| x.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
    }
    file.finish("<f4", &[QUERIES, QUERY_TOKENS, DIM]).unwrap();

    let engine = Engine::open(&path, OpenOptions::default()).unwrap();
    let fast = SearchOptions { nprobe: Some(4), ndocs: Some(64), num_rescored: Some(16), ..SearchOptions::default() };
    let by_default = SearchOptions { text: true, metadata: true, ..SearchOptions::default() };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/python/search.py");
    let python = std::env::var("SELVEDGE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let mut program = Command::new(&python)
        .arg(script)
        .args([&path, &queries_path])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("{python}: {error}; SELVEDGE_PYTHON names an interpreter with selvedge-search"));
    let (mut ask, mut lines) = (program.stdin.take().unwrap(), BufReader::new(program.stdout.take().unwrap()).lines());
    let mut answer = |word: &str| -> Vec<f64> {
        writeln!(ask, "{word}").unwrap();
        let line = lines.next().expect("an answer of the program in Python").unwrap();
        line.split(' ').map(|number| number.parse().expect("a number")).collect()
    };

    for (name, options) in [("fast", fast), ("default", by_default)] {
        let (mut from_rust, mut from_python) = (Calls::default(), Calls::default());
        for round in 0..ROUNDS {
            let mut times = Calls::default();
            for query in &queries {
                let started = Instant::now();
                let found = engine.search_embeddings(query, &options).unwrap();
                let whole = started.elapsed().as_secs_f64() * 1e6;
                times.add(&[whole], &[whole - found.stages_us.total() - found.output_us]);
                assert_eq!(found.hits.len(), 10);
            }
            let of_python = answer(name);
            // The first round warms both up.
            if round > 0 {
                from_rust.add(&times.whole, &times.own);
                from_python.add(&of_python[..QUERIES], &of_python[QUERIES..]);
            }
        }
        for (language, calls) in [("Rust", &mut from_rust), ("Python", &mut from_python)] {
            let (whole, own) = (median(&mut calls.whole), median(&mut calls.own));
            println!("{name:<8} from {language:<6} {whole:7.1} us, of which {own:5.1} are the call's own");
        }
    }
    let mut ratios: Vec<f64> = (0..5).map(|_| answer("threads")).map(|rates| rates[1] / rates[0]).collect();
    println!("8 threads of Python answer {:.2} times as many queries per second as one", median(&mut ratios));
    drop(ask);
    program.wait().unwrap();
}
