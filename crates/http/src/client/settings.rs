//! Upstream's `http_config`, and the macro that appends its fields to another block.
//!
//! Upstream inlines these fields into scrape, remote-write and discovery blocks. serde's `flatten` would
//! lose unknown-field errors and positions, so a macro writes the fields out.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::credential::{resolve, validate_header_name};
use super::{Authorization, BasicAuth, HeaderValues, OAuth2, Proxy, Secret, TlsSettings};

/// How to reach a server: `http_config`.
///
/// Deserialising checks it; a struct made by [`crate::with_http_settings`] calls [`Settings::validate`].
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "Unchecked", into = "Unchecked")]
pub struct Settings {
    /// Name and password.
    pub basic_auth: Option<BasicAuth>,
    /// The `Authorization` header.
    pub authorization: Option<Authorization>,
    /// Older form of `authorization`.
    pub bearer_token: Option<Secret>,
    /// Older form of `authorization` with a file.
    pub bearer_token_file: Option<PathBuf>,
    /// A token from an authorization server.
    pub oauth2: Option<OAuth2>,
    /// Certificates and TLS versions.
    pub tls_config: Option<TlsSettings>,
    /// The proxy; empty for none.
    pub proxy_url: String,
    /// What is reached without the proxy.
    pub no_proxy: String,
    /// Whether the environment names the proxy.
    pub proxy_from_environment: bool,
    /// Headers for the proxy.
    pub proxy_connect_header: BTreeMap<String, Vec<Secret>>,
    /// Whether redirects are followed; yes when not said.
    pub follow_redirects: Option<bool>,
    /// Whether HTTP/2 may be negotiated; yes when not said.
    pub enable_http2: Option<bool>,
    /// More headers.
    pub http_headers: BTreeMap<String, HeaderValues>,
}

impl Settings {
    /// Checks what stands in several fields; texts are upstream's.
    ///
    /// # Errors
    /// When fields exclude each other or a value is impossible.
    pub fn validate(&self) -> Result<(), String> {
        self.validate_credentials()?;
        if let Some(oauth2) = &self.oauth2 {
            oauth2.validate()?;
        }
        if let Some(tls) = &self.tls_config {
            tls.validate()?;
        }
        self.proxy().validate()?;
        self.http_headers.keys().try_for_each(|name| validate_header_name(name))
    }

    fn validate_credentials(&self) -> Result<(), String> {
        let refuse = |text: &str| Err(text.to_owned());
        let token = self.bearer_token.as_ref().is_some_and(|token| !token.is_empty());
        let token_file = self.bearer_token_file.is_some();
        if token && token_file {
            return refuse("at most one of bearer_token & bearer_token_file must be configured");
        }
        if (self.basic_auth.is_some() || self.oauth2.is_some()) && (token || token_file) {
            return refuse(
                "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured",
            );
        }
        if let Some(basic) = &self.basic_auth {
            basic.validate()?;
        }
        if let Some(authorization) = &self.authorization {
            if token || token_file {
                return refuse("authorization is not compatible with bearer_token & bearer_token_file");
            }
            authorization.validate()?;
        }
        let ways = [self.basic_auth.is_some(), self.oauth2.is_some(), self.authorization.is_some()];
        if ways.into_iter().filter(|way| *way).count() > 1 {
            return refuse("at most one of basic_auth, oauth2 & authorization must be configured");
        }
        Ok(())
    }

    /// Makes relative file names relative to `dir`, the folder of the configuration file.
    pub fn resolve_paths(&mut self, dir: &Path) {
        resolve(&mut self.bearer_token_file, dir);
        if let Some(basic) = &mut self.basic_auth {
            basic.resolve_paths(dir);
        }
        if let Some(authorization) = &mut self.authorization {
            authorization.resolve_paths(dir);
        }
        if let Some(oauth2) = &mut self.oauth2 {
            oauth2.resolve_paths(dir);
        }
        if let Some(tls) = &mut self.tls_config {
            tls.resolve_paths(dir);
        }
        for header in self.http_headers.values_mut() {
            header.resolve_paths(dir);
        }
    }

    /// The proxy fields together.
    #[must_use]
    pub fn proxy(&self) -> Proxy {
        Proxy {
            url: self.proxy_url.clone(),
            no_proxy: self.no_proxy.clone(),
            from_environment: self.proxy_from_environment,
            connect_header: self.proxy_connect_header.clone(),
        }
    }

    /// The `Authorization` header in its newer form, whichever form was written.
    pub(super) fn authorization(&self) -> Option<Authorization> {
        let (token, file) = (&self.bearer_token, &self.bearer_token_file);
        match &self.authorization {
            Some(authorization) => Some(authorization.clone()),
            None if token.is_some() || file.is_some() => Some(Authorization {
                scheme: "Bearer".into(),
                credentials: token.clone().unwrap_or_default(),
                credentials_file: file.clone(),
            }),
            None => None,
        }
    }
}

/// Defines a struct with all fields of upstream's `http_config` after its own.
///
/// The struct gets `fn http(&self) -> Settings` and `fn resolve_http_paths(&mut self, dir: &Path)`. The caller's
/// checks should end with `self.http().validate()`. Derives and attributes are the caller's; all added fields have defaults.
///
/// ```
/// nave_http::with_http_settings! {
///     /// A block of a configuration file.
///     #[derive(serde::Deserialize)]
///     #[serde(deny_unknown_fields)]
///     struct Endpoint {
///         url: String,
///     }
/// }
/// let text = r#"{"url": "http://a", "basic_auth": {"username": "u"}}"#;
/// let endpoint: Endpoint = serde_json::from_str(text).unwrap();
/// assert_eq!(endpoint.http().basic_auth.unwrap().username, "u");
/// assert_eq!(endpoint.url, "http://a");
/// ```
#[macro_export]
macro_rules! with_http_settings {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident {
            $( $(#[$field_attribute:meta])* $field_visibility:vis $field:ident : $type:ty ),* $(,)?
        }
    ) => {
        $(#[$attribute])*
        $visibility struct $name {
            $( $(#[$field_attribute])* $field_visibility $field: $type, )*
            /// Name and password.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            $visibility basic_auth: Option<$crate::client::BasicAuth>,
            /// The `Authorization` header.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            $visibility authorization: Option<$crate::client::Authorization>,
            /// Older form of `authorization`.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            $visibility bearer_token: Option<$crate::client::Secret>,
            /// Older form of `authorization` with a file.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            $visibility bearer_token_file: Option<::std::path::PathBuf>,
            /// A token from an authorization server.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            $visibility oauth2: Option<$crate::client::OAuth2>,
            /// Certificates and TLS versions.
            #[serde(default, skip_serializing_if = "Option::is_none")]
            $visibility tls_config: Option<$crate::client::TlsSettings>,
            /// The proxy; empty for none.
            #[serde(
                default,
                skip_serializing_if = "String::is_empty",
                serialize_with = "nave_http::client::macro_support::shown_url",
                deserialize_with = "nave_http::client::macro_support::or_default"
            )]
            $visibility proxy_url: String,
            /// What is reached without the proxy.
            #[serde(
                default,
                skip_serializing_if = "String::is_empty",
                deserialize_with = "nave_http::client::macro_support::or_default"
            )]
            $visibility no_proxy: String,
            /// Whether the environment names the proxy.
            #[serde(
                default,
                skip_serializing_if = "std::ops::Not::not",
                deserialize_with = "nave_http::client::macro_support::or_default"
            )]
            $visibility proxy_from_environment: bool,
            /// Headers for the proxy.
            #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
            $visibility proxy_connect_header:
                ::std::collections::BTreeMap<String, Vec<$crate::client::Secret>>,
            /// Whether redirects are followed; yes when not said.
            #[serde(default, serialize_with = "nave_http::client::macro_support::shown_true")]
            $visibility follow_redirects: Option<bool>,
            /// Whether HTTP/2 may be negotiated; yes when not said.
            #[serde(default, serialize_with = "nave_http::client::macro_support::shown_true")]
            $visibility enable_http2: Option<bool>,
            /// More headers.
            #[serde(default, skip_serializing_if = "std::collections::BTreeMap::is_empty")]
            $visibility http_headers:
                ::std::collections::BTreeMap<String, $crate::client::HeaderValues>,
        }

        #[allow(dead_code)] // not every block needs every part
        impl $name {
            /// The `http_config` part.
            #[must_use]
            $visibility fn http(&self) -> $crate::client::Settings {
                $crate::client::Settings {
                    basic_auth: self.basic_auth.clone(),
                    authorization: self.authorization.clone(),
                    bearer_token: self.bearer_token.clone(),
                    bearer_token_file: self.bearer_token_file.clone(),
                    oauth2: self.oauth2.clone(),
                    tls_config: self.tls_config.clone(),
                    proxy_url: self.proxy_url.clone(),
                    no_proxy: self.no_proxy.clone(),
                    proxy_from_environment: self.proxy_from_environment,
                    proxy_connect_header: self.proxy_connect_header.clone(),
                    follow_redirects: self.follow_redirects,
                    enable_http2: self.enable_http2,
                    http_headers: self.http_headers.clone(),
                }
            }

            /// Replaces the `http_config` part.
            $visibility fn set_http(&mut self, http: $crate::client::Settings) {
                self.basic_auth = http.basic_auth;
                self.authorization = http.authorization;
                self.bearer_token = http.bearer_token;
                self.bearer_token_file = http.bearer_token_file;
                self.oauth2 = http.oauth2;
                self.tls_config = http.tls_config;
                self.proxy_url = http.proxy_url;
                self.no_proxy = http.no_proxy;
                self.proxy_from_environment = http.proxy_from_environment;
                self.proxy_connect_header = http.proxy_connect_header;
                self.follow_redirects = http.follow_redirects;
                self.enable_http2 = http.enable_http2;
                self.http_headers = http.http_headers;
            }

            /// Makes relative file names of the `http_config` part relative to `dir`.
            $visibility fn resolve_http_paths(&mut self, dir: &::std::path::Path) {
                let mut http = self.http();
                http.resolve_paths(dir);
                self.set_http(http);
            }
        }
    };
}

with_http_settings! {
    #[derive(Deserialize, Serialize)]
    #[serde(deny_unknown_fields)]
    struct Unchecked {}
}

impl TryFrom<Unchecked> for Settings {
    type Error = String;

    fn try_from(unchecked: Unchecked) -> Result<Self, String> {
        let settings = unchecked.http();
        settings.validate()?;
        Ok(settings)
    }
}

impl From<Settings> for Unchecked {
    fn from(http: Settings) -> Self {
        Self {
            basic_auth: http.basic_auth,
            authorization: http.authorization,
            bearer_token: http.bearer_token,
            bearer_token_file: http.bearer_token_file,
            oauth2: http.oauth2,
            tls_config: http.tls_config,
            proxy_url: http.proxy_url,
            no_proxy: http.no_proxy,
            proxy_from_environment: http.proxy_from_environment,
            proxy_connect_header: http.proxy_connect_header,
            follow_redirects: http.follow_redirects,
            enable_http2: http.enable_http2,
            http_headers: http.http_headers,
        }
    }
}

/// Shows a switch that is on unless it was turned off.
#[allow(clippy::ref_option, clippy::missing_errors_doc)] // serde gives the reference
pub fn shown_true<S: Serializer>(switch: &Option<bool>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_bool(switch.unwrap_or(true))
}

/// Reads a key without a value as no key.
#[allow(clippy::missing_errors_doc)] // the deserializer's
pub fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

/// Shows a URL without the password that may stand in it.
#[allow(clippy::missing_errors_doc)] // the serializer's
pub fn shown_url<S: Serializer>(url: &str, serializer: S) -> Result<S::Ok, S::Error> {
    match url::Url::parse(url) {
        Ok(mut parsed) if parsed.password().is_some() => {
            // Only URLs without a host refuse a password, and those have none.
            let _ = parsed.set_password(Some("xxxxx"));
            serializer.serialize_str(parsed.as_str())
        }
        _ => serializer.serialize_str(url),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(yaml: &str, expect: Result<&str, &str>) {
        match (serde_saphyr::from_str::<Settings>(yaml), expect) {
            (Ok(settings), Ok(shown)) => {
                assert_eq!(serde_json::to_string(&settings).unwrap(), shown, "{yaml}");
            }
            (Err(error), Err(text)) => {
                assert!(error.to_string().contains(text), "{yaml}: {error} lacks {text}");
            }
            (Ok(settings), Err(text)) => panic!("{yaml}: loaded {settings:?}, expected error {text}"),
            (Err(error), Ok(_)) => panic!("{yaml}: {error}"),
        }
    }

    #[test]
    fn loads_and_shows_without_secrets() {
        let on = r#""follow_redirects":true,"enable_http2":true"#;
        check("{}", Ok(&format!("{{{on}}}")));
        check(
            "{bearer_token: abc, follow_redirects: false}",
            Ok(r#"{"bearer_token":"<secret>","follow_redirects":false,"enable_http2":true}"#),
        );
        check(
            "{basic_auth: {username: u, password: p}, http_headers: {X-Scope: {values: [a], secrets: [b]}}}",
            Ok(&format!(
                r#"{{"basic_auth":{{"username":"u","password":"<secret>"}},{on},"http_headers":{{"X-Scope":{{"values":["a"],"secrets":["<secret>"]}}}}}}"#
            )),
        );
        check(
            "{tls_config: {ca_file: ca.pem, min_version: TLS12}, proxy_url: 'http://p:1', no_proxy: 'a,b'}",
            Ok(&format!(
                r#"{{"tls_config":{{"ca_file":"ca.pem","insecure_skip_verify":false,"min_version":"TLS12"}},"proxy_url":"http://p:1","no_proxy":"a,b",{on}}}"#
            )),
        );
    }

    #[test]
    fn refuses_with_upstream_texts() {
        for (yaml, text) in [
            (
                "{bearer_token: a, bearer_token_file: f}",
                "at most one of bearer_token & bearer_token_file must be configured",
            ),
            (
                "{bearer_token: a, basic_auth: {username: u}}",
                "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured",
            ),
            (
                "{authorization: {credentials: a}, basic_auth: {username: u}}",
                "at most one of basic_auth, oauth2 & authorization must be configured",
            ),
            (
                "{authorization: {credentials: a}, bearer_token: b}",
                "authorization is not compatible with bearer_token & bearer_token_file",
            ),
            (
                "{authorization: {type: Basic, credentials: a}}",
                "authorization type cannot be set to \"basic\", use \"basic_auth\" instead",
            ),
            (
                "{basic_auth: {username: u, username_file: f}}",
                "at most one of basic_auth username & username_file must be configured",
            ),
            ("{tls_config: {ca: a, ca_file: f}}", "at most one of ca and ca_file must be configured"),
            (
                "{tls_config: {cert_file: f}}",
                "exactly one of key or key_file must be configured when a client certificate is configured",
            ),
            ("{no_proxy: a}", "if no_proxy is configured, proxy_url must also be configured"),
            (
                "{proxy_from_environment: true, proxy_url: 'http://p'}",
                "if proxy_from_environment is configured, proxy_url must not be configured",
            ),
            (
                "{http_headers: {Authorization: {values: [a]}}}",
                "setting header \"Authorization\" is not allowed",
            ),
            ("{oauth2: {client_secret: s, token_url: 'http://t'}}", "oauth2 client_id must be configured"),
            ("{oauth2: {client_id: c}}", "oauth2 token_url must be configured"),
            ("{unknown: 1}", "unknown"),
        ] {
            check(yaml, Err(text));
        }
    }

    #[test]
    fn relative_files_are_beside_the_configuration() {
        let yaml = "{basic_auth: {username: u, password_file: pw}, tls_config: {ca_file: /etc/ca.pem}}";
        let mut settings: Settings = serde_saphyr::from_str(yaml).unwrap();
        settings.resolve_paths(Path::new("/conf"));
        assert_eq!(settings.basic_auth.unwrap().password_file.unwrap(), Path::new("/conf/pw"));
        assert_eq!(settings.tls_config.unwrap().ca_file.unwrap(), Path::new("/etc/ca.pem"));
    }
}
