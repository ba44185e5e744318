//! `exp` and `erf` in f32 as short polynomials: loops over them compile to vector code, unlike calls of libm.
//!
//! `FUSED`: whether the instruction set has a fused multiply-add. Without one, `f32::mul_add` would be a call of libm.

/// Computes `a b + c`, rounded once if `FUSED`, else twice.
#[inline(always)]
fn mul_add<const FUSED: bool>(a: f32, b: f32, c: f32) -> f32 {
    if FUSED { a.mul_add(b, c) } else { a * b + c }
}

/// Computes `exp(x)`, with `x` clamped to -87..=88; relative error below 2e-7.
///
/// x = n ln 2 + r with |r| <= ln 2 / 2; a polynomial gives exp(r), the exponent's bits give 2^n (Cephes `expf`).
#[inline(always)]
pub fn exp<const FUSED: bool>(x: f32) -> f32 {
    /// 1.5 * 2^23: adding it rounds to an integer, which is then in the low bits.
    const MAGIC: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let x = x.clamp(-87.0, 88.0);
    let shifted = mul_add::<FUSED>(x, std::f32::consts::LOG2_E, MAGIC);
    let n = shifted - MAGIC;
    let r = mul_add::<FUSED>(n, -LN_2_LOW, mul_add::<FUSED>(n, -LN_2_HIGH, x));
    let mut p = 1.987_569_1e-4;
    p = mul_add::<FUSED>(p, r, 1.398_199_9e-3);
    p = mul_add::<FUSED>(p, r, 8.333_452e-3);
    p = mul_add::<FUSED>(p, r, 4.166_579_6e-2);
    p = mul_add::<FUSED>(p, r, 0.166_666_65);
    p = mul_add::<FUSED>(p, r, 0.5);
    let exponent = shifted.to_bits().wrapping_sub(MAGIC.to_bits()).wrapping_add(127) << 23;
    (mul_add::<FUSED>(p * r, r, r) + 1.0) * f32::from_bits(exponent)
}

/// Computes `erf(x)`, absolute error below 5e-7: a minimax ratio of polynomials in x^2 on -4..=4, outside of which erf
/// is +-1 in f32.
#[inline(always)]
pub fn erf<const FUSED: bool>(x: f32) -> f32 {
    let x = x.clamp(-4.0, 4.0);
    let x2 = x * x;
    let mut p = -2.726_142_3e-10;
    p = mul_add::<FUSED>(p, x2, 2.770_681_4e-8);
    p = mul_add::<FUSED>(p, x2, -2.101_024e-6);
    p = mul_add::<FUSED>(p, x2, -5.692_506_4e-5);
    p = mul_add::<FUSED>(p, x2, -7.349_906_3e-4);
    p = mul_add::<FUSED>(p, x2, -2.954_6e-3);
    p = mul_add::<FUSED>(p, x2, -1.609_603_3e-2);
    let mut q = -1.456_607_2e-5;
    q = mul_add::<FUSED>(q, x2, -2.133_740_6e-4);
    q = mul_add::<FUSED>(q, x2, -1.682_827e-3);
    q = mul_add::<FUSED>(q, x2, -7.373_329e-3);
    q = mul_add::<FUSED>(q, x2, -1.426_473_9e-2);
    x * p / q
}

/// Computes `tanh(x)`, absolute error below 3e-7.
#[inline(always)]
pub fn tanh<const FUSED: bool>(x: f32) -> f32 {
    // Near zero the difference below cancels, so the Taylor series is used.
    let x2 = x * x;
    let series = x * (1.0 + x2 * (-1.0 / 3.0 + x2 * (2.0 / 15.0 - x2 * (17.0 / 315.0))));
    let ratio = 1.0 - 2.0 / (exp::<FUSED>(2.0 * x.clamp(-40.0, 40.0)) + 1.0);
    if x2 < 0.04 { series } else { ratio }
}

/// Computes `1 / (1 + exp(-x))`, absolute error below 2e-7.
#[inline(always)]
pub fn sigmoid<const FUSED: bool>(x: f32) -> f32 {
    1.0 / (1.0 + exp::<FUSED>(-x))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks a function with and without fused multiply-adds.
    macro_rules! each {
        ($f:ident, $x:expr, $check:expr) => {
            for y in [$f::<false>($x), $f::<true>($x)] {
                assert!($check(f64::from(y)), "{} {}", stringify!($f), $x);
            }
        };
    }

    fn points() -> impl Iterator<Item = f32> {
        (-40_000..=40_000).map(|i| i as f32 * 5e-4)
    }

    /// erf by its Taylor series, in f64.
    fn erf_f64(x: f64) -> f64 {
        let mut term = x;
        let mut sum = x;
        for n in 1..200 {
            term *= -x * x / f64::from(n);
            sum += term / f64::from(2 * n + 1);
        }
        sum * 2.0 / std::f64::consts::PI.sqrt()
    }

    #[test]
    fn exp_and_tanh_and_sigmoid_are_close() {
        for x in points() {
            let exact = f64::from(x).exp();
            each!(exp, x, |y: f64| ((y - exact) / exact).abs() < 2e-7);
            each!(tanh, x, |y: f64| (y - f64::from(x).tanh()).abs() < 3e-7);
            each!(sigmoid, x, |y: f64| (y - 1.0 / (1.0 + (-f64::from(x)).exp())).abs() < 2e-7);
        }
        each!(exp, -1e30, |y| y < 1e-37);
        each!(exp, f32::NEG_INFINITY, |y| y < 1e-37);
    }

    #[test]
    fn erf_is_close() {
        for x in points().filter(|x| x.abs() <= 4.5) {
            each!(erf, x, |y: f64| (y - erf_f64(f64::from(x))).abs() < 5e-7);
        }
        each!(erf, 20.0, |y: f64| (y - 1.0).abs() < 2e-7);
        each!(erf, -20.0, |y: f64| (y + 1.0).abs() < 2e-7);
    }
}
