//! Several queries at once, of all passages: the rows of a run of passages are decoded once, and sums of all queries
//! leave few passages, whose scores are computed as for a single query. The proof is in kernels/filter.cu.

use super::{
    certificate::Certificate,
    index::LoadedIndex,
    lane::{Answer, Lane, MOST_OUTPUT, Ordered},
    recipe::Recipe,
    survivors::Stage,
};
use crate::cuda::{
    chosen::ChosenArgument,
    context::{Buffer, Context},
    filter::{self, BatchArgument, MOST_QUERIES},
    filter_wgmma,
    modules::KernelVariant,
    quantize_query::JobArgument,
    query_layout, rows, survivors,
};
use crate::{Error, Result};
use selvedge_kernels::Op;
use std::sync::Arc;

/// Least number of queries for which rows are decoded, in a search of all passages. For a set, whose rows are decoded
/// among all others, queries times its share of the passages has to be at least this.
///
/// By counts of instructions, a scan takes 205 clocks for 16 tokens of 2 bits and 32 query tokens (kernels/README.md).
/// Rows take some 350, once, and their products 103, or 64 by `wgmma`, so that batches would gain from 4 queries on, or
/// from 3. Two launches for each run of rows, and the latency of a run, may move that: not yet measured.
pub(super) const LEAST_QUERIES: usize = 4;
/// Largest number of components of a query: the sum of as many products of two i8 is below 2^30.
const MOST_COMPONENTS: usize = 1 << 16;

/// Device memory of a lane for batches.
#[derive(Debug)]
pub(super) struct BatchMemory {
    rows: Buffer<i8>,
    /// Passages that the tiles of rows end, for `filter_wgmma`.
    ends: Buffer<u32>,
    /// Arranged tokens of each query.
    queries: Vec<Buffer<i8>>,
    /// A sum of each query for each pid.
    sums: Vec<Buffer<i32>>,
}

/// Sizes of the memory of a batch.
#[derive(Clone, Copy)]
struct BatchSizes {
    run_bytes: usize,
    run_tiles: usize,
    /// Bytes of an arranged query.
    arranged: usize,
    num_pids: usize,
    queries: usize,
}

impl BatchMemory {
    /// Allocates memory for a number of queries, and waits for that: other streams use it.
    fn new(context: &Arc<Context>, sizes: BatchSizes) -> Result<Self> {
        let BatchSizes { run_bytes, run_tiles, arranged, num_pids, queries } = sizes;
        let memory = Self {
            rows: context.allocate(run_bytes)?,
            ends: context.allocate(filter_wgmma::ends_len(run_tiles))?,
            queries: (0..queries).map(|_| context.allocate(arranged)).collect::<Result<_>>()?,
            sums: (0..queries).map(|_| context.allocate(num_pids)).collect::<Result<_>>()?,
        };
        context.synchronize()?;
        Ok(memory)
    }

    /// Downloads the sums of each query.
    #[cfg(test)]
    pub(super) fn sums(&self) -> Result<Vec<Vec<i32>>> {
        self.sums.iter().map(Buffer::download).collect()
    }

    fn holds(&self, BatchSizes { run_bytes, run_tiles, arranged, num_pids, queries }: BatchSizes) -> bool {
        self.rows.len() >= run_bytes
            && self.ends.len() >= filter_wgmma::ends_len(run_tiles)
            && self.queries.len() >= queries
            && self.queries.iter().all(|query| query.len() >= arranged)
            && self.sums.iter().all(|sums| sums.len() >= num_pids)
    }
}

/// Returns whether rows are decoded for some queries that search `number` of the pids.
pub(super) fn is_worthwhile(queries: usize, number: usize, num_pids: usize) -> bool {
    queries.min(MOST_QUERIES) * number >= LEAST_QUERIES * num_pids
}

/// Answers queries of all passages of an index with a certificate, as [`Lane::answer`] does.
pub(super) fn answer(
    lane: &mut Lane,
    index: &LoadedIndex,
    certificate: &Certificate,
    orders: &[&Ordered<'_>],
) -> Result<Vec<Answer>> {
    let dim = index.codec.host.dim;
    let is_short = |order: &Ordered<'_>| order.shape.query_len * dim <= MOST_COMPONENTS;
    let (short, mut left): (Vec<usize>, Vec<usize>) = (0..orders.len()).partition(|&at| is_short(orders[at]));
    let mut answers = none(orders.len());
    for group in short.chunks(MOST_QUERIES) {
        let of_group: Vec<&Ordered<'_>> = group.iter().map(|&at| orders[at]).collect();
        let filtered = match lane.filtered(index, certificate, &of_group) {
            Ok(filtered) => filtered,
            // A scan needs less.
            Err(Error::OutOfDeviceMemory { .. }) => none(group.len()),
            Err(error) => return Err(error),
        };
        group.iter().zip(filtered).for_each(|(&at, answer)| answers[at] = answer);
    }
    left.extend(short.into_iter().filter(|&at| answers[at].is_none()));
    let scanned = lane.answer(index, &left.iter().map(|&at| orders[at]).collect::<Vec<_>>())?;
    index.count_batch(orders.len() - left.len(), left.len());
    left.into_iter().zip(scanned).for_each(|(at, answer)| answers[at] = Some(answer));
    Ok(answers.into_iter().map(|answer| answer.expect("an answer for each")).collect())
}

fn none(number: usize) -> Vec<Option<Answer>> {
    (0..number).map(|_| None).collect()
}

impl Lane {
    /// Answers at most [`MOST_QUERIES`] queries; `None` in place of an answer that needs a scan.
    fn filtered(
        &mut self,
        index: &LoadedIndex,
        certificate: &Certificate,
        orders: &[&Ordered<'_>],
    ) -> Result<Vec<Option<Answer>>> {
        let recipe = |order: &&Ordered<'_>| Recipe::new(index.cuda(), index, order.shape, Some(certificate.bound));
        let recipes: Vec<Recipe<'_>> = orders.iter().map(recipe).collect::<Result<_>>()?;
        let needed = recipes.iter().map(Recipe::sizes).reduce(|all, sizes| all.max(&sizes)).unwrap_or_default();
        let output_bytes = needed.output * size_of::<u64>() * orders.len();
        if orders.len() < LEAST_QUERIES || output_bytes > MOST_OUTPUT {
            return Ok(none(orders.len()));
        }
        self.settle()?;
        self.grow(&needed, orders.len())?;
        let longest = orders.iter().map(|order| order.shape.query_len).max().unwrap_or(0);
        let sizes = BatchSizes {
            run_bytes: certificate.run_bytes,
            run_tiles: certificate.run_tiles,
            arranged: query_layout::arranged_len(index.codec.host.dim, longest),
            num_pids: index.num_pids,
            queries: orders.len(),
        };
        let kept = self.batch.take().filter(|memory| memory.holds(sizes));
        let memory = match kept {
            Some(memory) => memory,
            None => BatchMemory::new(&index.cuda().context, sizes)?,
        };
        let started = self.start_batch(index, certificate, orders, &recipes, &memory);
        // Also after an error: what was started uses the memory.
        let done = self.settle();
        self.batch = Some(memory);
        started.and(done)?;
        let answer = |(place, recipe): (usize, &Recipe<'_>)| {
            let mut answer = self.answer_at(place, &recipe.sizes());
            let survivors = std::mem::take(&mut answer.outcome.rescored);
            answer.outcome.candidates = 0;
            (survivors as usize <= recipe.slots()).then_some(answer)
        };
        Ok(recipes.iter().enumerate().map(answer).collect())
    }

    /// Puts the work of a batch on the stream.
    fn start_batch(
        &mut self,
        index: &LoadedIndex,
        certificate: &Certificate,
        orders: &[&Ordered<'_>],
        recipes: &[Recipe<'_>],
        memory: &BatchMemory,
    ) -> Result<()> {
        for (place, order) in orders.iter().enumerate() {
            self.fill(place, order)?;
            self.start_upload(place, order)?;
            self.launch(&recipes[place], Stage::Query(&memory.queries[place]))?;
        }
        self.launch_filter(index, certificate, orders, memory)?;
        for (place, order) in orders.iter().enumerate() {
            self.start_upload(place, order)?;
            self.launch(&recipes[place], Stage::Survivors(&memory.sums[place]))?;
            self.start_download(place, &recipes[place].sizes())?;
        }
        Ok(())
    }

    /// Launches a stage of a search, without recording it: it is of this batch's memory.
    fn launch(&self, recipe: &Recipe<'_>, stage: Stage<'_>) -> Result<()> {
        // SAFETY: the arena has grown to the sizes of the recipe, and a job was put on the stream before.
        unsafe { recipe.launches(self.arena(), self.stream(), stage)?() }
    }

    /// Launches the kernels of the sums, run by run.
    fn launch_filter(
        &self,
        index: &LoadedIndex,
        certificate: &Certificate,
        orders: &[&Ordered<'_>],
        memory: &BatchMemory,
    ) -> Result<()> {
        let (cuda, codec, on) = (index.cuda(), &index.codec, (&*index.cuda().context, &**self.stream()));
        let queries = memory.queries.iter().zip(&memory.sums).zip(orders);
        let batch = BatchArgument::new(queries.map(|((query, sums), order)| (query, sums, order.shape.query_len)));
        // All orders are of the same set.
        let set = ChosenArgument::set_at(self.arena().job.pointer() + JobArgument::SET);
        let begin = cuda.modules.kernel(Op::Survivors, KernelVariant::NONE, "begin")?;
        // SAFETY: the memory has sums for all pids.
        unsafe { survivors::launch_begin(&begin, on, &batch, &index.segments, (set, index.num_pids))? };
        let (factors, rows, dim) = (&certificate.rows, &memory.rows, codec.host.dim);
        // SAFETY: the memory has the tiles of the largest run and as many ends, the arranged queries and their sums.
        // The offsets of an index with a certificate ascend.
        unsafe {
            if filter_wgmma::serves(cuda, dim) {
                let (of_rows, of_filter) = (rows::kernel_of_slabs(cuda, codec)?, filter_wgmma::kernel(cuda, dim)?);
                let slabs = (rows, &memory.ends);
                for run in &certificate.runs {
                    rows::launch_slabs(&of_rows, on.1, slabs, codec, factors, set, run)?;
                    filter_wgmma::launch(&of_filter, on, &batch, slabs, dim, run)?;
                }
            } else {
                let of_rows = rows::kernel_of_rows(cuda, codec)?;
                let of_filter = cuda.modules.kernel(Op::Filter, KernelVariant::dim(dim), "filter")?;
                for run in &certificate.runs {
                    rows::launch(&of_rows, on.1, rows, codec, factors, run)?;
                    filter::launch(&of_filter, on.0, on.1, &batch, rows, set, run)?;
                }
            }
        }
        Ok(())
    }
}
