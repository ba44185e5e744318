//! Compiled kernels that processes share on disk; crates/backend/src/cuda/cubins.rs reads and writes the files.

use crate::gpu::Gpu;
use crate::{collection, lines, support::Collection};
use std::collections::BTreeMap;
use std::path::PathBuf;

const SEARCH: &str = "search there --query-embeddings queries.npy --exact --json --device cuda";

fn indexed() -> Collection {
    let c = collection();
    c.index("there", "--nbits 4 --centroids 32");
    c
}

/// Reads all files of the folder `cubins`.
fn kept(c: &Collection) -> BTreeMap<PathBuf, Vec<u8>> {
    let files = std::fs::read_dir(c.path("cubins")).unwrap().map(|file| file.unwrap().path());
    files.map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

#[test]
fn processes_that_start_at_once_share_what_they_compile() {
    let c = indexed();
    let Some(gpu) = Gpu::here(&c) else { return };
    let start = |_| {
        let mut command = gpu.command(&c, SEARCH);
        command.stdout(std::process::Stdio::piped()).spawn().unwrap()
    };
    let printed = [0, 1, 2].map(start).map(|process| {
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success());
        lines(&String::from_utf8(output.stdout).unwrap())
    });
    assert!(printed[0].len() == 6 && printed.iter().all(|lines| *lines == printed[0]));
    // The rounded query, rows, filter, the centroid table, survivors, maxsim and top_k, complete; no temporary file.
    let kept_before = kept(&c);
    assert_eq!(kept_before.len(), 7, "{:?}", kept_before.keys());

    // The emulated NVRTC needs a compiler only for kernels that are not stored.
    let idle = gpu.clone().with("CXX", "/nowhere/c++");
    assert_eq!(lines(&idle.ok(&c, SEARCH)), printed[0]);
    assert_eq!(kept(&c), kept_before);
}

#[test]
fn files_that_are_damaged_or_no_cubin_at_all_are_compiled_anew() {
    let c = indexed();
    let Some(gpu) = Gpu::here(&c) else { return };
    let found = lines(&gpu.ok(&c, SEARCH));
    let whole = kept(&c);
    let flipped = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        bytes[100] ^= 1;
        bytes
    };
    let cut = |bytes: &[u8]| bytes[..bytes.len() - 1].to_vec();
    // The right key, and the right checksum of bytes that no driver accepts: 4,096 times the letter x.
    let foreign = |bytes: &[u8]| [&bytes[..32], &SHA_256_OF_X, &[b'x'; 4096]].concat();
    for (what, damage) in [("flipped", &flipped as &dyn Fn(&[u8]) -> Vec<u8>), ("cut", &cut), ("foreign", &foreign)] {
        for (path, bytes) in &whole {
            std::fs::write(path, damage(bytes)).unwrap();
        }
        assert_eq!(lines(&gpu.ok(&c, SEARCH)), found, "{what}");
        assert!(kept(&c) == whole, "{what}: the files are not what they were");
    }
}

const SHA_256_OF_X: [u8; 32] = [
    0xa2, 0xe6, 0x59, 0xda, 0xcb, 0x46, 0x91, 0xe8, 0x87, 0xac, 0x01, 0x39, 0xf8, 0x89, 0x3d, 0x04, 0x76, 0x4e, 0xe1,
    0x97, 0xd7, 0x0f, 0xb7, 0x3d, 0x31, 0x90, 0xd5, 0x61, 0x13, 0xd1, 0x8e, 0x3e,
];

#[test]
fn a_folder_that_cannot_be_written_does_not_matter() {
    let c = indexed();
    let Some(gpu) = Gpu::here(&c) else { return };
    let found = lines(&gpu.ok(&c, SEARCH));
    c.write("file", "");
    assert_eq!(lines(&gpu.clone().with("SELVEDGE_CUBINS", c.path("file/below")).ok(&c, SEARCH)), found);
}
