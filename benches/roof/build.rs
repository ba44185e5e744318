//! The ops of a build, with the copies of their arguments and results: a round of k-means on a resident sample, and the
//! compression of a stream of blocks.

use super::Result;
use super::clock::median_ms;
use super::support::data::{DIM, codec, codes, embeddings, wide};
use selvedge_backend::{Backend, Cuda};
use serde_json::json;

/// Multiply-adds of int8 per second of an H200's data sheet.
const PEAK_PRODUCTS: f64 = 790e12;
/// Embeddings of a block, as a build has them (`MAX_BLOCK_TOKENS`).
const BLOCK_ROWS: usize = 1 << 18;

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
    /// Rounds of the products by which the peak of `mma.sync` is measured
    #[arg(long, default_value_t = 8192)]
    peak_rounds: u32,
}

pub fn run(cuda: &Cuda, options: &Options) -> Result<()> {
    let &Options { rows, centroids, nbits, rounds, peak_rounds } = options;
    let params = wide(&codec(nbits, 1024).params, centroids);
    let (data, codes) = (embeddings(rows, 1000, 4), codes(rows, centroids));
    let codec = cuda.load_codec(params.clone())?;
    let loaded = cuda.load_centroids(DIM, &params.centroids)?;
    let assigned = rows * centroids * DIM;
    let peak = cuda.peak(&[0; 16])?;
    let peak_ms = median_ms(rounds, || Ok(peak.products(peak_rounds)?))?;
    let measured_peak = (peak.num_products() * peak_rounds as usize) as f64 / peak_ms * 1e3;
    let report = |op: &str, ms: f64, products: usize| {
        let per_second = products as f64 / ms * 1e3;
        let line = json!({
            "what": op,
            "rows": rows,
            "centroids": centroids,
            "nbits": nbits,
            "ms": ms,
            "rows_per_second": rows as f64 / ms * 1e3,
            "uploaded_gb_per_second": (data.len() * size_of::<f32>()) as f64 / ms / 1e6,
            "tera_products_per_second": (products > 0).then_some(per_second / 1e12),
            "of_mma_sync": (products > 0).then_some(per_second / measured_peak),
            "of_data_sheet": (products > 0).then_some(per_second / PEAK_PRODUCTS),
        });
        println!("{line}");
    };
    report("assign", median_ms(rounds, || Ok(cuda.assign(&loaded, &data)?))?, assigned);
    report("compress", median_ms(rounds, || Ok(cuda.compress(&codec, &data, &codes)?))?, 0);
    report("centroid_sums", median_ms(rounds, || Ok(cuda.centroid_sums(DIM, &data, &codes, centroids)?))?, 0);

    let blocks = || {
        let compress = |block| cuda.assign_and_compress(&loaded, &codec, block);
        Ok(data.chunks(BLOCK_ROWS * DIM).try_for_each(|block| compress(block).map(|_| ()))?)
    };
    report("assign_and_compress", median_ms(rounds, blocks)?, assigned);
    // Cells that restart are part of a round; the first rows as starts leave few.
    let starts: Vec<usize> = (0..centroids).map(|code| code % rows).collect();
    let mut means = cuda.kmeans(DIM, &data, &starts)?;
    let mut next = 0;
    let round = || {
        let mut restart = || {
            next += 1;
            next % rows
        };
        Ok(means.round(&mut restart)?)
    };
    report("kmeans_round", median_ms(rounds, round)?, assigned);
    Ok(())
}
