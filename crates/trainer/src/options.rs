//! Options of a run, and their ranges.

use crate::adamw::AdamWOptions;
use crate::error::{Error, Result};
use crate::params::StoredAs;

/// Maximum number of examples per batch. At this size, with one passage per query, the scores of all queries with all
/// passages of a batch take 1 GiB.
pub const MAX_BATCH: usize = 1 << 14;

/// Name in [`Error::BadOption`] of the weights of the losses, of which at least one is above 0.
pub const LOSS_WEIGHTS: &str = "divergence, in_batch, tokens";

/// Weight of each loss; 0 leaves it out.
#[derive(Debug, Clone, Copy)]
pub struct Losses {
    /// Weight of `KL(teacher || student)` over a query's own passages if they have scores, else over the passages of
    /// the batch, scored by the teacher.
    pub divergence: f64,
    /// Weight of the cross entropy of a query's first passage among the passages of the batch.
    pub in_batch: f64,
    /// Divisor of the scores in the in-batch loss.
    pub temperature: f64,
    /// Weight of `1 - cos` between the student's and the teacher's embedding of each token.
    pub tokens: f64,
}

/// Options of [`train`](crate::train).
#[derive(Debug, Clone)]
pub struct TrainOptions {
    /// Number of examples per batch.
    pub batch: usize,
    /// Number of batches per step, whose gradients are averaged.
    pub accumulate: usize,
    /// Number of steps.
    pub steps: u64,
    /// Maximum learning rate.
    pub rate: f64,
    /// Share of the steps over which the rate rises to its maximum; it falls to 0 over the rest.
    pub warm_up: f64,
    /// Weights of the losses.
    pub losses: Losses,
    /// Constants of the optimizer.
    pub adamw: AdamWOptions,
    /// Seed of the order of examples.
    pub seed: u64,
    /// Number of steps between checkpoints; 0 saves one after the last step only.
    pub save_every: u64,
    /// Number format of the trained weights; the checkpoints of unfinished runs are in f32.
    pub stored_as: StoredAs,
}

impl TrainOptions {
    /// Checks that every option is in its range, and that the examples of the run can be counted in 64 bits.
    ///
    /// # Errors
    /// [`Error::BadOption`] with the first option that is out of range.
    pub fn check(&self) -> Result<()> {
        let Losses { divergence, in_batch, temperature, tokens } = self.losses;
        let AdamWOptions { beta1, beta2, eps, weight_decay, clip } = self.adamw;
        check("batch", self.batch, (1..=MAX_BATCH).contains(&self.batch), "expected 1 to 16384")?;
        check("accumulate", self.accumulate, self.accumulate > 0, "expected at least 1")?;
        check("steps", self.steps, self.steps > 0, "expected at least 1")?;
        let examples = (self.batch as u64).checked_mul(self.accumulate as u64);
        let examples = examples.and_then(|examples| examples.checked_mul(self.steps));
        let product = format!("{} * {} * {}", self.batch, self.accumulate, self.steps);
        check("batch * accumulate * steps", product, examples.is_some(), "expected less than 2^64")?;

        let is_weight = |value: f64| value.is_finite() && value >= 0.0;
        let is_positive = |value: f64| value.is_finite() && value > 0.0;
        check("rate", self.rate, is_positive(self.rate), POSITIVE)?;
        check("warm_up", self.warm_up, (0.0..=1.0).contains(&self.warm_up), "expected 0 to 1")?;
        check("divergence", divergence, is_weight(divergence), WEIGHT)?;
        check("in_batch", in_batch, is_weight(in_batch), WEIGHT)?;
        check("tokens", tokens, is_weight(tokens), WEIGHT)?;
        let weights = format!("{divergence}, {in_batch}, {tokens}");
        let has_loss = divergence > 0.0 || in_batch > 0.0 || tokens > 0.0;
        check(LOSS_WEIGHTS, weights, has_loss, "expected one above 0: nothing would be learned")?;
        check("temperature", temperature, is_positive(temperature), POSITIVE)?;
        check("beta1", beta1, (0.0..1.0).contains(&beta1), "expected at least 0 and less than 1")?;
        check("beta2", beta2, (0.0..1.0).contains(&beta2), "expected at least 0 and less than 1")?;
        check("eps", eps, is_positive(eps), POSITIVE)?;
        check("weight_decay", weight_decay, is_weight(weight_decay), WEIGHT)?;
        check("clip", clip, clip > 0.0, "expected a number above 0; infinity turns clipping off")
    }
}

const POSITIVE: &str = "expected a finite number above 0";
const WEIGHT: &str = "expected a finite number of at least 0";

fn check(option: &'static str, value: impl std::fmt::Display, is_valid: bool, reason: &'static str) -> Result<()> {
    if is_valid { Ok(()) } else { Err(Error::BadOption { option, value: value.to_string(), reason }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn valid() -> TrainOptions {
        TrainOptions {
            batch: 2,
            accumulate: 1,
            steps: 3,
            rate: 0.01,
            warm_up: 0.0,
            losses: Losses { divergence: 1.0, in_batch: 0.0, temperature: 1.0, tokens: 0.0 },
            adamw: AdamWOptions::default(),
            seed: 7,
            save_every: 2,
            stored_as: StoredAs::F32,
        }
    }

    #[test]
    fn an_option_out_of_range_is_named_with_its_value() {
        valid().check().unwrap();
        TrainOptions { batch: MAX_BATCH, save_every: 0, ..valid() }.check().unwrap();
        let adamw = |change: fn(&mut AdamWOptions)| {
            let mut options = valid();
            change(&mut options.adamw);
            options
        };
        let losses = |change: fn(&mut Losses)| {
            let mut options = valid();
            change(&mut options.losses);
            options
        };
        adamw(|adamw| adamw.clip = f64::INFINITY).check().unwrap();
        for (options, name, text) in [
            (TrainOptions { batch: 0, ..valid() }, "batch", "0"),
            (TrainOptions { batch: MAX_BATCH + 1, ..valid() }, "batch", "16385"),
            (TrainOptions { accumulate: 0, ..valid() }, "accumulate", "0"),
            (TrainOptions { steps: 0, ..valid() }, "steps", "0"),
            (TrainOptions { steps: 1 << 63, ..valid() }, "batch * accumulate * steps", "2 * 1 * 9223372036854775808"),
            (TrainOptions { rate: f64::NAN, ..valid() }, "rate", "NaN"),
            (TrainOptions { rate: f64::INFINITY, ..valid() }, "rate", "inf"),
            (TrainOptions { rate: 0.0, ..valid() }, "rate", "0"),
            (TrainOptions { warm_up: 1.5, ..valid() }, "warm_up", "1.5"),
            (losses(|losses| losses.divergence = -1.0), "divergence", "-1"),
            (losses(|losses| losses.in_batch = f64::NAN), "in_batch", "NaN"),
            (losses(|losses| losses.tokens = f64::INFINITY), "tokens", "inf"),
            (losses(|losses| losses.divergence = 0.0), "divergence, in_batch, tokens", "0, 0, 0"),
            (losses(|losses| losses.temperature = 0.0), "temperature", "0"),
            (adamw(|adamw| adamw.beta1 = 1.0), "beta1", "1"),
            (adamw(|adamw| adamw.beta2 = -0.5), "beta2", "-0.5"),
            (adamw(|adamw| adamw.eps = 0.0), "eps", "0"),
            (adamw(|adamw| adamw.weight_decay = f64::NAN), "weight_decay", "NaN"),
            (adamw(|adamw| adamw.clip = -1.0), "clip", "-1"),
            (adamw(|adamw| adamw.clip = f64::NAN), "clip", "NaN"),
        ] {
            match options.check() {
                Err(Error::BadOption { option, value, .. }) => assert_eq!((option, value.as_str()), (name, text)),
                other => panic!("{name} {text}: {other:?}"),
            }
        }
    }
}
