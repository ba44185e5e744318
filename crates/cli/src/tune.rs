//! `selvedge tune`: the fastest search parameters for a wanted recall, measured and kept in the manifest.

use crate::args::TuneArgs;
use crate::device::on_device;
use crate::{Error, Result, open, output, progress, queries};
use selvedge_backend::Backend;
use selvedge_search::{Searcher, Tuned, tune as tune_for};
use std::io::Write;

/// Fewer queries than this, and the recall found may be far from that of queries to come.
const FEW_QUERIES: usize = 100;

/// Tunes an index for each wanted k.
pub(crate) fn tune(args: &TuneArgs) -> Result<()> {
    let index = open(&args.index)?;
    let queries = queries::load(&args.source, &[], &index, &args.encode)?;
    if queries.embeddings.len() < FEW_QUERIES {
        eprintln!("note: {} queries are few; what they show may not hold for others", queries.embeddings.len());
    }
    on_device!(args.encode.device, backend => tune_with(args, &queries, &Searcher::new(backend, &index)?))
}

fn tune_with<B: Backend>(args: &TuneArgs, queries: &queries::Queries, searcher: &Searcher<B>) -> Result<()> {
    let mut best: Vec<Tuned> = Vec::new();
    let mut tables = Vec::new();
    for &k in &args.k {
        let bar = progress::counter("tune", "settings");
        let tried = tune_for(searcher, &queries.embeddings, k, args.recall, |_| bar.inc(1))?;
        bar.finish_and_clear();
        let Some(&fastest) = tried.first() else {
            let reason = format!(
                "no setting tried finds {} of the top {k}: want less with --recall, or give queries that find something",
                args.recall
            );
            return Err(Error::Usage(reason));
        };
        best.push(fastest);
        tables.push(tried);
    }
    if !args.dry_run {
        let search = serde_json::to_value(&best).expect("settings are plain numbers");
        selvedge_index::write_search(&args.index, search)?;
    }
    let mut out = std::io::stdout().lock();
    if args.json {
        let line = serde_json::to_string(&best).expect("settings are plain numbers");
        return output::print(writeln!(out, "{line}"));
    }
    for tried in &tables {
        output::print(writeln!(out, "  k  nprobe  ndocs  nfull  recall   p50 ms"))?;
        for (number, t) in tried.iter().enumerate() {
            let taken = if number == 0 { "  <- taken" } else { "" };
            let ms = t.p50_us / 1e3;
            let setting = format!("{:>3}  {:>6}  {:>5}  {:>5}", t.k, t.nprobe, t.ndocs, t.nfull);
            output::print(writeln!(out, "{setting}  {:.4}  {ms:>7.3}{taken}", t.recall))?;
        }
    }
    Ok(())
}
