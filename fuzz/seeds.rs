//! Inputs from which fuzzing begins: files as they should be.

use std::path::PathBuf;

/// Writes inputs by their names into the folder `SELVEDGE_FUZZ_SEEDS`, if it is set.
pub fn write(seeds: impl Iterator<Item = (String, Vec<u8>)>) {
    let Some(folder) = std::env::var_os("SELVEDGE_FUZZ_SEEDS").map(PathBuf::from) else { return };
    std::fs::create_dir_all(&folder).expect("the folder of seeds");
    seeds.for_each(|(name, bytes)| std::fs::write(folder.join(name), bytes).expect("a seed"));
}
