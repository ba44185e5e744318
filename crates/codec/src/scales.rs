//! The codebook of scales: 16 pairs of small integers, one of which every vector names in half a byte.
//!
//! A vector is put back as `n * c + g * w` (centroid, levels). For unit `x` the best `(n, g)` differ
//! from vector to vector: `g` follows the residual's length, and `n` makes up for the length that
//! quantization took away. Both depend almost on one thing, how far `x` lies from its centroid, so a
//! joint codebook of 16 pairs keeps nearly all of what two floats would give.
//!
//! Training minimizes the summed error `|x - n c - g w|^2`, which each vector's six inner products
//! ([`Stats`]) determine: a k-means in the space of pairs, with that quadratic form as the distance.

/// What a vector's error depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// `<x, c>`.
    pub xc: f64,
    /// `<x, w>`.
    pub xw: f64,
    /// `<c, c>`.
    pub cc: f64,
    /// `<c, w>`.
    pub cw: f64,
    /// `<w, w>`.
    pub ww: f64,
}

impl Stats {
    /// Stats of one vector: `x`, `c` and `w`, each `(D)`.
    pub fn new(x: &[f32], c: &[f32], w: &[i8]) -> Self {
        let mut s = Self::default();
        for (i, (&x, &c)) in x.iter().zip(c).enumerate() {
            let (x, c) = (f64::from(x), f64::from(c));
            let w = w.get(i).map_or(0.0, |&w| f64::from(w));
            s.xc += x * c;
            s.xw += x * w;
            s.cc += c * c;
            s.cw += c * w;
            s.ww += w * w;
        }
        s
    }

    /// `|x - n c - g w|^2 - |x|^2`.
    pub fn error(&self, (n, g): (f64, f64)) -> f64 {
        n * n * self.cc + 2.0 * n * g * self.cw + g * g * self.ww - 2.0 * (n * self.xc + g * self.xw)
    }

    fn add(&mut self, other: &Self) {
        self.xc += other.xc;
        self.xw += other.xw;
        self.cc += other.cc;
        self.cw += other.cw;
        self.ww += other.ww;
    }

    /// The pair with the least error (summed stats: the least summed error).
    fn best_pair(&self) -> (f64, f64) {
        let det = self.cc * self.ww - self.cw * self.cw;
        if self.ww <= 0.0 || det <= 1e-9 * self.cc * self.ww {
            return (if self.cc > 0.0 { self.xc / self.cc } else { 1.0 }, 0.0);
        }
        let n = (self.xc * self.ww - self.xw * self.cw) / det;
        let g = (self.xw * self.cc - self.xc * self.cw) / det;
        (n.max(0.0), g.max(0.0))
    }
}

/// Rounds of the codebook's training; it moves little after ten.
const ROUNDS: usize = 20;

/// Trains `entries` pairs on held-out vectors; ascending by gain.
pub fn train_pairs(stats: &[Stats], entries: usize) -> Vec<(f64, f64)> {
    let mut order: Vec<(f64, usize)> = stats.iter().enumerate().map(|(i, s)| (s.best_pair().1, i)).collect();
    order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
    let mut group: Vec<usize> = vec![0; stats.len()];
    for (rank, &(_, i)) in order.iter().enumerate() {
        group[i] = rank * entries / order.len();
    }
    let mut pairs = vec![(1.0, 0.0); entries];
    for _ in 0..ROUNDS {
        let mut sums = vec![Stats::default(); entries];
        for (s, &g) in stats.iter().zip(&group) {
            sums[g].add(s);
        }
        for (pair, sum) in pairs.iter_mut().zip(&sums) {
            if sum.cc > 0.0 {
                *pair = sum.best_pair();
            }
        }
        for (s, g) in stats.iter().zip(&mut group) {
            *g = nearest(&pairs, |pair| s.error(pair));
        }
    }
    pairs.sort_by(|a, b| a.1.total_cmp(&b.1).then(a.0.total_cmp(&b.0)));
    pairs
}

/// Trains `entries` norms on the inverse lengths of ColBERTv2's reconstructions; ascending.
pub fn train_norms(inverse_norms: &mut [f64], entries: usize) -> Vec<f64> {
    inverse_norms.sort_by(f64::total_cmp);
    let n = inverse_norms.len();
    let mut norms: Vec<f64> = (0..entries).map(|e| inverse_norms[(2 * e + 1) * n / (2 * entries)]).collect();
    for _ in 0..ROUNDS {
        let (mut sums, mut counts) = (vec![0.0; entries], vec![0.0; entries]);
        for &x in inverse_norms.iter() {
            let e = nearest(&norms, |norm| (x - norm).abs());
            sums[e] += x;
            counts[e] += 1.0;
        }
        for e in 0..entries {
            if counts[e] > 0.0 {
                norms[e] = sums[e] / counts[e];
            }
        }
    }
    norms
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

/// Rounds reals to integers of at most `limit` and gives the size of one step.
pub fn to_integers(values: &[f64], limit: u8) -> (Vec<u8>, f32) {
    let max = values.iter().fold(0f64, |m, &v| m.max(v));
    let unit = if max > 0.0 { (max / f64::from(limit)) as f32 } else { 1.0 / f32::from(limit) };
    let round = |v: &f64| (v / f64::from(unit)).round().clamp(0.0, f64::from(limit)) as u8;
    (values.iter().map(round).collect(), unit)
}
