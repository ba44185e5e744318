//! One query at a time: numbers of hits, and the scoring of candidates without the scan.

use super::Result;
use super::clock::median_ms;
use super::data::{Collection, Sizes};
use selvedge_backend::{Backend, Cuda, Embeddings, Pid, Plan, Route, Select};
use serde_json::json;

#[derive(clap::Args, Debug)]
pub struct Options {
    #[command(flatten)]
    sizes: Sizes,
    /// Numbers of hits
    #[arg(long, value_delimiter = ',', default_value = "10,100,1000")]
    k: Vec<usize>,
    /// Numbers of candidates that are scored
    #[arg(long, value_delimiter = ',', default_value = "1000,16000")]
    candidates: Vec<usize>,
    /// Calls whose median is taken
    #[arg(long, default_value_t = 50)]
    rounds: usize,
}

pub fn run(cuda: &Cuda, options: &Options) -> Result<()> {
    let collection = Collection::new(&options.sizes);
    let loaded = collection.load(cuda)?;
    let (query, passages) = (collection.query(0), options.sizes.passages);
    for &k in &options.k {
        let plan = Plan { k, route: Route::Everything };
        let ms = median_ms(options.rounds, || Ok(loaded.index.search(&[Embeddings::Host(&query)], &plan, None)?))?;
        println!("{}", json!({"what": "query", "passages": passages, "k": k, "ms": ms}));
    }
    let query = cuda.quantize_query(&loaded.codec, Embeddings::Host(&query))?;
    let table_ms = median_ms(options.rounds, || {
        cuda.centroid_table(&loaded.codec, &query)?;
        Ok(cuda.synchronize()?)
    })?;
    println!("{}", json!({"what": "table", "centroids": options.sizes.centroids, "ms": table_ms}));
    let table = cuda.centroid_table(&loaded.codec, &query)?;
    for &candidates in &options.candidates {
        // Far from each other, as candidates are.
        let pids: Vec<Pid> = (0..candidates).map(|at| (at * 10_007 % passages) as Pid).collect();
        let ms = median_ms(options.rounds, || {
            cuda.maxsim(&loaded.passages, &query, &table, Select::Pids(&pids))?;
            Ok(cuda.synchronize()?)
        })?;
        println!("{}", json!({"what": "rescore", "passages": passages, "candidates": candidates, "ms": ms}));
    }
    Ok(())
}
