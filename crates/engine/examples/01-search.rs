//! Opens an index with its model and asks it: `cargo run --release --example 01-search -- my.index "a question"`.

use selvedge::{Engine, OpenOptions, Result, SearchOptions};

fn main() -> Result<()> {
    let mut words = std::env::args().skip(1);
    let (Some(index), Some(question)) = (words.next(), words.next()) else {
        eprintln!("usage: 01-search INDEX QUESTION");
        std::process::exit(2);
    };
    let engine = Engine::open(index.as_ref(), OpenOptions::default())?;
    let options = SearchOptions { k: 5, text: true, metadata: true, ..SearchOptions::default() };
    let found = engine.search(&question, &options)?;
    for hit in &found.hits {
        println!("{:>8.4}  {}  {}", hit.score, hit.id, hit.text.as_deref().unwrap_or_default());
        if let Some(metadata) = &hit.metadata {
            println!("          {metadata}");
        }
    }
    println!("{} passages scored in {:.2} ms", found.num_scored, found.stages_us.total() / 1e3);
    Ok(())
}
