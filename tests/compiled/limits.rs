//! Limits that kernels must keep, each with its reason. A change that makes a kernel worse than its limit needs a
//! better reason than that.

use crate::Job;
use crate::loops::{Counts, Loop};
use selvedge_kernels::Op;

/// Largest numbers of a kernel at 128 components. Instructions are limited in each loop that multiplies matrices; in a
/// kernel without one, in its largest loop.
struct Limit {
    op: Op,
    kernel: &'static str,
    nbits: u8,
    trellis: bool,
    multiplies: bool,
    registers: usize,
    counted: fn(&Loop) -> Counts,
    instructions: usize,
    alu: usize,
    fma: usize,
    reason: &'static str,
}

const LIMITS: [Limit; 6] = [
    Limit {
        op: Op::Assign,
        kernel: "assign",
        nbits: 0,
        trellis: false,
        multiplies: true,
        registers: 128,
        counted: |of| of.least,
        instructions: 205,
        alu: 80,
        fma: 80,
        reason: "64 centroids by 32 rows: half of the 413 clocks of their products; two blocks on a multiprocessor",
    },
    Limit {
        op: Op::Maxsim,
        kernel: "maxsim_narrow",
        nbits: 2,
        trellis: true,
        multiplies: true,
        registers: 128,
        counted: |of| of.least,
        instructions: 220,
        alu: 105,
        fma: 90,
        reason: "16 tokens by 32 query tokens: 600 M tokens in about 10 ms on an H200",
    },
    Limit {
        op: Op::Rows,
        kernel: "rows_windows",
        nbits: 2,
        trellis: true,
        multiplies: false,
        registers: 64,
        counted: |of| of.least,
        instructions: 175,
        alu: 95,
        fma: 70,
        reason: "8 tokens: with their products of 4 queries less than 4 scans; eight blocks on a multiprocessor",
    },
    Limit {
        op: Op::Rows,
        kernel: "slabs_windows",
        nbits: 2,
        trellis: true,
        multiplies: false,
        registers: 64,
        counted: |of| of.least,
        instructions: 180,
        alu: 98,
        fma: 70,
        reason: "8 tokens: 16 ms for 600 M tokens on an H200, once a batch",
    },
    Limit {
        op: Op::Filter,
        kernel: "filter",
        nbits: 0,
        trellis: false,
        multiplies: true,
        registers: 80,
        counted: |of| of.least,
        instructions: 235,
        alu: 40,
        fma: 135,
        reason: "four times 8 tokens by 32 query tokens: 206 clocks of products; three blocks on a multiprocessor",
    },
    Limit {
        op: Op::FilterWgmma,
        kernel: "filter_wgmma",
        nbits: 0,
        trellis: false,
        multiplies: true,
        registers: 128,
        counted: |of| of.least,
        instructions: 135,
        alu: 80,
        fma: 20,
        reason: "128 tokens by 64 query tokens: with the ends of passages well below the 256 clocks of the products",
    },
];

/// Architectures to which the limits apply.
const ARCHITECTURES: [&str; 2] = ["sm_80", "sm_90a"];

/// Describes the limits that a kernel breaks.
pub(crate) fn broken(job: Job, kernel: &str, registers: usize, loops: &[Loop]) -> Vec<String> {
    let Job { op, variant, arch } = job;
    let applies = |limit: &&Limit| {
        (limit.op, limit.kernel, 128) == (op, kernel, variant.dim)
            && (limit.nbits, limit.trellis) == (variant.nbits, variant.trellis)
            && ARCHITECTURES.contains(&arch)
    };
    let Some(limit) = LIMITS.iter().find(applies) else { return Vec::new() };
    let mut numbers = vec![("registers", registers, limit.registers)];
    let mut counted: Vec<Counts> = loops.iter().filter(|of| of.whole.mma > 0).map(limit.counted).collect();
    if !limit.multiplies {
        counted.extend(loops.iter().map(limit.counted).max_by_key(|counts| counts.instructions()));
    }
    for counts in &counted {
        numbers.push(("instructions", counts.instructions(), limit.instructions));
        numbers.extend([("alu", counts.alu, limit.alu), ("fma", counts.fma, limit.fma)]);
    }
    // Without a loop of products, there would be nothing to keep.
    numbers.push(("missing loops", usize::from(counted.is_empty()), 0));
    numbers.retain(|(_, number, limit)| number > limit);
    let line = |(what, number, most)| format!("{arch} {kernel}: {number} {what}, at most {most} ({})", limit.reason);
    numbers.into_iter().map(line).collect()
}

#[test]
fn each_number_over_its_limit_is_named() {
    use selvedge_backend::cuda::KernelVariant;

    let variant = KernelVariant { dim: 128, nbits: 0, trellis: false };
    let job = Job { op: Op::Assign, variant, arch: "sm_80" };
    let most = Counts { alu: 80, mma: 125, ..Counts::default() };
    let more = Counts { alu: 206, mma: 1, ..Counts::default() };
    assert_eq!(broken(job, "assign", 128, &[Loop { whole: more, least: most }]), [""; 0]);
    let found = broken(job, "assign", 129, &[Loop { whole: more, least: more }]);
    let begins =
        ["sm_80 assign: 129 registers, at most 128", "sm_80 assign: 207 instructions", "sm_80 assign: 206 alu"];
    assert!(found.len() == 3 && begins.iter().zip(&found).all(|(begin, line)| line.starts_with(begin)), "{found:?}");
    assert_eq!(broken(job, "assign", 0, &[]).len(), 1);
    assert_eq!(broken(Job { variant: KernelVariant { dim: 96, ..variant }, ..job }, "assign", 255, &[]), [""; 0]);
}
