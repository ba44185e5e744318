//! Conformance suite of the backends: the result of each op is compared with that of `selvedge_backend::reference`.
//!
//! Integer ops and `decompress` must agree bit for bit, on random and on extreme input; float ops must agree within the
//! margins of `floats.rs`. A new backend needs one line in `each_backend` of `sweep.rs`. [`a_little_of_everything`] is
//! small enough for Miri, under which `.ci/run` runs it.

#![allow(unreachable_pub)] // a test crate exports nothing

#[macro_use]
mod sweep;

mod cases;
mod filter;
mod floats;
mod gpu;
mod integers;
mod kmeans;
mod mutants;
mod peak;
mod trellis;
mod widths;

use cases::{Case, Fill, Rng, Shape};
use selvedge_backend::{Backend, Cpu, Isa, Several};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use sweep::{CODINGS, DIMS, EDGE_DIMS, Sweep};

/// Every op at the smallest sizes. Compression with a trellis is left out: its oracle takes minutes under Miri.
#[test]
fn a_little_of_everything() {
    each_backend!(backend => {
        let tiny = Shape { dim: 8, num_centroids: 3, query_len: 2, lengths: vec![2, 0, 1], ..Shape::small() };
        for (nbits, trellis) in [(0, false), (1, true), (4, false), (8, false)] {
            integers::check(backend, &Case::new(&Shape { nbits, trellis, ..tiny.clone() }, Fill::Random));
        }
        integers::check(backend, &Case::new(&tiny, Fill::Extreme));
        let trellis = Shape { trellis: true, ..tiny.clone() };
        integers::check(backend, &Case::new(&trellis, Fill::Random).corrupted(1));
        floats::check_compress(backend, &tiny, 3);
        integers::check_assign(backend, 8, 3, 17, Fill::Random);
        integers::check_quantize_query(backend, 8, 2, None);
        integers::check_search_batch(backend, &Case::new(&tiny, Fill::Random));
        floats::check_centroid_sums(backend, 8, 3, 2);
        kmeans::check(backend, kmeans::Rows::Few, 8, 5, 4);
        floats::check_maxsim_f32(backend, 8, &[1, 0, 17], &[0, 1, 7]);
    });
}

/// Fewer groups than are searched, and more; random and extreme rows, pairs of equal centroids.
#[test]
fn assignment_by_groups() {
    each_backend!(backend, sweep => {
        let sizes = sweep.of(&[(8, 0, 3), (8, 1, 1), (8, 67, 200), (24, 67, 200)], &[(8, 1, 1), (8, 67, 200)]);
        for (dim, num, num_centroids) in sizes {
            kmeans::check_grouped(backend, dim, num, num_centroids, Fill::Random);
            kmeans::check_grouped(backend, dim, num, num_centroids, Fill::Extreme);
        }
    });
}

/// All dims with all nbits: both decide which kernel runs. Weight indices have 0 bits (absent), 4 bits (aligned to half
/// bytes), 5 bits (crossing bytes) and 8 bits (whole bytes).
#[test]
fn integer_ops_at_every_dim_and_width() {
    each_backend!(backend, sweep => {
        for dim in sweep.dims() {
            for (nbits, trellis) in CODINGS {
                let fills = [(0, Fill::Random), (4, Fill::Random), (5, Fill::Random), (8, Fill::Extreme)];
                for (weight_bits, fill) in fills {
                    let shape = Shape { dim, nbits, trellis, weight_bits, ..Shape::small() };
                    integers::check(backend, &Case::new(&shape, fill));
                }
            }
        }
    });
}

/// Every query length up to 66, which includes every tail of a tile of query tokens, and longer ones around powers of
/// two.
#[test]
fn integer_ops_at_every_query_length() {
    let all: Vec<usize> = (0..=66).chain([127, 128, 129, 255, 256, 257, 300]).collect();
    each_backend!(backend, sweep => {
        for query_len in sweep.of(&all, &[0, 1, 2, 7, 8, 9, 16, 31, 32, 33, 40, 64, 65, 129]) {
            let shape = Shape { query_len, ..Shape::small() };
            integers::check(backend, &Case::new(&shape, Fill::Random));
            integers::check(backend, &Case::new(&shape, Fill::Extreme));
        }
    });
}

/// Similarities of single passages, at all dims and widths, and of passages that are corrupt.
#[test]
fn similarities_sum_to_the_score() {
    for dim in EDGE_DIMS {
        for (nbits, trellis) in CODINGS {
            for fill in [Fill::Random, Fill::Extreme] {
                let case = Case::new(&Shape { dim, nbits, trellis, ..Shape::small() }, fill);
                integers::check_similarities(&case);
                integers::check_similarities(&case.corrupted(7));
            }
        }
    }
    for query_len in [0, 1, 2, 31, 32, 33] {
        integers::check_similarities(&Case::new(&Shape { query_len, ..Shape::small() }, Fill::Extreme));
    }
}

/// Passage lengths from 0 to 70, around powers of two, and long ones; then a segment of empty passages, and one without
/// passages.
#[test]
fn integer_ops_at_every_passage_length() {
    each_backend!(backend => {
        let mut lengths: Vec<usize> = (0..=70).collect();
        lengths.extend([127, 128, 129, 1000, 8191, 8192]);
        integers::check(backend, &Case::new(&Shape { lengths, dim: 32, ..Shape::small() }, Fill::Random));
        let all_empty = vec![0; 9];
        integers::check(backend, &Case::new(&Shape { lengths: all_empty, ..Shape::small() }, Fill::Random));
        integers::check(backend, &Case::new(&Shape { lengths: Vec::new(), ..Shape::small() }, Fill::Random));
    });
}

/// Numbers of centroids around a group of 8 of `probe`, and where codes take one more bit.
#[test]
fn integer_ops_at_every_number_of_centroids() {
    each_backend!(backend => {
        for num_centroids in [1, 2, 3, 5, 7, 8, 9, 100, 255, 256, 257, 1025] {
            integers::check(backend, &Case::new(&Shape { num_centroids, ..Shape::small() }, Fill::Random));
        }
    });
}

/// Ranges of levels on both sides of each bound by which a kernel is chosen.
#[test]
fn levels_at_the_edge_of_each_kernel() {
    // Ranges at which one more pair of products no longer fits an i16, and the widest ones.
    let ranges = [(-1, 1), (-10, 10), (-21, 21), (-21, 22), (-32, 32), (-32, 33), (-64, 65), (-65, 65), (-2, 127)];
    // Steps above the lowest level that an i8 has, and has not.
    let steps = [(-64, 63), (-64, 64)];
    let shifted = [(-127, 2), (-127, 3), (-127, -126), (126, 127), (-127, 127)];
    let all: Vec<(i8, i8)> = ranges.into_iter().chain(steps).chain(shifted).collect();
    each_backend!(backend, sweep => {
        let edges = [(-1, 1), (-127, -126), (126, 127), (-64, 63), (-64, 64), (0, 127), (-127, 0), (-127, 127)];
        for range in sweep.of(&all, &edges) {
            for (nbits, trellis) in [(1, false), (1, true), (2, false), (2, true), (4, false), (8, false)] {
                let shape = Shape { nbits, trellis, levels: Some(range), ..Shape::small() };
                integers::check(backend, &Case::new(&shape, Fill::Random));
                integers::check(backend, &Case::new(&shape, Fill::Extreme));
            }
        }
    });
}

/// Entries of the centroid table around the largest i16, at dims whose rows are unpacked in different ways.
#[test]
fn tables_around_the_largest_i16() {
    each_backend!(backend => {
        for (nbits, trellis) in [(1, false), (1, true), (2, false), (2, true), (4, false)] {
            for (dim, query_len) in [(128, 32), (128, 33), (96, 5)] {
                widths::check(backend, &Shape { dim, nbits, trellis, query_len, ..Shape::small() });
            }
        }
    });
}

/// Numbers of passages around 512 and 576: the CPU backend scores up to 512 on one thread, and more in blocks of 64.
#[test]
fn integer_ops_over_blocks_of_passages() {
    each_backend!(backend => {
        for num_passages in [511, 512, 513, 576, 577, 2000, 4100] {
            let lengths = (0..num_passages).map(|p| p * 7 % 5).collect();
            let shape = Shape { lengths, dim: 16, query_len: 9, ..Shape::small() };
            integers::check(backend, &Case::new(&shape, Fill::Random));
        }
    });
}

/// Codes and offsets out of range: the ops are memory-safe, and every backend returns the same result.
#[test]
fn corrupt_passages_give_the_result_of_the_reference() {
    each_backend!(backend, sweep => {
        for seed in 0..if sweep == Sweep::Full { 20 } else { 10 } {
            for num_centroids in [1, 5, 33] {
                let case = Case::new(&Shape { num_centroids, seed, ..Shape::small() }, Fill::Random);
                let case = case.corrupted(seed);
                assert!(case.passages.validate(case.codec.sizes()).is_err(), "corrupt passages are rejected");
                integers::check(backend, &case);
            }
        }
    });
}

/// Shapes drawn from fixed seeds, so that a failure repeats.
#[test]
fn integer_ops_at_random_shapes() {
    each_backend!(backend, sweep => {
        for seed in 0..if sweep == Sweep::Full { 300 } else { 60 } {
            let mut shape = Shape::random(&mut Rng::new(seed));
            if sweep == Sweep::Edges {
                shape.dim = EDGE_DIMS[shape.dim / 8 % EDGE_DIMS.len()];
            }
            integers::check(backend, &Case::new(&shape, if seed % 4 == 0 { Fill::Extreme } else { Fill::Random }));
        }
    });
}

/// Random shapes for `SELVEDGE_FUZZ_SECONDS` per backend, 1 by default. The last seed printed is the failing one;
/// `SELVEDGE_FUZZ_SEED` starts from it.
#[test]
fn integer_ops_at_random_shapes_for_a_while() {
    let number = |name, default| std::env::var(name).map_or(default, |text| text.parse().expect("a number"));
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_nanos() as u64;
    let (seconds, first) = (number("SELVEDGE_FUZZ_SECONDS", 1), number("SELVEDGE_FUZZ_SEED", now));
    each_backend!(backend => {
        let end = Instant::now() + Duration::from_secs(seconds);
        for seed in (first..).take_while(|_| Instant::now() < end) {
            println!("seed {seed}");
            let rng = &mut Rng::new(seed);
            let case = Case::new(&Shape::random(rng), [Fill::Random, Fill::Extreme][rng.below(2)]);
            let case = if rng.below(4) == 0 { case.corrupted(seed) } else { case };
            integers::check(backend, &case);
        }
    });
}

/// Numbers of centroids at which `probe` samples only every fifth and every tenth group of them for the missing score.
#[test]
fn integer_ops_with_many_centroids() {
    // On a GPU few columns of many entries are selected from in chunks.
    each_backend!(backend => for (num_centroids, query_len) in [(10_007, 9), (32_770, 2)] {
        let shape = Shape { dim: 8, num_centroids, query_len, ..Shape::small() };
        integers::check(backend, &Case::new(&shape, Fill::Random));
    });
}

/// Rotation and rounding of a query to int8, for each dim, with and without a rotation.
#[test]
fn quantize_query() {
    each_backend!(backend, sweep => {
        for dim in sweep.dims() {
            for rotation in [None, Some(0), Some(42)] {
                for query_len in [0, 1, 2, 32, 33] {
                    integers::check_quantize_query(backend, dim, query_len, rotation);
                }
            }
        }
    });
}

/// `search_batch` over segments that share passages, with an empty query, with many passages, and with corrupt
/// passages.
#[test]
fn a_batch_of_searches_gives_the_results_of_the_single_ops() {
    each_backend!(backend => {
        let many = (0..1200).map(|p| p * 7 % 5).collect();
        let (empty_query, many_passages) =
            (Shape { query_len: 0, ..Shape::small() }, Shape { lengths: many, ..Shape::small() });
        for shape in [Shape::small(), empty_query, many_passages] {
            integers::check_search_batch(backend, &Case::new(&shape, Fill::Random));
        }
        integers::check_search_batch(backend, &Case::new(&Shape::small(), Fill::Random).corrupted(3));
    });
}

#[test]
fn top_k_and_probe_break_ties_by_number() {
    each_backend!(backend => integers::check_ties(backend));
}

#[test]
fn top_k_of_many_passages() {
    each_backend!(backend => integers::check_top_k_of_many(backend));
}

/// Numbers of centroids around 16, with few embeddings; then many embeddings, and many centroids.
#[test]
fn assign() {
    each_backend!(backend, sweep => {
        for dim in sweep.of(&DIMS, &[8, 48, 64, 128, 328, 4096]) {
            // At 4096 components an emulated GPU spends half a minute on all sizes.
            let all = dim < 4096 || sweep == Sweep::Full;
            for num_centroids in [1, 2, 15, 16, 17, 33].into_iter().filter(|&n| all || n == 1 || n == 17) {
                for num in [0, 1, 2, 5, 8, 13, 61].into_iter().filter(|&n| all || n == 2 || n == 13) {
                    integers::check_assign(backend, dim, num, num_centroids, Fill::Random);
                    integers::check_assign(backend, dim, num, num_centroids, Fill::Extreme);
                }
            }
        }
        integers::check_assign(backend, 128, 3000, 100, Fill::Random);
        integers::check_assign(backend, 128, 100, 3000, Fill::Random);
        // Around the slabs of a GPU, in one or two slabs of a row, and for rows that its registers do not hold.
        for (dim, num) in [(128, 1), (128, 257), (160, 33), (328, 33)] {
            for num_centroids in [63, 64, 65, 127, 128, 129] {
                integers::check_assign(backend, dim, num, num_centroids, Fill::Random);
            }
        }
        for num_centroids in [1, 33, 64, 65, 200] {
            integers::check_assign_orders(backend, num_centroids);
        }
        integers::check_assign_ties(backend);
    });
}

#[test]
fn int8_rows_that_break_the_contract_are_refused() {
    each_backend!(backend => integers::check_refused_rows(backend));
}

/// No embedding, fewer embeddings than centroids, and up to 143 embeddings per centroid.
#[test]
fn centroid_sums() {
    each_backend!(backend => {
        for (dim, num, num_centroids) in [(8, 0, 1), (8, 1, 3), (128, 1000, 7), (96, 500, 300), (48, 3000, 65)] {
            floats::check_centroid_sums(backend, dim, num, num_centroids);
        }
        kmeans::check_many_codes(backend);
    });
}

#[test]
fn kmeans_rounds() {
    each_backend!(backend => kmeans::check_all(backend));
}

#[test]
fn assignment_and_compression_of_one_upload() {
    each_backend!(backend => kmeans::check_one_upload(backend));
}

/// Compression into buckets, for each dim, nbits and width of weights; then many rows, and none.
#[test]
fn compress() {
    each_backend!(backend, sweep => {
        for dim in sweep.dims() {
            for nbits in [0, 1, 2, 4, 8] {
                let edges = [0, 1, 5, 8];
                let all = if dim <= 128 { &[0, 1, 2, 3, 4, 5, 6, 7, 8][..] } else { &edges };
                for weight_bits in sweep.of(all, &edges) {
                    let shape = Shape { dim, nbits, weight_bits, ..Shape::small() };
                    floats::check_compress(backend, &shape, if sweep == Sweep::Full { 20 } else { 10 });
                }
            }
        }
        floats::check_compress(backend, &Shape::small(), if sweep == Sweep::Full { 1000 } else { 300 });
        floats::check_compress(backend, &Shape::small(), 0);
    });
}

/// Compression with a trellis: the row as such (`trellis.rs`), and the weights that follow from it.
#[test]
fn compress_with_a_trellis() {
    each_backend!(backend, sweep => {
        for dim in sweep.dims() {
            for nbits in [1, 2] {
                for weight_bits in [0, 5] {
                    // The first two rows are special cases (see `check_compress`); the oracle takes half of the time.
                    let shape = Shape { dim, nbits, trellis: true, weight_bits, ..Shape::small() };
                    let few = dim > 128 || sweep == Sweep::Edges;
                    floats::check_compress(backend, &shape, if few { 4 } else { 25 });
                }
            }
        }
        for nbits in [1, 2] {
            for dim in [8, 48, 128] {
                trellis::check_distance(backend, nbits, dim);
            }
            let all = [(8, 100), (32, 33), (40, 31), (48, 32), (64, 65), (128, 1), (320, 4), (4096, 2)];
            for (dim, num) in sweep.of(&all, &[(8, 20), (32, 7), (48, 32), (128, 1), (328, 4)]) {
                trellis::check_rows(backend, nbits, dim, num);
            }
        }
    });
}

/// Exact MaxSim in f32: passages of 0 to 22 tokens, queries around a tile of 16, no query, no passage.
#[test]
fn maxsim_f32() {
    each_backend!(backend, sweep => {
        for dim in sweep.dims() {
            floats::check_maxsim_f32(backend, dim, &[1, 16, 17, 0, 32, 5], &[0, 1, 2, 5, 6, 7, 12, 13, 0]);
        }
        floats::check_maxsim_f32(backend, 64, &[32, 31, 33], &(0..300).map(|p| p % 23).collect::<Vec<_>>());
        floats::check_maxsim_f32(backend, 64, &[], &[3]);
        floats::check_maxsim_f32(backend, 64, &[3], &[]);
    });
}
