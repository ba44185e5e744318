//! `selvedge search` and `selvedge eval`: queries to passages, and how good these are.

use crate::args::{EvalArgs, SearchArgs};
use crate::progress::Bars;
use crate::{Result, output};
use selvedge::metrics::Qrels;
use selvedge::{Engine, EvalOptions, SearchOptions};
use std::io::Write;

/// Answers queries, best passage first.
pub(crate) fn search(args: &SearchArgs) -> Result<()> {
    let source = args.source.source(&args.texts)?;
    let engine = Engine::open(&args.index, args.encode.open_options(&args.source))?;
    let queries = engine.queries(&source)?;
    let mut options = SearchOptions { text: args.json, metadata: args.json, ..args.funnel.search_options(args.k) };
    if !args.json {
        options.snippet = Some(output::SNIPPET_CHARS);
    }
    let outputs = engine.search_embeddings_batch(&queries.rows(), &options)?;
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for (number, (id, answer)) in queries.ids.iter().zip(&outputs).enumerate() {
        if args.json {
            output::search_json(&mut out, id, answer)?;
        } else {
            let name = queries.texts.as_ref().map_or(id, |texts| &texts[number]);
            output::search_text(&mut out, name, answer, outputs.len() > 1)?;
        }
    }
    output::print(out.flush())
}

/// Measures an index.
pub(crate) fn eval(args: &EvalArgs) -> Result<()> {
    let source = args.source.source(&[])?;
    let engine = Engine::open(&args.index, args.encode.open_options(&args.source))?;
    let qrels = Qrels::read(&args.qrels)?;
    let queries = engine.queries(&source)?;
    let options = EvalOptions {
        search: args.funnel.search_options(args.k),
        embeddings: args.embeddings.clone().zip(args.doclens.clone()),
        dense: args.dense,
    };
    let report = engine.eval(&queries, &qrels, &options, &Bars::default())?;
    let mut out = std::io::stdout().lock();
    if args.json {
        let line = serde_json::to_string(&report).expect("a report is plain numbers");
        return output::print(writeln!(out, "{line}"));
    }
    output::eval_text(&mut out, &report)
}
