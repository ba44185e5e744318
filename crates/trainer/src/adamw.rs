//! AdamW (Loshchilov and Hutter, 2019), with clipped gradients.
//!
//! ```text
//! g = gradient * min(1, clip / |gradients|)
//! m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2
//! p = p - rate * decay * p - rate * (m / (1 - b1^t)) / (sqrt(v / (1 - b2^t)) + eps)
//! ```

use std::collections::BTreeMap;

use candle_core::{Tensor, Var, backprop::GradStore};

use crate::error::Result;
use crate::params::{Params, tensor};

/// Constants of AdamW.
#[derive(Debug, Clone, Copy)]
pub struct AdamWOptions {
    /// Decay of the running mean of the gradient.
    pub beta1: f64,
    /// Decay of the running mean of the gradient's square.
    pub beta2: f64,
    /// Term that is added to the divisor, the root of the running mean of the square.
    pub eps: f64,
    /// Weight decay of matrices; biases and the weights of norms do not decay.
    pub weight_decay: f64,
    /// Maximum norm of the gradient of all weights; a gradient with a larger norm is scaled down to it.
    pub clip: f64,
}

impl Default for AdamWOptions {
    fn default() -> Self {
        Self { beta1: 0.9, beta2: 0.999, eps: 1e-8, weight_decay: 0.01, clip: 1.0 }
    }
}

/// Running means of one variable's gradient and of its square.
#[derive(Clone, Default)]
struct Means {
    mean: Vec<f32>,
    square: Vec<f32>,
}

/// The optimizer with its state.
pub(crate) struct AdamW {
    options: AdamWOptions,
    steps: u64,
    means: BTreeMap<String, Means>,
}

/// Gradients summed over several batches, by variable.
#[derive(Default)]
pub(crate) struct Gradients {
    sums: BTreeMap<String, Vec<f32>>,
}

impl Gradients {
    /// Adds `share` times the gradients of a batch or shard.
    pub(crate) fn add(&mut self, params: &Params, of_batch: &GradStore, share: f64) -> Result<()> {
        for (name, var) in params.all() {
            let Some(gradient) = of_batch.get(var.as_tensor()) else { continue };
            let gradient = gradient.flatten_all()?.to_vec1::<f32>()?;
            let sum = self.sums.entry(name).or_insert_with(|| vec![0.0; gradient.len()]);
            sum.iter_mut().zip(gradient).for_each(|(sum, g)| *sum += share as f32 * g);
        }
        Ok(())
    }

    /// Returns all sums, by variable.
    #[cfg(test)]
    pub(crate) fn sums(&self) -> &BTreeMap<String, Vec<f32>> {
        &self.sums
    }

    /// Returns the Euclidean norm of all gradients together.
    pub(crate) fn norm(&self) -> f64 {
        self.sums.values().flatten().map(|&g| f64::from(g) * f64::from(g)).sum::<f64>().sqrt()
    }
}

impl AdamW {
    pub(crate) fn new(options: AdamWOptions) -> Self {
        Self { options, steps: 0, means: BTreeMap::new() }
    }

    /// Makes one step at a learning `rate`; `norm` is the norm of `gradients`.
    pub(crate) fn step(&mut self, params: &Params, gradients: &Gradients, norm: f64, rate: f64) -> Result<()> {
        let AdamWOptions { beta1, beta2, eps, weight_decay, clip } = self.options;
        self.steps += 1;
        let share = if norm > clip { clip / norm } else { 1.0 } as f32;
        let correction = |beta: f64| 1.0 - beta.powi(self.steps.min(i32::MAX as u64) as i32);
        let (rate_of_mean, square_share) = ((rate / correction(beta1)) as f32, (1.0 / correction(beta2)) as f32);
        let (b1, b2, eps) = (beta1 as f32, beta2 as f32, eps as f32);
        for (name, var) in params.all() {
            let Some(gradient) = gradients.sums.get(&name) else { continue };
            let decay = if decays(var) { (rate * weight_decay) as f32 } else { 0.0 };
            let means = self.means.entry(name).or_default();
            means.mean.resize(gradient.len(), 0.0);
            means.square.resize(gradient.len(), 0.0);
            let mut values = var.as_tensor().flatten_all()?.to_vec1::<f32>()?;
            let of_mean = means.mean.iter_mut().zip(&mut means.square);
            for ((value, &g), (mean, square)) in values.iter_mut().zip(gradient).zip(of_mean) {
                let g = g * share;
                *mean = b1 * *mean + (1.0 - b1) * g;
                *square = b2 * *square + (1.0 - b2) * g * g;
                *value -= decay * *value + rate_of_mean * *mean / ((*square * square_share).sqrt() + eps);
            }
            var.set(&tensor(values, var.dims())?)?;
        }
        Ok(())
    }

    /// Returns the number of steps made.
    pub(crate) fn steps(&self) -> u64 {
        self.steps
    }

    /// Returns the running means, by name.
    pub(crate) fn state(&self) -> Result<Vec<(String, Tensor)>> {
        let mut state = Vec::new();
        for (name, means) in &self.means {
            let len = [means.mean.len()];
            state.push((format!("mean:{name}"), tensor(means.mean.clone(), &len)?));
            state.push((format!("square:{name}"), tensor(means.square.clone(), &len)?));
        }
        Ok(state)
    }

    /// Restores the running means that [`AdamW::state`] returned after `steps` steps.
    pub(crate) fn restore(&mut self, steps: u64, state: impl IntoIterator<Item = (String, Vec<f32>)>) {
        self.steps = steps;
        for (name, values) in state {
            match name.split_once(':') {
                Some(("mean", name)) => self.means.entry(name.into()).or_default().mean = values,
                Some(("square", name)) => self.means.entry(name.into()).or_default().square = values,
                _ => {}
            }
        }
    }
}

/// Returns whether a variable decays: matrices do, biases and gains do not.
fn decays(var: &Var) -> bool {
    var.dims().len() > 1
}
