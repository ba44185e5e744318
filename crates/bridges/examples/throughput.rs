//! Measures how fast a foreign index is imported as is, and decoded to f32:
//! `cargo run --release -p selvedge-bridges --example throughput -- SOURCE FOLDER`. FOLDER gets the index, which is
//! deleted. `RAYON_NUM_THREADS` sets the number of threads.

use selvedge_bridges::{Block, Decoder, Documents, as_is, open};
use selvedge_index::{ManifestInfo, Writer};
use std::path::Path;
use std::time::Instant;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let args: Vec<String> = std::env::args().collect();
    let [_, source, folder] = args.as_slice() else { return Err("expected SOURCE and FOLDER".into()) };
    let folder = tempfile::tempdir_in(folder)?;
    let mut source = open(Path::new(source))?;
    println!("{} {} bits, {} embeddings", source.found.format.name(), source.found.nbits, source.found.embeddings);
    let millions = source.found.embeddings as f64 / 1e6;

    let started = Instant::now();
    let mut writer = Writer::create(&folder.path().join("index"))?;
    Documents::new(&source)?.number(&mut writer)?;
    writer.finish_documents()?;
    println!("documents: {:.2} s", started.elapsed().as_secs_f64());
    let started = Instant::now();
    as_is(&mut source, &mut writer, &())?;
    let passed = started.elapsed().as_secs_f64();
    println!("codes and residuals: {passed:.2} s, {:.2} M embeddings/s", millions / passed);
    writer.finish(ManifestInfo::default())?;
    let all = started.elapsed().as_secs_f64();
    println!("with lists and sync: {all:.2} s, {:.2} M embeddings/s", millions / all);

    let (decoder, mut block, mut rows) = (Decoder::new(&source.codec), Block::default(), Vec::new());
    let started = Instant::now();
    for run in source.runs(1 << 17).collect::<Vec<_>>() {
        source.read(run, &mut block)?;
        rows.clear();
        decoder.decode(&block, &mut rows);
    }
    let passed = started.elapsed().as_secs_f64();
    println!("decoded: {passed:.2} s, {:.2} M embeddings/s", millions / passed);
    Ok(())
}
