//! `selvedge encode`: texts to NumPy arrays.

use crate::Result;
use crate::args::EncodeTextsArgs;
use crate::index::note_left_out;
use crate::log::note;
use crate::progress::Bars;
use selvedge::{EncodeOptions, Encoder};

/// Encodes a collection or queries, and says how many.
pub(crate) fn encode(args: &EncodeTextsArgs) -> Result<()> {
    let encoder = Encoder::load(&args.model, &args.encode.load_options())?;
    let options = EncodeOptions { queries: args.queries, is_f32: args.f32, read: args.read.read_options() };
    let report = selvedge::encode(&args.input, &args.out, &encoder, &options, &Bars::default())?;
    note_left_out(&report.read);
    if report.truncated > 0 {
        note!(
            "{} of {} texts are longer than the model reads; the rest of them is not encoded",
            report.truncated,
            report.texts
        );
    }
    note!("{}: {} texts, {} rows of {} dims", args.out.display(), report.texts, report.tokens, report.dim);
    Ok(())
}
