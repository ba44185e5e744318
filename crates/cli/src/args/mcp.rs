//! Arguments of `selvedge mcp`.

use super::ServeSettings;
use clap::builder::Resettable;
use clap::{Arg, Args};
use std::path::PathBuf;

/// Arguments of `selvedge mcp`.
#[derive(Debug, Args)]
pub(crate) struct McpArgs {
    /// TOML file of settings, as `selvedge serve` has it.
    #[arg(long, value_name = "FILE.toml")]
    pub(crate) config: Option<PathBuf>,
    /// Write the log as JSON, one object per line.
    #[arg(long)]
    pub(crate) log_json: bool,
    /// Settings, as of a server.
    #[command(flatten)]
    pub(crate) settings: ServeSettings,
}

/// The positional arguments, which may also be folders of documents.
pub(super) fn folders(indexes: Arg) -> Arg {
    indexes.value_name("FOLDER|INDEX").required(true).help("Folders of documents, and existing indexes")
}

/// `--data`, whose variable in the environment means another folder: that of a server's clients.
pub(super) fn kept_in(data: Arg) -> Arg {
    data.env(Resettable::Reset)
        .help("Folder in which the indexes of the folders are kept [default: ~/.local/share/selvedge]")
}

/// `--listen`, which an environment that was made for a server must not turn on.
pub(super) fn over_http(listen: Arg) -> Arg {
    listen.env(Resettable::Reset).help("Serve over HTTP at this address, instead of standard input and output")
}
