//! Missing libraries, too little memory and broken kernels end the command with a message and leave no file; the CPU is
//! never used instead.

use crate::gpu::{self, Gpu};
use crate::{collection, support::Collection};

/// Search that runs every stage.
const FUNNEL: &str = "search there --query-embeddings queries.npy -k 5 --nprobe 2 --ndocs 20 --nfull 10 --device cuda";

/// Asserts that indexing and searching fail with each of `parts` in the message, and leave no index.
fn both_refused(c: &Collection, gpu: &Gpu, device: &str, parts: &[&str]) {
    let search = format!("search there --query-embeddings queries.npy --exact --device {device}");
    for words in [gpu::index("i", &format!("--nbits 4 --centroids 32 --device {device}")), search] {
        let complaint = gpu.refused(c, &words);
        for part in parts {
            assert!(complaint.contains(part), "selvedge {words}: no {part:?} in {complaint}");
        }
        c.nothing_made("i");
    }
}

/// Creates a collection with an index `there`.
fn indexed() -> Collection {
    let c = collection();
    c.index("there", "--nbits 4 --centroids 32");
    c
}

#[test]
fn what_is_missing_is_named_and_the_way_out() {
    let c = indexed();
    let Some(gpu) = Gpu::emulated(&c) else { return };
    let way_out = "`selvedge devices`";
    let nowhere = |name| gpu.clone().with(name, "/nowhere/lib.so");
    let found = "was not found; looked for /nowhere/lib.so";
    both_refused(&c, &nowhere("SELVEDGE_CUDA_DRIVER"), "cuda", &["no CUDA device 0: the CUDA driver", found, way_out]);
    both_refused(&c, &nowhere("SELVEDGE_NVRTC"), "cuda", &["NVRTC", found, way_out]);
    let of = |number| gpu.clone().with("EMULATED_DEVICES", number);
    both_refused(&c, &of("1"), "cuda/7", &["no CUDA device 7: this machine has 1,", "cuda/0", way_out]);
    both_refused(&c, &of("2"), "cuda/2", &["no CUDA device 2: this machine has 2,", "cuda/0 to cuda/1", way_out]);
    both_refused(&c, &of("0"), "cuda", &["cuInit failed with code 100 (the driver has no usable device", way_out]);
}

#[test]
fn too_little_memory_says_how_much_there_was() {
    let c = indexed();
    let Some(gpu) = Gpu::emulated(&c) else { return };
    // The centroids of a codec, about 1,300 bytes, fit; embeddings and passages do not.
    let gpu = gpu.with("EMULATED_MEMORY", "8000");
    both_refused(
        &c,
        &gpu,
        "cuda",
        &["out of device memory: ", " bytes are needed, ", " are free; ", "or compute on the CPU"],
    );
    let complaint = gpu.refused(&c, &gpu::index("i", "--nbits 4 --centroids 32 --device cuda"));
    let numbers: Vec<u64> = complaint.split_whitespace().filter_map(|word| word.parse().ok()).collect();
    assert!(matches!(numbers[..], [requested, free] if requested > free && free <= 8000), "{complaint}");
}

#[test]
fn a_kernel_that_does_not_compile_comes_with_its_log() {
    let c = indexed();
    let Some(gpu) = Gpu::emulated(&c) else { return };
    let gpu = gpu.with("EMULATED_MUTATION", "approx_scores\nint score = 0;\nint score = nothing_of_that_name;");
    let complaint = gpu.refused(&c, FUNNEL);
    for part in
        ["kernel approx_scores does not compile:", "approx_scores.cu(", "'nothing_of_that_name' was not declared"]
    {
        assert!(complaint.contains(part), "{complaint}");
    }
    let gpu = gpu.with("EMULATED_MUTATION", "compress\nfloat xx = 0,\nfloat xx = nothing_of_that_name,");
    let complaint = gpu.refused(&c, &gpu::index("i", "--nbits 4 --centroids 32 --device cuda"));
    assert!(complaint.contains("kernel compress does not compile:"), "{complaint}");
    c.nothing_made("i");
}

/// After a kernel has failed, the driver answers every call with its error. The first error ends the command; errors of
/// the clean-up are ignored.
#[test]
fn a_kernel_that_fails_ends_the_command() {
    let c = indexed();
    let Some(gpu) = Gpu::emulated(&c) else { return };
    let faults = [
        // One thread misses a barrier at which all others wait.
        ("top_k\n__syncthreads(); // all are counted\nif (thread != 3) __syncthreads();", 719),
        // One thread writes far after the end of its buffer.
        ("top_k\nbest[atomicAdd(&choice.better, 1u)] = own;\nbest[1u << 28] = own;", 700),
        ("approx_scores\nint score = 0;\nint score = num_chosen / (shift - shift);", 719),
    ];
    for (number, (mutation, code)) in faults.into_iter().enumerate() {
        // A CUBIN compiled with one fault must not be loaded for the next.
        let gpu = gpu.clone().with("SELVEDGE_CUBINS", c.path(&format!("broken{number}")));
        let gpu = gpu.with("EMULATED_MUTATION", mutation);
        let complaint = gpu.refused(&c, FUNNEL);
        assert!(complaint.contains(&format!(" failed with code {code} (")), "{mutation}: {complaint}");
    }
}
