use super::*;
use selvedge_backend::{CompressedPassages, Cpu, Packed, pack_codes, pack_weights};

const DIM: usize = 64;
const N: usize = 3000;

/// Unit rows around a few topics.
fn rows() -> Vec<f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(1);
    let mut normal = || (0..6).map(|_| rng.random::<f32>() - 0.5).sum::<f32>();
    let topics: Vec<f32> = (0..10 * DIM).map(|_| normal()).collect();
    let mut rows: Vec<f32> = (0..N * DIM).map(|i| topics[i / DIM % 10 * DIM + i % DIM] + 0.7 * normal()).collect();
    for row in rows.chunks_exact_mut(DIM) {
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= norm);
    }
    rows
}

/// Mean squared errors of the decoded vectors and of the centroids alone.
fn errors(kind: CodecKind, nbits: u8) -> (f64, f64) {
    let backend = Cpu::new().unwrap();
    let mut options = TrainOptions::new(nbits, 16);
    options.kind = kind;
    let codec = train(&backend, DIM, rows(), &options, &()).unwrap();
    let mut rotated = rows();
    let (codes, packed) = codec.compressor(&backend).unwrap().compress(&backend, &mut rotated).unwrap();
    errors_of(&codec, &rotated, &codes, packed)
}

/// Mean squared errors of embeddings that were `rotated` and compressed.
fn errors_of(codec: &Codec, rotated: &[f32], codes: &[u32], packed: Packed) -> (f64, f64) {
    let backend = Cpu::new().unwrap();
    let passages = CompressedPassages {
        offsets: [0u32, N as u32].iter().flat_map(|o| o.to_le_bytes()).collect::<Vec<u8>>().into(),
        codes: pack_codes(codes, codec.params.code_bits()).into(),
        residuals: packed.residuals.into(),
        weights: pack_weights(&packed.weights, codec.params.weight_bits).into(),
    };
    let resident = backend.load_codec(codec.params.clone()).unwrap();
    let back = backend.decompress(&backend.load_passages(&resident, passages).unwrap(), 0..N).unwrap();
    let error = |other: &dyn Fn(usize) -> f32| {
        rotated.iter().enumerate().map(|(i, x)| f64::from(x - other(i)).powi(2)).sum::<f64>() / N as f64
    };
    let centroid = |i: usize| {
        let c = codec.params.centroids[codes[i / DIM] as usize * DIM + i % DIM];
        f32::from(c) * codec.params.centroid_scale
    };
    (error(&|i| back[i]), error(&centroid))
}

/// Around given centroids, here sampled rows of any length, errors are what the levels promise as well. The centroids
/// keep their order, at unit length.
#[test]
fn given_centroids_keep_their_codes() {
    let backend = Cpu::new().unwrap();
    let mut sample = rows();
    let centroids: Vec<f32> = sample[..16 * DIM].iter().enumerate().map(|(i, x)| x * (1 + i / DIM) as f32).collect();
    let dot = |x: &[f32], c: &[f32]| x.iter().zip(c).map(|(x, c)| x * c).sum::<f32>();
    let nearest = |x: &[f32]| {
        let products = sample[..16 * DIM].chunks_exact(DIM).zip(0u32..).map(|(c, code)| (dot(x, c), code));
        products.max_by(|a, b| a.0.total_cmp(&b.0)).unwrap().1
    };
    let codes: Vec<u32> = sample.chunks_exact(DIM).map(nearest).collect();
    for (nbits, most) in [(2, 0.1), (4, 0.0085)] {
        let given = Given { centroids: &centroids, codes: &codes, num_embeddings: N as u64 };
        let codec = train_around(&backend, DIM, sample.clone(), given, &TrainOptions::new(nbits, 16)).unwrap();
        let mut rotated = sample.clone();
        let packed = codec.compressor(&backend).unwrap().compress_coded(&backend, &mut rotated, &codes).unwrap();
        let (error, residual) = errors_of(&codec, &rotated, &codes, packed);
        assert!(error < most * residual, "{nbits} bits leave {} of the residual", error / residual);
    }
    sample[5 * DIM] = f32::INFINITY;
    let given = Given { centroids: &sample[..16 * DIM], codes: &codes, num_embeddings: N as u64 };
    let refused = train_around(&backend, DIM, rows(), given, &TrainOptions::new(2, 16));
    assert!(matches!(refused, Err(Error::NotFinite { embedding: 5 })));
}

/// The error of each nbits, as a share of the residual, is that of its levels on a normal source, with a margin for
/// the rounding of weights and for 64 dims: 0.282 and 0.077 (trellis), 0.0095 (Lloyd-Max, Max 1960), 0.0001 (8
/// bits). From 4 bits on the refit of levels makes it smaller; without the refit it is 0.0086 and 0.0004 here.
#[test]
fn errors_are_what_the_levels_promise() {
    for (nbits, most) in [(1u8, 0.34), (2, 0.100), (4, 0.0081), (8, 0.0002)] {
        let (error, residual) = errors(CodecKind::Selvedge, nbits);
        assert!(error < most * residual, "{nbits} bits leave {} of the residual", error / residual);
    }
    let (error, residual) = errors(CodecKind::Selvedge, 0);
    assert!(error <= residual, "0 bits: {error} of {residual}");
}

#[test]
fn ours_is_better_than_quantiles_at_the_same_bytes() {
    for nbits in [1, 2, 4] {
        let (ours, theirs) = (errors(CodecKind::Selvedge, nbits).0, errors(CodecKind::ColbertV2, nbits).0);
        assert!(ours < theirs, "{nbits} bits: {ours} against {theirs}");
    }
}

/// Nearly every vector is a centroid here, so that only held-out vectors have residuals.
#[test]
fn weights_are_fitted_to_held_out_vectors() {
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    let mut rows: Vec<f32> = (0..20_000 * 8).map(|_| rng.random::<f32>() - 0.5).collect();
    for row in rows.chunks_exact_mut(8) {
        let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt();
        row.iter_mut().for_each(|x| *x /= norm);
    }
    let options = TrainOptions { iterations: 0, ..TrainOptions::new(2, 19_000) };
    let codec = train(&Cpu::new().unwrap(), 8, rows, &options, &()).unwrap();
    let (least, most) = (codec.params.residual_weights[0], codec.params.residual_weights[31]);
    assert!(least > most / 8, "residual weights go from {least} to {most}");
}

#[test]
fn bad_samples_are_errors() {
    let train = |dim, sample: Vec<f32>, nbits| {
        train(&Cpu::new().unwrap(), dim, sample, &TrainOptions::new(nbits, 4), &()).map(|_| ())
    };
    assert!(matches!(train(12, vec![0.5; 24], 2), Err(Error::Dim { dim: 12 })));
    assert!(matches!(train(8, vec![], 2), Err(Error::EmptySample)));
    assert!(matches!(train(8, vec![0.5; 20], 2), Err(Error::PartialEmbedding { len: 20, dim: 8 })));
    assert!(matches!(train(8, vec![0.5; 16], 3), Err(Error::Nbits { nbits: 3 })));
    let mut sample = vec![0.1; 80];
    sample[33] = f32::NAN;
    assert!(matches!(train(8, sample, 2), Err(Error::NotFinite { embedding: 4 })));
    // One embedding, or only zeros, still train a codec.
    assert!(train(8, vec![0.5; 8], 2).is_ok() && train(8, vec![0.0; 800], 1).is_ok());
}

#[test]
fn every_number_of_weight_bits_is_trained_or_an_error() {
    for kind in [CodecKind::Selvedge, CodecKind::ColbertV2] {
        for weight_bits in [0, 1, 2, 8, 9, 40, 64, 255] {
            let options = TrainOptions { kind, weight_bits, ..TrainOptions::new(2, 16) };
            match train(&Cpu::new().unwrap(), DIM, rows()[..50 * DIM].to_vec(), &options, &()) {
                Ok(codec) => assert_eq!(codec.params.residual_weights.len(), 1 << weight_bits),
                Err(error) => assert!(weight_bits > 8 && matches!(error, Error::WeightBits { .. }), "{error}"),
            }
        }
    }
}

#[test]
fn numbers_of_centroids_and_points_are_clamped() {
    let most = usize::MAX;
    for (num_centroids, points_per_centroid, expected) in
        [(0, 48, 1..=1), (1, 0, 1..=1), (most, most, 2..=50), (16, 0, 2..=16), (16, most, 2..=16)]
    {
        let options = TrainOptions { points_per_centroid, ..TrainOptions::new(2, num_centroids) };
        let codec = train(&Cpu::new().unwrap(), DIM, rows()[..50 * DIM].to_vec(), &options, &()).unwrap();
        assert!(expected.contains(&codec.params.num_centroids()), "{num_centroids}, {points_per_centroid}");
    }
}
