//! Cost of a policy of merging for a writer, and its gain for a reader: passages are added one by one by several
//! policies, to copies of the same index.

use crate::options::Options;
use crate::supply::{Supply, copied, scratch};
use crate::{Result, print, timed};
use selvedge::change::{AddOptions, Additions, add, default_policy};
use selvedge::{Engine, OpenOptions, SearchOptions};
use selvedge_index::Policy;

/// Fanouts and floors in tokens.
const POLICIES: [(usize, u32); 5] = [(4, 1 << 14), (8, 1 << 12), (8, 1 << 14), (8, 1 << 16), (16, 1 << 14)];
/// Additions between two searches.
const SEARCH_EVERY: usize = 10;

pub fn run(options: &Options) -> Result<()> {
    let supply = Supply::open(options)?;
    let folder = scratch(options, "policy-arrays")?;
    let queries = supply.queries(options.queries)?;
    for (fanout, floor_tokens) in POLICIES {
        let path = copied(options, "policy")?;
        let policy = Policy { fanout, floor_tokens, ..default_policy() };
        let changed = AddOptions { policy: Some(policy), ..AddOptions::default() };
        let engine = Engine::open(&path, OpenOptions::default())?;
        let (mut adds, mut searches, mut segments) = (Vec::new(), Vec::new(), Vec::new());
        for passage in 0..options.policy_adds {
            let arrays = supply.write(&folder, std::iter::once((passage, format!("added-{passage}"))))?;
            let (time, report) = timed(|| add(&path, Additions::Arrays(&arrays), &changed, &()));
            adds.push(time);
            segments.push(report?.segments as f64);
            if passage % SEARCH_EVERY == 0 {
                engine.refresh()?;
                let query = &queries[passage / SEARCH_EVERY % queries.len()];
                let search = SearchOptions::default();
                engine.search_embeddings(query, &search)?;
                let (time, output) = timed(|| engine.search_embeddings(query, &search));
                output?;
                searches.push(time);
            }
        }
        let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
        let means = [mean(&adds), mean(&searches), mean(&segments)];
        let what = format!("fanout {fanout} floor {floor_tokens}");
        print(&format!("{what}: add"), &mut adds);
        print(&format!("{what}: search"), &mut searches);
        println!("# {what}: means: add {:.3} ms, search {:.3} ms, {:.1} segments", means[0], means[1], means[2]);
    }
    Ok(())
}
