//! Plot of log-log panels as SVG. There is no background; text is of a grey that is readable on white and on dark pages
//! (contrast 4.3 to 1 on white, 4.9 on black).

use crate::fit::Fit;
use crate::ink::INK;
use std::fmt::Write;

/// Size of a panel's frame, and its offset from the panel's left and top.
const WIDTH: f64 = 310.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 52.0;
const TOP: f64 = 44.0;
/// Distance between the left edges of two panels.
const PITCH: f64 = 425.0;

/// Points of one color, and the power law through them.
pub struct Series {
    pub name: String,
    pub color: &'static str,
    pub points: Vec<(f64, f64)>,
    pub fit: Option<Fit>,
}

/// Pair of axes; x is the number of passages.
pub struct Panel {
    pub title: String,
    pub series: Vec<Series>,
}

/// Logarithmic axis between two powers of ten.
struct Axis {
    /// Exponents of ten at the ends.
    low: f64,
    high: f64,
    /// Coordinates of the ends.
    from: f64,
    to: f64,
}

impl Axis {
    /// Creates an axis of whole decades around `values`.
    fn new(values: impl Iterator<Item = f64> + Clone, from: f64, to: f64) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min).log10().floor();
        let high = values.fold(f64::MIN_POSITIVE, f64::max).log10().ceil();
        Self { low, high: high.max(low + 1.0), from, to }
    }

    fn at(&self, value: f64) -> f64 {
        self.from + (value.log10() - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    fn decades(&self) -> impl Iterator<Item = f64> + use<> {
        (self.low as i32..=self.high as i32).map(|e| 10f64.powi(e))
    }
}

/// Draws the panels side by side.
pub fn svg(panels: &[Panel]) -> String {
    let (width, height) = (PITCH * panels.len() as f64, TOP + HEIGHT + 44.0);
    let mut out = String::new();
    let head = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"{INK}\">\n"
    );
    out.push_str(&head);
    for (number, panel) in panels.iter().enumerate() {
        draw(&mut out, panel, LEFT + PITCH * number as f64);
    }
    out + "</svg>\n"
}

fn draw(out: &mut String, panel: &Panel, left: f64) {
    let points = || panel.series.iter().flat_map(|s| s.points.iter().copied()).filter(|p| p.1.is_finite() && p.1 > 0.0);
    let x = Axis::new(points().map(|p| p.0), left, left + WIDTH);
    let y = Axis::new(points().map(|p| p.1), TOP + HEIGHT, TOP);
    text(out, left, TOP - 26.0, "start", &format!("<tspan font-weight=\"600\">{}</tspan>", escape(&panel.title)));
    text(out, left + WIDTH / 2.0, TOP + HEIGHT + 36.0, "middle", "passages");
    for tick in x.decades() {
        line(out, (x.at(tick), TOP), (x.at(tick), TOP + HEIGHT), INK, "stroke-opacity=\".3\"");
        text(out, x.at(tick), TOP + HEIGHT + 18.0, "middle", &short(tick));
    }
    for tick in y.decades() {
        line(out, (left, y.at(tick)), (left + WIDTH, y.at(tick)), INK, "stroke-opacity=\".3\"");
        text(out, left - 8.0, y.at(tick) + 4.0, "end", &short(tick));
    }
    let mut legend = left;
    for series in &panel.series {
        for &(px, py) in series.points.iter().filter(|p| p.1.is_finite() && p.1 > 0.0) {
            let _ = writeln!(
                out,
                "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"{}\"/>",
                x.at(px),
                y.at(py),
                series.color
            );
        }
        if let (Some(fit), Some(first), Some(last)) = (&series.fit, series.points.first(), series.points.last()) {
            let end = |at: f64| (x.at(at), y.at(fit.at(at)));
            line(out, end(first.0), end(last.0), series.color, "stroke-width=\"1.5\"");
        }
        let name = match &series.fit {
            Some(fit) => format!("{} ~ P^{:.2}", series.name, fit.exponent),
            None => series.name.clone(),
        };
        let _ = writeln!(
            out,
            "<circle cx=\"{:.1}\" cy=\"{}\" r=\"3.5\" fill=\"{}\"/>",
            legend + 4.0,
            TOP - 12.0,
            series.color
        );
        text(out, legend + 12.0, TOP - 8.0, "start", &escape(&name));
        // 7 is about the width of a character at this size; the exact width depends on the reader's font.
        legend += 22.0 + 7.0 * name.len() as f64;
    }
}

fn line(out: &mut String, from: (f64, f64), to: (f64, f64), color: &str, style: &str) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _ =
        writeln!(out, "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{color}\" {style}/>");
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, content: &str) {
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{content}</text>");
}

/// Formats a power of ten as a label.
fn short(tick: f64) -> String {
    match tick {
        t if t >= 1e6 => format!("{} M", t / 1e6),
        t if t >= 1e3 => format!("{} k", t / 1e3),
        t => format!("{t}"),
    }
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}
