//! `selvedge tune`: the fastest search parameters for a recall.

use crate::args::TuneArgs;
use crate::log::note;
use crate::progress::Bars;
use crate::{Result, output};
use selvedge::{Engine, Error, TuneOptions, TuneReport};
use std::io::Write;

/// Fewer queries than this, and the recall found may be far from that of queries to come.
const FEW_QUERIES: usize = 100;

/// Tunes an index for each number of results, and prints the settings.
pub(crate) fn tune(args: &TuneArgs) -> Result<()> {
    let source = args.source.source(&[])?;
    let engine = Engine::open(&args.index, args.encode.open_options(&args.source))?;
    let queries = engine.queries(&source)?;
    if queries.embeddings.len() < FEW_QUERIES {
        note!("note: {} queries are few; what they show may not hold for others", queries.embeddings.len());
    }
    let options = TuneOptions { recall: args.recall, k: args.k.clone(), dry_run: args.dry_run };
    let report = engine.tune(&queries, &options, &Bars::default())?;
    for k in &report.whole {
        let passages = engine.index().num_passages();
        note!(
            "k = {k}: the index has {passages} passages, so every search scores all of them; there is nothing to tune"
        );
    }
    let mut out = std::io::stdout().lock();
    if args.json {
        let line = serde_json::to_string(&report.best).expect("settings are plain numbers");
        output::print(writeln!(out, "{line}"))?;
    } else {
        print(&mut out, &report)?;
    }
    match report.missed.first() {
        None => Ok(()),
        Some(&(k, most)) => Err(Error::NothingTuned { k, recall: args.recall, most }.into()),
    }
}

/// A table for each number of results.
fn print(out: &mut impl Write, report: &TuneReport) -> Result<()> {
    for tried in &report.tried {
        output::print(writeln!(out, "  k  nprobe  ndocs  nfull  recall   p50 ms"))?;
        for (number, t) in tried.iter().enumerate() {
            let taken = if number == 0 { "  <- taken" } else { "" };
            let ms = t.p50_us / 1e3;
            let setting = format!("{:>3}  {:>6}  {:>5}  {:>5}", t.k, t.nprobe, t.ndocs, t.num_rescored);
            output::print(writeln!(out, "{setting}  {:.4}  {ms:>7.3}{taken}", t.recall))?;
        }
    }
    Ok(())
}
