//! API keys: who may do what.
//!
//! A key is 256 random bits, so that a plain SHA-256 hides it: only the hash is stored. Hashes are compared in constant
//! time. A request carries its key as `Authorization: Bearer KEY` or `X-API-Key: KEY`.

use crate::error::{ApiError, Result};
use axum::http::{HeaderMap, StatusCode, header};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

/// Rights of the owner of a key: each role may do all that the one before may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Search, encode, and look at indexes.
    Read,
    /// Change documents.
    Write,
    /// Create and delete indexes.
    Admin,
}

/// A client's key, as the settings have it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ApiKey {
    /// Name of the client, for the log.
    pub name: String,
    /// Rights of the client.
    pub role: Role,
    /// SHA-256 of the key, in hexadecimal digits.
    pub sha256: String,
}

/// SHA-256 of a key, in hexadecimal digits.
pub fn hash(key: &str) -> String {
    Sha256::digest(key).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Makes a key of 256 random bits.
///
/// # Errors
/// If the system has no random numbers.
pub fn new_key() -> Result<String> {
    random_hex(32).map(|digits| format!("slv_{digits}"))
}

/// Random bytes, in hexadecimal digits.
pub(crate) fn random_hex(bytes: usize) -> Result<String> {
    let mut random = vec![0; bytes];
    getrandom::fill(&mut random).map_err(|error| ApiError::internal(format!("no random numbers: {error}")))?;
    Ok(random.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The role of the client that sent these headers. Without keys, every client is an admin.
///
/// # Errors
/// 401 if no key is sent, or an unknown one.
pub(crate) fn role(keys: &[ApiKey], headers: &HeaderMap) -> Result<Role> {
    if keys.is_empty() {
        return Ok(Role::Admin);
    }
    let unauthorized = |message: &str| ApiError::new(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", message);
    let Some(key) = key(headers) else {
        return Err(unauthorized("this server needs a key: send it as Authorization: Bearer KEY"));
    };
    let found = hash(key);
    // All keys are compared, so that the time tells nothing of the place of a match.
    let mut role = None;
    for known in keys {
        if bool::from(known.sha256.to_ascii_lowercase().as_bytes().ct_eq(found.as_bytes())) {
            role = Some(known.role);
        }
    }
    role.ok_or_else(|| unauthorized("this key is unknown"))
}

/// The key of a request.
fn key(headers: &HeaderMap) -> Option<&str> {
    let text = |name: header::HeaderName| headers.get(name)?.to_str().ok();
    let bearer = text(header::AUTHORIZATION).and_then(|value| {
        let (scheme, key) = value.split_once(' ')?;
        scheme.eq_ignore_ascii_case("bearer").then_some(key.trim())
    });
    bearer.or_else(|| text(header::HeaderName::from_static("x-api-key")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_its_role_and_others_have_none() {
        let key = new_key().unwrap();
        assert_ne!(key, new_key().unwrap());
        let of = |role, key: &str| ApiKey { name: "n".into(), role, sha256: hash(key).to_uppercase() };
        let keys = [of(Role::Read, "reader"), of(Role::Write, &key)];
        let with = |name: &'static str, value: &str| {
            HeaderMap::from_iter([(header::HeaderName::from_static(name), value.parse().unwrap())])
        };
        assert_eq!(role(&keys, &with("authorization", &format!("bearer {key}"))).unwrap(), Role::Write);
        assert_eq!(role(&keys, &with("x-api-key", "reader")).unwrap(), Role::Read);
        for headers in [HeaderMap::new(), with("x-api-key", "Reader"), with("authorization", "Basic reader")] {
            assert_eq!(role(&keys, &headers).unwrap_err().status, StatusCode::UNAUTHORIZED);
        }
        assert_eq!(role(&[], &HeaderMap::new()).unwrap(), Role::Admin);
    }
}
