//! `selvedge train`: moves a checkpoint's weights so that its scores approach a teacher's, or its answers rank first.

mod data;

use crate::args::{InitArgs, TrainArgs};
use crate::log::note;
use crate::{Error, Result, progress};
use data::TrainingData;
use selvedge::{Device, Teacher};
use selvedge_encoder::Encoder;
use selvedge_trainer::{
    AdamWOptions, Examples, InitOptions, Losses, StepReport, StoredAs, Student, TrainOptions, check_no_earlier_run,
    init, train as run,
};
use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

/// Trains a checkpoint, shows the progress, and writes a log of the steps.
pub(crate) fn train(args: &TrainArgs) -> Result<()> {
    if args.encode.device != Device::Cpu {
        return Err(Error::Usage(format!("training runs on the CPU: leave --device {} out", args.encode.device)));
    }
    if !args.resume {
        check_out(&args.out)?;
    }
    let data = TrainingData::read(&args.data, args.queries.as_deref(), args.collection.as_deref(), args.ways)?;
    let run_options = run_options(args, &data)?;
    let of_teacher = Teacher::load_options(&args.encode.load_options());
    let teacher = args.teacher.as_deref().map(|model| Encoder::load(model, &of_teacher)).transpose()?;
    let model = match (&args.model, &teacher) {
        (Some(model), _) => model.clone(),
        (None, Some(teacher)) => new_model(args, teacher)?,
        (None, None) => {
            return Err(Error::Usage(
                "expected --model to start from, or --teacher, whose vocabulary a new model takes".into(),
            ));
        }
    };
    let student = Student::load(&model, &args.encode.load_options())?;
    std::fs::create_dir_all(&args.out).map_err(selvedge::Error::io(&args.out))?;
    let mut log = Log::open(&args.out.join("log.csv"), args.resume)?;
    let bar = progress::bar("train", "steps", Some(run_options.steps));
    let (mut passages, mut truncated) = (0, 0);
    let mut report = |step: &StepReport| {
        passages += step.passages;
        truncated += step.truncated;
        bar.set_position(step.step);
        bar.set_message(format!("loss {:.4} rate {:.1e}", step.loss, step.rate));
        log.write(step)
    };
    run(&student, &data, teacher.as_ref(), &run_options, &args.out, args.resume, &mut report)?;
    bar.finish();
    if truncated > 0 {
        note!("{truncated} of {passages} passages of all steps are longer than the model reads (--passage-maxlen)");
    }
    note!("{}: {} steps over {} examples", args.out.display(), run_options.steps, data.len());
    Ok(())
}

/// Refuses to start a new run in a folder that holds a trained checkpoint or an unfinished run.
fn check_out(out: &Path) -> Result<()> {
    if out.join("model.safetensors").exists() {
        let reason = format!("{}: holds a checkpoint already; name another folder", out.display());
        return Err(Error::Usage(reason));
    }
    Ok(check_no_earlier_run(out)?)
}

/// Makes the model that training starts from, `OUT_DIR/new`, unless a resumed run has made it.
fn new_model(args: &TrainArgs, teacher: &Encoder) -> Result<String> {
    let folder = args.out.join("new");
    if !(args.resume && folder.join("model.safetensors").exists()) {
        let InitArgs { layers, heads, intermediate, .. } = args.init;
        let mut options = InitOptions { layers, heads, intermediate, seed: args.seed, ..InitOptions::default() };
        options.query_maxlen = args.encode.query_maxlen.unwrap_or(options.query_maxlen);
        options.passage_maxlen = args.encode.passage_maxlen.unwrap_or(options.passage_maxlen);
        if let Some(path) = &args.init.skiplist {
            let words = std::fs::read_to_string(path).map_err(selvedge::Error::io(path))?;
            options.skiplist = words.lines().map(str::to_owned).collect();
        }
        init(teacher, &options, &folder)?;
    }
    Ok(folder.display().to_string())
}

/// Returns the options of the flags; the data decides the losses that no flag sets.
fn run_options(args: &TrainArgs, data: &TrainingData) -> Result<TrainOptions> {
    let has_teacher = args.teacher.is_some();
    let taught = data.has_scores() || has_teacher;
    let has_queries = data.has_queries();
    let losses = Losses {
        divergence: args.divergence.unwrap_or(if has_queries && taught { 1.0 } else { 0.0 }),
        in_batch: args.in_batch.unwrap_or(if has_queries && !taught { 1.0 } else { 0.0 }),
        temperature: args.temperature,
        tokens: args.tokens.unwrap_or(if has_queries { 0.0 } else { 1.0 }),
    };
    if losses.divergence > 0.0 && !taught {
        return Err(Error::Usage("--divergence needs scores in the data, or --teacher".into()));
    }
    if !has_queries && (losses.divergence > 0.0 || losses.in_batch > 0.0) {
        return Err(Error::Usage("texts alone have no scores: leave --divergence and --in-batch out".into()));
    }
    if losses.tokens > 0.0 && !has_teacher {
        return Err(Error::Usage("--tokens needs --teacher".into()));
    }
    if losses.in_batch > 0.0 && args.batch.saturating_mul(data.ways()) < 2 {
        return Err(Error::Usage("a batch of one passage has no negatives: raise --batch".into()));
    }
    let options = TrainOptions {
        batch: args.batch,
        accumulate: args.accumulate,
        steps: args.steps.map_or_else(|| steps_of_epochs(args, data.len()), Ok)?,
        rate: args.rate,
        warm_up: args.warm_up,
        losses,
        adamw: AdamWOptions { weight_decay: args.weight_decay, clip: args.clip, ..AdamWOptions::default() },
        seed: args.seed,
        save_every: args.save_every,
        stored_as: if args.f16 { StoredAs::F16 } else { StoredAs::F32 },
    };
    options.check()?;
    Ok(options)
}

/// Returns the number of steps of `--epochs` passes over the data, at least one.
fn steps_of_epochs(args: &TrainArgs, num_examples: usize) -> Result<u64> {
    if !(args.epochs.is_finite() && args.epochs > 0.0) {
        return Err(Error::Usage(format!("--epochs {}: expected a finite number above 0", args.epochs)));
    }
    let of_step = args.batch.checked_mul(args.accumulate).ok_or_else(|| {
        Error::Usage(format!("--batch {} --accumulate {}: the product is too large", args.batch, args.accumulate))
    })?;
    let of_epoch = num_examples.div_ceil(of_step);
    Ok((of_epoch as f64 * args.epochs).ceil() as u64)
}

/// Log of a run as CSV, one line per step.
struct Log {
    file: File,
    path: std::path::PathBuf,
    /// Text of the log that a resumed run continues; `None` in a new run and after the first step, which removes the
    /// lines of repeated steps.
    earlier: Option<String>,
}

/// Header of the log.
const COLUMNS: &str = "step,loss,rate,gradient_norm,examples_per_second";

impl Log {
    /// Creates a log, or with `resume` opens the log of the run that is resumed.
    fn open(path: &Path, resume: bool) -> Result<Self> {
        let earlier = if resume { std::fs::read_to_string(path).ok() } else { None };
        let file = if earlier.is_some() { OpenOptions::new().append(true).open(path) } else { File::create(path) };
        let mut log = Self { file: file.map_err(selvedge::Error::io(path))?, path: path.into(), earlier };
        if log.earlier.is_none() {
            writeln!(log.file, "{COLUMNS}").map_err(selvedge::Error::io(path))?;
        }
        Ok(log)
    }

    /// Appends the line of a step.
    fn write(&mut self, step: &StepReport) -> selvedge_trainer::Result<()> {
        let StepReport { step, loss, rate, gradient_norm, examples_per_second, .. } = step;
        let line = format!("{step},{loss:.6},{rate:.3e},{gradient_norm:.4},{examples_per_second:.1}\n");
        let written = match self.earlier.take() {
            None => self.file.write_all(line.as_bytes()),
            // Steps after the last checkpoint are repeated, so their old lines are removed.
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
