//! Who the client says it is: basic auth, the `Authorization` header, and headers of the user's own.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::macro_support::or_default;
use super::{Error, Secret};

/// `basic_auth`: name and password, each inline or in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct BasicAuth {
    /// The name.
    #[serde(skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub username: String,
    /// A file that holds the name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username_file: Option<PathBuf>,
    /// The password.
    #[serde(skip_serializing_if = "Secret::is_empty", deserialize_with = "or_default")]
    pub password: Secret,
    /// A file that holds the password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
}

impl BasicAuth {
    pub(super) fn validate(&self) -> Result<(), String> {
        if !self.username.is_empty() && self.username_file.is_some() {
            return Err("at most one of basic_auth username & username_file must be configured".into());
        }
        if !self.password.is_empty() && self.password_file.is_some() {
            return Err("at most one of basic_auth password & password_file must be configured".into());
        }
        Ok(())
    }

    pub(super) fn resolve_paths(&mut self, dir: &Path) {
        resolve(&mut self.username_file, dir);
        resolve(&mut self.password_file, dir);
    }

    /// Name and password as they are now.
    pub(super) async fn read(&self) -> Result<(String, String), Error> {
        let name = match &self.username_file {
            Some(file) => read_credential(file).await?,
            None => self.username.clone(),
        };
        let password = match &self.password_file {
            Some(file) => read_credential(file).await?,
            None => self.password.expose().to_owned(),
        };
        Ok((name, password))
    }
}

/// `authorization`: a type and credentials, inline or in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct Authorization {
    /// The scheme; `Bearer` when empty.
    #[serde(rename = "type", skip_serializing_if = "String::is_empty", deserialize_with = "or_default")]
    pub scheme: String,
    /// The credentials.
    #[serde(skip_serializing_if = "Secret::is_empty", deserialize_with = "or_default")]
    pub credentials: Secret,
    /// A file that holds the credentials.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub credentials_file: Option<PathBuf>,
}

impl Authorization {
    pub(super) fn validate(&self) -> Result<(), String> {
        if !self.credentials.is_empty() && self.credentials_file.is_some() {
            return Err(
                "at most one of authorization credentials & credentials_file must be configured".into()
            );
        }
        if self.scheme.trim().eq_ignore_ascii_case("basic") {
            return Err(r#"authorization type cannot be set to "basic", use "basic_auth" instead"#.into());
        }
        Ok(())
    }

    pub(super) fn resolve_paths(&mut self, dir: &Path) {
        resolve(&mut self.credentials_file, dir);
    }

    /// The header value as it is now; `None` where there are no credentials.
    pub(super) async fn read(&self) -> Result<Option<String>, Error> {
        let credentials = match &self.credentials_file {
            Some(file) => read_credential(file).await?,
            None => self.credentials.expose().to_owned(),
        };
        let scheme = match self.scheme.trim() {
            "" => "Bearer",
            scheme => scheme,
        };
        Ok((!credentials.is_empty()).then(|| format!("{scheme} {credentials}")))
    }
}

/// The values of one header of `http_headers`; all of them are sent.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct HeaderValues {
    /// Shown values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub values: Vec<String>,
    /// Hidden values.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub secrets: Vec<Secret>,
    /// Files, each with one value.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<PathBuf>,
}

impl HeaderValues {
    pub(super) fn resolve_paths(&mut self, dir: &Path) {
        for file in &mut self.files {
            *file = dir.join(&*file);
        }
    }

    /// All values as they are now.
    pub(super) async fn read(&self) -> Result<Vec<String>, Error> {
        let mut all = self.values.clone();
        all.extend(self.secrets.iter().map(|secret| secret.expose().to_owned()));
        for file in &self.files {
            all.push(read_credential(file).await?);
        }
        Ok(all)
    }
}

/// Headers that belong to the protocol or to other settings.
const RESERVED_HEADERS: &[&str] = &[
    "authorization",
    "host",
    "content-encoding",
    "content-length",
    "content-type",
    "user-agent",
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "www-authenticate",
    "accept-encoding",
    "x-prometheus-remote-write-version",
    "x-prometheus-remote-read-version",
    "x-prometheus-scrape-timeout-seconds",
    "x-amz-date",
    "x-amz-security-token",
    "x-amz-content-sha256",
];

pub(super) fn validate_header_name(name: &str) -> Result<(), String> {
    if RESERVED_HEADERS.contains(&name.to_ascii_lowercase().as_str()) {
        return Err(format!("setting header {name:?} is not allowed"));
    }
    match reqwest::header::HeaderName::from_bytes(name.as_bytes()) {
        Ok(_) => Ok(()),
        Err(_) => Err(format!("{name:?} is not a valid HTTP header name")),
    }
}

pub(super) fn resolve(file: &mut Option<PathBuf>, dir: &Path) {
    if let Some(file) = file {
        *file = dir.join(&*file);
    }
}

/// A credential file's text without the white space around it.
pub(super) async fn read_credential(file: &Path) -> Result<String, Error> {
    match tokio::fs::read_to_string(file).await {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) => Err(Error::CredentialFile { file: file.to_owned(), error: error.to_string() }),
    }
}
