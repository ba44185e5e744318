//! The training loop: batches in a shuffled order, losses, optimizer steps and checkpoints.

use std::path::Path;
use std::time::Instant;

use candle_core::Tensor;
use candle_core::backprop::GradStore;
use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use selvedge_encoder::{Embeddings, Encoder, TextKind, TextPipeline, TokenizedText};

use crate::adamw::{AdamW, Gradients};
use crate::error::{Error, Result};
use crate::loss::{self, Encoded};
use crate::options::{Losses, TrainOptions};
use crate::shards::Shards;
use crate::state::{self, CHECKPOINTS};
use crate::student::Student;

/// Query with its passages, the first of which answers it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Example {
    /// Name in messages, such as a file and a line.
    pub name: String,
    /// Text of the query.
    pub query: String,
    /// Texts of the passages: the answer, then the negatives.
    pub passages: Vec<String>,
    /// Teacher's score of each passage; empty without a teacher's scores.
    pub scores: Vec<f32>,
}

/// Source of examples, by number from 0.
pub trait Examples {
    /// Returns the number of examples.
    fn len(&self) -> usize;

    /// Returns whether there is no example.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Returns example number `at`, which has as many passages as every other.
    ///
    /// # Errors
    /// An error of the source, if the texts of the example cannot be read.
    fn get(&self, at: usize) -> Result<Example>;
}

/// Measurements of one step.
#[derive(Debug, Clone, Copy)]
pub struct StepReport {
    /// Number of the step, from 1.
    pub step: u64,
    /// Weighted sum of the losses, mean over the step's batches.
    pub loss: f64,
    /// Learning rate of the step.
    pub rate: f64,
    /// Norm of the gradients before clipping.
    pub gradient_norm: f64,
    /// Examples per second.
    pub examples_per_second: f64,
    /// Number of passages in the step's batches.
    pub passages: usize,
    /// Number of passages in the step's batches that were cut at the student's maximum length.
    pub truncated: usize,
}

/// Trains `student`, saves checkpoints in `folder/checkpoints`, and writes the trained checkpoint into `folder`.
///
/// The `teacher` encodes the texts of a batch for the loss by token, and for the divergence if the examples have no
/// scores; without a teacher these losses are left out. `report` is called after each step.
///
/// With `resume` the run continues after the last checkpoint in `folder`, and its result equals that of an
/// uninterrupted run.
///
/// # Errors
/// - [`Error::BadOption`] for an option that [`TrainOptions::check`] refuses.
/// - [`Error::NoExample`] if there is no example.
/// - [`Error::NoPassage`], [`Error::PassageCount`], [`Error::ScoreCount`] for a batch whose examples differ in their
///   number of passages, or in which an example has no passage or scores of some passages only.
/// - [`Error::EarlierRun`] without `resume`, if `folder` holds the checkpoint of an earlier run.
/// - [`Error::NonFiniteLoss`] if a loss or a gradient is not finite; the step changes no weight.
/// - [`Error::TeacherDim`] for a loss by token and a teacher whose embeddings have another dimension.
/// - [`Error::Encoder`] if a text cannot be tokenized or encoded, or the checkpoint to continue from is malformed.
/// - [`Error::Io`] and [`Error::UnwritableWeights`] if a checkpoint cannot be read or written.
/// - The first error of `examples` and of `report`.
pub fn train(
    student: &Student,
    examples: &dyn Examples,
    teacher: Option<&Encoder>,
    options: &TrainOptions,
    folder: &Path,
    resume: bool,
    report: &mut dyn FnMut(&StepReport) -> Result<()>,
) -> Result<()> {
    options.check()?;
    if examples.is_empty() {
        return Err(Error::NoExample);
    }
    let checkpoints = folder.join(CHECKPOINTS);
    let mut optimizer = AdamW::new(options.adamw);
    if resume {
        state::restore(&checkpoints, student, &mut optimizer)?;
    } else {
        state::check_no_earlier_run(folder)?;
    }
    let mut order = Order::new(examples.len(), options.seed);
    while optimizer.steps() < options.steps {
        let step = step(student, examples, teacher, options, &mut order, &mut optimizer)?;
        report(&step)?;
        if step.step.is_multiple_of(options.save_every) || step.step == options.steps {
            state::save(&checkpoints, student, &optimizer)?;
        }
    }
    student.save(folder, options.stored_as)
}

/// Makes the next step: the gradients of its batches, averaged, and one update of the weights.
fn step(
    student: &Student,
    examples: &dyn Examples,
    teacher: Option<&Encoder>,
    options: &TrainOptions,
    order: &mut Order,
    optimizer: &mut AdamW,
) -> Result<StepReport> {
    let started = Instant::now();
    let (before, accumulate) = (optimizer.steps(), options.accumulate as u64);
    let rate = options.rate * schedule(before, options);
    let (mut gradients, mut gradient_norm) = (Gradients::default(), 0.0);
    let (mut loss, mut passages, mut truncated) = (0.0, 0, 0);
    for number in 0..accumulate {
        let batch = order.batch(before * accumulate + number, options.batch);
        let batch = batch.into_iter().map(|at| examples.get(at)).collect::<Result<Vec<_>>>()?;
        check_batch(&batch)?;
        let found = batch_gradients(student, teacher, &batch, &options.losses)?;
        let share = 1.0 / options.accumulate as f64;
        for of_shard in &found.gradients {
            gradients.add(&student.params, of_shard, share)?;
        }
        gradient_norm = gradients.norm();
        if !found.loss.is_finite() || !gradient_norm.is_finite() {
            let examples = batch.into_iter().map(|example| example.name).collect();
            return Err(Error::NonFiniteLoss { step: before + 1, loss: found.loss, examples });
        }
        loss += share * found.loss;
        passages += found.passages;
        truncated += found.truncated;
    }
    optimizer.step(&student.params, &gradients, gradient_norm, rate)?;
    let examples_per_second = (options.batch as f64 * options.accumulate as f64) / started.elapsed().as_secs_f64();
    Ok(StepReport { step: before + 1, loss, rate, gradient_norm, examples_per_second, passages, truncated })
}

/// Checks that the examples of a batch have as many passages as the first one, and a score of each or none.
fn check_batch(batch: &[Example]) -> Result<()> {
    for Example { name, passages, scores, .. } in batch {
        let (first, expected) = (&batch[0].name, batch[0].passages.len());
        if passages.is_empty() {
            return Err(Error::NoPassage { name: name.clone() });
        }
        if passages.len() != expected {
            let (name, first) = (name.clone(), first.clone());
            return Err(Error::PassageCount { name, found: passages.len(), first, expected });
        }
        if !scores.is_empty() && scores.len() != expected {
            return Err(Error::ScoreCount { name: name.clone(), found: scores.len(), expected });
        }
    }
    Ok(())
}

/// Returns the share of the maximum rate after `step` steps: a linear rise, then a linear fall.
fn schedule(step: u64, options: &TrainOptions) -> f64 {
    let (done, all) = (step as f64 + 1.0, options.steps as f64);
    let rising = (options.warm_up * all).max(1.0);
    if done < rising { done / rising } else { ((all - done + 1.0) / (all - rising + 1.0)).clamp(0.0, 1.0) }
}

/// Order of the examples: each pass over all of them has a shuffle of its own, which depends only on the seed and
/// the number of the pass.
struct Order {
    len: usize,
    seed: u64,
    /// Number and shuffle of the pass that was used last.
    pass: Option<(u64, Vec<usize>)>,
}

impl Order {
    /// Makes the order of `len` examples, at least one.
    fn new(len: usize, seed: u64) -> Self {
        Self { len, seed, pass: None }
    }

    /// Returns the examples of batch `number`, from 0.
    fn batch(&mut self, number: u64, size: usize) -> Vec<usize> {
        let first = number * size as u64;
        (first..first + size as u64).map(|at| self.at(at)).collect()
    }

    fn at(&mut self, at: u64) -> usize {
        let pass = at / self.len as u64;
        if self.pass.as_ref().is_none_or(|(number, _)| *number != pass) {
            let mut order: Vec<usize> = (0..self.len).collect();
            let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
            rng.set_stream(pass);
            order.shuffle(&mut rng);
            self.pass = Some((pass, order));
        }
        self.pass.as_ref().expect("made above").1[(at % self.len as u64) as usize]
    }
}

/// Loss and gradients of one batch.
struct BatchResult {
    /// Weighted sum of the losses.
    loss: f64,
    /// Gradients of the weights, by shard.
    gradients: Vec<GradStore>,
    /// Number of passages.
    passages: usize,
    /// Number of truncated passages.
    truncated: usize,
}

/// Computes a batch's loss and its gradients.
fn batch_gradients(
    student: &Student,
    teacher: Option<&Encoder>,
    batch: &[Example],
    losses: &Losses,
) -> Result<BatchResult> {
    let texts = Texts::of(batch);
    let rows = texts.tokenize(student.pipeline())?;
    let shards = Shards::new(student, &rows)?;
    let (of_queries, of_passages) = (0..texts.queries.len(), texts.queries.len()..rows.len());
    let (q_leaf, q) = shards.leaf(of_queries.clone())?;
    let (p_leaf, p) = shards.leaf(of_passages.clone())?;
    let total = total_loss((student, &rows), teacher, batch, &texts, (&q, &p), losses)?;
    let loss = f64::from(total.to_scalar::<f32>()?);
    let (passages, truncated) =
        (of_passages.len(), rows[of_passages.clone()].iter().filter(|row| row.is_truncated).count());
    let gradients = total.backward()?;
    let leaves = [(of_queries, gradients.get(q_leaf.as_tensor())), (of_passages, gradients.get(p_leaf.as_tensor()))];
    Ok(BatchResult { loss, gradients: shards.backward(&leaves)?, passages, truncated })
}

/// Returns the weighted sum of the losses, given the student's embeddings of queries and passages.
fn total_loss(
    (student, rows): (&Student, &[TokenizedText]),
    teacher: Option<&Encoder>,
    batch: &[Example],
    texts: &Texts<'_>,
    (q, p): (&Encoded, &Encoded),
    losses: &Losses,
) -> Result<Tensor> {
    let given: Vec<f32> = batch.iter().flat_map(|example| &example.scores).copied().collect();
    let has_scores = given.len() == texts.passages.len();
    // The teacher encodes only for a loss that reads its embeddings: encoding takes as long as the student's forward
    // pass.
    let teacher = teacher.filter(|_| losses.tokens > 0.0 || (losses.divergence > 0.0 && !has_scores));
    let taught = teacher.map(|teacher| texts.encode(teacher)).transpose()?;
    // All queries are scored with all passages only for a loss that reads these scores.
    let needs_all = losses.in_batch > 0.0 || (losses.divergence > 0.0 && !has_scores);
    let all = if needs_all { Some(loss::maxsim(q, p)?) } else { None };
    let mut total = Tensor::zeros((), candle_core::DType::F32, &candle_core::Device::Cpu)?;
    let mut add = |weight: f64, loss: Tensor| -> Result<()> {
        total = (&total + (loss * weight)?)?;
        Ok(())
    };
    if losses.divergence > 0.0 && has_scores {
        let target = crate::params::tensor(given, &[batch.len(), texts.passages.len() / batch.len()])?;
        add(losses.divergence, loss::divergence(&loss::own_maxsim(q, p)?, &target)?)?;
    } else if let (true, Some(all), Some(taught)) = (losses.divergence > 0.0, &all, &taught) {
        let target = loss::maxsim(&loss::padded(&taught.queries)?, &loss::padded(&taught.passages)?)?;
        add(losses.divergence, loss::divergence(all, &target)?)?;
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

/// Texts of a batch.
struct Texts<'a> {
    queries: Vec<&'a str>,
    passages: Vec<&'a str>,
}

/// Teacher's tokens and embeddings of a batch's texts.
struct Taught {
    /// Tokens of the queries, then of the passages.
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

    /// Tokenizes the queries, then the passages.
    fn tokenize(&self, pipeline: &TextPipeline) -> Result<Vec<TokenizedText>> {
        let mut rows = pipeline.tokenize(&self.queries, TextKind::Query)?;
        rows.extend(pipeline.tokenize(&self.passages, TextKind::Passage)?);
        Ok(rows)
    }

    /// Encodes all texts with the teacher.
    fn encode(&self, teacher: &Encoder) -> Result<Taught> {
        let rows = self.tokenize(teacher.pipeline())?;
        let (queries, passages) = rows.split_at(self.queries.len());
        Ok(Taught { queries: teacher.embed(queries)?, passages: teacher.embed(passages)?, rows })
    }
}
