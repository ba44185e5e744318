//! The compiler's log with `--ptxas-options=-v`.
//!
//! ```text
//! ptxas info    : Compiling entry function 'maxsim' for 'sm_90'
//! ptxas info    : Function properties for maxsim
//! ptxas         .     0 bytes stack frame, 0 bytes spill stores, 0 bytes spill loads
//! ptxas info    : Used 77 registers, used 1 barriers, 1025 bytes smem
//! ```

/// Numbers of one kernel in the log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KernelLog {
    pub kernel: String,
    pub registers: usize,
    pub shared_bytes: usize,
    /// Bytes of a thread's local memory: arrays that are not in registers, and spilled registers.
    pub stack_bytes: usize,
    /// Bytes stored and loaded because registers did not suffice.
    pub spilled_bytes: usize,
}

/// Parses the numbers of each kernel, in the log's order.
pub fn kernels(log: &str) -> Vec<KernelLog> {
    let mut kernels: Vec<KernelLog> = Vec::new();
    for line in log.lines() {
        if let Some((_, rest)) = line.split_once("Compiling entry function '") {
            let kernel = rest.split('\'').next().expect("split gives one").to_owned();
            kernels.push(KernelLog { kernel, ..KernelLog::default() });
        }
        // Functions that were not inlined have lines of their own; they count for the kernel before them.
        let Some(kernel) = kernels.last_mut() else { continue };
        kernel.registers = kernel.registers.max(before(line, " registers"));
        kernel.shared_bytes += before(line, " bytes smem");
        kernel.stack_bytes += before(line, " bytes stack frame");
        kernel.spilled_bytes += before(line, " bytes spill stores") + before(line, " bytes spill loads");
    }
    kernels
}

/// Returns the number before `what`, or 0 if the line does not have it.
fn before(line: &str, what: &str) -> usize {
    let number = line.split_once(what).and_then(|(head, _)| head.rsplit(' ').next()?.parse().ok());
    number.unwrap_or(0)
}

/// Returns the warnings, without the remark on how to suppress them; also that products do not overlap.
pub fn warnings(log: &str) -> Vec<&str> {
    let is_one = |line: &&str| line.contains("warning") || line.contains("Performance Loss");
    log.lines().filter(|line| is_one(line) && !line.starts_with("Remark")).collect()
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
ptxas info    : (C7512) Potential Performance Loss: wgmma.mma_async instructions are serialized due to ..
Remark: The warnings can be suppressed with \"-diag-suppress <warning-number>\"";
    let first =
        KernelLog { kernel: "first".into(), registers: 64, shared_bytes: 1025, stack_bytes: 8, spilled_bytes: 16 };
    assert_eq!(kernels(log), [first, KernelLog { kernel: "second".into(), registers: 7, ..KernelLog::default() }]);
    assert_eq!(warnings(log).len(), 2);
}
