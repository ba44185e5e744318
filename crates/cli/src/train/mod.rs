//! `selvedge train`: a checkpoint's weights moved so that its scores become a teacher's, or its answers come first.

mod data;

use crate::args::{FreshArgs, TrainArgs};
use crate::log::note;
use crate::{Error, Result, progress};
use data::TrainingData;
use selvedge::Device;
use selvedge_encoder::Encoder;
use selvedge_trainer::{
    AdamWOptions, Examples, FreshOptions, Losses, StepReport, StoredAs, Student, TrainOptions, fresh, train as run,
};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

/// Trains, shows how far it is, and keeps a log.
pub(crate) fn train(args: &TrainArgs) -> Result<()> {
    if args.encode.device != Device::Cpu {
        return Err(Error::Usage(format!("training runs on the CPU: leave --device {} out", args.encode.device)));
    }
    if args.out.join("model.safetensors").exists() && !args.resume {
        let reason = format!("{}: holds a checkpoint already; name another folder", args.out.display());
        return Err(Error::Usage(reason));
    }
    let data = TrainingData::read(&args.data, args.queries.as_deref(), args.collection.as_deref(), args.ways)?;
    let run_options = run_options(args, &data)?;
    // Lengths are the student's: a teacher reads as much as it was made for.
    let of_teacher = args.encode.teacher_options();
    let teacher = args.teacher.as_deref().map(|model| Encoder::load(model, &of_teacher)).transpose()?;
    let model = match (&args.model, &teacher) {
        (Some(model), _) => model.clone(),
        (None, Some(teacher)) => new_model(args, teacher)?,
        (None, None) => {
            return Err(Error::Usage("a new model has its words from --teacher; or name --model to begin with".into()));
        }
    };
    let student = Student::load(&model, &args.encode.load_options())?;
    std::fs::create_dir_all(&args.out).map_err(selvedge::Error::io(&args.out))?;
    let mut log = Log::open(&args.out.join("log.csv"), args.resume)?;
    let bar = progress::bar("train", "steps", Some(run_options.steps));
    let mut report = |step: &StepReport| {
        bar.set_position(step.step);
        bar.set_message(format!("loss {:.4} rate {:.1e}", step.loss, step.rate));
        log.write(step)
    };
    run(&student, &data, teacher.as_ref(), &run_options, &args.out, args.resume, &mut report)?;
    bar.finish();
    note!("{}: {} steps over {} examples", args.out.display(), run_options.steps, data.len());
    Ok(())
}

/// Makes a model to begin with, unless the run that is resumed has: `OUT_DIR/new`.
fn new_model(args: &TrainArgs, teacher: &Encoder) -> Result<String> {
    let folder = args.out.join("new");
    if !(args.resume && folder.join("model.safetensors").exists()) {
        let FreshArgs { layers, heads, intermediate, .. } = args.fresh;
        let mut options = FreshOptions { layers, heads, intermediate, seed: args.seed, ..FreshOptions::default() };
        options.query_maxlen = args.encode.query_maxlen.unwrap_or(options.query_maxlen);
        options.passage_maxlen = args.encode.passage_maxlen.unwrap_or(options.passage_maxlen);
        if let Some(path) = &args.fresh.skiplist {
            let words = std::fs::read_to_string(path).map_err(selvedge::Error::io(path))?;
            options.skiplist = words.lines().map(str::to_owned).collect();
        }
        fresh(teacher, &options, &folder)?;
    }
    Ok(folder.display().to_string())
}

/// Flags, and where they are silent what the data calls for.
fn run_options(args: &TrainArgs, data: &TrainingData) -> Result<TrainOptions> {
    let has_teacher = args.teacher.is_some();
    let taught = data.has_scores() || has_teacher;
    let asks = data.has_queries();
    let losses = Losses {
        divergence: args.divergence.unwrap_or(if asks && taught { 1.0 } else { 0.0 }),
        in_batch: args.in_batch.unwrap_or(if asks && !taught { 1.0 } else { 0.0 }),
        temperature: args.temperature,
        tokens: args.tokens.unwrap_or(if asks { 0.0 } else { 1.0 }),
    };
    if losses.divergence > 0.0 && !taught {
        return Err(Error::Usage("--divergence needs scores in the data, or --teacher".into()));
    }
    if !asks && (losses.divergence > 0.0 || losses.in_batch > 0.0) {
        return Err(Error::Usage("texts alone have no scores: leave --divergence and --in-batch out".into()));
    }
    if losses.tokens > 0.0 && !has_teacher {
        return Err(Error::Usage("--tokens needs --teacher".into()));
    }
    if losses.in_batch > 0.0 && args.batch * data.ways() < 2 {
        return Err(Error::Usage("a batch of one passage has no negatives: raise --batch".into()));
    }
    let of_round = (data.len() as u64).div_ceil((args.batch * args.accumulate) as u64);
    Ok(TrainOptions {
        batch: args.batch,
        accumulate: args.accumulate,
        steps: args.steps.unwrap_or((of_round as f64 * args.epochs).ceil() as u64).max(1),
        rate: args.rate,
        warm_up: args.warm_up,
        losses,
        adamw: AdamWOptions { weight_decay: args.weight_decay, clip: args.clip, ..AdamWOptions::default() },
        seed: args.seed,
        save_every: args.save_every,
        stored_as: if args.f16 { StoredAs::F16 } else { StoredAs::F32 },
    })
}

/// One line a step: `step,loss,rate,gradient_norm,examples_per_second`.
struct Log {
    file: File,
    path: std::path::PathBuf,
    /// Until the first step says where the run that is gone on with was cut.
    earlier: Option<String>,
}

const COLUMNS: &str = "step,loss,rate,gradient_norm,examples_per_second";

impl Log {
    /// A new one, or one that goes on.
    fn open(path: &Path, go_on: bool) -> Result<Self> {
        let earlier = if go_on { std::fs::read_to_string(path).ok() } else { None };
        let file = if earlier.is_some() { OpenOptions::new().append(true).open(path) } else { File::create(path) };
        let mut log = Self { file: file.map_err(selvedge::Error::io(path))?, path: path.into(), earlier };
        if log.earlier.is_none() {
            writeln!(log.file, "{COLUMNS}").map_err(selvedge::Error::io(path))?;
        }
        Ok(log)
    }

    fn write(&mut self, step: &StepReport) -> selvedge_trainer::Result<()> {
        let StepReport { step, loss, rate, gradient_norm, examples_per_second } = step;
        let line = format!("{step},{loss:.6},{rate:.3e},{gradient_norm:.4},{examples_per_second:.1}\n");
        let written = match self.earlier.take() {
            None => self.file.write_all(line.as_bytes()),
            // Steps behind the last checkpoint are made again.
            Some(earlier) => {
                let is_before = |line: &&str| {
                    line.split(',').next().and_then(|at| at.parse().ok()).is_some_and(|at: u64| at < *step)
                };
                let kept: String = earlier.lines().filter(is_before).map(|line| format!("{line}\n")).collect();
                std::fs::write(&self.path, format!("{COLUMNS}\n{kept}{line}"))
            }
        };
        written.map_err(|source| selvedge_trainer::Error::Io { path: self.path.clone(), source })
    }
}
