//! `selvedge router`: collections in shards on several servers, searched as one index.

use crate::args::RouterArgs;
use crate::log::note;
use crate::serve::{config, ended, runtime};
use crate::{Error, Result};
use selvedge::shards::Collection;
use selvedge_server::{RouterConfig, Source, Table};

/// Routes requests until a signal asks the process to end.
pub(crate) fn router(args: &RouterArgs) -> Result<()> {
    let server = config(args.config.as_deref(), &args.settings)?;
    let scheme = if server.tls_cert.is_some() { "https" } else { "http" };
    let started = |address| note!("listening on {scheme}://{address}");
    let config = RouterConfig { server, tables: sources(args)?, hedge_ms: args.hedge_ms };
    Ok(runtime()?.block_on(selvedge_server::route(config, started, ended()))?)
}

/// Tables of the files, of the collection with its addresses, or of a file that has the collection's shards.
fn sources(args: &RouterArgs) -> Result<Vec<Source>> {
    let usage = |words: &str| Err(Error::Usage(words.into()));
    match (&args.collection, &*args.shards, &*args.shard_addresses) {
        (None, [], _) => usage("give --shards FILE.json, or --collection URL with --shard-address PATTERN"),
        (None, _, [_, ..]) => {
            usage("--shard-address needs --collection URL; with --shards, the file has the addresses")
        }
        (None, paths, []) => {
            Ok(paths.iter().map(|path| Source::File { path: path.clone(), collection: None }).collect())
        }
        (Some(_), [], []) => {
            usage("--collection says which shards there are; give --shard-address PATTERN or --shards")
        }
        (Some(url), [], patterns) => {
            let collection = Collection::open(url)?;
            let table = Table::of_collection(&collection, patterns, args.shard_key_env.as_deref())?;
            Ok(vec![Source::Fixed(table)])
        }
        (Some(url), [path], []) => Ok(vec![Source::File { path: path.clone(), collection: Some(url.clone()) }]),
        (Some(_), [_, _, ..], []) => usage("--collection has one table: give --shards once"),
        (Some(_), [_, ..], [_, ..]) => usage("give --shards or --shard-address, not both: either has the addresses"),
    }
}
