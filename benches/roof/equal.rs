//! Compares hits with the CPU's.

use super::Result;
use super::data::{Collection, Sizes};
use super::support::backends::fastest_cpu;
use selvedge_backend::cuda::LoadedIndex;
use selvedge_backend::{Backend, Cuda, Embeddings, Plan, RawHit, Route, Select};
use serde_json::json;

#[derive(clap::Args, Debug)]
pub struct Options {
    #[command(flatten)]
    sizes: Sizes,
    /// Queries, alone and as one batch
    #[arg(long, default_value_t = 8)]
    queries: usize,
    /// Hits
    #[arg(long, default_value_t = 1000)]
    k: usize,
}

/// Fails if a hit or a score of the GPU differs from the CPU's.
pub fn run(cuda: &Cuda, options: &Options) -> Result<()> {
    let collection = Collection::new(&options.sizes);
    let loaded = collection.load(cuda)?;
    let queries: Vec<Vec<f32>> = (0..options.queries).map(|number| collection.query(number)).collect();
    let expected = queries.iter().map(|query| on_cpu(&collection, query, options.k)).collect::<Result<Vec<_>>>()?;
    let plan = Plan { k: options.k, route: Route::Everything };
    let all: Vec<Embeddings<'_>> = queries.iter().map(|query| Embeddings::Host(query)).collect();
    let in_one = loaded.index.search(&all, &plan, None)?;
    for (number, expected) in expected.iter().enumerate() {
        let alone = loaded.index.search(&all[number..=number], &plan, None)?;
        for (how, found) in [("alone", &alone[0]), ("in a batch", &in_one[number])] {
            if let Some(at) =
                (0..expected.len().max(found.hits.len())).find(|&at| expected.get(at) != found.hits.get(at))
            {
                let (found, expected) = (found.hits.get(at), expected.get(at));
                return Err(format!("query {number} {how}, hit {at}: {found:?} is not {expected:?}").into());
            }
        }
    }
    let filtered = loaded.filtered();
    if queries.len() >= LoadedIndex::LEAST_BATCH && filtered == 0 {
        return Err("the batch was scanned, and not filtered".into());
    }
    let hits: usize = expected.iter().map(Vec::len).sum();
    let line = json!({
        "what": "equal",
        "passages": options.sizes.passages,
        "queries": queries.len(),
        "filtered": filtered,
        "hits": hits,
    });
    println!("{line}");
    Ok(())
}

/// Hits of an exhaustive search on the CPU.
fn on_cpu(collection: &Collection, query: &[f32], k: usize) -> Result<Vec<RawHit>> {
    let cpu = fastest_cpu();
    let codec = cpu.load_codec(collection.codec.clone())?;
    let passages = cpu.load_passages(&codec, collection.passages.clone())?;
    let query = cpu.quantize_query(&codec, Embeddings::Host(query))?;
    let table = cpu.centroid_table(&codec, &query)?;
    let scores = cpu.maxsim(&passages, &query, &table, Select::All)?;
    Ok(cpu.top_k(&scores, k)?)
}
