//! `selvedge mcp`: tools for assistants, over standard input and output or over HTTP.

use crate::args::McpArgs;
use crate::{Error, Result, serve};
use selvedge::collection::Beir;
use selvedge::{Check, Index, IndexError};
use std::path::{Path, PathBuf};

/// Serves until the input ends, or a signal asks the process to end.
pub(crate) fn mcp(args: &McpArgs) -> Result<()> {
    let mut config = serve::config(args.config.as_deref(), &args.settings)?;
    for path in std::mem::take(&mut config.indexes) {
        match is_index(&path)? {
            true => config.indexes.push(path),
            false => config.folders.push(path),
        }
    }
    // That of a file or of the environment is a server's, for the indexes that clients create.
    config.data = None;
    config.folder_data = args.settings.data.clone().map_or_else(data_home, Ok)?;
    if args.settings.listen.is_some() {
        return serve::over_http(config);
    }
    let runtime = serve::runtime()?;
    let served = runtime.block_on(selvedge_server::serve_stdio(config, serve::ended()));
    // A thread that reads a terminal cannot be stopped.
    runtime.shutdown_background();
    Ok(served?)
}

/// Whether a path is an index; otherwise it is a folder of documents.
fn is_index(path: &Path) -> Result<bool> {
    let usage = |reason: &str| Err(Error::Usage(format!("{}: {reason}", path.display())));
    match Index::open(path, Check::Structure) {
        Err(IndexError::NoIndex { .. }) if !path.exists() => usage("there is no such folder"),
        Err(IndexError::NoIndex { .. }) if !path.is_dir() => usage("expected a folder of documents, or an index"),
        Err(IndexError::NoIndex { .. }) if Beir::find(path).is_some() => {
            usage("a BEIR folder: make an index of it with `selvedge index`, and give that")
        }
        // A broken index is one, too: opening it says what is wrong.
        opened => Ok(!matches!(opened, Err(IndexError::NoIndex { .. }))),
    }
}

/// Folder of the user's data, in which the indexes of folders are kept by default.
fn data_home() -> Result<PathBuf> {
    let variable = |name| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let home = variable("XDG_DATA_HOME").or_else(|| Some(variable("HOME")?.join(".local/share")));
    let missing = || Error::Usage("neither XDG_DATA_HOME nor HOME is set: give --data".into());
    Ok(home.ok_or_else(missing)?.join("selvedge"))
}
