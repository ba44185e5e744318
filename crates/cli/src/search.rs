//! `selvedge search` and `selvedge eval`: the best passages of queries, and their quality.

use crate::args::{EvalArgs, SearchArgs, fusion};
use crate::index::note_header;
use crate::log::note;
use crate::metadata::{note_facets, note_restriction};
use crate::progress::Bars;
use crate::{Result, explain, output};
use selvedge::queries::QuerySource;
use selvedge::{Arrays, Engine, EvalOptions, Qrels, Queries, SearchOptions, trec};
use std::io::Write;

/// Prints the best passages of each query, or writes them as a run.
pub(crate) fn search(args: &SearchArgs) -> Result<()> {
    let source = args.rank.source.source(&args.texts)?;
    let engine = Engine::open(&args.index, args.rank.encode.open_options(&args.rank.source))?;
    let run = args.trec.as_deref().map(trec::Run::create).transpose()?;
    let rank_by = args.score.rank_by();
    let mut options = SearchOptions {
        rank_by,
        text: args.json || args.explain,
        explain: args.explain,
        metadata: args.json,
        facets: args.facet.clone(),
        facet_depth: args.facet_depth,
        ..args.rank.search_options(args.k)?
    };
    let queries = engine.queries_for(&source, rank_by)?;
    note_header(queries.had_header);
    note_restriction(&engine, &options)?;
    note_facets(&engine, &args.facet);
    if !args.json && args.trec.is_none() {
        options.snippet = Some(if args.explain { explain::CHARS } else { output::SNIPPET_CHARS });
    }
    let outputs = engine.search_queries(&queries, &options)?;
    if let Some(mut run) = run {
        for (id, answer) in queries.ids.iter().zip(&outputs) {
            run.push(id, answer.hits.iter().map(|hit| (&hit.id, hit.score)))?;
        }
        return Ok(run.finish()?);
    }
    // Colours are removed where the output is no terminal.
    let mut out = std::io::BufWriter::new(anstream::AutoStream::auto(std::io::stdout().lock()));
    for (number, (id, answer)) in queries.ids.iter().zip(&outputs).enumerate() {
        if args.json {
            output::search_json(&mut out, id, answer)?;
        } else {
            let name = queries.texts.as_ref().map_or(id, |texts| &texts[number]);
            output::search_text(&mut out, name, answer, outputs.len() > 1, args.facet_depth.max(args.k))?;
        }
    }
    output::print(out.flush())
}

/// Reads queries, and notes a header that was skipped.
pub(crate) fn read_queries(engine: &Engine, source: &QuerySource) -> Result<Queries> {
    let queries = engine.queries(source)?;
    note_header(queries.had_header);
    Ok(queries)
}

/// Measures the quality and speed of an index, and prints the report.
pub(crate) fn eval(args: &EvalArgs) -> Result<()> {
    let source = args.rank.source.source(&[])?;
    let engine = Engine::open(&args.index, args.rank.encode.open_options(&args.rank.source))?;
    let qrels = Qrels::read(&args.qrels)?;
    let search = args.rank.search_options(args.k)?;
    let queries = read_queries(&engine, &source)?;
    note_restriction(&engine, &search)?;
    let options = EvalOptions {
        search,
        embeddings: args.embeddings.clone().map(|path| Arrays { doclens: args.doclens.clone(), ..Arrays::new(path) }),
        dense: args.dense,
        compare: args.compare.iter().map(|ranking| ranking.compared()).collect(),
        fusion: fusion(args.alpha),
    };
    let report = engine.eval(&queries, &qrels, &options, &Bars::default())?;
    if let Some(first) = &report.first_not_indexed {
        let (missing, all) = (report.judgments_not_indexed, report.judgments);
        note!("warning: the passage of {missing} of {all} judgments is not in the index, such as {first:?}");
    }
    let mut out = std::io::stdout().lock();
    if args.json {
        return output::report_json(&mut out, &report);
    }
    output::eval_text(&mut out, &report)
}
