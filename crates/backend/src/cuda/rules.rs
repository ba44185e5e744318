//! The rules by which `compress` chooses rows and weights, in device memory: kernels/compress.cu, kernels/trellis.cuh.

use super::{
    constants::Constant,
    context::{Buffer, Context},
};
use crate::{CodecParams, RADIAL_WEIGHT, ResidualForm, Result, RowCoding, WeightRule, trellis::TrellisMetric};
use bytemuck::{Pod, Zeroable};
use std::{mem::offset_of, sync::Arc};

const KEEP_LENGTH: u32 = 0;
const KEEP_LENGTH_REFIT: u32 = 1;
const UNIT_NORM: u32 = 2;

pub(super) const CONSTANTS: [Constant; 2] =
    [("KEEP_LENGTH_REFIT", KEEP_LENGTH_REFIT as i64), ("UNIT_NORM", UNIT_NORM as i64)];

/// The rules as a kernel's argument: `Rules` of kernels/compress.cu.
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

// kernels/compress.cu asserts the same.
const _: () = {
    assert!(size_of::<RulesArgument>() == 64 && offset_of!(RulesArgument, levels) == 32);
    assert!(offset_of!(RulesArgument, centroid_scale) == 40 && offset_of!(RulesArgument, radial_weight) == 48);
    assert!(offset_of!(RulesArgument, entries) == 52 && offset_of!(RulesArgument, rule) == 60);
};

/// The metric as a kernel's argument: `Metric` of kernels/trellis.cuh.
#[derive(Clone, Copy, Debug, Pod, Zeroable)]
#[repr(C)]
pub(super) struct MetricArgument {
    levels: u64,
    factor: f32,
    bound: f32,
}

// kernels/trellis.cuh asserts the same.
const _: () = {
    assert!(size_of::<MetricArgument>() == 16 && offset_of!(MetricArgument, levels) == 0);
    assert!(offset_of!(MetricArgument, factor) == 8 && offset_of!(MetricArgument, bound) == 12);
};

/// The metric of a trellis codec, and the memory that its argument points to.
#[derive(Debug)]
pub(super) struct Metric {
    pub(super) argument: MetricArgument,
    _levels: Buffer<i32>,
}

/// The rules of a codec, and the memory that their argument points to except the codec's levels.
#[derive(Debug)]
pub(super) struct Rules {
    pub(super) argument: RulesArgument,
    /// The metric, if the codec is a trellis.
    pub(super) metric: Option<Metric>,
    _floats: [Buffer<f32>; 4],
}

impl Rules {
    /// Uploads the rules of `codec`. `levels`, the codec's levels in device memory, must outlive the rules.
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
                WeightRule::KeepLength => KEEP_LENGTH,
                WeightRule::KeepLengthRefit => KEEP_LENGTH_REFIT,
                WeightRule::UnitNorm => UNIT_NORM,
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
