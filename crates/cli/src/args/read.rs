//! Flags of reading a folder.

use clap::Args;
use selvedge::collection::ReadOptions;

/// How a folder is read.
#[derive(Debug, Args)]
pub(crate) struct ReadArgs {
    /// Words after which a file of a folder is split into passages, 0 for never [default: as many tokens as the model
    /// reads; a passage shares an eighth of them with the next].
    #[arg(long, value_name = "WORDS")]
    pub(crate) split: Option<usize>,
    /// Read only these files of a folder, such as "*.md"; may be given several times.
    #[arg(long, value_name = "GLOB")]
    pub(crate) include: Vec<String>,
    /// Leave out these files and folders, such as "drafts"; may be given several times.
    #[arg(long, value_name = "GLOB")]
    pub(crate) exclude: Vec<String>,
    /// Also read hidden files and folders.
    #[arg(long)]
    pub(crate) hidden: bool,
    /// Also read files that .gitignore and .ignore name.
    #[arg(long)]
    pub(crate) no_ignore: bool,
    /// Fail at a file of a folder that is not text, rather than skip it.
    #[arg(long)]
    pub(crate) strict: bool,
}

impl ReadArgs {
    /// The options that the flags stand for.
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
