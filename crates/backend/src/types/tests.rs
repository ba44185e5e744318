use super::*;
use crate::{CheckedCodec, CompressedPassages, pack_codes};
use bytes::Bytes;

const TRELLIS: RowCoding = RowCoding::Trellis { step: 0.1 };

/// A small codec that breaks no bound.
fn codec() -> CodecParams {
    CodecParams {
        dim: 8,
        nbits: 2,
        centroids: vec![1i8; 24].into(),
        centroid_scale: 0.01,
        coding: RowCoding::Buckets,
        levels: vec![-10, -3, 3, 10],
        cutoffs: vec![-1.0, 0.0, 1.0],
        form: ResidualForm::Orthogonal,
        rule: WeightRule::KeepLength,
        rotation: None,
        weight_bits: 0,
        centroid_weights: vec![1],
        residual_weights: vec![1],
        centroid_weight_step: 1.0,
        residual_weight_step: 0.01,
    }
}

/// Two passages, of two tokens and of one.
fn passages() -> CompressedPassages {
    CompressedPassages {
        offsets: [0u32, 2, 3].iter().flat_map(|o| o.to_le_bytes()).collect(),
        codes: pack_codes(&[0, 2, 1], 2).into(),
        residuals: vec![0; 6].into(),
        weights: Bytes::new(),
    }
}

#[test]
fn a_codec_is_checked_bound_by_bound() {
    assert!(CheckedCodec::new(codec()).is_ok());
    type Break = fn(&mut CodecParams);
    let breaks: [(&str, Break); 19] = [
        ("dim", |c| c.dim = 12),
        ("nbits", |c| c.nbits = 3),
        ("weight", |c| c.centroid_weights.push(1)),
        ("weight", |c| c.weight_bits = 4),
        ("weight", |c| c.weight_bits = 20),
        ("levels", |c| c.levels.truncate(3)),
        ("levels", |c| c.cutoffs.truncate(2)),
        ("centroids", |c| c.centroids = vec![].into()),
        ("level or centroid", |c| c.levels[0] = -128),
        ("level or centroid", |c| c.centroids = vec![-128; 8].into()),
        ("residual_weight_step", |c| c.residual_weight_step = 0.0),
        ("centroid_weight_step", |c| c.centroid_weight_step = f32::NAN),
        ("table factor", |c| (c.centroid_scale, c.residual_weight_step) = (f32::MAX, f32::MIN_POSITIVE)),
        ("cutoff", |c| c.cutoffs[1] = f32::INFINITY),
        ("order of cutoffs", |c| c.cutoffs.swap(0, 2)),
        ("levels", |c| c.coding = TRELLIS),
        ("nbits of a trellis", |c| (c.coding, c.nbits) = (TRELLIS, 4)),
        ("trellis step", |c| c.coding = RowCoding::Trellis { step: 0.0 }),
        ("weight rule of a trellis", |c| (c.coding, c.rule) = (TRELLIS, WeightRule::KeepLengthRefit)),
    ];
    for (word, broken) in breaks {
        let mut codec = codec();
        broken(&mut codec);
        let message = CheckedCodec::new(codec).expect_err(word).to_string();
        assert!(message.contains(word), "{word}: {message}");
    }
}

#[test]
fn a_trellis_has_sixteen_levels_and_no_cutoffs() {
    let codec = CodecParams { coding: TRELLIS, levels: vec![3; TRELLIS_LEVELS], cutoffs: Vec::new(), ..codec() };
    assert!(codec.validate().is_ok());
    assert!(CodecParams { nbits: 4, ..codec }.validate().is_err());
}

#[test]
fn the_gain_limit_is_the_last_gain_that_is_valid() {
    let mut codec = codec();
    (codec.dim, codec.centroids) = (4096, vec![0; 4096].into());
    (codec.levels[0], codec.levels[3]) = (-127, 127);
    let limit = CodecParams::residual_weight_limit(codec.dim, &codec.levels);
    assert_eq!(limit, 16); // 4096 * 127 * 127 * 16 <= 2^30 < 4096 * 127 * 127 * 17
    codec.residual_weights[0] = limit;
    assert!(codec.validate().is_ok());
    codec.residual_weights[0] = limit + 1;
    assert!(codec.validate().is_err());
}

#[test]
fn code_bits_are_what_the_last_code_needs() {
    let bits = |k: usize| CodecParams { centroids: vec![0; k * 8].into(), ..codec() }.code_bits();
    assert_eq!([1, 2, 3, 4, 5, 256, 257].map(bits), [0, 1, 2, 2, 3, 8, 9]);
}

#[test]
fn passages_are_checked_against_their_codec() {
    let codec = codec();
    assert!(passages().validate(codec.sizes()).is_ok());
    let change = |f: &dyn Fn(&mut CompressedPassages)| {
        let mut passages = passages();
        f(&mut passages);
        passages.validate(codec.sizes()).expect_err("broken")
    };
    let offsets = |o: [u32; 3]| Bytes::from_iter(o.iter().flat_map(|o| o.to_le_bytes()));
    assert!(matches!(change(&|p| p.offsets = offsets([0, 4, 3])), Error::OffsetsDescend { pid: 1 }));
    assert!(matches!(change(&|p| p.offsets = offsets([0, 2, 4])), Error::ArrayLength { array: "residuals", .. }));
    assert!(matches!(change(&|p| p.offsets = offsets([0, 2, u32::MAX])), Error::ArrayLength { array: "codes", .. }));
    assert!(matches!(change(&|p| p.offsets = p.offsets.slice(..11)), Error::ArrayLength { .. }));
    assert!(matches!(change(&|p| p.offsets = Bytes::new()), Error::ArrayLength { array: "offsets", .. }));
    assert!(matches!(change(&|p| p.weights = vec![0].into()), Error::ArrayLength { array: "weights", .. }));
    let lie = change(&|p| p.codes = pack_codes(&[0, 3, 1], 2).into());
    assert!(matches!(lie, Error::CodeOutOfRange { embedding: 1, code: 3, num_centroids: 3 }));
}

#[test]
fn tokens_of_a_passage_that_lies_are_none() {
    let mut passages = passages();
    assert_eq!([0, 1, 2, 99].map(|pid| passages.tokens(pid)), [0..2, 2..3, 0..0, 0..0]);
    passages.offsets = Bytes::from_iter([3u32, 9, 3].iter().flat_map(|o| o.to_le_bytes()));
    assert_eq!([0, 1].map(|pid| passages.tokens(pid)), [0..0, 0..0]);
}

#[test]
fn a_query_is_rounded_with_one_scale() {
    let query = QuantizedQuery::new(4, &[0.5, -2.0, 1.0, 0.0, 2.0, 0.1, -0.1, 0.0]);
    assert_eq!(query.data, [32, -127, 64, 0, 127, 6, -6, 0]);
    assert_eq!((query.len(), query.scale), (2, 2.0 / 127.0));
    assert_eq!(query.row(1), [127, 6, -6, 0]);
    assert_eq!(QuantizedQuery::new(4, &[0.0; 4]).data, [0; 4]);
    assert!(QuantizedQuery::new(4, &[]).is_empty());
}

#[test]
fn the_shift_is_the_logarithm_rounded_up() {
    assert_eq!([0, 1, 2, 3, 4, 5, 32, 33].map(score_shift), [0, 0, 1, 2, 2, 3, 5, 6]);
}

#[test]
fn small_numbers_round_as_the_method_does() {
    let limit = TABLE_LIMIT as f32;
    let halves = (-300..=300).map(|i| i as f32 / 2.0);
    let near_limit = (0..40).map(|i| limit - i as f32 / 4.0);
    let odd = [0.0, -0.0, 0.49999997, -0.49999997, 1.5e-45, 2.5000002, 1234567.5, 1234568.5];
    for x in halves.chain(near_limit).chain(odd).flat_map(|x| [x, -x]) {
        assert_eq!(round_small(x), x.round_ties_even(), "{x}");
    }
    assert!(round_small(f32::NAN).is_nan());
}
