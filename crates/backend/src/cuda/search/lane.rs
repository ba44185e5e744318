//! The means of a search: a stream, memory, and the launches that were recorded for queries of the same shape.

use super::{
    index::LoadedIndex,
    recipe::{Arena, OUTCOME_WORDS, Recipe, Sizes},
};
use crate::cuda::{
    calls::{self, CudaStream, Event, Graph, Pinned},
    context::{Buffer, Context},
    embeddings::{Component, Source},
    quantize_query::{JobArgument, OutcomeArgument},
    select,
};
use crate::{Plan, Result};
use bytemuck::Pod;
use std::sync::Arc;

/// Largest number of queries between two waits: each has its place in pinned memory.
pub(super) const MOST_ORDERS: usize = 32;
/// Number of shapes whose launches are kept. Queries of a model have few lengths, and a server few plans.
const MOST_GRAPHS: usize = 64;

/// Numbers that the launches of a search depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shape {
    /// Number of the index.
    pub(super) index: u64,
    pub(super) query_len: usize,
    pub(super) plan: Plan,
}

/// A search that is ordered.
pub(super) struct Ordered<'a> {
    pub(super) shape: Shape,
    /// Address of a bitmap; 0 for all passages.
    pub(super) set: u64,
    /// Embeddings of the device, or of the host.
    pub(super) source: Result<Source<'a>, &'a [f32]>,
}

/// Results that a search has written.
pub(super) struct Answer {
    pub(super) outcome: OutcomeArgument,
    pub(super) pairs: Vec<(u32, i32)>,
}

/// A stream with everything that one thread at a time needs to search.
#[derive(Debug)]
pub(super) struct Lane {
    context: Arc<Context>,
    /// Taken by `drop` alone.
    stream: Option<Arc<CudaStream>>,
    arena: Option<Arena>,
    /// Jobs with their embeddings, and outcomes with their hits.
    pinned: Option<(Pinned, Pinned)>,
    /// Launches by shape, the last used last.
    graphs: Vec<(Shape, Graph)>,
    /// Whether work was started that was not waited for.
    is_running: bool,
}

impl Lane {
    pub(super) fn stream(&self) -> &Arc<CudaStream> {
        self.stream.as_ref().expect("only `drop` takes it")
    }

    pub(super) fn new(context: &Arc<Context>) -> Result<Self> {
        let stream = Some(context.new_stream()?);
        Ok(Self {
            context: Arc::clone(context),
            stream,
            arena: None,
            pinned: None,
            graphs: Vec::new(),
            is_running: false,
        })
    }

    /// Answers queries: starts the work of all of them, and waits once.
    pub(super) fn answer(&mut self, index: &LoadedIndex, orders: &[Ordered<'_>]) -> Result<Vec<Answer>> {
        let recipes: Vec<Recipe<'_>> =
            orders.iter().map(|order| Recipe::new(index.cuda(), index, order.shape)).collect::<Result<_>>()?;
        let sizes: Vec<Sizes> = recipes.iter().map(Recipe::sizes).collect();
        self.settle()?;
        self.grow(&sizes)?;
        let each = orders.iter().zip(&recipes).zip(&sizes).enumerate();
        let started = each.into_iter().try_for_each(|(at, ((order, recipe), sizes))| {
            self.start(at, order, recipe)?;
            self.start_download(at, sizes)
        });
        // Also after an error: what was started uses the memory of the caller and of this lane.
        let done = self.settle();
        started.and(done)?;
        let outputs = &self.pinned.as_ref().expect("grown").1;
        let place = outputs.bytes().len() / MOST_ORDERS;
        let answer = |(at, sizes): (usize, &Sizes)| {
            let bytes = &outputs.bytes()[at * place..][..sizes.output * size_of::<u64>()];
            let (outcome, keys) = bytes.split_at(size_of::<OutcomeArgument>());
            let keys: Vec<u64> = keys.chunks_exact(size_of::<u64>()).map(bytemuck::pod_read_unaligned).collect();
            Answer { outcome: bytemuck::pod_read_unaligned(outcome), pairs: select::pairs(&keys).collect() }
        };
        Ok(sizes.iter().enumerate().map(answer).collect())
    }

    /// Starts the work of a query, and the work that `next` puts on the stream after it, with the address of its
    /// output. Returns an event after both.
    pub(super) fn start_one(
        &mut self,
        index: &LoadedIndex,
        order: &Ordered<'_>,
        next: impl FnOnce(u64, &CudaStream) -> Result<()>,
    ) -> Result<Event> {
        let recipe = Recipe::new(index.cuda(), index, order.shape)?;
        self.settle()?;
        self.grow(&[recipe.sizes()])?;
        self.start(0, order, &recipe)?;
        let output = *self.arena.as_ref().expect("grown").output.pointer();
        next(output, self.stream())?;
        // SAFETY: the stream is this lane's.
        unsafe { Event::record(&self.context.enter()?, self.stream().cu_stream().cast()) }
    }

    /// Waits for the work that was started.
    fn settle(&mut self) -> Result<()> {
        if std::mem::take(&mut self.is_running) {
            calls::synchronize(&self.context.enter()?, self.stream())?;
        }
        Ok(())
    }

    /// Puts the work of a query on the stream; it uses place `at` of the pinned memory.
    fn start(&mut self, at: usize, order: &Ordered<'_>, recipe: &Recipe<'_>) -> Result<()> {
        let recorded = self.recorded(order.shape, recipe)?;
        let (entered, stream) = (self.context.enter()?, Arc::clone(self.stream()));
        let (arena, (inputs, _)) = (self.arena.as_ref().expect("grown"), self.pinned.as_mut().expect("grown"));
        let here = arena.job.pointer() + size_of::<JobArgument>() as u64;
        let (embeddings, component, bytes): (u64, Component, &[u8]) = match &order.source {
            Ok(source) => {
                source.wait(&stream)?;
                (source.pointer(), source.component(), &[])
            }
            Err(embeddings) => (here, Component::F32, bytemuck::cast_slice(embeddings)),
        };
        let job = JobArgument { embeddings, set: order.set, component: component as u32, unused: 0 };
        let input = at * (inputs.bytes().len() / MOST_ORDERS);
        self.is_running = true;
        let place = &mut inputs.bytes_mut()[input..];
        place[..size_of_val(&job)].copy_from_slice(bytemuck::bytes_of(&job));
        place[size_of_val(&job)..][..bytes.len()].copy_from_slice(bytes);
        let input = (input, size_of_val(&job) + bytes.len());
        // SAFETY: the lane waits for the stream before the places are used again and before anything of it is freed.
        // The graph is of these buffers and of an index that lives; a job is in `arena.job` when it runs.
        unsafe {
            inputs.start_upload(&entered, input, *arena.job.pointer(), &stream)?;
            self.graphs[recorded].1.launch(&entered, &stream)
        }
    }

    /// Puts the copy of a query's output to place `at` of the pinned memory on the stream.
    fn start_download(&mut self, at: usize, sizes: &Sizes) -> Result<()> {
        let (entered, stream) = (self.context.enter()?, Arc::clone(self.stream()));
        let (arena, (_, outputs)) = (self.arena.as_ref().expect("grown"), self.pinned.as_mut().expect("grown"));
        let place = (at * (outputs.bytes().len() / MOST_ORDERS), sizes.output * size_of::<u64>());
        // SAFETY: as in `start`.
        unsafe { outputs.start_download(&entered, place, *arena.output.pointer(), &stream) }
    }

    /// Returns the number of the graph of a shape, which is recorded if there is none.
    fn recorded(&mut self, shape: Shape, recipe: &Recipe<'_>) -> Result<usize> {
        let known = self.graphs.iter().position(|(of, _)| *of == shape);
        let (shape, graph) = match known {
            Some(at) => self.graphs.remove(at),
            None => {
                let arena = self.arena.as_ref().expect("grown");
                // SAFETY: the arena has the sizes of the recipe. The graph is launched after the upload of a job, and
                // each run of it leaves zeros in the states.
                let launches = unsafe { recipe.launches(arena, self.stream())? };
                (shape, Graph::record(&self.context.enter()?, self.stream(), launches)?)
            }
        };
        if self.graphs.len() == MOST_GRAPHS {
            let (_, oldest) = self.graphs.remove(0);
            calls::synchronize(&self.context.enter()?, self.stream())?;
            oldest.destroy(&self.context.enter()?);
        }
        self.graphs.push((shape, graph));
        Ok(self.graphs.len() - 1)
    }

    /// Makes the buffers large enough. If one is replaced, no recorded launch is valid any more.
    fn grow(&mut self, needed: &[Sizes]) -> Result<()> {
        let needed = needed.iter().fold(Sizes::default(), |all, sizes| all.max(sizes));
        if self.arena.as_ref().is_some_and(|arena| arena.sizes().holds(&needed)) {
            return Ok(());
        }
        let has = self.arena.as_ref().map_or(Sizes::default(), Arena::sizes);
        let sizes = has.max(&needed);
        self.forget();
        let arena = Arena::new(&self.context, &sizes)?;
        let entered = self.context.enter()?;
        // The buffers were allocated on the stream of all ops.
        calls::synchronize(&entered, self.context.stream())?;
        let bytes = [sizes.job.next_multiple_of(8), sizes.output * size_of::<u64>()];
        let inputs = Pinned::new(&entered, bytes[0] * MOST_ORDERS)?;
        match Pinned::new(&entered, bytes[1] * MOST_ORDERS) {
            Ok(outputs) => self.pinned = Some((inputs, outputs)),
            Err(error) => {
                inputs.free(&entered);
                return Err(error);
            }
        }
        self.arena = Some(arena);
        Ok(())
    }

    /// Frees everything that belongs to a size. The stream was waited for.
    fn forget(&mut self) {
        if let Ok(entered) = self.context.enter() {
            self.graphs.drain(..).for_each(|(_, graph)| graph.destroy(&entered));
            if let Some((inputs, outputs)) = self.pinned.take() {
                inputs.free(&entered);
                outputs.free(&entered);
            }
        }
        self.arena = None;
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // A drop returns no error. After a fault all calls fail, and the process has to be started again.
        _ = self.settle();
        self.forget();
        self.context.free_stream(self.stream.take().expect("dropped once"));
    }
}

macro_rules! for_each_size {
    ($macro:ident) => {
        $macro!(job, rows, arranged, table, scores, states, chunks, cells, missing, candidates, rescored, output)
    };
}

impl Sizes {
    /// Returns the larger of each two sizes.
    fn max(self, other: &Self) -> Self {
        macro_rules! largest {
            ($($name:ident),*) => { Self { $($name: self.$name.max(other.$name)),* } };
        }
        for_each_size!(largest)
    }

    /// Whether no size is below another one.
    fn holds(&self, needed: &Self) -> bool {
        macro_rules! hold {
            ($($name:ident),*) => { $(self.$name >= needed.$name)&&* };
        }
        for_each_size!(hold)
    }
}

impl Arena {
    fn new(context: &Arc<Context>, sizes: &Sizes) -> Result<Self> {
        fn allocated<T: Pod>(context: &Arc<Context>, len: usize) -> Result<Buffer<T>> {
            context.allocate(len)
        }
        debug_assert!(sizes.output >= OUTCOME_WORDS);
        Ok(Self {
            job: allocated(context, sizes.job)?,
            rotated: allocated(context, sizes.rows)?,
            rows: allocated(context, sizes.rows)?,
            arranged: allocated(context, sizes.arranged)?,
            table: Arc::new(allocated(context, sizes.table)?),
            scores: allocated(context, sizes.scores)?,
            states: context.zeros(sizes.states)?,
            chunks: allocated(context, sizes.chunks)?,
            cells: allocated(context, sizes.cells)?,
            missing: allocated(context, sizes.missing)?,
            candidates: allocated(context, sizes.candidates)?,
            rescored: allocated(context, sizes.rescored)?,
            output: allocated(context, sizes.output)?,
        })
    }

    fn sizes(&self) -> Sizes {
        macro_rules! lengths {
            ($($name:ident),*) => { Sizes { $($name: self.$name.len()),* } };
        }
        for_each_size!(lengths)
    }
}
