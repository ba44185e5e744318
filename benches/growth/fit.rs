//! Fit of a power law: least squares of `ln y` over `ln x`.

/// Power law `y = factor * x^exponent`.
#[derive(Clone, Copy, Debug)]
pub struct Fit {
    pub exponent: f64,
    pub factor: f64,
    /// Share of the variance of `ln y` that the line explains.
    pub r2: f64,
}

impl Fit {
    /// Returns the power law nearest to `points`, or `None` for fewer than two values of x.
    pub fn through(points: &[(f64, f64)]) -> Option<Self> {
        let n = points.len() as f64;
        let logs: Vec<(f64, f64)> = points.iter().map(|&(x, y)| (x.ln(), y.ln())).collect();
        let mean = |of: &dyn Fn(&(f64, f64)) -> f64| logs.iter().map(of).sum::<f64>() / n;
        let (x, y) = (mean(&|p| p.0), mean(&|p| p.1));
        let (xx, xy, yy) =
            (mean(&|p| (p.0 - x).powi(2)), mean(&|p| (p.0 - x) * (p.1 - y)), mean(&|p| (p.1 - y).powi(2)));
        let exponent = xy / xx;
        let r2 = if yy > 0.0 { exponent * xy / yy } else { 1.0 };
        (xx > 0.0 && exponent.is_finite()).then(|| Self { exponent, factor: (y - exponent * x).exp(), r2 })
    }

    /// Returns the value of the law at `x`.
    pub fn at(&self, x: f64) -> f64 {
        self.factor * x.powf(self.exponent)
    }
}
