//! How `compress` chooses rows and weights, in device memory: kernels/compress.cu, kernels/trellis.cuh.

use super::context::{Buffer, Context};
use crate::{CodecParams, RADIAL_WEIGHT, ResidualForm, Result, RowCoding, WeightRule, trellis::TrellisMetric};
use bytemuck::{Pod, Zeroable};
use std::sync::Arc;

/// `Rules` of kernels/compress.cu.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct RulesArgument {
    centroid_weights: u64,
    residual_weights: u64,
    cutoffs: u64,
    midpoints: u64,
    levels: u64,
    centroid_scale: f32,
    ratio: f32,
    radial_weight: f32,
    entries: u32,
    orthogonal: u32,
    rule: u32,
}

/// `Metric` of kernels/trellis.cuh.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct MetricArgument {
    levels: u64,
    factor: f32,
    bound: f32,
}

/// A metric, and what it points to.
#[derive(Debug)]
pub(super) struct Metric {
    pub(super) argument: MetricArgument,
    _levels: Buffer<i32>,
}

/// The rules of a codec, and what they point to but for its levels.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) argument: RulesArgument,
    /// Metric of a trellis codec.
    pub(super) metric: Option<Metric>,
    _floats: [Buffer<f32>; 4],
}

impl Rules {
    /// Uploads the rules of `codec`, whose `levels` stay in device memory as long as the rules are used.
    pub(super) fn new(context: &Arc<Context>, codec: &CodecParams, levels: &Buffer<i8>) -> Result<Self> {
        let centroid_weights: Vec<f32> =
            codec.centroid_weights.iter().map(|&n| codec.centroid_weight_step * f32::from(n)).collect();
        let residual_weights: Vec<f32> =
            codec.residual_weights.iter().map(|&g| codec.residual_weight_step * f32::from(g)).collect();
        let largest =
            (0..centroid_weights.len()).fold(0, |a, b| if centroid_weights[b] > centroid_weights[a] { b } else { a });
        let midpoints = crate::reference::midpoints(codec);
        let ratio = residual_weights[largest] / centroid_weights[largest];
        let upload = |floats: &[f32]| context.upload(floats);
        let floats =
            [upload(&centroid_weights)?, upload(&residual_weights)?, upload(&codec.cutoffs)?, upload(&midpoints)?];
        let [centroid_weights, residual_weights, cutoffs, midpoints] =
            floats.each_ref().map(|buffer| *buffer.pointer());
        let argument = RulesArgument {
            centroid_weights,
            residual_weights,
            cutoffs,
            midpoints,
            levels: *levels.pointer(),
            centroid_scale: codec.centroid_scale,
            ratio,
            radial_weight: RADIAL_WEIGHT,
            entries: codec.centroid_weights.len() as u32,
            orthogonal: u32::from(codec.form == ResidualForm::Orthogonal),
            rule: match codec.rule {
                WeightRule::KeepLength => 0,
                WeightRule::KeepLengthRefit => 1,
                WeightRule::UnitNorm => 2,
            },
        };
        let metric = match codec.coding {
            RowCoding::Trellis { step } if codec.nbits > 0 => Some(Metric::new(context, codec, step)?),
            _ => None,
        };
        Ok(Self { argument, metric, _floats: floats })
    }
}

impl Metric {
    fn new(context: &Arc<Context>, codec: &CodecParams, step: f32) -> Result<Self> {
        let metric = TrellisMetric::new(codec.nbits, &codec.levels, step);
        let levels = context.upload(&metric.levels.map(i32::from))?;
        let argument = MetricArgument { levels: *levels.pointer(), factor: metric.factor, bound: metric.bound };
        Ok(Self { argument, _levels: levels })
    }
}
