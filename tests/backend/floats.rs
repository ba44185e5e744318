//! Checks of the float ops: results equal the reference wherever a decision has a margin above rounding errors.

use crate::cases::{Fill, Rng, Shape, codec};
use selvedge_backend::{
    Backend, CheckedCodec, CodecParams, ResidualForm, RowCoding, WeightRule, packed_row_bytes, reference,
};

/// Maximum error of an inner product, relative to the product of both lengths.
const PRODUCT_MARGIN: f64 = 1e-5;
/// Maximum error of a component that is compared with a cutoff, absolute and relative.
const COMPONENT_MARGIN: f64 = 1e-5;
/// Maximum error of a squared distance, relative to the squared lengths of both vectors.
const ERROR_MARGIN: f64 = 1e-5;
/// Maximum relative error of a norm.
const NORM_MARGIN: f64 = 1e-5;

fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum()
}

/// Checks the sums for equality: the contract is the f64 sum in order, rounded once.
pub fn check_centroid_sums(backend: &impl Backend, dim: usize, num: usize, num_centroids: usize) {
    let rng = &mut Rng::new(5);
    let embeddings = rng.unit_rows(num, dim);
    let codes: Vec<u32> = (0..num).map(|_| rng.below(num_centroids) as u32).collect();
    let found = backend.centroid_sums(dim, &embeddings, &codes, num_centroids).unwrap();
    assert!(found == reference::centroid_sums(dim, &embeddings, &codes, num_centroids), "{}", backend.name());
}

/// Compresses `num` embeddings with every valid pair of residual form and weight rule, and checks each row.
pub fn check_compress(backend: &impl Backend, shape: &Shape, num: usize) {
    for (form, rule) in [
        (ResidualForm::Orthogonal, WeightRule::KeepLength),
        (ResidualForm::Orthogonal, WeightRule::KeepLengthRefit),
        (ResidualForm::Raw, WeightRule::UnitNorm),
        (ResidualForm::Raw, WeightRule::KeepLength),
    ] {
        let rng = &mut Rng::new(11);
        let mut codec = realistic(codec(shape, Fill::Random, rng), rule);
        if rule == WeightRule::KeepLengthRefit && codec.coding != RowCoding::Buckets {
            continue;
        }
        (codec.form, codec.rule) = (form, rule);
        let codec = CheckedCodec::new(codec).expect("a case's codec is valid");
        let mut embeddings = rng.unit_rows(num, shape.dim);
        let codes: Vec<u32> = (0..num).map(|_| rng.below(shape.num_centroids) as u32).collect();
        if num > 2 {
            // The first residual and the second embedding are zero.
            let centroid = &codec.centroids[codes[0] as usize * shape.dim..][..shape.dim];
            embeddings.iter_mut().zip(centroid).for_each(|(x, &c)| *x = codec.centroid_scale * f32::from(c));
            embeddings[shape.dim..2 * shape.dim].fill(0.0);
        }
        let packed = backend.compress(&backend.load_codec(codec.clone()).unwrap(), &embeddings, &codes).unwrap();
        assert_eq!((packed.residuals.len(), packed.weights.len()), (num * codec.row_bytes(), num));
        for (i, (x, &code)) in embeddings.chunks_exact(shape.dim).zip(&codes).enumerate() {
            let row = &packed.residuals[i * codec.row_bytes()..][..codec.row_bytes()];
            let name = format!("{}: {shape:?} {form:?} {rule:?} row {i}", backend.name());
            check_row(&codec, x, code, row, packed.weights[i] as usize, &name);
        }
    }
}

/// Rescales a codec so that its reconstructions have about unit length.
pub fn realistic(mut codec: CodecParams, rule: WeightRule) -> CodecParams {
    codec.centroid_scale = 1.0 / (73.0 * (codec.dim as f32).sqrt());
    codec.centroid_weight_step = 1.0 / 128.0;
    codec.residual_weight_step = 1.0 / (4000.0 * (codec.dim as f32).sqrt());
    codec.cutoffs.iter_mut().for_each(|cutoff| *cutoff *= 0.7);
    codec.centroid_weights.iter_mut().for_each(|weight| *weight = (*weight).max(1));
    if rule == WeightRule::UnitNorm {
        codec.residual_weights = codec
            .centroid_weights
            .iter()
            .map(|&weight| weight.min(CodecParams::residual_weight_limit(codec.dim, &codec.levels)))
            .collect();
    }
    codec
}

/// Checks the bytes of one embedding: each bucket holds its component, and the weight has the least error, both within
/// the margins.
fn check_row(codec: &CodecParams, x: &[f32], code: u32, row: &[u8], weight: usize, name: &str) {
    let centroid = &codec.centroids[code as usize * codec.dim..][..codec.dim];
    let components = reference::components(codec, x, centroid);
    let mut levels = Vec::new();
    if codec.nbits > 0 {
        if codec.rule == WeightRule::KeepLengthRefit {
            let below = |x: &f64| codec.cutoffs.iter().filter(|&&cutoff| f64::from(cutoff) < *x).count();
            levels = components.iter().map(|x| codec.levels[below(x)]).collect();
            let components = reference::refit_components(codec, x, centroid, weight);
            let largest = codec.levels.iter().map(|l| f64::from(l.unsigned_abs())).fold(1.0, f64::max);
            check_buckets(codec, &components, &reference::midpoints(codec), largest, row, name);
        } else if codec.coding != RowCoding::Buckets {
            levels = check_nearest(codec, &components, row, name);
        } else {
            levels = check_buckets(codec, &components, &codec.cutoffs, 1.0, row, name);
        }
    }
    let errors = reference::weight_errors(codec, x, centroid, &levels);
    let least = errors.iter().copied().fold(f64::INFINITY, f64::min);
    let margin = match codec.rule {
        WeightRule::KeepLength | WeightRule::KeepLengthRefit => {
            ERROR_MARGIN * (dot(x, x) + reconstruction_bound(codec, centroid, &levels, weight))
        }
        WeightRule::UnitNorm => {
            NORM_MARGIN * (least + f64::from(codec.centroid_weight_step * f32::from(codec.centroid_weights[weight])))
        }
    };
    assert!(
        errors[weight] <= least + margin,
        "{name}: weight {weight} errs by {}, the best by {least}",
        errors[weight]
    );
}

/// Checks that every component is in its bucket, within the margin at an edge; returns the levels.
fn check_buckets(codec: &CodecParams, components: &[f64], edges: &[f32], unit: f64, row: &[u8], name: &str) -> Vec<i8> {
    let width = packed_row_bytes(codec.dim, codec.nbits);
    let mask = ((1u16 << codec.nbits) - 1) as u8;
    let mut levels = Vec::new();
    for (d, component) in components.iter().enumerate() {
        let bucket = (row[d % width] >> (d / width * codec.nbits as usize) & mask) as usize;
        let margin = COMPONENT_MARGIN * (unit + component.abs());
        let above = bucket == 0 || f64::from(edges[bucket - 1]) < component + margin;
        let below = bucket == edges.len() || f64::from(edges[bucket]) >= component - margin;
        assert!(above && below, "{name}: component {d} = {component} in bucket {bucket}");
        levels.push(codec.levels[bucket]);
    }
    levels
}

/// Checks that a row of a trellis is, within the margin, the nearest of all rows with the same beginning; returns its
/// levels. The choice of the beginning is checked in `trellis.rs`.
fn check_nearest(codec: &CodecParams, components: &[f64], row: &[u8], name: &str) -> Vec<i8> {
    let beginning = usize::from(row[0]) % (1 << (8 - codec.nbits));
    let nearest = reference::nearest_trellis_row(codec, components, Some(beginning));
    let moved = |by: f64| -> Vec<f64> { components.iter().map(|x| x + by * (1.0 + x.abs())).collect() };
    let (below, above) = (moved(-COMPONENT_MARGIN), moved(COMPONENT_MARGIN));
    let sum = |row: &[u8], pick: fn(u64, u64) -> u64| -> u64 {
        let costs = [&below, &above].map(|components| reference::trellis_costs(codec, components, row));
        costs[0].iter().zip(&costs[1]).map(|(&a, &b)| pick(a, b)).sum()
    };
    let (found, least) = (sum(row, u64::min), sum(&nearest, u64::max));
    assert!(found <= least, "{name}: the row costs {found} or more, the nearest {least} at most");
    (0..codec.dim).map(|d| codec.level(row, d)).collect()
}

/// Returns the sum of the squared lengths of a reconstruction's centroid part and residual part.
fn reconstruction_bound(codec: &CodecParams, centroid: &[i8], levels: &[i8], weight: usize) -> f64 {
    let square = |row: &[i8], factor: f32| row.iter().map(|&v| (f64::from(factor) * f64::from(v)).powi(2)).sum::<f64>();
    let factor = codec.centroid_weight_step * f32::from(codec.centroid_weights[weight]) * codec.centroid_scale;
    square(centroid, factor) + square(levels, codec.residual_weight_step * f32::from(codec.residual_weights[weight]))
}

/// Checks scores within the margin; a passage without tokens scores minus infinity.
pub fn check_maxsim_f32(backend: &impl Backend, dim: usize, query_lengths: &[usize], passage_lengths: &[usize]) {
    let ends = |lengths: &[usize]| -> Vec<usize> {
        let mut offsets = vec![0];
        lengths.iter().for_each(|length| offsets.push(offsets[offsets.len() - 1] + length));
        offsets
    };
    let (query_offsets, passage_offsets) = (ends(query_lengths), ends(passage_lengths));
    let rng = &mut Rng::new(dim as u64);
    let queries = rng.unit_rows(query_lengths.iter().sum(), dim);
    let embeddings = rng.unit_rows(passage_lengths.iter().sum(), dim);
    let found = backend.maxsim_f32(dim, &queries, &query_offsets, &embeddings, &passage_offsets).unwrap();
    let expected = reference::maxsim_f32(dim, &queries, &query_offsets, &embeddings, &passage_offsets);
    assert_eq!(found.len(), expected.len());
    for (at, (&found, &expected)) in found.iter().zip(&expected).enumerate() {
        let query_len = query_lengths[at / passage_lengths.len()];
        let margin = PRODUCT_MARGIN * query_len as f64; // rows are of unit length
        let close = (f64::from(found) - f64::from(expected)).abs() <= margin;
        assert!(found == expected || close, "{}: score {at} is {found}, not {expected}", backend.name());
    }
}
