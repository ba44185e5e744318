//! Mutation tests of this suite: bugs of the kinds that kernels have are planted in them and must be found.
//!
//! The emulated NVRTC plants a bug when it compiles (`EMULATED_MUTATION`: the file of a kernel, a text that occurs in
//! it once, its replacement). Each bug has its own process; the sources are never changed.

use crate::gpu;
use std::process::Command;

/// A bug, and the test that must fail on it.
struct Mutant {
    what: &'static str,
    kernel: &'static str,
    text: &'static str,
    planted: &'static str,
    test: &'static str,
}

const MUTANTS: [Mutant; 25] = [
    Mutant {
        what: "a missing barrier",
        kernel: "top_k",
        text: "__syncthreads(); // all are counted",
        planted: "",
        test: "top_k_and_probe_break_ties_by_number",
    },
    Mutant {
        what: "off by one at the last partial tile",
        kernel: "maxsim",
        text: "min(first + lane_number() / 4u + 8, last)",
        planted: "min(first + lane_number() / 4u + 8, last + 1)",
        test: "integer_ops_at_every_passage_length",
    },
    Mutant {
        what: "a wrong start of the sums",
        kernel: "maxsim",
        text: "static_cast<u8>(lowest_level)",
        planted: "static_cast<u8>(lowest_level + 1)",
        test: "a_little_of_everything",
    },
    Mutant {
        what: "the complement in place of the names",
        kernel: "maxsim",
        text: "choose_bytes(words[0], words[1], names)",
        planted: "choose_bytes(words[0], words[1], complement)",
        test: "a_little_of_everything",
    },
    Mutant {
        what: "the names in place of the complement",
        kernel: "maxsim",
        text: "choose_bytes(words[2], words[3], complement)",
        planted: "choose_bytes(words[2], words[3], names)",
        test: "a_little_of_everything",
    },
    Mutant {
        what: "a row that is not a ring",
        kernel: "maxsim",
        text: "lane_number() + 1, 4)",
        planted: "lane_number() + 1)",
        test: "tables_around_the_largest_i16",
    },
    Mutant {
        what: "the other half of a pair of entries",
        kernel: "maxsim",
        text: "i ? add_high",
        planted: "!i ? add_high",
        test: "tables_around_the_largest_i16",
    },
    Mutant {
        what: "the sign of an entry in its neighbour",
        kernel: "centroid_table",
        text: "(words[2 * i] & 0xffff)",
        planted: "words[2 * i]",
        test: "tables_around_the_largest_i16",
    },
    Mutant {
        what: "an equal product of a higher code that wins",
        kernel: "assign",
        text: "start -= best + 1;",
        planted: "start -= best;",
        test: "assign",
    },
    Mutant {
        what: "a vote without some lanes",
        kernel: "assign",
        text: "__any_sync(ALL_LANES, all >= 0)",
        planted: "__any_sync(ALL_LANES, all >= 0 && lane_number() != 21)",
        test: "assign",
    },
    Mutant {
        what: "a wrong lane of a fragment",
        kernel: "centroid_table",
        text: "const int u = lane_number() % 4 * STEPS + s;",
        planted: "const int u = (lane_number() + 1) % 4 * STEPS + s;",
        test: "a_little_of_everything",
    },
    Mutant {
        what: "a threshold without the bound",
        kernel: "survivors",
        text: "smallest - 2 * slack",
        planted: "smallest",
        test: "filter::a_batch_loses_no_passage",
    },
    Mutant {
        what: "a bound without the distance of rows",
        kernel: "survivors",
        text: "of_weights + of_rows + of_shift",
        planted: "of_weights + of_shift",
        test: "filter::a_batch_loses_no_passage",
    },
    Mutant {
        what: "more survivors than slots",
        kernel: "survivors",
        text: "kept && place < slots",
        planted: "kept",
        test: "filter::a_batch_without_a_certificate_is_scanned",
    },
    Mutant {
        what: "a token of the next passage",
        kernel: "rows",
        text: "from + min(g, last)",
        planted: "from + min(g, last + 1)",
        test: "filter::a_batch_loses_no_passage",
    },
    Mutant {
        what: "the tail of a passage left out",
        kernel: "filter",
        text: "(tokens.end - tokens.start + TILE_TOKENS - 1) / TILE_TOKENS",
        planted: "(tokens.end - tokens.start + TILE_TOKENS - 2) / TILE_TOKENS",
        test: "filter::a_batch_loses_no_passage",
    },
    Mutant {
        what: "rows of another passage",
        kernel: "filter",
        text: "(u64{(tokens.start - base) / TILE_TOKENS} + at)",
        planted: "(u64{(tokens.start - base) / TILE_TOKENS} + at + 1)",
        test: "filter::a_batch_loses_no_passage",
    },
    Mutant {
        what: "equal codes out of their order",
        kernel: "centroid_sums",
        text: "(1u << lane_number()) - 1",
        planted: "~((2u << lane_number()) - 1)",
        test: "centroid_sums",
    },
    Mutant {
        what: "a missing barrier of a scan",
        kernel: "centroid_sums",
        text: "__syncthreads(); // the sum of each warp is there",
        planted: "",
        test: "centroid_sums",
    },
    Mutant {
        what: "a restart at another cell",
        kernel: "kmeans",
        text: "centroids + u64{codes[at]} * dim",
        planted: "centroids + u64{codes[0]} * dim",
        test: "kmeans_rounds",
    },
    Mutant {
        what: "a slab that is not awaited",
        kernel: "filter_wgmma",
        text: "wait_for_phase(&shared.full[place.stage], place.parity);",
        planted: "",
        test: "filter::a_batch_loses_no_passage",
    },
    Mutant {
        what: "a wrong parity of a phase",
        kernel: "filter_wgmma",
        text: "wait_for_phase(&shared.empty[place.stage], place.parity ^ 1);",
        planted: "wait_for_phase(&shared.empty[place.stage], place.parity);",
        test: "filter::a_batch_loses_no_passage",
    },
    Mutant {
        what: "sums that are read before they are awaited",
        kernel: "filter_wgmma",
        text: "wait_for_products(products);",
        planted: "",
        test: "filter::a_batch_loses_no_passage",
    },
    Mutant {
        what: "an end of the next tile",
        kernel: "filter_wgmma",
        text: "[tile % 4 + lane_number()]",
        planted: "[tile % 4 + lane_number() + 1]",
        test: "filter::a_batch_loses_no_passage",
    },
    Mutant {
        what: "a matrix descriptor with the offsets exchanged",
        kernel: "filter_wgmma",
        text: "CORE_BYTES, TILE_BYTES)",
        planted: "TILE_BYTES, CORE_BYTES)",
        test: "filter::a_batch_loses_no_passage",
    },
];

#[test]
fn planted_bugs_are_found() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let emulator = if cfg!(miri) { None } else { gpu::compiler::emulator(folder.path()) };
    let Some((driver, nvrtc)) = emulator else { return };
    // What no mutant changes is compiled once.
    let objects = folder.path().join("objects");
    std::fs::create_dir(&objects).expect("a folder");
    let suite = |test: &str| {
        let mut command = Command::new(std::env::current_exe().expect("this test has a file"));
        command.args(["--exact", test]);
        command.envs([("SELVEDGE_CUDA_DRIVER", &driver), ("SELVEDGE_NVRTC", &nvrtc), ("EMULATED_OBJECTS", &objects)]);
        command
    };
    // Bugs of the host: with seed 0 work runs only for a wait that needs it, so a missing wait gives another result.
    let mut late = suite("kmeans::slices_that_do_not_fit_are_uploaded_again");
    late.env("EMULATED_SEED", "0").env("SELVEDGE_CUBINS", folder.path().join("late"));
    let late = late.output().expect("it starts");
    assert!(late.status.success(), "work that runs late: {}", String::from_utf8_lossy(&late.stdout));
    for (at, mutant) in MUTANTS.iter().enumerate() {
        let mut command = suite(mutant.test);
        // A separate cache: a compiled mutant must not be used in place of the kernel.
        command.env("SELVEDGE_CUBINS", folder.path().join(at.to_string()));
        command.env("EMULATED_MUTATION", [mutant.kernel, mutant.text, mutant.planted].join("\n"));
        let out = command.output().expect("it starts");
        let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        let found = !out.status.success() && text.contains("cuda/0") && !text.contains("does not compile");
        assert!(found, "{}: not found by {}:\n{text}", mutant.what, mutant.test);
    }
}
