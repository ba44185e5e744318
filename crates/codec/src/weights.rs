//! Codebook of weights: pairs of small integers, one pair per weight index (16 by default, 32 at 2 bits).
//!
//! An embedding `x` with centroid `c` and levels `w` is decoded as `y = alpha * c + beta * w`, where `alpha` is its
//! centroid weight and `beta` its residual weight. The best pair for one embedding keeps the proportion of the two
//! parts and the length of `x`:
//!
//! ```text
//! t = <x, c> / <c, c>        s = |x - t c| / |w|
//! (alpha*, beta*) = (t, s) * |x| / |t c + s w|
//! ```
//!
//! `s` keeps the length of the residual. It is the geometric mean of the least-squares factor, which shrinks the
//! residual, and the unbiased factor, which stretches it. Least squares has the smaller error and the worse ranking:
//! MaxSim takes maxima, and shrunken vectors lose them.
//!
//! For unit vectors `x` and `c` the pair `(t, |x - t c|)` is on the unit circle, so the best pairs are near one curve,
//! and a few jointly trained pairs keep most of the quality of two floats per embedding (table in the crate's README).
//!
//! Training is a k-means in the space of pairs. The distance of a pair from the best one measures how it
//! changes the vector `y` that the best pair decodes:
//!
//! ```text
//! |e|^2 + RADIAL_WEIGHT * <e, y>^2        e = (alpha - alpha*) c + (beta - beta*) w
//! ```
//!
//! The second term counts an error along the vector more than an error across it ([`RADIAL_WEIGHT`]).

use selvedge_backend::RADIAL_WEIGHT;

/// Weights of one decoded embedding as real numbers: `y = centroid * c + residual * w`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct WeightPair {
    /// Factor of the centroid, `alpha`.
    pub centroid: f64,
    /// Factor of the levels, `beta`.
    pub residual: f64,
}

/// Inner products that the best [`WeightPair`] of one embedding depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct InnerProducts {
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

impl InnerProducts {
    /// Computes the inner products of embedding `x (D)`, centroid `c (D)` and levels `w (D)`; `w` is empty at 0 bits.
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

    /// Returns the pair `(alpha*, beta*)` that decodes this embedding best, before any rounding.
    pub fn best_pair(&self) -> WeightPair {
        let t = if self.cc > 0.0 { self.xc / self.cc } else { 0.0 };
        if self.ww <= 0.0 {
            return WeightPair { centroid: t.max(0.0), residual: 0.0 };
        }
        let residual = (self.xx - t * self.xc).max(0.0);
        let s = (residual / self.ww).sqrt();
        let length = (t * t * self.cc + 2.0 * t * s * self.cw + s * s * self.ww).max(0.0).sqrt();
        let factor = if length > 1e-9 { self.xx.sqrt() / length } else { 0.0 };
        WeightPair { centroid: (t * factor).max(0.0), residual: s * factor }
    }

    /// Returns the quadratic form that measures the distance of a pair from `best` (see the module docs).
    fn form(&self, best: WeightPair) -> Form {
        let weight = f64::from(RADIAL_WEIGHT);
        let along_centroid = best.centroid * self.cc + best.residual * self.cw;
        let along_levels = best.centroid * self.cw + best.residual * self.ww;
        Form {
            cc: self.cc + weight * along_centroid * along_centroid,
            cr: self.cw + weight * along_centroid * along_levels,
            rr: self.ww + weight * along_levels * along_levels,
        }
    }
}

/// Quadratic form in the space of pairs; `c` stands for the centroid weight, `r` for the residual weight.
#[derive(Clone, Copy)]
struct Form {
    cc: f64,
    cr: f64,
    rr: f64,
}

impl Form {
    fn distance(&self, a: WeightPair, b: WeightPair) -> f64 {
        let (c, r) = (a.centroid - b.centroid, a.residual - b.residual);
        c * c * self.cc + 2.0 * c * r * self.cr + r * r * self.rr
    }
}

/// Rounds of the codebook's training; after ten rounds the pairs hardly move.
const ROUNDS: usize = 20;

/// Trains `entries` pairs on held-out embeddings; the pairs ascend by residual weight.
pub fn train_pairs(stats: &[InnerProducts], entries: usize) -> Vec<WeightPair> {
    let by_residual =
        |a: &WeightPair, b: &WeightPair| a.residual.total_cmp(&b.residual).then(a.centroid.total_cmp(&b.centroid));
    let best: Vec<WeightPair> = stats.iter().map(InnerProducts::best_pair).collect();
    let forms: Vec<Form> = stats.iter().zip(&best).map(|(s, &best)| s.form(best)).collect();
    let mut order: Vec<usize> = (0..stats.len()).collect();
    order.sort_by(|&a, &b| by_residual(&best[a], &best[b]).then(a.cmp(&b)));
    let mut group = vec![0; stats.len()];
    for (rank, &i) in order.iter().enumerate() {
        group[i] = rank * entries / order.len();
    }
    let mut pairs = vec![WeightPair { centroid: 1.0, residual: 0.0 }; entries];
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
    pairs.sort_by(by_residual);
    pairs
}

/// Mean of a group's best pairs, weighted by the form of each embedding: the pair with the least summed distance.
#[derive(Clone, Copy, Default)]
struct WeightedMean {
    cc: f64,
    cr: f64,
    rr: f64,
    c: f64,
    r: f64,
}

impl WeightedMean {
    fn add(&mut self, form: &Form, best: WeightPair) {
        self.cc += form.cc;
        self.cr += form.cr;
        self.rr += form.rr;
        self.c += form.cc * best.centroid + form.cr * best.residual;
        self.r += form.cr * best.centroid + form.rr * best.residual;
    }

    /// Solves the 2 x 2 system; none for an empty group or zero vectors.
    fn pair(&self) -> Option<WeightPair> {
        let det = self.cc * self.rr - self.cr * self.cr;
        if self.cc <= 0.0 {
            None
        } else if self.rr <= 0.0 || det <= 1e-9 * self.cc * self.rr {
            Some(WeightPair { centroid: self.c / self.cc, residual: 0.0 })
        } else {
            let centroid = (self.c * self.rr - self.r * self.cr) / det;
            let residual = (self.r * self.cc - self.c * self.cr) / det;
            Some(WeightPair { centroid: centroid.max(0.0), residual: residual.max(0.0) })
        }
    }
}

/// Trains `entries` centroid weights on the inverse lengths of ColBERTv2's reconstructions; ascending. It sorts
/// `inverse_lengths`.
///
/// # Panics
/// If `inverse_lengths` is empty.
pub fn train_centroid_weights(inverse_lengths: &mut [f64], entries: usize) -> Vec<f64> {
    inverse_lengths.sort_by(f64::total_cmp);
    let n = inverse_lengths.len();
    let mut centroid_weights: Vec<f64> =
        (0..entries).map(|e| inverse_lengths[(2 * e + 1) * n / (2 * entries)]).collect();
    for _ in 0..ROUNDS {
        let (mut sums, mut counts) = (vec![0.0; entries], vec![0.0; entries]);
        for &x in inverse_lengths.iter() {
            let e = nearest(&centroid_weights, |weight| (x - weight).abs());
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

/// Number of the entry with the least error; ties go to the lower one.
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

/// Rounds weights to integers of at most `limit`; returns them with the size of one step, which is at least
/// `least_step`.
pub fn to_integers(weights: &[f64], limit: u8, least_step: f32) -> (Vec<u8>, f32) {
    let max = weights.iter().fold(0f64, |m, &v| m.max(v));
    let step = ((max / f64::from(limit)) as f32).max(least_step);
    // A step of zero breaks the codec's bounds; any positive one fits weights that are all zero.
    let step = if step > 0.0 { step } else { 1.0 / f32::from(limit) };
    let round = |v: &f64| (v / f64::from(step)).round().clamp(0.0, f64::from(limit)) as u8;
    (weights.iter().map(round).collect(), step)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_pair_keeps_length_and_proportion() {
        let x = [0.6f32, 0.0, 0.64, 0.48];
        let (c, w) = ([1.0f32, 0.0, 0.0, 0.0], [0i8, 0, 2, 1]);
        let s = InnerProducts::new(&x, &c, &w);
        let pair = s.best_pair();
        let back: Vec<f64> =
            (0..4).map(|d| pair.centroid * f64::from(c[d]) + pair.residual * f64::from(w[d])).collect();
        let length = back.iter().map(|v| v * v).sum::<f64>().sqrt();
        assert!((length - s.xx.sqrt()).abs() < 1e-9);
        assert!((back[0] - 0.6).abs() < 1e-6, "orthogonal parts need no correction");
    }

    /// With as many pairs as kinds of embedding, each kind gets its own.
    #[test]
    fn pairs_settle_on_the_kinds_there_are() {
        let kind = |angle: f64| InnerProducts { xx: 1.0, xc: angle.cos(), cc: 1.0, cw: 0.0, ww: 128.0 };
        let angles = [0.2, 0.5, 0.9, 1.2];
        let stats: Vec<InnerProducts> = (0..400).map(|i| kind(angles[i % 4])).collect();
        let pairs = train_pairs(&stats, 4);
        for (pair, angle) in pairs.iter().zip(angles) {
            let errors = (pair.centroid - angle.cos(), pair.residual - angle.sin() / 128f64.sqrt());
            assert!(errors.0.abs() < 1e-6 && errors.1.abs() < 1e-6, "{pair:?}");
        }
    }

    /// The weighted mean of pairs can have a negative weight if `<c, w>` is negative for one embedding and positive for
    /// another.
    #[test]
    fn no_weight_is_negative() {
        let along_centroid = |length: f64, cw| InnerProducts { xx: length * length, xc: length, cc: 1.0, cw, ww: 1.0 };
        let across = |length: f64, cw| InnerProducts { xx: length * length, xc: 0.0, cc: 1.0, cw, ww: 1.0 };
        for (kind, stats) in [
            ("residual weight", [along_centroid(1.0, -0.9), along_centroid(0.2, 0.9)]),
            ("centroid weight", [across(1.0, -0.9), across(0.2, 0.9)]),
        ] {
            let WeightPair { centroid, residual } = train_pairs(&stats, 1)[0];
            assert!(
                centroid >= 0.0 && residual >= 0.0 && centroid.min(residual) == 0.0,
                "{kind}: {centroid}, {residual}"
            );
        }
        let opposite = InnerProducts { xx: 1.0, xc: -1.0, cc: 1.0, cw: 0.0, ww: 1.0 };
        assert_eq!(opposite.best_pair(), WeightPair { centroid: 0.0, residual: 0.0 });
    }

    #[test]
    fn integers_keep_their_ratios() {
        let (integers, step) = to_integers(&[0.5, 1.0, 0.25], 200, 0.0);
        assert_eq!(integers, [100, 200, 50]);
        assert!((f64::from(step) - 0.005).abs() < 1e-9);
    }

    #[test]
    fn a_step_is_at_least_the_least_step() {
        assert_eq!(to_integers(&[0.5, 1.0, 0.25], 200, 0.125), (vec![4, 8, 2], 0.125));
        assert_eq!(to_integers(&[0.0, 0.0], 200, 0.125), (vec![0, 0], 0.125));
        assert_eq!(to_integers(&[0.0, 0.0], 200, 0.0), (vec![0, 0], 0.005));
    }
}
