//! Checks of `kmeans` and `assign_and_compress`, which a GPU computes in slices that overlap.

use crate::cases::{Fill, Rng, Shape, codec, component};
use crate::floats::realistic;
use selvedge_backend::cuda::CudaOptions;
use selvedge_backend::{
    Backend, CheckedCodec, Cpu, Error, KMeans, Packed, RoundedCentroids, WeightRule, reference::Reference,
};

/// Rows of a sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rows {
    /// Random ones of unit length.
    Unit,
    /// Few different ones, with equal rows far apart, so that centroids which start at equal rows have no members.
    Few,
    /// All equal.
    Equal,
    /// Pairs that cancel out, and rows of zeros.
    Opposite,
    /// Tiny ones, huge ones whose length overflows, and some with a NaN or an infinity.
    Hostile,
}

/// Makes a sample.
pub fn sample(rows: Rows, dim: usize, num: usize) -> Vec<f32> {
    let rng = &mut Rng::new((dim * 13 + num) as u64);
    let mut all = rng.unit_rows(num, dim);
    for at in 0..num {
        let (before, row) = all.split_at_mut(at * dim);
        let row = &mut row[..dim];
        match rows {
            Rows::Unit => {}
            Rows::Few if at >= 3 => row.copy_from_slice(&before[at % 3 * dim..][..dim]),
            Rows::Equal if at > 0 => row.copy_from_slice(&before[..dim]),
            Rows::Few | Rows::Equal => {}
            Rows::Opposite if at % 5 == 4 => row.fill(0.0),
            Rows::Opposite if at % 5 % 2 == 1 => {
                row.iter_mut().zip(&before[(at - 1) * dim..]).for_each(|(x, &other)| *x = -other);
            }
            Rows::Opposite => {}
            Rows::Hostile => {
                let size = [1.0, 1e-25, 1e-40, 3e30, 1e-13][at % 5];
                row.iter_mut().for_each(|x| *x *= size);
                row[at % dim] = [row[at % dim], f32::NAN, f32::INFINITY, -0.0][usize::from(at % 11 == 7) * (at % 4)];
            }
        }
    }
    all
}

/// Checks rounds of k-means: cells without members and cells whose members cancel out, one centroid, as many as rows
/// and more than distinct rows, rows of zeros and numbers that are not finite.
pub fn check_all(backend: &impl Backend) {
    for (dim, num, num_centroids) in [(32, 61, 5), (96, 7, 7), (128, 33, 1), (256, 20, 11)] {
        for rows in [Rows::Unit, Rows::Few, Rows::Equal, Rows::Opposite, Rows::Hostile] {
            let restarts = check(backend, rows, dim, num, num_centroids);
            let restarted = num_centroids > 1 && matches!(rows, Rows::Few | Rows::Equal);
            assert!(restarts > 0 || !restarted, "{rows:?}");
        }
    }
}

/// Checks that codes by groups of centroids equal the reference's, with few groups and with more than are searched, and
/// that a round of k-means with them ends at the same centroids. Pairs of equal centroids make ties.
pub fn check_grouped(backend: &impl Backend, dim: usize, num: usize, num_centroids: usize, fill: Fill) {
    let rng = &mut Rng::new((dim * 3 + num + num_centroids) as u64);
    let mut centroids: Vec<i8> = (0..num_centroids * dim).map(|at| component(fill, rng, at)).collect();
    let half = num_centroids / 2 * dim;
    centroids.copy_within(..half / 2 / dim * dim, half);
    let embeddings: Vec<f32> = (0..num * dim).map(|at| component(fill, rng, at).into()).collect();
    let name = format!("{}: D={dim} N={num} K={num_centroids}", backend.name());
    let found = backend.assign(&backend.load_grouped_centroids(dim, &centroids).unwrap(), &embeddings).unwrap();
    let grouped = Reference.load_grouped_centroids(dim, &centroids).unwrap();
    assert!(found == Reference.assign(&grouped, &embeddings).unwrap(), "codes: {name}");
    let starts: Vec<usize> = (0..num_centroids.min(num)).collect();
    if !starts.is_empty() {
        let after = |mut means: Box<dyn KMeans + '_>| {
            means.round(&mut || num - 1).unwrap();
            means.centroids().unwrap()
        };
        let found = after(backend.grouped_kmeans(dim, &embeddings, &starts).unwrap());
        let expected = after(Reference.grouped_kmeans(dim, &embeddings, &starts).unwrap());
        assert!(found == expected, "k-means: {name}");
    }
}

/// Checks blocks without rows, with one, and with more than a warp has.
pub fn check_one_upload(backend: &impl Backend) {
    for (nbits, trellis) in [(0, false), (2, true), (4, false)] {
        for num in [0, 1, 70] {
            check_assign_and_compress(backend, &Shape { nbits, trellis, ..Shape::small() }, num);
        }
    }
}

/// Centroids after each of three rounds, and the number of restarts so far.
fn run(backend: &impl Backend, dim: usize, sample: &[f32], starts: &[usize]) -> Vec<(RoundedCentroids, usize)> {
    let rng = &mut Rng::new(9);
    let mut restarts = 0;
    let mut means = backend.kmeans(dim, sample, starts).unwrap();
    let mut found = vec![(means.centroids().unwrap(), 0)];
    for _ in 0..3 {
        let mut restart = || {
            restarts += 1;
            rng.below(sample.len() / dim)
        };
        means.round(&mut restart).unwrap();
        found.push((means.centroids().unwrap(), restarts));
    }
    found
}

/// Checks that centroids equal the reference's bit for bit after each round; returns the number of restarts.
pub fn check(backend: &impl Backend, rows: Rows, dim: usize, num: usize, num_centroids: usize) -> usize {
    let sample = sample(rows, dim, num);
    let starts: Vec<usize> = (0..num_centroids).map(|code| code * 7 % num).collect();
    let (found, expected) = (run(backend, dim, &sample, &starts), run(&Reference, dim, &sample, &starts));
    for (round, (found, expected)) in found.iter().zip(&expected).enumerate() {
        let name = format!("{}: {rows:?}, D={dim} N={num} K={num_centroids}, round {round}", backend.name());
        assert_eq!(found.1, expected.1, "restarts: {name}");
        assert_eq!(found.0.scale.to_bits(), expected.0.scale.to_bits(), "scale: {name}");
        assert!(found.0.centroids == expected.0.centroids, "centroids: {name}");
    }
    found[3].1
}

/// Checks that the result equals the results of `assign` and `compress` one after another, on the same backend.
pub fn check_assign_and_compress(backend: &impl Backend, shape: &Shape, num: usize) {
    let rng = &mut Rng::new(num as u64);
    let rule = if shape.trellis { WeightRule::KeepLength } else { WeightRule::KeepLengthRefit };
    let codec = CheckedCodec::new(realistic(codec(shape, Fill::Random, rng), rule)).unwrap();
    let embeddings = rng.unit_rows(num, shape.dim);
    let centroids = backend.load_centroids(shape.dim, &codec.centroids).unwrap();
    let loaded = backend.load_codec(codec.clone()).unwrap();
    let codes = backend.assign(&centroids, &embeddings).unwrap();
    let Packed { residuals, weights } = backend.compress(&loaded, &embeddings, &codes).unwrap();
    // Twice: memory of the first call is used again.
    for _ in 0..2 {
        let found = backend.assign_and_compress(&centroids, &loaded, &embeddings).unwrap();
        let name = format!("{}: {shape:?}, {num} rows", backend.name());
        assert!(found.0 == codes, "codes: {name}");
        assert!(found.1.residuals == residuals && found.1.weights == weights, "bytes: {name}");
    }
}

/// A round by plain loops in f64: the nearest centroids, the directions of their sums, and a restart.
#[test]
fn a_round_moves_centroids_to_the_directions_of_their_sums() {
    const DIM: usize = 8;
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let unit = |row: &[f64]| row.iter().map(|x| x / dot(row, row).sqrt()).collect::<Vec<f64>>();
    // The last start is the first one's row again: its cell has no members, and restarts at row 5.
    let (sample, starts) = (sample(Rows::Unit, DIM, 40), [3, 11, 20, 3]);
    let sample: Vec<f32> = sample.iter().enumerate().map(|(at, x)| x * (1 + at / DIM % 3) as f32).collect();
    let rows: Vec<Vec<f64>> = sample.chunks(DIM).map(|row| row.iter().map(|&x| x.into()).collect()).collect();
    let mut means = Reference.kmeans(DIM, &sample, &starts).unwrap();
    let before = means.centroids().unwrap();
    let mut sums = vec![vec![0.0; DIM]; 3];
    for row in &rows {
        let of_code = |code: usize| {
            dot(row, &before.centroids[code * DIM..][..DIM].iter().map(|&x| x.into()).collect::<Vec<_>>())
        };
        let nearest = (0..3).max_by(|&a, &b| of_code(a).total_cmp(&of_code(b))).unwrap();
        sums[nearest].iter_mut().zip(row).for_each(|(sum, x)| *sum += x);
    }
    means.round(&mut || 5).unwrap();
    let found = means.centroids().unwrap();
    let expected: Vec<f64> = sums.iter().chain([&rows[5]]).flat_map(|row| unit(row)).collect();
    for (at, (&found_step, expected)) in found.centroids.iter().zip(expected).enumerate() {
        let component = f64::from(found_step) * f64::from(found.scale);
        assert!((component - expected).abs() < 0.501 * f64::from(found.scale), "{at}: {component}, {expected}");
    }
}

/// Checks codes of two and three digits in a device's sort, of which most have no embedding.
pub fn check_many_codes(backend: &impl Backend) {
    check_codes(backend, 8, 1300, 300);
    check_codes(backend, 8, 700, 65_538);
}

fn check_codes(backend: &impl Backend, dim: usize, num: usize, num_centroids: usize) {
    let rng = &mut Rng::new(num_centroids as u64);
    let embeddings: Vec<f32> = (0..num * dim).map(|at| component(Fill::Random, rng, at).into()).collect();
    let few = [0, 1, 255, 256, 65_535, 65_536, num_centroids - 1];
    let codes: Vec<u32> = (0..num)
        .map(|at| if at % 3 == 0 { few[rng.below(few.len())].min(num_centroids - 1) } else { rng.below(num_centroids) })
        .map(|code| code as u32)
        .collect();
    let found = backend.centroid_sums(dim, &embeddings, &codes, num_centroids).unwrap();
    let expected = selvedge_backend::reference::centroid_sums(dim, &embeddings, &codes, num_centroids);
    assert!(found == expected, "{}: K={num_centroids}", backend.name());
}

/// A sample that the memory limit of the device does not hold: the first slices stay, the others are uploaded again in
/// each round, and a block is compressed in many slices. `mutants.rs` runs this once more, with work that is late.
#[test]
fn slices_that_do_not_fit_are_uploaded_again() {
    const DIM: usize = 32;
    let Some(cuda) = crate::gpu::open(CudaOptions { memory_bytes: Some(64 << 10), ..CudaOptions::default() }) else {
        return;
    };
    // A slice has 64 KiB / 32, 16 rows. Of 40 cells 37 restart.
    for (num, num_centroids) in [(700, 5), (16, 3), (17, 3), (49, 9), (60, 40)] {
        check(&cuda, Rows::Few, DIM, num, num_centroids);
    }
    let sample = sample(Rows::Unit, DIM, 700);
    assert!(size_of_val(&sample[..]) > 64 << 10);
    let mut means = cuda.kmeans(DIM, &sample, &[0, 1, 2]).unwrap();
    let before = cuda.device_bytes();
    let restart = &mut || 0;
    means.round(restart).unwrap();
    let held = cuda.device_bytes() - before;
    assert!(held > 0 && held < size_of_val(&sample[..]) as u64, "{held} bytes are held");
    means.round(restart).unwrap();
    assert_eq!(cuda.device_bytes() - before, held);
    drop(means);
    assert_eq!(cuda.device_bytes(), 0);
    for num in [15, 16, 17, 33, 48, 49, 130] {
        check_assign_and_compress(&cuda, &Shape { dim: DIM, num_centroids: 9, ..Shape::small() }, num);
    }
}

/// Centroids that do not fit are an error before anything is allocated, and so are the slices of a block.
#[test]
fn memory_is_checked_before_the_first_upload() {
    const DIM: usize = 128;
    let Some(cuda) = crate::gpu::open(CudaOptions { memory_bytes: Some(1 << 20), ..CudaOptions::default() }) else {
        return;
    };
    let sample = sample(Rows::Unit, DIM, 5000);
    let starts: Vec<usize> = (0..1000).collect();
    let refused = cuda.kmeans(DIM, &sample, &starts).map(|_| ()).unwrap_err();
    let needed = (1000 * DIM * 12 + 1024 * DIM) as u64;
    assert!(matches!(refused, Error::OutOfDeviceMemory { wanted_bytes, .. } if wanted_bytes > needed), "{refused}");
    assert_eq!(cuda.device_bytes(), 0);
    let codec = codec(&Shape { dim: DIM, trellis: true, ..Shape::small() }, Fill::Random, &mut Rng::new(1));
    let codec = CheckedCodec::new(realistic(codec, WeightRule::KeepLength)).unwrap();
    let centroids = cuda.load_centroids(DIM, &codec.centroids).unwrap();
    let loaded = cuda.load_codec(codec).unwrap();
    let _others = cuda.upload_embeddings(&vec![0.0; 220_000]).unwrap();
    let before = cuda.device_bytes();
    let refused = cuda.assign_and_compress(&centroids, &loaded, &sample).map(|_| ()).unwrap_err();
    assert!(matches!(refused, Error::OutOfDeviceMemory { .. }), "{refused}");
    assert_eq!(cuda.device_bytes(), before);
}

/// The number of centroids of MS MARCO, with few rows: nearly all cells restart.
#[test]
#[ignore = "takes minutes on the emulated GPU"]
fn rounds_with_many_centroids() {
    const DIM: usize = 128;
    let Some(cuda) = crate::gpu::cuda() else { return };
    let sample = sample(Rows::Unit, DIM, 300);
    let starts: Vec<usize> = (0..1 << 18).map(|code| code * 7 % 300).collect();
    let cpu = Cpu::new().unwrap();
    let all = [cuda.kmeans(DIM, &sample, &starts), cpu.kmeans(DIM, &sample, &starts)];
    let [found, expected] = all.map(|means| {
        let (mut means, mut restarts) = (means.unwrap(), 0);
        let restart = &mut || {
            restarts += 1;
            restarts * 13 % 300
        };
        means.round(restart).unwrap();
        (means.centroids().unwrap(), restarts)
    });
    assert!(found.1 > 1 << 17 && found == expected);
}
