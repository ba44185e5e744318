//! Measures how fast a foreign index is imported as is, and decoded to f32:
//! `cargo run --release -p selvedge --example import-throughput -- SOURCE FOLDER`; with a third argument `recode`, and
//! decoded and compressed anew, training included. FOLDER gets the index, which is deleted. `RAYON_NUM_THREADS` sets
//! the number of threads that repack and compress; one more reads and one writes.

use selvedge::import::{ImportOptions, import_index};
use selvedge_bridges::{Block, Decoder, Documents, as_is, open};
use selvedge_codec::{Progress, Step};
use selvedge_index::{ManifestInfo, Writer};
use std::path::Path;
use std::sync::Mutex;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, path, folder, recode @ ..] = args.as_slice() else { return Err("expected SOURCE and FOLDER".into()) };
    let folder = tempfile::tempdir_in(folder)?;
    let path = Path::new(path);
    let mut source = open(path)?;
    println!("{} {} bits, {} embeddings", source.found.format.name(), source.found.nbits, source.found.embeddings);
    let millions = source.found.embeddings as f64 / 1e6;

    let started = Instant::now();
    let mut writer = Writer::create(&folder.path().join("index"))?;
    Documents::new(&source)?.number(&mut writer)?;
    writer.finish_documents()?;
    println!("documents: {:.2} s", started.elapsed().as_secs_f64());
    let started = Clock::start();
    as_is(&mut source, &mut writer, &())?;
    started.print("codes and residuals", millions);
    writer.finish(ManifestInfo::default())?;
    started.print("with lists and sync", millions);

    let (decoder, mut block, mut rows) = (Decoder::new(&source.codec), Block::default(), Vec::new());
    let started = Clock::start();
    for run in source.runs(1 << 17).collect::<Vec<_>>() {
        source.read(run, &mut block)?;
        rows.clear();
        decoder.decode(&block, &mut rows);
    }
    started.print("decoded", millions);
    drop((block, rows));
    if !recode.is_empty() {
        let stages = Stages(Mutex::new(None), millions);
        let options = ImportOptions { recode: true, ..ImportOptions::default() };
        let started = Clock::start();
        import_index(&mut source, &folder.path().join("recoded"), &options, &stages)?;
        stages.report(Step { stage: "", unit: "", done: 0, total: None });
        started.print("recoded", millions);
    }
    Ok(())
}

/// Prints the time of each stage when the next one begins.
struct Stages(Mutex<Option<(&'static str, Clock)>>, f64);

impl Progress for Stages {
    fn report(&self, step: Step) {
        let mut stage = self.0.lock().expect("no reporter panics");
        if stage.as_ref().is_none_or(|(name, _)| *name != step.stage)
            && let Some((name, clock)) = stage.replace((step.stage, Clock::start()))
        {
            clock.print(name, self.1);
        }
    }
}

/// Time on the wall, and of all threads on their cores, where Linux tells it: the rate of a core is by the latter.
struct Clock(Instant, Option<f64>);

impl Clock {
    fn start() -> Self {
        Self(Instant::now(), of_cores())
    }

    fn print(&self, stage: &str, millions: f64) {
        let wall = self.0.elapsed().as_secs_f64();
        print!("{stage}: {wall:.2} s, {:.2} M embeddings/s", millions / wall);
        match (self.1, of_cores()) {
            (Some(before), Some(after)) => {
                println!("; of cores {:.2} s, {:.2} M embeddings/s", after - before, millions / (after - before));
            }
            _ => println!(),
        }
    }
}

/// Seconds that this process has spent on cores: fields 14 and 15 of `/proc/self/stat`, in ticks of 10 ms.
fn of_cores() -> Option<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat").ok()?;
    let fields = stat.rsplit_once(')')?.1.split_whitespace().skip(11).take(2);
    Some(fields.filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0)
}
