//! The means of a search: a stream, memory, and the launches that were recorded for queries of the same shape.

use super::{
    arena::{Arena, Sizes},
    batch::BatchMemory,
    index::LoadedIndex,
    places::Places,
    recipe::Recipe,
    survivors::Stage,
};
use crate::cuda::{
    calls::{self, CudaStream, Event, Graph},
    context::Context,
    embeddings::{Component, Source},
    quantize_query::{JobArgument, OutcomeArgument},
    select,
};
use crate::{Plan, Result};
use std::sync::Arc;

/// Largest number of queries between two waits.
const MOST_ORDERS: usize = 32;
/// Largest number of bytes of the outputs between two waits, unless it is one output.
pub(super) const MOST_OUTPUT: usize = 64 << 20;
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

/// Embeddings of a query.
pub(super) enum Input<'a> {
    Host(&'a [f32]),
    Device(Source<'a>),
}

/// A search that is ordered.
pub(super) struct Ordered<'a> {
    pub(super) shape: Shape,
    /// Address of a bitmap; 0 for all passages.
    pub(super) set: u64,
    pub(super) input: Input<'a>,
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
    /// Memory of the last batch.
    pub(super) batch: Option<BatchMemory>,
    /// Jobs with the embeddings of the host, and outcomes with their hits.
    places: Option<(Places, Places)>,
    /// Launches by shape, the last used last.
    graphs: Vec<(Shape, Graph)>,
    /// Whether work was started that was not waited for.
    is_running: bool,
}

impl Lane {
    pub(super) fn new(context: &Arc<Context>) -> Result<Self> {
        let (context, stream) = (Arc::clone(context), Some(context.new_stream()?));
        Ok(Self { context, stream, arena: None, batch: None, places: None, graphs: Vec::new(), is_running: false })
    }

    pub(super) fn stream(&self) -> &Arc<CudaStream> {
        self.stream.as_ref().expect("only `drop` takes it")
    }

    /// Whether work was started that was not waited for.
    pub(super) fn is_running(&self) -> bool {
        self.is_running
    }

    /// Answers queries: starts the work of as many as have places, and waits once for these.
    pub(super) fn answer(&mut self, index: &LoadedIndex, orders: &[&Ordered<'_>]) -> Result<Vec<Answer>> {
        let recipes: Vec<Recipe<'_>> =
            orders.iter().map(|order| Recipe::new(index.cuda(), index, order.shape, None)).collect::<Result<_>>()?;
        let sizes: Vec<Sizes> = recipes.iter().map(Recipe::sizes).collect();
        let largest = sizes.iter().fold(Sizes::default(), |all, sizes| all.max(sizes));
        self.settle()?;
        let places = (MOST_OUTPUT / (largest.output * size_of::<u64>()).max(1)).clamp(1, MOST_ORDERS).min(orders.len());
        self.grow(&largest, places)?;
        let mut answers = Vec::with_capacity(orders.len());
        for first in (0..orders.len()).step_by(places.max(1)) {
            let some = first..orders.len().min(first + places);
            let started = some.clone().enumerate().try_for_each(|(place, at)| {
                self.start(place, orders[at], &recipes[at])?;
                self.start_download(place, &sizes[at])
            });
            // Also after an error: what was started uses the memory of the caller and of this lane.
            let done = self.settle();
            started.and(done)?;
            answers.extend(some.enumerate().map(|(place, at)| self.answer_at(place, &sizes[at])));
        }
        Ok(answers)
    }

    /// Starts the work of a query, and the work that `next` puts on the stream after it, with the address of its
    /// output.
    pub(super) fn start_one(
        &mut self,
        index: &LoadedIndex,
        order: &Ordered<'_>,
        next: impl FnOnce(u64, &CudaStream) -> Result<()>,
    ) -> Result<()> {
        let recipe = Recipe::new(index.cuda(), index, order.shape, None)?;
        self.settle()?;
        self.grow(&recipe.sizes(), 1)?;
        let output = *self.arena().output.pointer();
        let started = self.start(0, order, &recipe).and_then(|()| next(output, self.stream()));
        // After an error the caller frees memory that the work uses.
        started.inspect_err(|_| _ = self.settle())
    }

    /// The buffers, which have grown.
    pub(super) fn arena(&self) -> &Arena {
        self.arena.as_ref().expect("grown")
    }

    /// Returns an event after the work that was started.
    pub(super) fn started(&self) -> Result<Event> {
        // SAFETY: the stream is this lane's.
        unsafe { Event::record(&self.context.enter()?, self.stream().cu_stream().cast()) }
    }

    /// Waits for the work that was started.
    pub(super) fn settle(&mut self) -> Result<()> {
        if std::mem::take(&mut self.is_running) {
            calls::synchronize(&self.context.enter()?, self.stream())?;
        }
        Ok(())
    }

    /// Puts the work of a query on the stream; it uses a place of the pinned memory.
    fn start(&mut self, place: usize, order: &Ordered<'_>, recipe: &Recipe<'_>) -> Result<()> {
        let recorded = self.recorded(order.shape, recipe)?;
        self.fill(place, order)?;
        self.start_upload(place, order)?;
        // SAFETY: the graph is of these buffers and of an index that lives; a job is in `arena.job` when it runs.
        unsafe { self.graphs[recorded].1.launch(&self.context.enter()?, self.stream()) }
    }

    /// Writes a job to a place of the pinned memory, and lets the stream wait for embeddings of the device.
    pub(super) fn fill(&mut self, place: usize, order: &Ordered<'_>) -> Result<()> {
        let stream = Arc::clone(self.stream());
        let (arena, (inputs, _)) = (self.arena.as_ref().expect("grown"), self.places.as_mut().expect("grown"));
        let here = arena.job.pointer() + size_of::<JobArgument>() as u64;
        let (embeddings, component, bytes): (u64, Component, &[u8]) = match &order.input {
            Input::Device(source) => {
                source.wait(&stream)?;
                (source.pointer(), source.component(), &[])
            }
            Input::Host(embeddings) => (here, Component::F32, bytemuck::cast_slice(embeddings)),
        };
        let job = JobArgument { embeddings, set: order.set, component: component as u32, unused: 0 };
        let (start, len) = (inputs.start(place), size_of_val(&job) + bytes.len());
        let (of_job, of_embeddings) = inputs.pinned_mut().range_mut(start, len).split_at_mut(size_of_val(&job));
        of_job.copy_from_slice(bytemuck::bytes_of(&job));
        of_embeddings.copy_from_slice(bytes);
        Ok(())
    }

    /// Puts the copy of a job that was written to a place on the stream.
    pub(super) fn start_upload(&mut self, place: usize, order: &Ordered<'_>) -> Result<()> {
        self.is_running = true;
        let embeddings = match &order.input {
            Input::Device(_) => 0,
            Input::Host(embeddings) => size_of_val(*embeddings),
        };
        let (arena, (inputs, _)) = (self.arena.as_ref().expect("grown"), self.places.as_ref().expect("grown"));
        let range = (inputs.start(place), size_of::<JobArgument>() + embeddings);
        // SAFETY: the lane waits for the stream before the places are used again and before anything of it is freed.
        unsafe { inputs.pinned().start_upload(&self.context.enter()?, range, *arena.job.pointer(), self.stream()) }
    }

    /// Puts the copy of a query's output to a place of the pinned memory on the stream.
    pub(super) fn start_download(&mut self, place: usize, sizes: &Sizes) -> Result<()> {
        let (entered, stream) = (self.context.enter()?, Arc::clone(self.stream()));
        let (arena, (_, outputs)) = (self.arena.as_ref().expect("grown"), self.places.as_mut().expect("grown"));
        let range = (outputs.start(place), sizes.output * size_of::<u64>());
        // SAFETY: as in `start`.
        unsafe { outputs.pinned_mut().start_download(&entered, range, *arena.output.pointer(), &stream) }
    }

    /// Reads an output that was waited for.
    pub(super) fn answer_at(&self, place: usize, sizes: &Sizes) -> Answer {
        let outputs = &self.places.as_ref().expect("grown").1;
        let bytes = outputs.pinned().range(outputs.start(place), sizes.output * size_of::<u64>());
        let (outcome, keys) = bytes.split_at(size_of::<OutcomeArgument>());
        let keys = keys.chunks_exact(size_of::<u64>()).map(bytemuck::pod_read_unaligned).collect();
        Answer { outcome: bytemuck::pod_read_unaligned(outcome), pairs: select::pairs(keys).collect() }
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
                let launches = unsafe { recipe.launches(arena, self.stream(), Stage::All)? };
                (shape, Graph::record(&self.context.enter()?, self.stream(), launches)?)
            }
        };
        if self.graphs.len() == MOST_GRAPHS {
            let entered = self.context.enter()?;
            // It may run in the same batch.
            calls::synchronize(&entered, self.stream())?;
            self.graphs.remove(0).1.destroy(&entered);
        }
        self.graphs.push((shape, graph));
        Ok(self.graphs.len() - 1)
    }

    /// Makes the buffers large enough, and makes places for a number of queries. If a buffer is replaced, no recorded
    /// launch is valid any more. The lane was settled.
    pub(super) fn grow(&mut self, needed: &Sizes, places: usize) -> Result<()> {
        if !self.arena.as_ref().is_some_and(|arena| arena.sizes().holds(needed)) {
            let has = self.arena.as_ref().map_or(Sizes::default(), Arena::sizes);
            self.forget(|_| true);
            self.arena = None;
            let all = has.max(needed);
            // A search that was larger in some way does not take the memory of this one.
            let made = Arena::new(&self.context, &all);
            let made =
                made.or_else(|error| if all == *needed { Err(error) } else { Arena::new(&self.context, needed) });
            self.arena = Some(made?);
        }
        let (job, output) = (needed.job, needed.output * size_of::<u64>());
        let is_enough =
            |(inputs, outputs): &(Places, Places)| inputs.holds(places, job) && outputs.holds(places, output);
        if !self.places.as_ref().is_some_and(is_enough) {
            self.places = None;
            let new = |len| Places::new(&self.context, places, len);
            self.places = Some((new(job)?, new(output)?));
        }
        Ok(())
    }

    /// Waits for the work that was started, and frees all memory.
    pub(super) fn empty(&mut self) -> Result<()> {
        self.settle()?;
        self.forget(|_| true);
        (self.arena, self.batch, self.places) = (None, None, None);
        Ok(())
    }

    /// Drops the recorded launches of some indexes. The lane was settled.
    pub(super) fn forget(&mut self, mut is_forgotten: impl FnMut(u64) -> bool) {
        if let Ok(entered) = self.context.enter() {
            let graphs = self.graphs.extract_if(.., |(shape, _)| is_forgotten(shape.index));
            graphs.for_each(|(_, graph)| graph.destroy(&entered));
        }
    }
}

impl Drop for Lane {
    fn drop(&mut self) {
        // A drop returns no error. After a fault all calls fail, and the process has to be started again.
        _ = self.empty();
        self.context.free_stream(self.stream.take().expect("dropped once"));
    }
}
