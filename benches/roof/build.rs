//! The ops of a build, with the copies of their arguments and results.

use super::Result;
use super::clock::median_ms;
use super::support::data::{DIM, codec, codes, embeddings, wide};
use selvedge_backend::{Backend, Cuda};
use serde_json::json;

#[derive(clap::Args, Debug)]
pub struct Options {
    /// Embeddings of a call
    #[arg(long, default_value_t = 1_000_000)]
    rows: usize,
    /// Centroids
    #[arg(long, default_value_t = 1 << 18)]
    centroids: usize,
    /// Bits of a component's residual
    #[arg(long, default_value_t = 2)]
    nbits: u8,
    /// Calls whose median is taken
    #[arg(long, default_value_t = 5)]
    rounds: usize,
}

pub fn run(cuda: &Cuda, options: &Options) -> Result<()> {
    let &Options { rows, centroids, nbits, rounds } = options;
    let params = wide(&codec(nbits, 1024).params, centroids);
    let (data, codes) = (embeddings(rows, 1000, 4), codes(rows, centroids));
    let codec = cuda.load_codec(params.clone())?;
    let loaded = cuda.load_centroids(DIM, &params.centroids)?;
    let report = |op: &str, ms: f64, products: usize| {
        let per_second = (products > 0).then(|| products as f64 / ms / 1e9);
        let line = json!({
            "what": op,
            "rows": rows,
            "centroids": centroids,
            "nbits": nbits,
            "ms": ms,
            "rows_per_second": rows as f64 / ms * 1e3,
            "tera_products_per_second": per_second,
        });
        println!("{line}");
    };
    report("assign", median_ms(rounds, || Ok(cuda.assign(&loaded, &data)?))?, rows * centroids * DIM);
    report("compress", median_ms(rounds, || Ok(cuda.compress(&codec, &data, &codes)?))?, 0);
    report("centroid_sums", median_ms(rounds, || Ok(cuda.centroid_sums(DIM, &data, &codes, centroids)?))?, 0);
    Ok(())
}
