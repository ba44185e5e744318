//! `filter_wgmma`, the sums of a batch by products of warpgroups: kernels/filter_wgmma.cu.

use super::{
    Cuda,
    calls::CudaStream,
    constants::{Constant, TILE_DEPTH, TILE_ROWS, WARP},
    context::{Buffer, Context},
    filter::{BatchArgument, MOST_QUERIES},
    modules::{Kernel, KernelVariant, value},
    rows::{Run, tile_bytes},
};
use crate::Result;
use selvedge_kernels::Op;

/// Tiles of a slab, the right side of a product.
const SLAB_TILES: usize = 16;
/// Slabs in shared memory. At 256 components they take 128 KiB; other numbers were not measured.
const STAGES: usize = 4;
/// Warpgroups of a block, which have all registers of a multiprocessor.
const MOST_GROUPS: usize = 4;
/// Most products by which a row is multiplied.
const MOST_STEPS: usize = Op::FilterWgmma.most_dim() / TILE_DEPTH;

pub(super) const CONSTANTS: [Constant; 7] = [
    ("MOST_QUERIES", MOST_QUERIES as i64),
    ("SLAB_TILES", SLAB_TILES as i64),
    ("STAGES", STAGES as i64),
    ("MOST_GROUPS", MOST_GROUPS as i64),
    ("MOST_STEPS", MOST_STEPS as i64),
    ("SIDES", SIDES as i64),
    ("TABLE", TABLE as i64),
];

/// Tokens of a query that a warp has.
const SIDE: usize = TILE_ROWS;
/// Warps of a warpgroup.
const SIDES: usize = 4;
/// Ends of tiles that are copied with a slab.
const TABLE: usize = SLAB_TILES + 4;

/// Length of the ends of a run of this number of tiles: a copy may reach beyond the last one.
pub(super) fn ends_len(tiles: usize) -> usize {
    tiles + TABLE
}

/// Whether the kernel multiplies rows of this dim on this device.
pub(super) fn serves(cuda: &Cuda, dim: usize) -> bool {
    cuda.modules.has_wgmma() && dim <= Op::FilterWgmma.most_dim()
}

/// Bytes of a block's shared memory: `Shared` of the kernel.
fn shared_bytes(dim: usize) -> u32 {
    let stage = SLAB_TILES * tile_bytes(dim) + size_of::<u32>() * TABLE + 2 * size_of::<u64>();
    (STAGES * stage).next_multiple_of(128) as u32
}

/// The kernel that [`launch`] launches.
pub(super) fn kernel(cuda: &Cuda, dim: usize) -> Result<Kernel> {
    let kernel = cuda.modules.kernel(Op::FilterWgmma, KernelVariant::dim(dim), "filter_wgmma")?;
    kernel.allow_shared(shared_bytes(dim))?;
    Ok(kernel)
}

/// Returns the blocks along the tiles and along the queries, and the warpgroups of each, for queries of these lengths.
fn shape(multiprocessors: usize, tiles: usize, query_lens: impl Iterator<Item = usize>) -> ((usize, usize), usize) {
    let sides: usize = query_lens.map(|len| len.div_ceil(SIDE)).sum();
    let groups = sides.div_ceil(SIDES);
    let along_queries = groups.div_ceil(MOST_GROUPS).max(1);
    let along_tiles = (multiprocessors / along_queries).clamp(1, tiles.div_ceil(SLAB_TILES).max(1));
    ((along_tiles, along_queries), groups.div_ceil(along_queries))
}

/// Launches the kernel for the passages of a run.
///
/// # Safety
/// `rows` and `ends` are of the run and this dim, each query is arranged, and its sums, one for each pid, have begun.
pub(super) unsafe fn launch(
    kernel: &Kernel,
    (context, stream): (&Context, &CudaStream),
    batch: &BatchArgument,
    (rows, ends): (&Buffer<i8>, &Buffer<u32>),
    dim: usize,
    run: &Run,
) -> Result<()> {
    let multiprocessors = context.device().multiprocessors as usize;
    let (blocks, groups) = shape(multiprocessors, run.tiles as usize, batch.query_lens());
    let first_pid = run.segment.first_pid + run.first;
    let arguments = [value(batch), rows.argument(), ends.argument(), value(&first_pid), value(&run.tiles)];
    let threads = (groups * SIDES * WARP) as u32;
    // SAFETY: the arguments match the kernel's parameters; the caller guarantees the lengths.
    unsafe { kernel.launch_with(stream, blocks, (threads, shared_bytes(dim)), &arguments) }
}

#[test]
fn every_block_has_a_side() {
    for sides in 1..400 {
        for multiprocessors in [1, 4, 132] {
            let ((x, y), groups) = shape(multiprocessors, 1000, std::iter::repeat_n(3, sides));
            assert!(groups <= MOST_GROUPS && y * groups * SIDES >= sides, "{sides}");
            assert!((y - 1) * groups * SIDES < sides, "{sides}: the last block along the queries has none");
            assert!(x >= 1 && (x * y <= multiprocessors || x == 1));
        }
    }
    assert_eq!(shape(132, 16384, [32; 32].into_iter()), ((33, 4), 4));
    assert_eq!(shape(132, 16384, [5, 17].into_iter()), ((132, 1), 1));
    assert_eq!(shape(132, 17, [5].into_iter()), ((2, 1), 1));
}
