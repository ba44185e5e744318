//! `selvedge router`: collections in shards on several servers, searched as one index.

use crate::Result;
use crate::args::RouterArgs;
use crate::log::note;
use crate::serve::{config, ended, runtime};
use selvedge_server::{RouterConfig, Table};

/// Routes requests until a signal asks the process to end.
pub(crate) fn router(args: &RouterArgs) -> Result<()> {
    let server = config(args.config.as_deref(), &args.settings)?;
    let tables = args.shards.iter().map(|path| Table::read(path)).collect::<Result<Vec<_>, _>>()?;
    let scheme = if server.tls_cert.is_some() { "https" } else { "http" };
    let started = |address| note!("listening on {scheme}://{address}");
    let config = RouterConfig { server, tables, hedge_ms: args.hedge_ms };
    Ok(runtime()?.block_on(selvedge_server::route(config, started, ended()))?)
}
