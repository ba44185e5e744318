//! The codebook of weights: 16 pairs of small integers (32 at 2 bits), one of which every vector names.
//!
//! A vector is put back as `n * c + g * w` (centroid, levels). Its own best pair keeps both parts in
//! proportion and the whole at the vector's length:
//!
//! ```text
//! a = <x, c> / <c, c>        u = x - a c        s = |u| / |w|
//! (n*, g*) = (a, s) * |x| / |a c + s w|
//! ```
//!
//! `s` keeps the residual's length, half-way (geometrically) between least squares, which shrinks it, and the
//! unbiased scale, which stretches it. Least squares has the smaller error and ranks worse: MaxSim takes maxima,
//! and shrunken vectors lose them (at 1 bit on Cranfield .892 against .914 recall@10, for `x - c`).
//!
//! For unit vectors `a` and `|u|` lie on a circle, so the pairs lie near one curve, and few of them, trained
//! jointly, keep most of what two floats would give. Training is a k-means in the space of pairs; the
//! distance is what the difference does to the vector, `|e|^2` for `e = (n - n*) c + (g - g*) w`, with changes of
//! its length counted [`RADIAL_WEIGHT`] times more.

use selvedge_backend::RADIAL_WEIGHT;

/// What a vector's best pair depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// `<x, x>`.
    pub xx: f64,
    /// `<x, c>`.
    pub xc: f64,
    /// `<c, c>`.
    pub cc: f64,
    /// `<c, w>`.
    pub cw: f64,
    /// `<w, w>`.
    pub ww: f64,
}

impl Stats {
    /// Stats of one vector: `x`, `c` and `w`, each `(D)`; `w` is empty at 0 bits.
    pub fn new(x: &[f32], c: &[f32], w: &[i8]) -> Self {
        let mut s = Self::default();
        for (i, (&x, &c)) in x.iter().zip(c).enumerate() {
            let (x, c) = (f64::from(x), f64::from(c));
            let w = w.get(i).map_or(0.0, |&w| f64::from(w));
            s.xx += x * x;
            s.xc += x * c;
            s.cc += c * c;
            s.cw += c * w;
            s.ww += w * w;
        }
        s
    }

    /// The pair `(n*, g*)` that this vector would choose if it were free.
    pub fn best_pair(&self) -> (f64, f64) {
        let a = if self.cc > 0.0 { self.xc / self.cc } else { 0.0 };
        let residual = (self.xx - a * self.xc).max(0.0);
        if self.ww <= 0.0 {
            return (a.max(0.0), 0.0);
        }
        let s = (residual / self.ww).sqrt();
        let length = (a * a * self.cc + 2.0 * a * s * self.cw + s * s * self.ww).max(0.0).sqrt();
        let whole = if length > 1e-9 { self.xx.sqrt() / length } else { 0.0 };
        ((a * whole).max(0.0), s * whole)
    }

    /// The distance of pairs from `best` as a quadratic form: its entries for `n n`, `n g` and `g g`.
    fn form(&self, best: (f64, f64)) -> Form {
        let weight = f64::from(RADIAL_WEIGHT);
        let along = (best.0 * self.cc + best.1 * self.cw, best.0 * self.cw + best.1 * self.ww);
        Form {
            nn: self.cc + weight * along.0 * along.0,
            ng: self.cw + weight * along.0 * along.1,
            gg: self.ww + weight * along.1 * along.1,
        }
    }
}

/// A quadratic form in the space of pairs.
#[derive(Clone, Copy)]
struct Form {
    nn: f64,
    ng: f64,
    gg: f64,
}

impl Form {
    fn distance(&self, a: (f64, f64), b: (f64, f64)) -> f64 {
        let (n, g) = (a.0 - b.0, a.1 - b.1);
        n * n * self.nn + 2.0 * n * g * self.ng + g * g * self.gg
    }
}

/// Rounds of the codebook's training; it moves little after ten.
const ROUNDS: usize = 20;

/// Trains `entries` pairs on held-out vectors; ascending by gain.
pub fn train_pairs(stats: &[Stats], entries: usize) -> Vec<(f64, f64)> {
    let best: Vec<(f64, f64)> = stats.iter().map(Stats::best_pair).collect();
    let forms: Vec<Form> = stats.iter().zip(&best).map(|(s, &best)| s.form(best)).collect();
    let mut order: Vec<usize> = (0..stats.len()).collect();
    order.sort_by(|&a, &b| best[a].1.total_cmp(&best[b].1).then(best[a].0.total_cmp(&best[b].0)).then(a.cmp(&b)));
    let mut group = vec![0; stats.len()];
    for (rank, &i) in order.iter().enumerate() {
        group[i] = rank * entries / order.len();
    }
    let mut pairs = vec![(1.0, 0.0); entries];
    for _ in 0..ROUNDS {
        let mut sums = vec![WeightedMean::default(); entries];
        for ((form, &best), &g) in forms.iter().zip(&best).zip(&group) {
            sums[g].add(form, best);
        }
        for (pair, sum) in pairs.iter_mut().zip(&sums) {
            *pair = sum.pair().unwrap_or(*pair);
        }
        for ((form, &best), g) in forms.iter().zip(&best).zip(&mut group) {
            *g = nearest(&pairs, |pair| form.distance(pair, best));
        }
    }
    pairs.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.total_cmp(&b.0)));
    pairs
}

/// The pair nearest to a group's best pairs: the mean, weighted by each vector's form.
#[derive(Clone, Copy, Default)]
struct WeightedMean {
    nn: f64,
    ng: f64,
    gg: f64,
    n: f64,
    g: f64,
}

impl WeightedMean {
    fn add(&mut self, form: &Form, (n, g): (f64, f64)) {
        self.nn += form.nn;
        self.ng += form.ng;
        self.gg += form.gg;
        self.n += form.nn * n + form.ng * g;
        self.g += form.ng * n + form.gg * g;
    }

    fn pair(&self) -> Option<(f64, f64)> {
        let det = self.nn * self.gg - self.ng * self.ng;
        if self.nn <= 0.0 {
            None
        } else if self.gg <= 0.0 || det <= 1e-9 * self.nn * self.gg {
            Some((self.n / self.nn, 0.0))
        } else {
            let n = (self.n * self.gg - self.g * self.ng) / det;
            let g = (self.g * self.nn - self.n * self.ng) / det;
            Some((n.max(0.0), g.max(0.0)))
        }
    }
}

/// Trains `entries` centroid_weights on the inverse lengths of ColBERTv2's reconstructions; ascending.
pub fn train_centroid_weights(inverse_lengths: &mut [f64], entries: usize) -> Vec<f64> {
    inverse_lengths.sort_by(f64::total_cmp);
    let n = inverse_lengths.len();
    let mut centroid_weights: Vec<f64> =
        (0..entries).map(|e| inverse_lengths[(2 * e + 1) * n / (2 * entries)]).collect();
    for _ in 0..ROUNDS {
        let (mut sums, mut counts) = (vec![0.0; entries], vec![0.0; entries]);
        for &x in inverse_lengths.iter() {
            let e = nearest(&centroid_weights, |norm| (x - norm).abs());
            sums[e] += x;
            counts[e] += 1.0;
        }
        for e in 0..entries {
            if counts[e] > 0.0 {
                centroid_weights[e] = sums[e] / counts[e];
            }
        }
    }
    centroid_weights
}

fn nearest<T: Copy>(entries: &[T], error: impl Fn(T) -> f64) -> usize {
    let mut best = (f64::INFINITY, 0);
    for (i, &entry) in entries.iter().enumerate() {
        let e = error(entry);
        if e < best.0 {
            best = (e, i);
        }
    }
    best.1
}

/// Rounds reals to integers of at most `limit`, and gives the size of one step, which is `least_unit` or more.
pub fn to_integers(values: &[f64], limit: u8, least_unit: f32) -> (Vec<u8>, f32) {
    let max = values.iter().fold(0f64, |m, &v| m.max(v));
    let unit = ((max / f64::from(limit)) as f32).max(least_unit);
    // Zeros have no step of their own.
    let unit = if unit > 0.0 { unit } else { 1.0 / f32::from(limit) };
    let round = |v: &f64| (v / f64::from(unit)).round().clamp(0.0, f64::from(limit)) as u8;
    (values.iter().map(round).collect(), unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The best pair puts back a vector of the right length, with its parts in proportion.
    #[test]
    fn best_pair_keeps_length_and_proportion() {
        let x = [0.6f32, 0.0, 0.64, 0.48];
        let (c, w) = ([1.0f32, 0.0, 0.0, 0.0], [0i8, 0, 2, 1]);
        let s = Stats::new(&x, &c, &w);
        let (n, g) = s.best_pair();
        let back: Vec<f64> = (0..4).map(|d| n * f64::from(c[d]) + g * f64::from(w[d])).collect();
        let length = back.iter().map(|v| v * v).sum::<f64>().sqrt();
        assert!((length - s.xx.sqrt()).abs() < 1e-9);
        assert!((back[0] - 0.6).abs() < 1e-6, "orthogonal parts need no correction");
    }

    /// With as many pairs as kinds of vector, each kind gets its own.
    #[test]
    fn pairs_settle_on_the_kinds_there_are() {
        let kind = |angle: f64| Stats { xx: 1.0, xc: angle.cos(), cc: 1.0, cw: 0.0, ww: 128.0 };
        let angles = [0.2, 0.5, 0.9, 1.2];
        let stats: Vec<Stats> = (0..400).map(|i| kind(angles[i % 4])).collect();
        let pairs = train_pairs(&stats, 4);
        for (pair, angle) in pairs.iter().zip(angles) {
            assert!((pair.0 - angle.cos()).abs() < 1e-6 && (pair.1 - angle.sin() / 128f64.sqrt()).abs() < 1e-6);
        }
    }

    /// The mean of pairs, weighted by forms of which one leans left and one right, can lie outside the quadrant.
    #[test]
    fn no_norm_and_no_gain_is_negative() {
        let along_centroid = |length: f64, cw| Stats { xx: length * length, xc: length, cc: 1.0, cw, ww: 1.0 };
        let across = |length: f64, cw| Stats { xx: length * length, xc: 0.0, cc: 1.0, cw, ww: 1.0 };
        for (kind, expected) in [
            ("gain", [along_centroid(1.0, -0.9), along_centroid(0.2, 0.9)]),
            ("norm", [across(1.0, -0.9), across(0.2, 0.9)]),
        ] {
            let (norm, gain) = train_pairs(&expected, 1)[0];
            assert!(norm >= 0.0 && gain >= 0.0 && norm.min(gain) == 0.0, "{kind}: {norm}, {gain}");
        }
        let opposite = Stats { xx: 1.0, xc: -1.0, cc: 1.0, cw: 0.0, ww: 1.0 };
        assert_eq!(opposite.best_pair(), (0.0, 0.0));
    }

    #[test]
    fn integers_keep_their_ratios() {
        let (integers, unit) = to_integers(&[0.5, 1.0, 0.25], 200, 0.0);
        assert_eq!(integers, [100, 200, 50]);
        assert!((f64::from(unit) - 0.005).abs() < 1e-9);
    }

    #[test]
    fn a_step_is_no_smaller_than_the_least() {
        assert_eq!(to_integers(&[0.5, 1.0, 0.25], 200, 0.125), (vec![4, 8, 2], 0.125));
        assert_eq!(to_integers(&[0.0, 0.0], 200, 0.125), (vec![0, 0], 0.125));
        assert_eq!(to_integers(&[0.0, 0.0], 200, 0.0), (vec![0, 0], 0.005));
    }
}
