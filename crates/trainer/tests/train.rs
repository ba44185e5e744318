//! The student computes the encoder's embeddings, the encoder loads the student's checkpoints, and runs can be resumed.

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::{SafeTensors, tensor::TensorView};
use selvedge_encoder::{Embeddings, Encoder, LoadOptions, TextKind};
use selvedge_trainer::{
    AdamWOptions, Error, Example, Examples, InitOptions, Losses, Result, StepReport, StoredAs, Student, TrainOptions,
    init, train,
};

const TOLERANCE: f32 = 1e-4;

fn folder(case: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/golden").join(case).to_str().unwrap().to_owned()
}

fn options(case: &str) -> LoadOptions {
    let cut = |len| case.starts_with("plain").then_some(len);
    LoadOptions { query_maxlen: cut(12), passage_maxlen: cut(40), ..LoadOptions::default() }
}

/// Returns the student's kept embeddings, text by text.
fn kept(student: &Student, texts: &[&str], kind: TextKind) -> Vec<f32> {
    let encoded = student.encode(texts, kind).unwrap();
    let kept = encoded.kept.flatten_all().unwrap().to_vec1::<f32>().unwrap();
    let rows = encoded.embeddings.flatten(0, 1).unwrap().to_vec2::<f32>().unwrap();
    rows.into_iter().zip(kept).filter(|(_, kept)| *kept > 0.0).flat_map(|(row, _)| row).collect()
}

fn check(case: &str, what: &str, student: &[f32], encoder: &Embeddings) {
    assert_eq!(student.len(), encoder.data.len(), "{case} {what}");
    let worst = student.iter().zip(&encoder.data).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    assert!(worst <= TOLERANCE, "{case} {what}: {worst}");
}

#[test]
fn the_student_computes_what_the_encoder_does_before_and_after_it_is_saved() {
    let texts = ["the woven edge keeps a cloth from fraying", "", "a", "A.B.C. (1999): 3.14, 50%!", "weaving, weaving"];
    for entry in std::fs::read_dir(folder("")).unwrap().flatten() {
        if !entry.path().join("config.json").exists() {
            continue;
        }
        let case = entry.file_name().into_string().unwrap();
        let student = Student::load(&folder(&case), &options(&case)).unwrap();
        let saved = tempfile::tempdir().unwrap();
        student.save(saved.path(), StoredAs::F32).unwrap();
        for model in [folder(&case), saved.path().to_str().unwrap().to_owned()] {
            let encoder = Encoder::load(&model, &options(&case)).unwrap();
            check(&case, "queries", &kept(&student, &texts, TextKind::Query), &encoder.encode_queries(&texts).unwrap());
            let passages = encoder.encode_passages(&texts).unwrap();
            check(&case, "passages", &kept(&student, &texts, TextKind::Passage), &passages);
        }
    }
}

/// Two queries with two passages each, the same as in tests/golden/make_steps.py.
struct Two;

impl Examples for Two {
    fn len(&self) -> usize {
        2
    }

    fn get(&self, at: usize) -> Result<Example> {
        let examples = [
            (
                "what keeps a cloth from fraying",
                [
                    "a selvedge is the self finished edge of a fabric, which keeps it from unravelling and fraying.",
                    "the shuttle runs.",
                ],
                [2.0, 1.0],
            ),
            (
                "one vector per token",
                [
                    "late interaction keeps one vector per token! does it pay?",
                    "weaving, weaving, weaving: line by line",
                ],
                [0.5, 0.25],
            ),
        ];
        let (query, passages, scores) = examples[at];
        let passages = passages.map(str::to_owned).into();
        Ok(Example { name: at.to_string(), query: query.into(), passages, scores: scores.into() })
    }
}

fn run_options(steps: u64) -> TrainOptions {
    TrainOptions {
        batch: 2,
        accumulate: 1,
        steps,
        rate: 0.01,
        warm_up: 0.0,
        losses: Losses { divergence: 1.0, in_batch: 1.0, temperature: 0.5, tokens: 0.0 },
        // With the usual eps, a weight whose gradient is rounding error alone would move by the whole rate.
        adamw: AdamWOptions { eps: 1e-4, ..AdamWOptions::default() },
        seed: 7,
        save_every: 2,
        stored_as: StoredAs::F32,
    }
}

/// Reads the weights of a checkpoint by name.
fn weights(path: &Path) -> BTreeMap<String, Vec<f32>> {
    let bytes = std::fs::read(path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let values =
        |view: &TensorView<'_>| view.data().as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    tensors.iter().map(|(name, view)| (name.to_owned(), values(&view))).collect()
}

#[test]
fn steps_are_those_of_pytorch() {
    let student = Student::load(&folder("plain_bert"), &options("plain_bert")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let mut losses = Vec::new();
    let mut report = |step: &StepReport| {
        losses.push(step.loss);
        Ok(())
    };
    train(&student, &Two, None, &run_options(3), out.path(), false, &mut report).unwrap();
    assert_eq!(losses.len(), 3);
    let (ours, theirs) = (
        weights(&out.path().join("model.safetensors")),
        weights(&Path::new(&folder("plain_bert")).join("steps.safetensors")),
    );
    let before = weights(&Path::new(&folder("plain_bert")).join("model.safetensors"));
    let (mut worst, mut moved) = (0f32, 0f32);
    for (name, theirs) in &theirs {
        for ((ours, theirs), before) in ours[name].iter().zip(theirs).zip(&before[name]) {
            worst = worst.max((ours - theirs).abs());
            moved = moved.max((theirs - before).abs());
        }
    }
    assert!(worst <= 1e-4 && moved > 1e-2, "{worst} from PyTorch, of {moved} moved");
    println!("largest difference {worst:.1e}, largest change {moved:.1e}, losses {losses:?}");
}

#[test]
fn a_run_that_was_cut_short_goes_on_to_the_same_numbers() {
    let run = |out: &Path, steps: u64, stop: u64, resume: bool| {
        let student = Student::load(&folder("stanford_bert"), &LoadOptions::default()).unwrap();
        // A failing report stops the run as an interruption does.
        let mut report = |step: &StepReport| {
            if step.step <= stop {
                return Ok(());
            }
            Err(Error::Io { path: "log".into(), source: std::io::ErrorKind::Interrupted.into() })
        };
        train(&student, &Two, None, &run_options(steps), out, resume, &mut report)
    };
    let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    run(whole.path(), 5, 5, false).unwrap();
    run(cut.path(), 5, 2, false).unwrap_err();
    let checkpoints = cut.path().join("checkpoints");
    match run(cut.path(), 5, 5, false) {
        Err(Error::EarlierRun { path }) => assert_eq!(path, checkpoints.join("2")),
        other => panic!("a new run would replace the interrupted one: {other:?}"),
    }
    assert!(checkpoints.join("2/model.safetensors").exists());
    // The folder of a checkpoint whose writing was interrupted.
    std::fs::create_dir(checkpoints.join(".new-abc")).unwrap();
    run(cut.path(), 5, 5, true).unwrap();
    let file = "model.safetensors";
    assert!(weights(&whole.path().join(file)) == weights(&cut.path().join(file)));
    // The last checkpoint is kept; older and incomplete ones are removed.
    let left: Vec<_> = std::fs::read_dir(checkpoints).unwrap().flatten().collect();
    assert_eq!(left.len(), 1, "{left:?}");
    Encoder::load(cut.path().to_str().unwrap(), &LoadOptions::default()).unwrap();
}

#[test]
fn a_loss_that_is_no_number_stops_the_run_and_names_the_batch() {
    let student = Student::load(&folder("plain_bert"), &options("plain_bert")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let mut options = run_options(3);
    // Scores divided by it are infinite in f32.
    options.losses.temperature = 1e-300;
    match train(&student, &Two, None, &options, out.path(), false, &mut |_| Ok(())) {
        Err(Error::NonFiniteLoss { step: 1, mut examples, .. }) => {
            examples.sort();
            assert_eq!(examples, ["0", "1"]);
        }
        other => panic!("{other:?}"),
    }
    assert!(!out.path().join("model.safetensors").exists());
}

/// Source without an example.
struct Empty;

impl Examples for Empty {
    fn len(&self) -> usize {
        0
    }

    fn get(&self, _: usize) -> Result<Example> {
        unreachable!("there is no example")
    }
}

/// The examples of [`Two`], the second of them changed.
struct Uneven(fn(&mut Example));

impl Examples for Uneven {
    fn len(&self) -> usize {
        2
    }

    fn get(&self, at: usize) -> Result<Example> {
        let mut example = Two.get(at)?;
        if at == 1 {
            (self.0)(&mut example);
        }
        Ok(example)
    }
}

#[test]
fn a_run_without_examples_and_options_out_of_range_are_refused() {
    let student = Student::load(&folder("plain_bert"), &options("plain_bert")).unwrap();
    let out = tempfile::tempdir().unwrap();
    let run = |examples: &dyn Examples, options: &TrainOptions| {
        train(&student, examples, None, options, out.path(), false, &mut |_| Ok(()))
    };
    assert!(matches!(run(&Empty, &run_options(1)), Err(Error::NoExample)));
    let uneven = |change: fn(&mut Example)| run(&Uneven(change), &run_options(1)).unwrap_err();
    let error = uneven(|example| example.passages.truncate(1));
    assert!(matches!(error, Error::PassageCount { .. }), "{error}");
    let error = uneven(|example| example.scores.truncate(1));
    assert!(matches!(error, Error::ScoreCount { found: 1, expected: 2, .. }), "{error}");
    let error = uneven(|example| example.passages.clear());
    assert!(matches!(error, Error::NoPassage { .. }), "{error}");
    let no_batch = TrainOptions { batch: 0, ..run_options(1) };
    assert!(matches!(run(&Two, &no_batch), Err(Error::BadOption { option: "batch", .. })));
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0, "nothing is written");
}

#[test]
fn passages_that_are_cut_at_the_maximum_length_are_counted() {
    let shorter = LoadOptions { query_maxlen: Some(12), passage_maxlen: Some(8), ..LoadOptions::default() };
    let student = Student::load(&folder("plain_bert"), &shorter).unwrap();
    let out = tempfile::tempdir().unwrap();
    let mut counts = Vec::new();
    let mut report = |step: &StepReport| {
        counts.push((step.passages, step.truncated));
        Ok(())
    };
    let run_options = TrainOptions { accumulate: 2, ..run_options(1) };
    train(&student, &Two, None, &run_options, out.path(), false, &mut report).unwrap();
    let encoder = Encoder::load(&folder("plain_bert"), &shorter).unwrap();
    let passages: Vec<String> = (0..2).flat_map(|at| Two.get(at).unwrap().passages).collect();
    let truncated = encoder.encode_passages(&passages).unwrap().num_truncated;
    assert!(truncated > 0);
    // Both batches hold both examples.
    assert_eq!(counts, [(8, 2 * truncated)]);
}

/// The teacher is of another family and has other prefix tokens. The new model approaches the teacher's embeddings,
/// and is half as large in f16 as in f32.
#[test]
fn a_new_model_learns_its_teacher_s_vectors() {
    let teacher = Encoder::load(&folder("pylate_bert"), &options("pylate_bert")).unwrap();
    let init_options = InitOptions {
        layers: 1,
        heads: 2,
        intermediate: 16,
        query_maxlen: 12,
        passage_maxlen: 40,
        skiplist: vec![".".into(), ",".into()],
        seed: 1,
    };
    let dir = tempfile::tempdir().unwrap();
    let (new, out) = (dir.path().join("new"), dir.path().join("out"));
    init(&teacher, &init_options, &new).unwrap();
    let new = new.to_str().unwrap();
    let encoder = Encoder::load(new, &LoadOptions::default()).unwrap();
    assert_eq!(encoder.dim(), teacher.dim());
    let dropped = encoder.encode_queries(&["."]).unwrap();
    let kept = encoder.encode_queries(&["a"]).unwrap();
    assert_eq!(dropped.num_embeddings() + 1, kept.num_embeddings(), "the skiplist drops no token");

    let student = Student::load(new, &LoadOptions::default()).unwrap();
    let losses = Losses { divergence: 0.0, in_batch: 0.0, temperature: 1.0, tokens: 1.0 };
    let stored_as = StoredAs::F16;
    let run_options = TrainOptions { losses, stored_as, adamw: AdamWOptions::default(), ..run_options(40) };
    let mut seen = Vec::new();
    let mut report = |step: &StepReport| {
        seen.push(step.loss);
        Ok(())
    };
    train(&student, &Two, Some(&teacher), &run_options, &out, false, &mut report).unwrap();
    assert!(seen[39] < 0.5 * seen[0], "{seen:?}");
    let size = |folder: &Path| std::fs::metadata(folder.join("model.safetensors")).unwrap().len() as f64;
    let ratio = size(&out) / size(Path::new(new));
    assert!((0.45..0.65).contains(&ratio), "{ratio}");
    Encoder::load(out.to_str().unwrap(), &LoadOptions::default()).unwrap();

    let heads = InitOptions { heads: 5, ..init_options.clone() };
    assert!(matches!(init(&teacher, &heads, dir.path()), Err(Error::Heads { heads: 5, .. })));
    let teacher = Encoder::load(&folder("pylate_xlm_roberta"), &options("pylate_xlm_roberta")).unwrap();
    assert!(matches!(init(&teacher, &init_options, dir.path()), Err(Error::NotWordPiece { .. })));
}
