//! Compiles every kernel with the real NVRTC, which needs no GPU, and checks registers, memory and instructions.
//!
//! Kernels are compiled as the backend does it, for dims and codings that represent all others. A spilled register,
//! a warning or a number over its limit (`limits.rs`) is a failure. Registers, shared and local memory and the number
//! of instructions must equal `kernels/compiled.tsv`, so that a change to one kernel shows its effect on all others,
//! and the instructions of its loops by pipe `kernels/loops.tsv`. If the compiler's version is not the tables',
//! differences are only printed, and only spilled registers fail. `SELVEDGE_BLESS=1` writes the tables.
//!
//! NVRTC is found as the backend finds it (`SELVEDGE_NVRTC=FILE`). Without one, or with the emulated one, the tests are
//! skipped, or fail under `SELVEDGE_REQUIRE_NVRTC=1`.

#![allow(unreachable_pub)] // a test crate exports nothing

mod cubin;
mod limits;
mod log;
mod loops;
mod table;

use cubin::Cubin;
use loops::Loop;
use rayon::prelude::*;
use selvedge_backend::cuda::{Compiled, KernelVariant, Nvrtc};
use selvedge_kernels::{Defines, Op, source};
use std::path::Path;
use table::{Row, Table};

/// Ops whose loops are in `kernels/loops.tsv`, for the architectures and codings below.
const OPS_OF_LOOPS: [Op; 10] = [
    Op::Assign,
    Op::CentroidSums,
    Op::Kmeans,
    Op::Compress,
    Op::ApproxScores,
    Op::Maxsim,
    Op::Rows,
    Op::Filter,
    Op::FilterWgmma,
    Op::MaxsimF32,
];
const ARCHITECTURES_OF_LOOPS: [&str; 2] = ["sm_80", "sm_90a"];
const CODINGS_OF_LOOPS: [(u8, bool); 4] = [(1, true), (2, false), (2, true), (4, false)];

/// Architectures to compile for.
const ARCHITECTURES: [&str; 2] = ["sm_80", "sm_90a"];
/// Dims: less than a step of products, steps that are not full, the most common one, and many steps.
const DIMS: [usize; 5] = [8, 48, 96, 128, 768];
/// Codings: nbits, and whether it is a trellis.
const CODINGS: [(u8, bool); 7] = [(0, false), (1, false), (1, true), (2, false), (2, true), (4, false), (8, false)];

/// Returns the compiler, or `None` if there is none or only the emulated one.
fn nvrtc() -> Option<Nvrtc> {
    let found = Nvrtc::get().map_err(|error| error.to_string()).and_then(|nvrtc| {
        let compiled = compile(&nvrtc, "nothing", "extern \"C\" __global__ void nothing() {}", ARCHITECTURES[0], &[]);
        let real = Cubin(&compiled.cubin).is_for_gpu();
        if real { Ok(nvrtc) } else { Err(format!("{} is not the real NVRTC", nvrtc.path().display())) }
    });
    match found {
        Ok(nvrtc) => Some(nvrtc),
        Err(error) if std::env::var_os("SELVEDGE_REQUIRE_NVRTC").is_some() => panic!("{error}"),
        Err(error) => {
            eprintln!("skipped: {error}");
            None
        }
    }
}

/// Compiles a text that is not an op's, with the compiler's numbers in the log.
fn compile(nvrtc: &Nvrtc, name: &str, text: &str, arch: &str, more: &[&str]) -> Compiled {
    let more = more.iter().map(|option| (*option).to_owned());
    let mut options = vec![format!("--gpu-architecture={arch}"), "--ptxas-options=-v".to_owned()];
    options.extend(more);
    nvrtc.compile(name, text, &options).unwrap_or_else(|error| panic!("{error}"))
}

/// A compilation: an op's kernels, their variant and the architecture.
#[derive(Clone, Copy)]
struct Job {
    op: Op,
    variant: KernelVariant,
    arch: &'static str,
}

impl Job {
    fn all() -> Vec<Self> {
        let mut jobs = Vec::new();
        for op in Op::ALL {
            let dims = if op.defines() == Defines::None { &DIMS[..1] } else { &DIMS[..] };
            let codings = if op.defines() == Defines::Coding { &CODINGS[..] } else { &CODINGS[..1] };
            let runs_on = |arch: &&str| op.architecture().is_none_or(|only| only == *arch);
            let most = op.most_dim();
            let dims = dims.iter().copied().filter(|&dim| dim <= most).chain((most != usize::MAX).then_some(most));
            for dim in dims {
                for &(nbits, trellis) in codings {
                    let variant = KernelVariant { dim, nbits, trellis };
                    jobs.extend(ARCHITECTURES.into_iter().filter(runs_on).map(|arch| Self { op, variant, arch }));
                }
            }
        }
        jobs
    }

    fn compile(self, nvrtc: &Nvrtc) -> Compiled {
        let mut options = self.variant.compiler_options(self.op, self.arch);
        options.push("--ptxas-options=-v".into());
        nvrtc.compile(self.op.name(), &source(self.op), &options).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Returns the name of a kernel's row, with a dash for each parameter that it does not have.
    fn names(self, kernel: &str) -> Vec<String> {
        let KernelVariant { dim, nbits, trellis } = self.variant;
        let (dim, nbits, trellis) = (dim.to_string(), nbits.to_string(), u8::from(trellis).to_string());
        let dash = || "-".to_owned();
        let parameters = match self.op.defines() {
            Defines::None => [dash(), dash(), dash()],
            Defines::Dim => [dim, dash(), dash()],
            Defines::Coding => [dim, nbits, trellis],
        };
        [self.arch, self.op.name(), kernel].map(String::from).into_iter().chain(parameters).collect()
    }

    /// Whether its loops are in the table.
    fn has_rows_of_loops(self) -> bool {
        let coding = self.op.defines() != Defines::Coding
            || CODINGS_OF_LOOPS.contains(&(self.variant.nbits, self.variant.trellis));
        let dim = self.op.defines() == Defines::None || self.variant.dim == 128;
        dim && coding && OPS_OF_LOOPS.contains(&self.op) && ARCHITECTURES_OF_LOOPS.contains(&self.arch)
    }

    /// Returns the limits that a kernel breaks, and a row for each of its loops.
    fn judged_loops(self, compiled: &Compiled, kernel: &str, registers: usize) -> (Vec<String>, Vec<Row>) {
        let loops = Cubin(&compiled.cubin).loops(kernel).expect("the CUBIN has the kernel");
        let mut wrong = limits::broken(self, kernel, registers, &loops);
        let in_local_memory = (1..).zip(&loops).filter(|(_, of)| of.whole.local > 0);
        wrong.extend(in_local_memory.map(|(number, of)| {
            format!("{}: loop {number} accesses local memory {} times", self.names(kernel).join(" "), of.whole.local)
        }));
        let row = |(number, of): (usize, &Loop)| {
            let (whole, least) = (of.whole, of.least);
            let mut numbers = whole.numbers().to_vec();
            numbers.extend([whole.local, whole.clocks()]);
            numbers.extend(least.numbers());
            numbers.push(least.clocks());
            (self.names(kernel).into_iter().chain([number.to_string()]).collect(), numbers)
        };
        (wrong, if self.has_rows_of_loops() { (1..).zip(&loops).map(row).collect() } else { Vec::new() })
    }
}

/// Returns the faults of a compiled text, and a row for each kernel.
fn judged(compiled: &Compiled, names: impl Fn(&str) -> Vec<String>) -> (Vec<String>, Vec<Row>) {
    let (mut wrong, mut rows) = (Vec::new(), Vec::new());
    for kernel in log::kernels(&compiled.log) {
        let names = names(&kernel.kernel);
        let instructions = Cubin(&compiled.cubin).instructions(&kernel.kernel).expect("the CUBIN has the kernel");
        if kernel.spilled_bytes > 0 {
            wrong.push(format!("{}: {} bytes are spilled", names.join(" "), kernel.spilled_bytes));
        }
        rows.push((names, vec![kernel.registers, kernel.shared_bytes, kernel.stack_bytes, instructions]));
    }
    assert!(!rows.is_empty(), "the log has no kernel:\n{}", compiled.log);
    wrong.extend(log::warnings(&compiled.log).into_iter().map(|line| format!("{}: {line}", names("").join(" "))));
    (wrong, rows)
}

#[test]
fn registers_suffice_and_the_tables_are_up_to_date() {
    let Some(nvrtc) = nvrtc() else { return };
    let compiled: Vec<_> = Job::all().into_par_iter().map(|job| (job, job.compile(&nvrtc))).collect();
    let of_cubin = Cubin(&compiled[0].1.cubin).compiler();
    let compiler = of_cubin.unwrap_or_else(|| format!("{}.{}", nvrtc.version().0, nvrtc.version().1));
    let mut wrong = Vec::new();
    let [mut kernels, mut loops] =
        [&table::KERNELS, &table::LOOPS].map(|columns| Table { columns, compiler: compiler.clone(), rows: Vec::new() });
    for (job, compiled) in &compiled {
        let (more, rows) = judged(compiled, |kernel| job.names(kernel));
        wrong.extend(more);
        kernels.rows.extend(rows);
        for kernel in log::kernels(&compiled.log) {
            let (more, rows) = job.judged_loops(compiled, &kernel.kernel, kernel.registers);
            wrong.extend(more);
            loops.rows.extend(rows);
        }
    }
    println!("{} kernels in {} modules", kernels.rows.len(), compiled.len());

    for (file, new) in [("compiled.tsv", kernels), ("loops.tsv", loops)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("kernels").join(file);
        if std::env::var_os("SELVEDGE_BLESS").is_some() {
            std::fs::write(&path, new.text()).unwrap();
            continue;
        }
        let old = Table::parse(new.columns, &std::fs::read_to_string(&path).unwrap_or_default());
        let differences = old.differences(&new);
        if old.compiler == new.compiler {
            wrong.extend(differences);
        } else {
            println!("{file} is by NVRTC {}, this is {}:\n{}", old.compiler, new.compiler, differences.join("\n"));
            wrong.retain(|line| line.contains("spilled"));
        }
    }
    let bless =
        "SELVEDGE_BLESS=1 writes the tables in kernels/; spilled registers, warnings and limits fail all the same";
    assert!(wrong.is_empty(), "{}\n{bless}", wrong.join("\n"));
}

/// A kernel with more live numbers than 32 registers hold.
const MANY: &str = "extern \"C\" __global__ void many(float* x) {
    float held[48];
    for (int i = 0; i < 48; ++i) held[i] = x[i * 32];
    __syncthreads();
    for (int i = 0; i < 48; ++i) x[i * 32] = held[i] * held[(i + 1) % 48];
}";

/// A loop over all of them, which the compiler does not unroll. With more of them than there are uniform registers,
/// too, in which the compiler can keep 63.
const LOOP: &str = "#pragma unroll 1
    for (int round = 0; round < static_cast<int>(x[0]); ++round) {
        for (int i = 0; i < 48; ++i) held[i] = held[(i + 1) % 48] * held[i];
    }";

#[test]
fn spills_and_warnings_are_seen() {
    let Some(nvrtc) = nvrtc() else { return };
    for arch in ARCHITECTURES {
        let judge = |text: &str, more: &[&str]| {
            judged(&compile(&nvrtc, "many", text, arch, more), |kernel| vec![kernel.to_owned()])
        };
        let (wrong, rows) = judge(MANY, &[]);
        assert_eq!(wrong, [""; 0]);
        assert!(rows[0].1[0] > 48 && rows[0].1[3] > 3 * 48, "{rows:?}");
        let (wrong, rows) = judge(MANY, &["--maxrregcount=32"]);
        assert!(
            wrong.len() == 1 && wrong[0].starts_with("many: ") && wrong[0].ends_with("bytes are spilled"),
            "{wrong:?}"
        );
        assert!(rows[0].1[0] <= 32 && rows[0].1[2] > 0, "{rows:?}");
        let local = |more: &[&str]| {
            let compiled =
                compile(&nvrtc, "many", &MANY.replace("__syncthreads();", LOOP).replace("48", "160"), arch, more);
            let loops = Cubin(&compiled.cubin).loops("many").expect("the CUBIN has the kernel");
            assert_eq!(loops.len(), 1, "{loops:?}");
            (loops[0].whole.local, loops[0].least.instructions() > 160)
        };
        assert_eq!(local(&[]), (0, true));
        assert!(local(&["--maxrregcount=32"]).0 > 0);
        let (wrong, _) = judge(&MANY.replace("float held", "int unused; float held"), &[]);
        assert!(wrong.len() == 1 && wrong[0].contains("unused"), "{wrong:?}");
    }
}
