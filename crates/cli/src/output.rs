//! Text and JSON that the commands print.

use crate::{Error, Result, explain};
use selvedge::metrics::Quality;
use selvedge::{EvalReport, Facet, FacetCount, Mode, SearchOutput, Tuned};
use selvedge_index::ColumnInfo;
use serde::Serialize;
use serde_json::ser::{CompactFormatter, Formatter};
use serde_json::{Value, json};
use std::borrow::Cow;
use std::io::Write;

/// Number of characters of a passage that are printed.
pub(crate) const SNIPPET_CHARS: usize = 160;

/// Number of values of a facet that are printed; JSON has all.
const MOST_VALUES: usize = 10;

/// Number of decimals of measurements in JSON: more digits are rounding errors and noise.
const DECIMALS: i32 = 6;

/// Prints the results of one query as a line of JSON.
pub(crate) fn search_json(out: &mut impl Write, query_id: &str, answer: &SearchOutput) -> Result<()> {
    let stages = &answer.stages_us;
    let mut line = json!({
        "query_id": query_id,
        "results": answer.hits,
        "latency_us": stages.total(),
        "stages_us": stages,
        "output_us": answer.output_us,
        "num_scored": answer.num_scored,
    });
    if !answer.facets.is_empty() {
        line["facets"] = json!(answer.facets);
    }
    print(writeln!(out, "{line}"))
}

/// Prints the results of one query as text, after the query itself if there are `many`. Facets were counted among the
/// best `facet_depth` passages.
pub(crate) fn search_text(
    out: &mut impl Write,
    query: &str,
    answer: &SearchOutput,
    many: bool,
    facet_depth: usize,
) -> Result<()> {
    if many {
        print(writeln!(out, "\n{}", printable(query)))?;
    }
    if answer.hits.is_empty() {
        print(writeln!(out, "  nothing found"))?;
    }
    for (rank, hit) in answer.hits.iter().enumerate() {
        print(writeln!(out, "{:>3}  {:>8.4}  {}", rank + 1, hit.score, printable(&hit.id)))?;
        if let Some(explanation) = &hit.explanation {
            explain::explanation(out, hit, explanation)?;
            continue;
        }
        let Some(snippet) = hit.snippet.as_ref().filter(|snippet| !snippet.text.is_empty()) else { continue };
        let words: Vec<&str> = snippet.text.split_whitespace().collect();
        let (before, after) = (if snippet.start > 0 { "... " } else { "" }, if snippet.is_cut { " ..." } else { "" });
        print(writeln!(out, "               {before}{}{after}", printable(&words.join(" "))))?;
    }
    answer.facets.iter().try_for_each(|facet| facet_text(out, facet, facet_depth))
}

/// Prints how many of the best passages, at most `depth`, have each value of a key.
fn facet_text(out: &mut impl Write, facet: &Facet, depth: usize) -> Result<()> {
    print(writeln!(out, "\n{}, among at most {}", printable(&facet.key), counted(depth as u64, "passage")))?;
    for FacetCount { value, passages } in facet.counts.iter().take(MOST_VALUES) {
        print(writeln!(out, "{passages:>5}  {}", value_words(value)))?;
    }
    match facet.counts.len().saturating_sub(MOST_VALUES) {
        0 => Ok(()),
        more => print(writeln!(out, "       and {}", counted(more as u64, "more value"))),
    }
}

/// A value without the quotes of a literal.
fn value_words(value: &selvedge::Value) -> String {
    match serde_json::to_value(value) {
        Ok(Value::String(text)) => printable(&text).into_owned(),
        _ => value.to_string(),
    }
}

/// Prints the keys of an index, one per line, or one JSON array.
pub(crate) fn columns(out: &mut impl Write, columns: &[ColumnInfo], json: bool) -> Result<()> {
    if json {
        return print(writeln!(out, "{}", json!(columns)));
    }
    print(writeln!(out, "{:<32} {:<9} {:>10} {:>10} {:>12}", "key", "kind", "values", "passages", "bytes"))?;
    columns.iter().try_for_each(|ColumnInfo { key, kind, values, passages, bytes }| {
        let (key, kind) = (printable(key), kind.to_string());
        print(writeln!(out, "{key:<32} {kind:<9} {values:>10} {passages:>10} {bytes:>12}"))
    })
}

/// Escapes control characters and characters that change the direction of writing, so that a text cannot control the
/// terminal.
pub(crate) fn printable(text: &str) -> Cow<'_, str> {
    let is_plain = |c: char| {
        !c.is_control() && !matches!(c, '\u{200e}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if text.chars().all(is_plain) {
        return text.into();
    }
    text.chars().map(|c| if is_plain(c) { c.to_string() } else { c.escape_default().to_string() }).collect()
}

/// A number with its noun, such as `1 passage`, `2 passages`.
pub(crate) fn counted(number: impl Into<u64>, noun: &str) -> String {
    match number.into() {
        1 => format!("1 {noun}"),
        number => format!("{number} {noun}s"),
    }
}

/// Prints the report of `eval` as text.
pub(crate) fn eval_text(out: &mut impl Write, r: &EvalReport) -> Result<()> {
    let row = |name: &str, q: &Quality| {
        let columns = [q.ndcg_10, q.mrr_10, q.recall_100, q.map, q.success_1, q.success_5, q.success_10];
        let columns: Vec<String> = columns.iter().map(|x| format!("{x:>10.4}")).collect();
        format!("{name:<34} {}", columns.join(" "))
    };
    let names = ["nDCG@10", "MRR@10", "Recall@100", "MAP", "success@1", "success@5", "success@10"];
    let names: Vec<String> = names.iter().map(|name| format!("{name:>10}")).collect();
    let mut lines = vec![
        format!("{} queries, {} of them judged", r.queries, r.judged_queries),
        format!("{:<34} {}", "", names.join(" ")),
        row("this index", &r.quality),
        row("exact f32 MaxSim, uncompressed", &r.exact_f32),
    ];
    lines.extend(r.dense.iter().map(|q| row("one vector per passage", q)));
    lines.extend(r.compared.iter().map(|compared| {
        let time = compared.p50_ms.map_or(String::new(), |ms| format!("  {ms:.3} ms"));
        row(&format!("compared: {:?}", compared.ranking).to_lowercase(), &compared.quality) + &time
    }));
    lines.push(format!(
        "recall against exact f32 MaxSim     @10 {:.4}   @100 {:.4}",
        r.recall_vs_exact_10, r.recall_vs_exact_100
    ));
    lines.push(format!(
        "approximate against exhaustive      @10 {:.4}   @100 {:.4}",
        r.approximate_10, r.approximate_100
    ));
    lines.push(format!(
        "latency p50 {:.3} ms, p95 {:.3} ms, p99 {:.3} ms; batch {:.0} queries/s; {} threads, {}",
        r.latency_ms.p50, r.latency_ms.p95, r.latency_ms.p99, r.queries_per_second, r.threads, r.backend
    ));
    lines.push(format!("search {}", mode_words(r.params.mode)));
    lines.iter().try_for_each(|line| print(writeln!(out, "{line}")))
}

/// Describes how passages are searched, in the words of the flags.
fn mode_words(mode: Mode) -> String {
    match mode {
        Mode::Exact => "exact: every passage is scored".into(),
        Mode::Approximate { nprobe, ndocs, num_rescored } => {
            format!("approximate: nprobe {nprobe}, ndocs {ndocs}, num-rescored {num_rescored}")
        }
    }
}

/// Prints a report as one line of JSON, with measurements rounded to [`DECIMALS`] decimals.
pub(crate) fn report_json(out: &mut impl Write, report: &impl Serialize) -> Result<()> {
    let mut line = Vec::new();
    let mut writer = serde_json::Serializer::with_formatter(&mut line, Rounded);
    report.serialize(&mut writer).expect("a report is plain numbers");
    line.push(b'\n');
    print(out.write_all(&line))
}

/// Format of JSON whose `f64` are rounded.
struct Rounded;

impl Formatter for Rounded {
    fn write_f64<W: ?Sized + Write>(&mut self, out: &mut W, value: f64) -> std::io::Result<()> {
        let scale = 10f64.powi(DECIMALS);
        CompactFormatter.write_f64(out, (value * scale).round() / scale)
    }
}

/// Prints the contents of an index as text, one entry per line.
pub(crate) fn info_text(out: &mut impl Write, info: &Value) -> Result<()> {
    let object = info.as_object().expect("info is an object");
    for (key, value) in object {
        match value {
            Value::Object(inner) => {
                print(writeln!(out, "{key}"))?;
                for (key, value) in inner {
                    print(writeln!(out, "  {key:<18} {}", plain(value)))?;
                }
            }
            Value::Array(entries) => {
                print(writeln!(out, "{key}"))?;
                entries.iter().try_for_each(|entry| print(writeln!(out, "  {}", entry_words(entry))))?;
            }
            _ => print(writeln!(out, "{key:<20} {}", plain(value)))?,
        }
    }
    Ok(())
}

/// Describes an entry of a list: parameters that `tune` stored, or names with their values.
fn entry_words(entry: &Value) -> String {
    let Ok(tuned) = serde_json::from_value::<Tuned>(entry.clone()) else {
        let words = |object: &serde_json::Map<String, Value>| {
            object.iter().map(|(key, value)| format!("{key} {}", plain(value))).collect::<Vec<_>>().join(", ")
        };
        return entry.as_object().map_or_else(|| plain(entry), words);
    };
    let Tuned { k, target, recall, queries, .. } = tuned;
    let mode = mode_words(tuned.params().mode);
    format!("k {k:<16} {mode}; recall {recall:.4} of {queries} queries, at least {target} requested")
}

fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => printable(text).into_owned(),
        Value::Number(n) if n.is_f64() => format!("{:.3}", n.as_f64().unwrap_or_default()),
        Value::Null => "-".into(),
        other => other.to_string(),
    }
}

/// Converts the result of writing to standard output.
pub(crate) fn print(result: std::io::Result<()>) -> Result<()> {
    result.map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => Error::ClosedPipe,
        _ => Error::Output(error),
    })
}

/// Ignores [`Error::ClosedPipe`], so that a command whose exit code says more than its output still returns it.
pub(crate) fn unless_closed(printed: Result<()>) -> Result<()> {
    match printed {
        Err(Error::ClosedPipe) => Ok(()),
        other => other,
    }
}
