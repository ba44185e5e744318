//! `selvedge completions` and `selvedge man`: completion scripts and manual pages, generated from the arguments.

use crate::args::{Cli, CompletionsArgs, ManArgs};
use crate::log::note;
use crate::{Result, output};
use clap::CommandFactory;
use std::io::Write;

/// Prints the completion script of a shell.
pub(crate) fn completions(args: &CompletionsArgs) -> Result<()> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "selvedge", &mut script);
    output::print(std::io::stdout().lock().write_all(&script))
}

/// Writes the manual pages: `selvedge.1`, and one page per command.
pub(crate) fn man(args: &ManArgs) -> Result<()> {
    let io = || selvedge::Error::io(&args.out);
    std::fs::create_dir_all(&args.out).map_err(io())?;
    clap_mangen::generate_to(Cli::command(), &args.out).map_err(io())?;
    let page = args.out.join("selvedge.1");
    note!("manual pages are in {}; show one with: man -l {}", args.out.display(), page.display());
    Ok(())
}
