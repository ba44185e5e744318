//! Hostile indexes: files cut short, bytes changed, headers that promise too much, pickles that name programs, archives
//! that unpack to more than they are, names that leave the folder. Each is an error, or a result; never a panic.

use crate::support::{copy, fixture};
use selvedge_bridges::{Block, Decoder, Error, Result, open};
use std::io::Write;
use std::path::Path;

const FIXTURES: [&str; 6] = ["plaid-2", "fast-plaid-4", "next-plaid-2", "next-plaid-binary", "xtr-warp-4", "warp-2"];

/// Opens an index, and reads and decodes all passages. Returns the number of embeddings.
fn read_all(path: &Path) -> Result<usize> {
    let mut source = open(path)?;
    let decoder = Decoder::new(&source.codec);
    let (mut block, mut rows) = (Block::default(), Vec::new());
    for run in source.runs(100).collect::<Vec<_>>() {
        source.read(run, &mut block)?;
        decoder.decode(&block, &mut rows);
    }
    Ok(rows.len() / source.codec.dim)
}

/// Files of a fixture that are read.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let unread =
        ["expected", "avg_residual", "ivf", "plan", "pids.npy", "cluster_", "build_state", "0.metadata", "1.metadata"];
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let is_read = |path: &std::path::PathBuf| {
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        !unread.iter().any(|start| name.starts_with(start))
            && !name.ends_with(".inv_norms.npy")
            && !name.ends_with(".compacted.npy")
            && !name.ends_with(".db")
    };
    entries.filter(is_read).collect()
}

#[test]
fn files_cut_short_are_errors() {
    for name in FIXTURES {
        let folder = copy(name);
        assert!(read_all(folder.path()).is_ok(), "{name}");
        for file in files(folder.path()) {
            let bytes = std::fs::read(&file).unwrap();
            let last = bytes.trim_ascii_end().len() - 1;
            for cut in [0, 9, bytes.len() / 2, last] {
                std::fs::write(&file, &bytes[..cut.min(last)]).unwrap();
                let is_manifest = file.to_string_lossy().contains("manifest.json");
                let refused = read_all(folder.path());
                // The manifest of the residuals is not needed.
                assert!(refused.is_err() || is_manifest, "{} cut at {cut}", file.display());
            }
            std::fs::remove_file(&file).unwrap();
            let _ = read_all(folder.path());
            std::fs::write(&file, &bytes).unwrap();
        }
    }
}

/// Bytes of headers and of small files, changed. A changed number may still be an index. The fuzz target `bridges` goes
/// on from here.
#[test]
fn changed_bytes_never_panic() {
    for name in FIXTURES {
        let folder = copy(name);
        for file in files(folder.path()) {
            let bytes = std::fs::read(&file).unwrap();
            // Beyond its first bytes an array has numbers alone; an archive also ends with its directory.
            let places = (0..bytes.len().min(130)).chain(bytes.len().saturating_sub(400).max(130)..bytes.len());
            for at in places.step_by(7) {
                let mut changed = bytes.clone();
                changed[at] ^= if at % 2 == 0 { 0xff } else { 0x01 };
                std::fs::write(&file, &changed).unwrap();
                let _ = read_all(folder.path());
            }
            std::fs::write(&file, &bytes).unwrap();
        }
    }
}

/// Random changes: bytes, runs of zeros, cuts, copies of other places. `SELVEDGE_BRIDGES_CHANGES` sets how many.
#[test]
fn random_changes_never_panic() {
    let count = std::env::var("SELVEDGE_BRIDGES_CHANGES").ok().and_then(|n| n.parse().ok()).unwrap_or(200u64);
    let folders: Vec<_> = FIXTURES.iter().map(|name| copy(name)).collect();
    let files: Vec<_> = folders.iter().flat_map(|folder| files(folder.path())).collect();
    let sound: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    let mut state = count;
    // splitmix64
    let mut random = |below: usize| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ z >> 31) % below.max(1) as u64) as usize
    };
    for _ in 0..count {
        let at = random(files.len());
        let mut bytes = sound[at].clone();
        for _ in 0..1 + random(4) {
            // Headers and directories more often than numbers.
            let place = match random(3) {
                0 => random(bytes.len()),
                1 => random(bytes.len().min(256)),
                _ => bytes.len() - 1 - random(bytes.len().min(512)),
            };
            match random(6) {
                0 => bytes[place] ^= 1 << random(8),
                1 => bytes[place] = [0, 0xff, 0x7f, 0x80, b'0', b'9', b'-', b'.'][random(8)],
                2 => bytes.truncate(place.max(1)),
                3 => bytes.iter_mut().skip(place).take(random(16)).for_each(|byte| *byte = 0xff),
                4 => {
                    let (from, length) = (random(bytes.len()), bytes.len());
                    bytes.copy_within(from..(from + random(32)).min(length), place.min(length.saturating_sub(32)));
                }
                _ => bytes.insert(place, random(256) as u8),
            }
        }
        std::fs::write(&files[at], &bytes).unwrap();
        let _ = read_all(files[at].parent().unwrap());
        std::fs::write(&files[at], &sound[at]).unwrap();
    }
}

/// Writes an archive as torch does, with this pickle.
fn archive(path: &Path, pickle: &[u8]) {
    let mut zip = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    let options = zip::write::SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    for (name, bytes) in [("a/data.pkl", pickle), ("a/data/0", &[0u8; 64])] {
        zip.start_file(name, options).unwrap();
        zip.write_all(bytes).unwrap();
    }
    zip.finish().unwrap();
}

/// Opens a copy of PLAID's fixture with another pickle as its centroids, and returns the error.
fn with_pickle(pickle: &[u8]) -> String {
    let folder = copy("plaid-2");
    archive(&folder.path().join("centroids.pt"), pickle);
    read_all(folder.path()).unwrap_err().to_string()
}

/// A pickle of a tensor: this key of its storage, offset, shape and strides.
fn tensor(key: &str, offset: u32, shape: [i32; 2], strides: [i32; 2]) -> Vec<u8> {
    let mut pickle = b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n((X\x07\0\0\0storagectorch\nFloatStorage\n".to_vec();
    pickle.push(b'X');
    pickle.extend((key.len() as u32).to_le_bytes());
    pickle.extend(key.as_bytes());
    pickle.extend(b"X\x06\0\0\0cuda:0K\x10tQJ");
    pickle.extend(offset.to_le_bytes());
    for pair in [shape, strides] {
        for number in pair {
            pickle.push(b'J');
            pickle.extend(number.to_le_bytes());
        }
        pickle.push(0x86);
    }
    pickle.extend(b"\x89ccollections\nOrderedDict\n)RtR.");
    pickle
}

#[test]
fn pickles_execute_nothing() {
    let marker = std::env::temp_dir().join("selvedge-bridges-executed");
    let command = format!("touch {}", marker.display());
    let mut system = b"\x80\x02cos\nsystem\nX".to_vec();
    system.extend((command.len() as u32).to_le_bytes());
    system.extend(command.as_bytes());
    system.extend(b"\x85R.");
    let said = with_pickle(&system);
    assert!(said.contains("names \"os.system\"") && said.contains("not executed"), "{said}");
    assert!(!marker.exists());
    for (pickle, reason) in [
        (&b"\x80\x02cbuiltins\neval\n."[..], "names \"builtins.eval\""),
        (b"\x80\x04\x8c\x05posix\x8c\x06system\x93.", "names \"posix.system\""),
        (b"\x80\x02(ios\nsystem\n.", "opcode 0x69"),
        (b"\x80\x02)\x81.", "opcode 0x81"),
        (b"\x80\x02}b.", "opcode 0x62"),
        (b"\x80\x01.", "protocol 1"),
        (b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.", "a call that makes no tensor"),
        (b"\x80\x02h\x05.", "reads value 5"),
        (b"\x80\x02R.", "empty stack"),
        (b"\x80\x02(", "ends too early"),
        (b"\x80\x02X\xff\xff\xff\xff", "ends too early"),
        (b"\x80\x02K\x01.", "no tensor"),
    ] {
        let said = with_pickle(pickle);
        assert!(said.contains(reason), "{said}, expected: {reason}");
    }
    // Nested without end, and doubled without end.
    let deep = [&b"\x80\x02)"[..], &[0x85; 5000], b"."].concat();
    assert!(with_pickle(&deep).contains("deep"));
    let doubled = [&b"\x80\x02]q\0"[..], &b"(h\0h\0eq\0".repeat(40), b"."].concat();
    let _ = with_pickle(&doubled);
}

#[test]
fn tensors_that_promise_too_much_are_errors() {
    // The storage has 64 bytes: 16 numbers of 4 bytes.
    for (pickle, reason) in [
        (tensor("0", 0, [i32::MAX, i32::MAX], [i32::MAX, 1]), "needs more bytes"),
        (tensor("0", 0, [3, 8], [8, 1]), "needs more bytes"),
        (tensor("0", 9, [1, 8], [8, 1]), "needs more bytes"),
        (tensor("0", u32::MAX / 2, [1, 8], [8, 1]), "needs more bytes"),
        (tensor("0", 0, [-2, 8], [8, 1]), "not a tuple of at most 4 sizes"),
        (tensor("0", 0, [2, 8], [0, 0]), "not contiguous"),
        (tensor("0", 0, [2, 8], [1, 2]), "not contiguous"),
        (tensor("../../../etc/passwd", 0, [2, 8], [8, 1]), "without \"a/data/../../../etc/passwd\""),
        (tensor("1", 0, [2, 8], [8, 1]), "without \"a/data/1\""),
    ] {
        let said = with_pickle(&pickle);
        assert!(said.contains(reason), "{said}, expected: {reason}");
    }
    // As it should be: two centroids of 8 dimensions on a GPU. The residuals have other dimensions.
    let said = with_pickle(&tensor("0", 0, [2, 8], [8, 1]));
    assert!(said.contains("0.residuals.pt: has shape [772, 8], expected (any, 2)"), "{said}");
}

#[test]
fn archives_that_unpack_are_refused() {
    let folder = copy("plaid-2");
    let path = folder.path().join("buckets.pt");
    let bytes = std::fs::read(&path).unwrap();
    // Both headers of a member: the method 0, stored, becomes 8, deflated.
    let mut deflated = bytes.clone();
    for (signature, method) in [(b"PK\x03\x04", 8), (b"PK\x01\x02", 10)] {
        let places: Vec<_> = (0..bytes.len() - 4).filter(|&at| &bytes[at..at + 4] == signature).collect();
        places.into_iter().for_each(|at| deflated[at + method] = 8);
    }
    std::fs::write(&path, &deflated).unwrap();
    let said = read_all(folder.path()).unwrap_err().to_string();
    assert!(said.contains("buckets.pt") && said.contains("compressed"), "{said}");
    // Files of torch before 1.6.
    std::fs::write(&path, b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.").unwrap();
    assert!(matches!(read_all(folder.path()), Err(Error::Unsupported { found, .. }) if found.contains("before 1.6")));
}

/// A NumPy file with this dict.
fn npy(dict: &str, data: usize) -> Vec<u8> {
    let mut bytes = b"\x93NUMPY\x01\0".to_vec();
    bytes.extend((dict.len() as u16).to_le_bytes());
    bytes.extend(dict.as_bytes());
    bytes.resize(bytes.len() + data, 0);
    bytes
}

#[test]
fn headers_of_numpy_that_lie_are_errors() {
    let folder = copy("xtr-warp-4");
    let path = folder.path().join("centroids.npy");
    for (descr, order, shape, reason) in [
        ("'<f2'", "False", "(1099511627776, 32)", "needs 70368744177746"),
        ("'<f2'", "False", "(18446744073709551615, 32)", "needs more than a file can have"),
        ("'<f2'", "False", "(99999999999999999999, 32)", "number of elements"),
        ("'<f2'", "False", "(-1, 32)", "-1, 32"),
        ("'<f2'", "False", "(2, 2, 2, 2, 2)", "5 axes"),
        ("'<f2'", "True", "(1, 32)", "Fortran order"),
        ("'>f2'", "False", "(1, 32)", "little-endian"),
        ("'|O'", "False", "(1, 32)", "pickles"),
        ("[('a', '<f4')]", "False", "(1,)", "holds records"),
        ("'|u1'", "False", "(2, 32)", "holds u8"),
        ("'<f2'", "False", "(32,)", "has shape [32]"),
        ("'<f2'", "False", "(8, 4)", "dimension 4"),
        ("'<f2'", "False", "(0, 32)", "needs 70"),
    ] {
        let dict = format!("{{'descr': {descr}, 'fortran_order': {order}, 'shape': {shape}, }}");
        std::fs::write(&path, npy(&dict, 64)).unwrap();
        let said = read_all(folder.path()).unwrap_err().to_string();
        assert!(said.contains("centroids.npy") && said.contains(reason), "{said}, expected: {reason}");
    }
}

#[test]
fn numbers_that_contradict_each_other_are_errors() {
    for (name, file, text, reason) in [
        ("plaid-2", "doclens.0.json", "[1, 2, 3]", "codes, expected 6"),
        ("plaid-2", "doclens.0.json", "[-1]", "not as expected"),
        ("plaid-2", "doclens.0.json", "[4294967295, 4294967295]", "codes, expected 8589934590"),
        ("plaid-2", "metadata.json", "{\"num_chunks\": 18446744073709551615}", "doclens.1.json"),
        ("plaid-2", "metadata.json", "{\"num_chunks\": 1, \"config\": {\"nbits\": 4}}", "4 buckets, expected 16"),
        ("plaid-2", "metadata.json", "{}", "num_chunks"),
        ("fast-plaid-4", "doclens.0.json", "[9999]", "codes, expected 9999"),
        ("fast-plaid-4", "merged_codes.manifest.json", "[]", "not as expected"),
        ("xtr-warp-4", "metadata.json", "{\"next_passage_id\": 1, \"num_chunks\": 1, \"nbits\": 255}", "buckets"),
    ] {
        let folder = copy(name);
        std::fs::write(folder.path().join(file), text).unwrap();
        let said = read_all(folder.path()).unwrap_err().to_string();
        assert!(said.contains(reason), "{said}, expected: {reason}");
    }
    // The last code is one past the last centroid.
    let folder = copy("xtr-warp-4");
    let path = folder.path().join("0.codes.npy");
    let mut bytes = std::fs::read(&path).unwrap();
    let end = bytes.len();
    bytes[end - 8..].copy_from_slice(&256i64.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    let error = read_all(folder.path()).unwrap_err();
    assert!(matches!(error, Error::Code { embedding: 771, code: 256, num_centroids: 256, .. }), "{error}");
}

#[test]
fn a_database_that_is_none_is_an_error() {
    let folder = copy("fast-plaid-4");
    let path = folder.path().join("metadata.db");
    let bytes = std::fs::read(&path).unwrap();
    for changed in [b"no database".to_vec(), bytes[..bytes.len() / 2].to_vec(), vec![0; 4096]] {
        std::fs::write(&path, changed).unwrap();
        let said = crate::support::import_folder(folder.path()).map(|_| ()).unwrap_err().to_string();
        assert!(said.contains("metadata.db"), "{said}");
    }
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        std::fs::read_dir(fixture("fast-plaid-4")).unwrap().count()
    );
}
