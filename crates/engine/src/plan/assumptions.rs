//! Assumptions of a plan, in words.

use super::fleet::hours;
use super::predict::IndexSize;
use super::{DETECT_MS, Figures, HEDGE_FLOOR_MS, MEMORY_SHARE, MOST_BUSY, Request};
use crate::shards::HEDGED_PART;

/// The assumptions of a request with shards of one size.
pub(super) fn of(request: &Request, figures: &Figures, shard: &IndexSize) -> Vec<String> {
    let Figures { machine, query_tokens, k, nbits, .. } = figures;
    let vectors = || figures.sizes.iter().map(|size| size.vectors);
    let (least, most) = (vectors().min().unwrap_or(0), vectors().max().unwrap_or(0));
    let mut all = vec![
        format!("Figures are of {machine}, {} cores; each core of the fleet is as fast.", figures.cores),
        format!(
            "Queries have {query_tokens} tokens and {k} results, with the parameters of up to 65,536 passages; a \
             search has one core, and takes longer with those by which a larger shard finds 0.99 of the best."
        ),
        "Figures are of synthetic passages; cells of text may be longer or shorter.".into(),
        format!("One codec for all shards, of {} centroids (--centroids), as one shard needs.", shard.centroids),
        format!(
            "An index is in memory as a whole, in at most {MEMORY_SHARE} of a machine's; cores are busy at most \
             {MOST_BUSY} of the time."
        ),
        format!(
            "Machines fail independently, every {} days for {:.2} hours; a router sees it after {} s.",
            hours(request.failure_every_ms) / 24.0,
            hours(request.repair_ms),
            DETECT_MS.min(request.repair_ms) / 1e3,
        ),
        format!(
            "Of all searches, {} take {} times as long, whatever the reason.",
            request.straggler_share, request.straggler_factor
        ),
        format!(
            "A request is hedged after the 98th percentile of its time, at least {HEDGE_FLOOR_MS} ms; hedges are at \
             most {HEDGED_PART} of all requests."
        ),
        "The latency has the encoding of the query by the shipped model, the searches, and three ways to machines and \
         back; merging, and the work of a busy router, are not in it."
            .into(),
        "Passages are encoded by the shipped model on cores; larger models and GPUs differ by orders of magnitude."
            .into(),
        "Machines of the first shard encode queries: give it more replicas, or send embeddings.".into(),
    ];
    if request.nbits != *nbits {
        all.push(format!("Times are those of {nbits} bits, and bytes are changed by {} bits.", request.nbits));
    }
    if request.text_bytes == 0 {
        all.push("Texts, ids and metadata are not counted (--text-bytes).".into());
    }
    if !(least as f64..=most as f64).contains(&shard.vectors) {
        all.push(format!(
            "Beyond the measured sizes: a shard has {:.3} M vectors, and {:.3} M to {:.3} M were measured.",
            shard.vectors / 1e6,
            least as f64 / 1e6,
            most as f64 / 1e6,
        ));
    }
    all
}
