//! `selvedge tune`: the fastest search parameters that reach a recall.

use crate::args::TuneArgs;
use crate::log::note;
use crate::metadata::note_restriction;
use crate::output::counted;
use crate::progress::Bars;
use crate::search::read_queries;
use crate::{Result, output};
use selvedge::queries::QuerySource;
use selvedge::{Engine, Error, SearchOptions, TuneOptions, TuneReport};
use std::io::Write;
use std::sync::Arc;

/// Number of queries below which the recall measured may be far from that of other queries.
const FEW_QUERIES: usize = 100;

/// Tunes an index for each number of results, and prints the parameters.
pub(crate) fn tune(args: &TuneArgs) -> Result<()> {
    let source = if args.source.is_none() { QuerySource::passages() } else { args.source.source(&[])? };
    let engine = Engine::open(&args.index, args.encode.open_options(&args.source))?;
    let is_stored = !args.dry_run && args.filter.is_none();
    if is_stored {
        selvedge_index::check_writable(&args.index)?;
    }
    let queries = read_queries(&engine, &source)?;
    if args.source.is_none() {
        let made = counted(queries.embeddings.len() as u64, "passage");
        note!("no --queries: tuned for parts of {made}; for queries that differ from these the recall does, too");
    } else if queries.embeddings.len() < FEW_QUERIES {
        note!("note: {} queries are few; the recall of other queries may differ", queries.embeddings.len());
    }
    // The parameters are stored after they are printed, so that an output that cannot be written changes no index.
    let filter = args.filter.clone().map(Arc::new);
    let restriction = SearchOptions { filter: filter.clone(), ..SearchOptions::default() };
    note_restriction(&engine, &restriction)?;
    let options = TuneOptions { recall: args.recall, k: args.k.clone(), filter, dry_run: true };
    let report = engine.tune(&queries, &options, &Bars::default())?;
    if !report.exhaustive.is_empty() {
        let snapshot = engine.snapshot();
        let passages = snapshot.passages(&restriction)?.map_or(snapshot.index().num_passages(), |set| set.len() as u32);
        let passages = counted(u64::from(passages), "passage");
        for k in &report.exhaustive {
            note!("k = {k}: every search scores all of the {passages}, so there is nothing to tune");
        }
    }
    output::unless_closed(print(&report, args.json))?;
    if is_stored {
        engine.store_tuned(&report.best)?;
    } else if args.filter.is_some() && !args.dry_run {
        note!("note: nothing is stored; give these parameters to searches with this condition, by their flags");
    }
    match report.unreached.first() {
        None => Ok(()),
        Some(&(k, best_recall)) => Err(Error::NothingTuned { k, recall: args.recall, best_recall }.into()),
    }
}

/// Prints JSON, or one table per number of results.
fn print(report: &TuneReport, json: bool) -> Result<()> {
    let mut out = std::io::stdout().lock();
    if json {
        return output::report_json(&mut out, &report.best);
    }
    for tried in &report.tried {
        output::print(writeln!(out, "  k  nprobe  ndocs  num-rescored  recall   p50 ms"))?;
        for (number, t) in tried.iter().enumerate() {
            let taken = if number == 0 { "  <- taken" } else { "" };
            let ms = t.p50_us / 1e3;
            let setting = format!("{:>3}  {:>6}  {:>5}  {:>12}", t.k, t.nprobe, t.ndocs, t.num_rescored);
            output::print(writeln!(out, "{setting}  {:.4}  {ms:>7.3}{taken}", t.recall))?;
        }
    }
    Ok(())
}
