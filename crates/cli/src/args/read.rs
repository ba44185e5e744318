//! Flags of reading a folder.

use clap::Args;
use selvedge::collection::ReadOptions;

/// Flags of reading a folder.
#[derive(Debug, Args)]
pub(crate) struct ReadArgs {
    /// Maximum words per passage of a file; 0 makes each file one passage [default: passages of the model's maximum
    /// number of tokens, each overlapping the next by an eighth].
    #[arg(long, value_name = "WORDS")]
    pub(crate) split: Option<usize>,
    /// Read only the files that match, such as "*.md"; may be repeated.
    #[arg(long, value_name = "GLOB")]
    pub(crate) include: Vec<String>,
    /// Skip the files and folders that match, such as "drafts"; may be repeated.
    #[arg(long, value_name = "GLOB")]
    pub(crate) exclude: Vec<String>,
    /// Also read files and folders whose names begin with a dot.
    #[arg(long)]
    pub(crate) hidden: bool,
    /// Also read files that .gitignore and .ignore list.
    #[arg(long)]
    pub(crate) no_ignore: bool,
    /// Fail at a file that is not text, instead of skipping it.
    #[arg(long)]
    pub(crate) strict: bool,
}

impl ReadArgs {
    /// Returns the library's options.
    pub(crate) fn read_options(&self) -> ReadOptions {
        ReadOptions {
            split_words: self.split,
            include: self.include.clone(),
            exclude: self.exclude.clone(),
            hidden: self.hidden,
            no_ignore: self.no_ignore,
            strict: self.strict,
        }
    }
}
