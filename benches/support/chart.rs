//! Bar chart as SVG: one bar per row, whose length is the part of the limit that the row reached.
//!
//! No background, and grey text that is legible on white and on dark pages alike.

use super::ink::INK;
use super::limits::Limit;
use super::report::Row;
use std::fmt::Write;

/// Height of a row, width of the labels and of a bar that reaches the limit.
const PITCH: usize = 18;
const LABELS: usize = 430;
const FULL: f64 = 300.0;
/// Space for the figures after the longest bar, and above the first bar.
const RIGHT: usize = 100;
const TOP: usize = 44;

/// Draws the rows whose limit is known. No bar is longer than the limit, even if caches let a row exceed the limit of
/// memory.
pub fn svg(rows: &[Row], title: &str) -> String {
    let bars: Vec<(&Row, f64)> = rows.iter().filter_map(|row| Some((row, row.of_limit?))).collect();
    let (width, height) = (LABELS + FULL as usize + RIGHT, TOP + PITCH * bars.len() + 8);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"system-ui, sans-serif\" font-size=\"11\" fill=\"{INK}\">\n"
    );
    text(&mut out, 4, 14, "start", &format!("Part of the limit: {title}"));
    let mut left = LABELS;
    for limit in [Limit::Int8, Limit::F32, Limit::Memory] {
        rectangle(&mut out, left, 22, 10.0, color(limit));
        text(&mut out, left + 14, 31, "start", limit.name());
        left += 80;
    }
    for (number, (row, part)) in bars.into_iter().enumerate() {
        let top = TOP + PITCH * number;
        let label = format!("{} {} {}", row.subject.op, row.subject.backend, row.subject.shape);
        text(&mut out, LABELS - 8, top + 11, "end", &label);
        let length = FULL * part.min(1.0);
        rectangle(&mut out, LABELS, top + 1, length, color(row.limit));
        text(&mut out, LABELS + length as usize + 6, top + 11, "start", &format!("{part:.2}"));
    }
    out + "</svg>\n"
}

fn color(limit: Limit) -> &'static str {
    match limit {
        Limit::Int8 => "#2a78d6",
        Limit::F32 => "#d9730d",
        Limit::Memory => "#3a9a5b",
    }
}

fn rectangle(out: &mut String, x: usize, y: usize, width: f64, color: &str) {
    let _ = writeln!(out, "<rect x=\"{x}\" y=\"{y}\" width=\"{width:.1}\" height=\"11\" fill=\"{color}\"/>");
}

fn text(out: &mut String, x: usize, y: usize, anchor: &str, content: &str) {
    let content = content.replace('&', "&amp;").replace('<', "&lt;");
    let _ = writeln!(out, "<text x=\"{x}\" y=\"{y}\" text-anchor=\"{anchor}\">{content}</text>");
}
