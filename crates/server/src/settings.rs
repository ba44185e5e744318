//! Settings of an index, which are kept beside it.

use crate::error::{ApiError, Result};
use crate::state::App;
use selvedge::{BuildOptions, Language};
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// File of the settings of an index that was created over HTTP, beside the index itself.
pub(crate) const SETTINGS: &str = "settings.json";

/// Settings of an index that the server makes. They are used when its first documents arrive.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct IndexSettings {
    /// Model of its texts: a folder or a hub id; the model of the server by default.
    pub model: Option<String>,
    /// Bits per residual component: 0, 1, 2, 4 or 8; 2 by default.
    pub nbits: Option<u8>,
    /// Language of the words for BM25, or `none` for no words; English by default.
    pub language: Option<String>,
    /// Factor by which tokens are pooled; 1 by default.
    pub pool: Option<usize>,
    /// Components of an embedding, of an index without a model.
    pub dim: Option<usize>,
    /// Path of the folder of documents that the index is kept up to date with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub folder: Option<String>,
}

impl IndexSettings {
    /// Reads the settings in a folder of the data folder.
    pub(crate) fn read(home: &Path) -> Result<Self> {
        let path = home.join(SETTINGS);
        let bad = |error: &dyn std::fmt::Display| ApiError::internal(format!("{}: {error}", path.display()));
        let text = std::fs::read_to_string(&path).map_err(|error| bad(&error))?;
        serde_json::from_str(&text).map_err(|error| bad(&error))
    }

    /// Writes the settings of a new index; they appear whole.
    pub(crate) fn write(&self, home: &Path) -> std::io::Result<()> {
        std::fs::create_dir_all(home)?;
        let (path, new): (PathBuf, PathBuf) = (home.join(SETTINGS), home.join("settings.new"));
        let mut file = std::fs::File::create(&new)?;
        std::io::Write::write_all(&mut file, &serde_json::to_vec_pretty(self)?)?;
        file.sync_all()?;
        std::fs::rename(new, path)?;
        // The names themselves: of the file in its folder, and of the folder in the data folder.
        for folder in [Some(home), home.parent()].into_iter().flatten() {
            std::fs::File::open(folder)?.sync_all()?;
        }
        Ok(())
    }

    /// Options of the build of such an index.
    pub(crate) fn build_options(&self, app: &App) -> Result<BuildOptions> {
        let defaults = BuildOptions::default();
        let language = match self.language.as_deref() {
            None => defaults.language,
            Some("none") => None,
            Some(name) => Some(language(name)?),
        };
        Ok(BuildOptions {
            model: self.model.clone().unwrap_or_else(|| app.config.model.clone()),
            device: app.device,
            nbits: self.nbits.unwrap_or(defaults.nbits),
            pool: self.pool.unwrap_or(defaults.pool),
            memory_budget: app.config.memory_budget,
            language,
            ..defaults
        })
    }

    /// Checks what can be checked before there are documents.
    pub(crate) fn check(&self) -> Result<()> {
        let is_bad = |bad: bool, message: &str| if bad { Err(ApiError::bad_request(message)) } else { Ok(()) };
        is_bad(self.nbits.is_some_and(|nbits| ![0, 1, 2, 4, 8].contains(&nbits)), "nbits is 0, 1, 2, 4 or 8")?;
        is_bad(self.pool == Some(0), "pool is at least 1")?;
        is_bad(
            self.dim.is_some_and(|dim| dim == 0 || dim % 8 != 0 || dim > 4096),
            "dim is a multiple of 8 up to 4096",
        )?;
        match self.language.as_deref() {
            None | Some("none") => Ok(()),
            Some(name) => language(name).map(|_| ()),
        }
    }
}

fn language(name: &str) -> Result<Language> {
    name.parse().map_err(|error| ApiError::bad_request(format!("language: {error}")))
}
