//! Fit of a law: the sum of known terms with coefficients of at least 0 that misses the measurements least, relative to
//! each.
//!
//! A bound of 0 keeps a law sensible far beyond its measurements. There are at most [`MOST_TERMS`] terms, so that every
//! set of terms that may be above 0 is tried: the best of the feasible ones is the exact optimum.

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
        let relative: Vec<Terms> = points.iter().map(|(terms, figure)| terms.map(|term| term / figure)).collect();
        let sets = 1..1u32 << MOST_TERMS;
        let candidates = sets.filter_map(|set| solve(&relative, set));
        let best = candidates.min_by(|a, b| misses(&relative, a).total_cmp(&misses(&relative, b)));
        Self(best.unwrap_or_default())
    }

    /// Figure at a point.
    pub(super) fn at(&self, terms: &Terms) -> f64 {
        dot(&self.0, terms)
    }
}

fn dot(a: &Terms, b: &Terms) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Sum of the squares of the relative misses.
fn misses(relative: &[Terms], law: &Terms) -> f64 {
    relative.iter().map(|terms| (dot(law, terms) - 1.0).powi(2)).sum()
}

/// Least squares with the terms of `set` alone; `None` if a coefficient is negative or the terms depend on each other.
fn solve(relative: &[Terms], set: u32) -> Option<Terms> {
    let used: Vec<usize> = (0..MOST_TERMS).filter(|&term| set & (1 << term) != 0).collect();
    // Terms differ by many powers of ten: each is scaled to length 1.
    let lengths: Vec<f64> = used.iter().map(|&t| relative.iter().map(|row| row[t] * row[t]).sum::<f64>().sqrt()).collect();
    if lengths.iter().any(|&length| length == 0.0) {
        return None;
    }
    let scaled = |row: &Terms, i: usize| row[used[i]] / lengths[i];
    // Normal equations, with the right side in the last column.
    let mut system: Vec<Vec<f64>> = (0..used.len())
        .map(|i| {
            let left = (0..used.len()).map(|j| relative.iter().map(|row| scaled(row, i) * scaled(row, j)).sum());
            left.chain([relative.iter().map(|row| scaled(row, i)).sum()]).collect()
        })
        .collect();
    eliminate(&mut system)?;
    let mut law = Terms::default();
    for (i, &term) in used.iter().enumerate() {
        law[term] = system[i][used.len()] / system[i][i] / lengths[i];
    }
    law.iter().all(|&coefficient| coefficient >= 0.0).then_some(law)
}

/// Gauss-Jordan elimination with pivots; `None` if the system is singular.
fn eliminate(system: &mut [Vec<f64>]) -> Option<()> {
    for column in 0..system.len() {
        let pivot = (column..system.len()).max_by(|&a, &b| system[a][column].abs().total_cmp(&system[b][column].abs()))?;
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
