//! Opens an index with its model and searches it: `cargo run --release --example 01-search -- my.index "a query"`.

use selvedge::{Engine, OpenOptions, Result, SearchOptions};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(index), Some(query)) = (arguments.next(), arguments.next()) else {
        eprintln!("usage: 01-search INDEX QUERY");
        std::process::exit(2);
    };
    let engine = Engine::open(index.as_ref(), OpenOptions::default())?;
    let options = SearchOptions { k: 5, text: true, metadata: true, ..SearchOptions::default() };
    let output = engine.search(&query, &options)?;
    for hit in &output.hits {
        println!("{:>8.4}  {}  {}", hit.score, hit.id, hit.text.as_deref().unwrap_or_default());
        if let Some(metadata) = &hit.metadata {
            println!("          {metadata}");
        }
    }
    println!("{} passages scored in {:.2} ms", output.num_scored, output.stages_us.total() / 1e3);
    Ok(())
}
