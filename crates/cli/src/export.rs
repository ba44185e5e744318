//! `selvedge export`: an index in the layout of another program.

use crate::args::{ExportArgs, FormatArg};
use crate::log::note;
use crate::output::{self, counted};
use crate::progress::Bars;
use crate::{Error, Result};
use selvedge::{Check, Index};
use selvedge_bridges::{Layout, export as write};

/// Writes an index for another program, and notes its sizes.
pub(crate) fn export(args: &ExportArgs) -> Result<()> {
    if !matches!(args.nbits, 1 | 2 | 4 | 8) {
        return Err(Error::Usage(format!("--nbits is {}: expected 1, 2, 4 or 8", args.nbits)));
    }
    let layout = match args.format {
        FormatArg::Plaid => Layout::Plaid,
        FormatArg::FastPlaid => Layout::FastPlaid,
        FormatArg::NextPlaid => Layout::NextPlaid,
    };
    let index = Index::open(&args.index, Check::Structure)?;
    let exported = write(&index, &args.out, layout, args.nbits, &Bars::default())?;
    note!(
        "{}: {}, {}, {}, {} bits, {}",
        args.out.display(),
        counted(exported.passages as u64, "passage"),
        counted(exported.tokens, "token"),
        counted(exported.centroids as u64, "centroid"),
        exported.nbits,
        if exported.as_is { "codes as they are" } else { "coded anew" }
    );
    match args.json {
        true => output::report_json(&mut std::io::stdout().lock(), &exported),
        false => Ok(()),
    }
}
