//! Compiles kernels where there is NVRTC and no GPU, for a machine that has one: a test or a measurement there begins
//! at once.

use super::Result;
use rayon::prelude::*;
use selvedge_backend::cuda::{Cubins, KernelVariant, Key, Nvrtc};
use selvedge_kernels::{Defines, Op, source};
use serde_json::json;
use std::path::PathBuf;

/// Dims and codings of tests/backend, and of the measurements here. Others are compiled when they are needed.
const DIMS: [usize; 6] = [8, 32, 48, 64, 128, 328];
const CODINGS: [(u8, bool); 7] = [(0, false), (1, false), (1, true), (2, false), (2, true), (4, false), (8, false)];

#[derive(clap::Args, Debug)]
pub struct Options {
    /// Folder for the CUBINs, which SELVEDGE_CUBINS names on the other machine
    folder: PathBuf,
    /// Compute capability of its GPU, without the point
    #[arg(long, default_value_t = 90)]
    capability: u32,
    /// Compile for this dim alone
    #[arg(long)]
    dim: Option<usize>,
}

/// Fills the folder. The other machine takes the CUBINs if its NVRTC has the same major and minor version.
pub fn run(options: &Options) -> Result<()> {
    let nvrtc = Nvrtc::get()?;
    let capability = (options.capability / 10, options.capability % 10);
    let architecture = nvrtc.architecture(capability).ok_or("this NVRTC does not support the GPU")?;
    let cubins = Cubins::in_folder(&options.folder);
    let dims = options.dim.map_or(DIMS.to_vec(), |dim| vec![dim]);
    let runs = |op: &Op| op.architecture().is_none_or(|only| only.starts_with(&architecture));
    let variants = |op: Op| {
        let dims = if op.defines() == Defines::None { &dims[..1] } else { &dims[..] };
        let codings = if op.defines() == Defines::Coding { &CODINGS[..] } else { &CODINGS[..1] };
        let variant = |&dim: &usize| codings.iter().map(move |&(nbits, trellis)| KernelVariant { dim, nbits, trellis });
        dims.iter()
            .filter(|&&dim| dim <= op.most_dim())
            .flat_map(variant)
            .map(|variant| (op, variant))
            .collect::<Vec<_>>()
    };
    let all: Vec<(Op, KernelVariant)> = Op::ALL.into_iter().filter(runs).flat_map(variants).collect();
    let compile = |&(op, variant): &(Op, KernelVariant)| {
        let (source, options) = (source(op), variant.compiler_options(op, op.architecture().unwrap_or(&architecture)));
        let key = Key::new(&source, &options, nvrtc.version());
        let compiled = || nvrtc.compile(op.name(), &source, &options).map(|compiled| compiled.cubin);
        cubins.get_or_compile(&key, compiled).map(|cubin| cubin.len())
    };
    let bytes = all.par_iter().map(compile).sum::<std::result::Result<usize, _>>()?;
    let (major, minor) = nvrtc.version();
    let line = json!({
        "what": "cubins",
        "nvrtc": format!("{major}.{minor}"),
        "architecture": architecture,
        "kernels": all.len(),
        "bytes": bytes,
    });
    println!("{line}");
    Ok(())
}
