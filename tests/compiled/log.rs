//! What the compiler says with `--ptxas-options=-v`.
//!
//! ```text
//! ptxas info    : Compiling entry function 'maxsim' for 'sm_90'
//! ptxas info    : Function properties for maxsim
//! ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
//! ptxas info    : Used 77 registers, used 1 barriers, 1025 bytes smem
//! ```

/// What is said of a kernel.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    pub kernel: String,
    pub registers: usize,
    pub shared_bytes: usize,
    /// Local memory of a thread: arrays that are not in registers, and spilled registers.
    pub stack_bytes: usize,
    /// Bytes that are stored and loaded since registers did not suffice.
    pub spilled_bytes: usize,
}

/// What is said of each kernel, in the log's order.
pub fn kernels(log: &str) -> Vec<Said> {
    let mut kernels: Vec<Said> = Vec::new();
    for line in log.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            let kernel = rest.split('\'').next().expect("split gives one").to_owned();
            kernels.push(Said { kernel, ..Said::default() });
        }
        // Functions that were not inlined have properties of their own, which count for the kernel before them.
        let Some(said) = kernels.last_mut() else { continue };
        said.registers = said.registers.max(before(line, " registers"));
        said.shared_bytes += before(line, " bytes smem");
        said.stack_bytes += before(line, " bytes stack frame");
        said.spilled_bytes += before(line, " bytes spill stores") + before(line, " bytes spill loads");
    }
    kernels
}

/// The number before `what`; 0 where a line does not say it.
fn before(line: &str, what: &str) -> usize {
    let number = line.split_once(what).and_then(|(head, _)| head.rsplit(' ').next()?.parse().ok());
    number.unwrap_or(0)
}

/// The warnings in it, without the remark on how to be rid of them.
pub fn warnings(log: &str) -> Vec<&str> {
    log.lines().filter(|line| line.contains("warning") && !line.starts_with("Remark")).collect()
}

#[test]
fn a_log_is_read() {
    let log = "ptxas info    : 20 bytes gmem, 32 bytes cmem[4]
ptxas info    : Compiling entry function 'first' for 'sm_90'
ptxas info    : Function properties for first
ptxas         .     8 bytes stack frame, 4 bytes spill stores, 12 bytes spill loads
ptxas info    : Used 64 registers, used 1 barriers, 8 bytes cumulative stack size, 1025 bytes smem, 392 bytes cmem[0]
ptxas info    : Compiling entry function 'second' for 'sm_90'
ptxas info    : Function properties for second
    0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 7 registers
a.cu(3): warning #177-D: variable \"i\" was declared but never referenced
Remark: The warnings can be suppressed with \"-diag-suppress <warning-number>\"";
    let first = Said { kernel: "first".into(), registers: 64, shared_bytes: 1025, stack_bytes: 8, spilled_bytes: 16 };
    assert_eq!(kernels(log), [first, Said { kernel: "second".into(), registers: 7, ..Said::default() }]);
    assert_eq!(warnings(log).len(), 1);
}
