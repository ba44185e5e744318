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

const MUTANTS: [Mutant; 9] = [
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
        text: "min(row + 8, last)",
        planted: "min(row + 8, last + 1)",
        test: "integer_ops_at_every_passage_length",
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
];

#[test]
fn planted_bugs_are_found() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let emulator = if cfg!(miri) { None } else { gpu::compiler::emulator(folder.path()) };
    let Some((driver, nvrtc)) = emulator else { return };
    for (at, mutant) in MUTANTS.iter().enumerate() {
        let suite = std::env::current_exe().expect("this test has a file");
        let mut command = Command::new(suite);
        command.args(["--exact", mutant.test]);
        command.envs([("SELVEDGE_CUDA_DRIVER", &driver), ("SELVEDGE_NVRTC", &nvrtc)]);
        // A separate cache: a compiled mutant must not be used in place of the kernel.
        command.env("SELVEDGE_CUBINS", folder.path().join(at.to_string()));
        command.env("EMULATED_MUTATION", [mutant.kernel, mutant.text, mutant.planted].join("\n"));
        let out = command.output().expect("it starts");
        let text = String::from_utf8_lossy(&out.stdout).into_owned() + &String::from_utf8_lossy(&out.stderr);
        let found = !out.status.success() && text.contains("cuda/0") && !text.contains("does not compile");
        assert!(found, "{}: not found by {}:\n{text}", mutant.what, mutant.test);
    }
}
