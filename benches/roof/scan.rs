//! Exhaustive search: one query, and batches, whose first query has to find what it finds alone.

use super::Result;
use super::clock::median_ms;
use super::data::{Collection, Sizes};
use super::support::data::DIM;
use selvedge_backend::{Cuda, Embeddings, Plan, Route};
use serde_json::json;

#[derive(clap::Args, Debug)]
pub struct Options {
    #[command(flatten)]
    sizes: Sizes,
    /// Queries of a call
    #[arg(long, value_delimiter = ',', default_value = "1,2,4,8,16,32")]
    batches: Vec<usize>,
    /// Hits
    #[arg(long, default_value_t = 10)]
    k: usize,
    /// Calls whose median is taken
    #[arg(long, default_value_t = 20)]
    rounds: usize,
}

pub fn run(cuda: &Cuda, options: &Options) -> Result<()> {
    let collection = Collection::new(&options.sizes);
    let loaded = collection.load(cuda)?;
    let tokens = collection.passages.num_tokens();
    let plan = Plan { k: options.k, route: Route::Everything };
    for &batch in &options.batches {
        let queries: Vec<Vec<f32>> = (0..batch).map(|number| collection.query(number)).collect();
        let queries: Vec<Embeddings<'_>> = queries.iter().map(|query| Embeddings::Host(query)).collect();
        let (before, alone) = (loaded.filtered(), loaded.index.search(&queries[..1], &plan, None)?);
        if loaded.index.search(&queries, &plan, None)?[0].hits != alone[0].hits {
            return Err(format!("a batch of {batch} finds other hits than its first query alone").into());
        }
        let ms = median_ms(options.rounds, || Ok(loaded.index.search(&queries, &plan, None)?))?;
        let products = (options.sizes.query_tokens * tokens * DIM * batch) as f64;
        let line = json!({
            "what": "scan",
            "passages": options.sizes.passages,
            "tokens": tokens,
            "centroids": options.sizes.centroids,
            "nbits": options.sizes.nbits,
            "query_tokens": options.sizes.query_tokens,
            "k": options.k,
            "batch": batch,
            "is_filtered": loaded.filtered() > before,
            "ms": ms,
            "ms_per_query": ms / batch as f64,
            "queries_per_second": batch as f64 / ms * 1e3,
            "tera_products_per_second": products / ms / 1e9,
            "gigabytes_per_second_if_read_once": collection.bytes() as f64 / ms / 1e6,
            "device_bytes": selvedge_backend::Backend::device_bytes(cuda),
        });
        println!("{line}");
    }
    Ok(())
}
