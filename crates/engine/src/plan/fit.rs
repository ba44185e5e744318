//! Fits of laws to measurements, by least squares of the relative misses.
//!
//! [`Law`] is a sum of known terms with coefficients of at least 0, which keeps it sensible far beyond its
//! measurements. There are at most [`MOST_TERMS`] terms, so that every set of terms that may be above 0 is tried: the
//! best of the feasible ones is the exact optimum. [`Power`] is a product of powers, a line in logarithms.

/// Largest number of terms of a law.
pub(super) const MOST_TERMS: usize = 4;

/// Values of a law's terms at one point.
pub(super) type Terms = [f64; MOST_TERMS];

/// Coefficients of a law.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Law(Terms);

impl Law {
    /// The law through points, terms and figure each; figures are above 0.
    pub(super) fn through(points: &[(Terms, f64)]) -> Self {
        let relative: Vec<(Terms, f64)> =
            points.iter().map(|(terms, figure)| (terms.map(|term| term / figure), 1.0)).collect();
        let sets = 1..1u32 << MOST_TERMS;
        let candidates = sets.filter_map(|set| solve(&relative, set));
        let candidates = candidates.filter(|law| law.iter().all(|&coefficient| coefficient >= 0.0));
        let best = candidates.min_by(|a, b| misses(&relative, a).total_cmp(&misses(&relative, b)));
        Self(best.unwrap_or_default())
    }

    /// Figure at a point.
    pub(super) fn at(&self, terms: &Terms) -> f64 {
        dot(&self.0, terms)
    }
}

/// Exponents of a product of powers, and the logarithm of its factor.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Power(pub(super) Terms);

impl Power {
    /// The product through points, the logarithms of its bases and the figure each. A base that is the same at all
    /// points, or depends on the others, gets no exponent.
    pub(super) fn through(points: &[(Terms, f64)]) -> Self {
        let rows: Vec<(Terms, f64)> = points.iter().map(|(logs, figure)| (*logs, figure.ln())).collect();
        // All bases first, then fewer of the last ones.
        let sets = (1..=MOST_TERMS).rev().map(|count| (1 << count) - 1);
        Self(sets.filter_map(|set| solve(&rows, set)).next().unwrap_or_default())
    }

    /// Figure at a point.
    pub(super) fn at(&self, logs: &Terms) -> f64 {
        dot(&self.0, logs).exp()
    }
}

fn dot(a: &Terms, b: &Terms) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Sum of the squares of the misses.
fn misses(rows: &[(Terms, f64)], law: &Terms) -> f64 {
    rows.iter().map(|(terms, target)| (dot(law, terms) - target).powi(2)).sum()
}

/// Least squares with the terms of `set` alone; `None` if they depend on each other.
fn solve(rows: &[(Terms, f64)], set: u32) -> Option<Terms> {
    let used: Vec<usize> = (0..MOST_TERMS).filter(|&term| set & (1 << term) != 0).collect();
    // Terms differ by many powers of ten: each is scaled to length 1.
    let length = |term: usize| rows.iter().map(|(terms, _)| terms[term] * terms[term]).sum::<f64>().sqrt();
    let lengths: Vec<f64> = used.iter().map(|&term| length(term)).collect();
    if lengths.contains(&0.0) {
        return None;
    }
    let scaled = |terms: &Terms, i: usize| terms[used[i]] / lengths[i];
    // Normal equations, with the right side in the last column.
    let mut system: Vec<Vec<f64>> = (0..used.len())
        .map(|i| {
            let left = (0..used.len()).map(|j| rows.iter().map(|(row, _)| scaled(row, i) * scaled(row, j)).sum());
            left.chain([rows.iter().map(|(row, target)| scaled(row, i) * target).sum()]).collect()
        })
        .collect();
    eliminate(&mut system)?;
    let mut law = Terms::default();
    for (i, &term) in used.iter().enumerate() {
        law[term] = system[i][used.len()] / system[i][i] / lengths[i];
    }
    Some(law)
}

/// Gauss-Jordan elimination with pivots; `None` if the system is singular.
fn eliminate(system: &mut [Vec<f64>]) -> Option<()> {
    for column in 0..system.len() {
        let pivot =
            (column..system.len()).max_by(|&a, &b| system[a][column].abs().total_cmp(&system[b][column].abs()))?;
        system.swap(column, pivot);
        if system[column][column].abs() < 1e-12 {
            return None;
        }
        let row = system[column].clone();
        for (_, other) in system.iter_mut().enumerate().filter(|(number, _)| *number != column) {
            let factor = other[column] / row[column];
            other.iter_mut().zip(&row).for_each(|(x, y)| *x -= factor * y);
        }
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(n: f64) -> Terms {
        [1.0, n, n.sqrt(), n * n]
    }

    #[test]
    fn a_law_is_found_again_and_holds_beyond_its_points() {
        let law = |n: f64| 3.0 + 2e-3 * n + 0.5 * n.sqrt();
        let points: Vec<_> = [1e2, 1e3, 1e4, 1e5, 1e6].map(|n| (terms(n), law(n))).to_vec();
        let found = Law::through(&points);
        for n in [10.0, 5e4, 1e9] {
            assert!((found.at(&terms(n)) / law(n) - 1.0).abs() < 1e-3, "{n}: {found:?}");
        }
    }

    #[test]
    fn a_product_of_powers_is_found_again() {
        let point = |n: f64, l: f64| ([1.0, n.ln(), l.ln(), 0.0], 0.02 * n.powf(0.4) * l.powf(0.1));
        let points: Vec<_> = [(1e3, 16.0), (1e4, 60.0), (1e5, 16.0), (1e6, 60.0)].map(|(n, l)| point(n, l)).to_vec();
        let (far, expected) = point(1e8, 30.0);
        assert!((Power::through(&points).at(&far) / expected - 1.0).abs() < 1e-6);
        // A base that never changes has no exponent that could be found.
        let points: Vec<_> = [1e3, 1e4, 1e5].map(|n| point(n, 16.0)).to_vec();
        let (far, expected) = point(1e8, 16.0);
        let found = Power::through(&points);
        assert!(found.0[2] == 0.0 && (found.at(&far) / expected - 1.0).abs() < 1e-6, "{found:?}");
    }

    #[test]
    fn no_coefficient_is_negative_and_misses_are_relative() {
        // A line through the first and the last point would begin below 0.
        let points: Vec<_> = [(1.0, 1.0), (10.0, 5.0), (100.0, 200.0)].map(|(n, y)| ([1.0, n, 0.0, 0.0], y)).to_vec();
        let found = Law::through(&points);
        assert!(found.0.iter().all(|&c| c >= 0.0), "{found:?}");
        // Two points that no law can have both: of 1 and 3, the least relative misses are at 1.2, not at 2.
        let found = Law::through(&[([1.0, 0.0, 0.0, 0.0], 1.0), ([1.0, 0.0, 0.0, 0.0], 3.0)]);
        assert!((found.at(&[1.0, 0.0, 0.0, 0.0]) - 1.2).abs() < 1e-9, "{found:?}");
    }
}
