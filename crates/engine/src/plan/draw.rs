//! Plot of lines on two logarithmic axes, as SVG without a background.

use std::fmt::Write;

/// Grey that is legible on white and on dark pages alike.
const INK: &str = "#7a7a7a";
/// Size of a panel's frame, its offset from the panel's left and top, and the distance between panels.
const WIDTH: f64 = 330.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 60.0;
const TOP: f64 = 52.0;
const PITCH: f64 = 440.0;
/// Width of a character, about.
const CHARACTER: f64 = 6.6;

/// A line of one color.
pub(super) struct Line {
    pub(super) name: String,
    pub(super) color: &'static str,
    pub(super) points: Vec<(f64, f64)>,
}

/// Pair of axes; x is the number of shards.
pub(super) struct Panel {
    pub(super) title: String,
    pub(super) lines: Vec<Line>,
}

/// Logarithmic axis of whole decades.
struct Axis {
    /// Exponents of ten at the ends.
    low: f64,
    high: f64,
    /// Coordinates of the ends.
    from: f64,
    to: f64,
}

impl Axis {
    fn new(values: impl Iterator<Item = f64> + Clone, from: f64, to: f64) -> Self {
        let low = values.clone().fold(f64::INFINITY, f64::min).log10().floor();
        let high = values.fold(f64::MIN_POSITIVE, f64::max).log10().ceil();
        // Without a value, a decade from 1 on.
        let low = if low.is_finite() { low } else { 0.0 };
        Self { low, high: high.max(low + 1.0), from, to }
    }

    fn at(&self, value: f64) -> f64 {
        self.from + (value.log10() - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    fn decades(&self) -> impl Iterator<Item = i32> + use<> {
        self.low as i32..=self.high as i32
    }
}

/// Draws the panels side by side.
pub(super) fn svg(panels: &[Panel]) -> String {
    let (width, height) = (PITCH * panels.len() as f64, TOP + HEIGHT + 44.0);
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" \
         height=\"{height}\" font-family=\"system-ui, sans-serif\" font-size=\"12\" fill=\"{INK}\">\n"
    );
    for (number, panel) in panels.iter().enumerate() {
        draw(&mut out, panel, LEFT + PITCH * number as f64);
    }
    out + "</svg>\n"
}

/// A value that a logarithmic axis has.
fn is_drawn(point: &(f64, f64)) -> bool {
    point.1.is_finite() && point.1 > 0.0
}

fn draw(out: &mut String, panel: &Panel, left: f64) {
    let points = || panel.lines.iter().flat_map(|line| line.points.iter().copied()).filter(is_drawn);
    let x = Axis::new(points().map(|point| point.0), left, left + WIDTH);
    let y = Axis::new(points().map(|point| point.1), TOP + HEIGHT, TOP);
    text(out, left, TOP - 34.0, "start", &format!("<tspan font-weight=\"600\">{}</tspan>", panel.title));
    text(out, left + WIDTH / 2.0, TOP + HEIGHT + 36.0, "middle", "shards");
    for exponent in x.decades() {
        let at = x.at(10f64.powi(exponent));
        polyline(out, &[(at, TOP), (at, TOP + HEIGHT)], INK, "stroke-opacity=\".3\"");
        text(out, at, TOP + HEIGHT + 18.0, "middle", &tick(exponent));
    }
    for exponent in y.decades() {
        let at = y.at(10f64.powi(exponent));
        polyline(out, &[(left, at), (left + WIDTH, at)], INK, "stroke-opacity=\".3\"");
        text(out, left - 8.0, at + 4.0, "end", &tick(exponent));
    }
    let mut legend = left;
    for line in &panel.lines {
        let drawn: Vec<(f64, f64)> =
            line.points.iter().filter(|p| is_drawn(p)).map(|p| (x.at(p.0), y.at(p.1))).collect();
        polyline(out, &drawn, line.color, "stroke-width=\"1.5\"");
        for (x, y) in drawn {
            let _ = writeln!(out, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2.5\" fill=\"{}\"/>", line.color);
        }
        let _ = writeln!(
            out,
            "<circle cx=\"{:.1}\" cy=\"{}\" r=\"3.5\" fill=\"{}\"/>",
            legend + 4.0,
            TOP - 16.0,
            line.color
        );
        text(out, legend + 12.0, TOP - 12.0, "start", &line.name);
        legend += 26.0 + CHARACTER * line.name.len() as f64;
    }
}

fn polyline(out: &mut String, points: &[(f64, f64)], color: &str, style: &str) {
    let points: Vec<String> = points.iter().map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
    let _ = writeln!(out, "<polyline points=\"{}\" fill=\"none\" stroke=\"{color}\" {style}/>", points.join(" "));
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, content: &str) {
    let _ = writeln!(out, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{content}</text>");
}

/// Label of a power of ten.
fn tick(exponent: i32) -> String {
    match exponent {
        0..=4 => 10u32.pow(exponent as u32).to_string(),
        -3..0 => format!("{}", 10f64.powi(exponent)),
        _ => format!("1e{exponent}"),
    }
}
