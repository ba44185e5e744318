//! Checks of names that come from outside and are used as paths: from a caller, a checkpoint's files or a hub.

use std::path::{Component, Path};

/// Whether a path that a checkpoint's own files name stays inside the checkpoint: relative, without `.` and `..`.
pub(crate) fn is_inside(path: &str) -> bool {
    Path::new(path).components().all(|part| matches!(part, Component::Normal(_)))
}

/// Whether the name of a commit is a hexadecimal number. It names a folder of the cache, so a hub must not send a path.
pub(crate) fn is_commit(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a model's name is a hub id: `owner/name`, of the characters that the hub allows. Any other name is a path.
pub(crate) fn is_hub_id(model: &str) -> bool {
    let part = |text: &str| {
        !text.is_empty()
            && !text.starts_with(['.', '-'])
            && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
    };
    model.split('/').count() == 2 && model.split('/').all(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hub_id_is_not_a_path() {
        for id in ["colbert-ir/colbertv2.0", "google-bert/bert-base-uncased", "a/b_c.d"] {
            assert!(is_hub_id(id), "{id}");
        }
        for path in ["bert-base-uncased", "./model", "/models/a", "../a/b", "a/b/c", "", "a/", "~/model", "a b"] {
            assert!(!is_hub_id(path), "{path}");
        }
    }

    #[test]
    fn a_commit_is_one_hexadecimal_number() {
        assert!(is_commit("0123456789abcdef0123456789ABCDEF01234567"));
        for name in ["", "..", "../01", "01/23", "/01", "main", "01 "] {
            assert!(!is_commit(name), "{name}");
        }
    }

    #[test]
    fn a_path_inside_has_neither_root_nor_parents() {
        for path in ["", "1_Dense", "a/b", "a/b/"] {
            assert!(is_inside(path), "{path}");
        }
        for path in ["..", "../a", "a/../../b", "/a", "./a", "a/.."] {
            assert!(!is_inside(path), "{path}");
        }
    }
}
