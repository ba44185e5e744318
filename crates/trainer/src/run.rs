//! The loop: batches in a shuffled order, losses, steps, and what is kept on the way.

use std::path::Path;
use std::time::Instant;

use candle_core::Tensor;
use candle_core::backprop::GradStore;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use selvedge_encoder::{Embeddings, Encoder, TextKind, TextPipeline, TokenizedText};

use crate::adamw::{AdamW, AdamWOptions, Gradients};
use crate::error::{Error, Result};
use crate::loss::{self, Encoded};
use crate::params::StoredAs;
use crate::shards::Shards;
use crate::state;
use crate::student::Student;

/// A query with its passages, the first of which answers it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Example {
    /// How messages name it.
    pub name: String,
    /// The query.
    pub query: String,
    /// Its passages: the one that answers it, then negatives.
    pub passages: Vec<String>,
    /// A teacher's scores of these; none where there was no teacher.
    pub scores: Vec<f32>,
}

/// Examples by number.
pub trait Examples {
    /// How many.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Number `at`; it has as many passages as every other.
    ///
    /// # Errors
    /// What keeps its texts from being read.
    fn get(&self, at: usize) -> Result<Example>;
}

/// How much each loss counts; 0 leaves it out.
#[derive(Debug, Clone, Copy)]
pub struct Losses {
    /// `KL(teacher || student)` over a query's own passages where they have scores, else over the batch's, scored by
    /// the teacher.
    pub divergence: f64,
    /// Cross entropy of the first passage among the batch's.
    pub in_batch: f64,
    /// What scores are divided by for the latter.
    pub temperature: f64,
    /// `1 - cos` to the teacher's rows, token by token.
    pub tokens: f64,
}

/// What a run may be told.
#[derive(Debug, Clone)]
pub struct TrainOptions {
    /// Examples of a batch.
    pub batch: usize,
    /// Batches of a step.
    pub accumulate: usize,
    /// Steps in all.
    pub steps: u64,
    /// The largest learning rate.
    pub rate: f64,
    /// The share of the steps over which the rate rises to it; then it falls to 0.
    pub warm_up: f64,
    /// The losses.
    pub losses: Losses,
    /// The optimizer's constants.
    pub adamw: AdamWOptions,
    /// Seed of the order of examples.
    pub seed: u64,
    /// Steps between checkpoints.
    pub save_every: u64,
    /// What the trained weights are written in; checkpoints on the way are in f32.
    pub stored_as: StoredAs,
}

/// What a step did.
#[derive(Debug, Clone, Copy)]
pub struct StepReport {
    /// Its number, from 1.
    pub step: u64,
    /// The sum of the losses, mean over its batches.
    pub loss: f64,
    /// Learning rate.
    pub rate: f64,
    /// Length of the gradients before they are cut.
    pub gradient_norm: f64,
    /// Examples a second.
    pub examples_per_second: f64,
}

/// Trains `student`, and keeps checkpoints in `folder/checkpoints`; the trained checkpoint ends up in `folder` itself.
///
/// With `resume` the run goes on behind the last checkpoint there, and ends with the numbers that an unbroken one has.
///
/// # Errors
/// [`Error::NonFiniteLoss`] stops the run; what the file system, the tokenizer and the examples say.
///
/// # Panics
/// If there is no example.
pub fn train(
    student: &Student,
    examples: &dyn Examples,
    teacher: Option<&Encoder>,
    options: &TrainOptions,
    folder: &Path,
    resume: bool,
    report: &mut dyn FnMut(&StepReport) -> Result<()>,
) -> Result<()> {
    let checkpoints = folder.join("checkpoints");
    let mut optimizer = AdamW::new(options.adamw);
    if resume {
        state::restore(&checkpoints, student, &mut optimizer)?;
    }
    let mut order = Order::new(examples.len(), options.seed);
    while optimizer.steps() < options.steps {
        let step = optimizer.steps();
        let started = Instant::now();
        let (mut gradients, mut gradient_norm, mut total) = (Gradients::default(), 0.0, 0.0);
        for number in 0..options.accumulate as u64 {
            let batch = order.batch(step * options.accumulate as u64 + number, options.batch);
            let batch = batch.into_iter().map(|at| examples.get(at)).collect::<Result<Vec<_>>>()?;
            let (value, of_shards) = batch_gradients(student, teacher, &batch, &options.losses)?;
            let share = 1.0 / options.accumulate as f64;
            for of_shard in &of_shards {
                gradients.add(&student.params, of_shard, share)?;
            }
            gradient_norm = gradients.norm();
            if !value.is_finite() || !gradient_norm.is_finite() {
                let examples = batch.into_iter().map(|example| example.name).collect();
                return Err(Error::NonFiniteLoss { step: step + 1, loss: value, examples });
            }
            total += share * value;
        }
        let rate = options.rate * schedule(step, options);
        optimizer.step(&student.params, &gradients, gradient_norm, rate)?;
        let examples_per_second = (options.batch * options.accumulate) as f64 / started.elapsed().as_secs_f64();
        report(&StepReport { step: step + 1, loss: total, rate, gradient_norm, examples_per_second })?;
        if (step + 1).is_multiple_of(options.save_every) || step + 1 == options.steps {
            state::save(&checkpoints, student, &optimizer)?;
        }
    }
    student.save(folder, options.stored_as)
}

/// The share of the largest rate at a step: up in a line, then down in one.
fn schedule(step: u64, options: &TrainOptions) -> f64 {
    let (done, all) = (step as f64 + 1.0, options.steps as f64);
    let rising = (options.warm_up * all).max(1.0);
    if done < rising { done / rising } else { ((all - done + 1.0) / (all - rising + 1.0)).clamp(0.0, 1.0) }
}

/// Which examples come when: a new shuffle for each round over all of them, from the seed alone.
struct Order {
    len: usize,
    seed: u64,
    round: Option<(u64, Vec<usize>)>,
}

impl Order {
    fn new(len: usize, seed: u64) -> Self {
        Self { len, seed, round: None }
    }

    /// The examples of a batch.
    fn batch(&mut self, number: u64, size: usize) -> Vec<usize> {
        let first = number * size as u64;
        (first..first + size as u64).map(|at| self.at(at)).collect()
    }

    fn at(&mut self, at: u64) -> usize {
        let round = at / self.len as u64;
        if self.round.as_ref().is_none_or(|(have, _)| *have != round) {
            let mut order: Vec<usize> = (0..self.len).collect();
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            rng.set_stream(round);
            order.shuffle(&mut rng);
            self.round = Some((round, order));
        }
        self.round.as_ref().expect("made above").1[(at % self.len as u64) as usize]
    }
}

/// A batch's weighted losses, and its gradients by shard.
fn batch_gradients(
    student: &Student,
    teacher: Option<&Encoder>,
    batch: &[Example],
    losses: &Losses,
) -> Result<(f64, Vec<GradStore>)> {
    let texts = Texts::of(batch);
    let rows = texts.rows(student.pipeline())?;
    let shards = Shards::new(student, &rows)?;
    let (of_queries, of_passages) = (0..texts.queries.len(), texts.queries.len()..rows.len());
    let (q_leaf, q) = shards.leaf(of_queries.clone())?;
    let (p_leaf, p) = shards.leaf(of_passages.clone())?;
    let total = total_loss((student, &rows), teacher, batch, &texts, (&q, &p), losses)?;
    let value = f64::from(total.to_scalar::<f32>()?);
    let gradients = total.backward()?;
    let leaves = [(of_queries, gradients.get(q_leaf.as_tensor())), (of_passages, gradients.get(p_leaf.as_tensor()))];
    Ok((value, shards.backward(&leaves)?))
}

/// The weighted sum of the losses, given the student's embeddings of queries and passages.
fn total_loss(
    (student, rows): (&Student, &[TokenizedText]),
    teacher: Option<&Encoder>,
    batch: &[Example],
    texts: &Texts<'_>,
    (q, p): (&Encoded, &Encoded),
    losses: &Losses,
) -> Result<Tensor> {
    let wanted: Vec<f32> = batch.iter().flat_map(|example| &example.scores).copied().collect();
    let has_scores = wanted.len() == texts.passages.len();
    // Only where a loss looks at its vectors: encoding takes as long as the student's own pass.
    let teacher = teacher.filter(|_| losses.tokens > 0.0 || (losses.divergence > 0.0 && !has_scores));
    let taught = teacher.map(|teacher| texts.teach(teacher)).transpose()?;
    // All queries with all passages, only where a loss asks for it.
    let asked = losses.in_batch > 0.0 || (losses.divergence > 0.0 && !has_scores);
    let all = if asked { Some(loss::maxsim(q, p)?) } else { None };
    let mut total = Tensor::zeros((), candle_core::DType::F32, &candle_core::Device::Cpu)?;
    let mut add = |weight: f64, loss: Tensor| -> Result<()> {
        total = (&total + (loss * weight)?)?;
        Ok(())
    };
    if losses.divergence > 0.0 && has_scores {
        let wanted = crate::params::tensor(wanted, &[batch.len(), texts.passages.len() / batch.len()])?;
        add(losses.divergence, loss::divergence(&loss::own_maxsim(q, p)?, &wanted)?)?;
    } else if let (true, Some(all), Some(taught)) = (losses.divergence > 0.0, &all, &taught) {
        let wanted = loss::maxsim(&loss::padded(&taught.queries)?, &loss::padded(&taught.passages)?)?;
        add(losses.divergence, loss::divergence(all, &wanted)?)?;
    }
    if let (true, Some(all)) = (losses.in_batch > 0.0, &all) {
        add(losses.in_batch, loss::in_batch(all, losses.temperature)?)?;
    }
    if let (true, Some(taught), Some(teacher)) = (losses.tokens > 0.0, &taught, teacher) {
        let (own_queries, own_passages) = rows.split_at(texts.queries.len());
        let (queries, passages) = taught.rows.split_at(texts.queries.len());
        for (encoded, own, of_teacher, theirs) in
            [(q, own_queries, &taught.queries, queries), (p, own_passages, &taught.passages, passages)]
        {
            let pairs = loss::shared_tokens((student.pipeline(), own), (teacher.pipeline(), theirs));
            add(losses.tokens, loss::token_distance(encoded, of_teacher, &pairs)?)?;
        }
    }
    Ok(total)
}

/// A batch's texts.
struct Texts<'a> {
    queries: Vec<&'a str>,
    passages: Vec<&'a str>,
}

/// What a teacher makes of them.
struct Taught {
    rows: Vec<TokenizedText>,
    queries: Embeddings,
    passages: Embeddings,
}

impl<'a> Texts<'a> {
    fn of(batch: &'a [Example]) -> Self {
        Self {
            queries: batch.iter().map(|example| example.query.as_str()).collect(),
            passages: batch.iter().flat_map(|example| &example.passages).map(String::as_str).collect(),
        }
    }

    /// Rows of the queries, then of the passages.
    fn rows(&self, of: &TextPipeline) -> Result<Vec<TokenizedText>> {
        let mut rows = of.tokenize(&self.queries, TextKind::Query)?;
        rows.extend(of.tokenize(&self.passages, TextKind::Passage)?);
        Ok(rows)
    }

    fn teach(&self, teacher: &Encoder) -> Result<Taught> {
        let rows = self.rows(teacher.pipeline())?;
        let (queries, passages) = rows.split_at(self.queries.len());
        Ok(Taught { queries: teacher.embed(queries)?, passages: teacher.embed(passages)?, rows })
    }
}
