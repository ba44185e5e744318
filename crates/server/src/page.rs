//! The web page, embedded in the binary. It loads nothing from elsewhere.

use crate::error::ApiError;
use crate::routes::input::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

/// Rules of what a browser loads and does on the page: nothing that is not the server's own.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
                      img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Content of each type of file.
const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Lists files of the folder `page`: name, type, content.
macro_rules! files {
    ($($name:literal $kind:ident,)*) => {
        &[$(($name, $kind, include_str!(concat!("../page/", $name))),)*]
    };
}

/// Files of the page.
const FILES: &[(&str, &str, &str)] = files![
    "index.html" HTML,
    "api.html" HTML,
    "style.css" CSS,
    "parts.css" CSS,
    "api.js" SCRIPT,
    "api-docs.js" SCRIPT,
    "app.js" SCRIPT,
    "deleting.js" SCRIPT,
    "dom.js" SCRIPT,
    "explain.js" SCRIPT,
    "facets.js" SCRIPT,
    "filter.js" SCRIPT,
    "funnel.js" SCRIPT,
    "heatmap.js" SCRIPT,
    "indexes.js" SCRIPT,
    "json-lines.js" SCRIPT,
    "known.js" SCRIPT,
    "modes.js" SCRIPT,
    "numbers.js" SCRIPT,
    "query-words.js" SCRIPT,
    "read-files.js" SCRIPT,
    "results.js" SCRIPT,
    "search.js" SCRIPT,
    "sending.js" SCRIPT,
    "state.js" SCRIPT,
    "store.js" SCRIPT,
    "tasks.js" SCRIPT,
    "text.js" SCRIPT,
    "theme-button.js" SCRIPT,
    "theme.js" SCRIPT,
    "upload.js" SCRIPT,
];

/// The page itself.
pub(crate) async fn index() -> Response {
    file(Path("index.html".into())).await
}

/// A file of the page.
pub(crate) async fn file(Path(name): Path<String>) -> Response {
    let Some((_, kind, content)) = FILES.iter().find(|(known, ..)| *known == name) else {
        return ApiError::new(StatusCode::NOT_FOUND, "NOT_FOUND", "the page has no such file").into_response();
    };
    let mut response = (*content).into_response();
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_TYPE, *kind),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-cache"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_file_of_the_folder_is_served() {
        let folder = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/page")).unwrap();
        let files = folder.map(|entry| entry.unwrap().path()).filter(|path| path.is_file());
        let expected: BTreeSet<String> =
            files.map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect();
        assert_eq!(FILES.iter().map(|(name, ..)| (*name).to_owned()).collect::<BTreeSet<_>>(), expected);
    }
}
