//! Random weights for any model of candle.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use candle_nn::{VarBuilder, VarMap};
use rand::{Rng, RngExt};

pub type Weights = HashMap<String, Tensor>;

/// Random values for every weight that `load` reads, except the one named `but`.
pub fn weights(rng: &mut impl Rng, but: &str, load: impl FnOnce(VarBuilder<'_>)) -> Weights {
    let read = VarMap::new();
    load(VarBuilder::from_varmap(&read, DType::F32, &Device::Cpu));
    let mut shapes: Vec<_> =
        read.data().lock().unwrap().iter().map(|(name, var)| (name.clone(), var.dims().to_vec())).collect();
    shapes.sort();
    let mut random = |(name, shape): (String, Vec<usize>)| {
        let is_norm = shape.len() == 1 && name.ends_with("weight");
        let (middle, spread) = if is_norm { (1.0, 0.3) } else { (0.0, 1.5 / (shape[shape.len() - 1] as f32).sqrt()) };
        let count = shape.iter().product();
        let values: Vec<f32> = (0..count).map(|_| middle + spread * (2.0 * rng.random::<f32>() - 1.0)).collect();
        (name, Tensor::from_vec(values, shape, &Device::Cpu).unwrap())
    };
    shapes.into_iter().filter(|(name, _)| name != but).map(&mut random).collect()
}

pub fn builder(weights: &Weights) -> VarBuilder<'static> {
    VarBuilder::from_tensors(weights.clone(), DType::F32, &Device::Cpu)
}

/// One text as a batch; (1, T).
pub fn row(ids: &[u32]) -> candle_core::Result<Tensor> {
    Tensor::new(ids, &Device::Cpu)?.unsqueeze(0)
}
