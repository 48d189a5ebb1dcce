//! Cross-origin requests to the API, by `--web.cors.origin`.

use axum::http::{HeaderMap, HeaderValue, header};

/// Which origins may read answers: a regular expression over the whole `Origin` header.
#[derive(Debug, Clone)]
pub struct CorsOrigin(regex::Regex);

impl CorsOrigin {
    /// Compiles `pattern`, which must match all of an origin.
    ///
    /// # Errors
    /// When it is not a regular expression.
    pub fn new(pattern: &str) -> Result<Self, String> {
        regex::Regex::new(&format!("^(?s:{pattern})$"))
            .map(Self)
            .map_err(|error| format!("invalid CORS origin {pattern:?}: {error}"))
    }

    /// Lets `origin` read the answer, if it may.
    pub(super) fn allow(&self, origin: Option<&HeaderValue>, headers: &mut HeaderMap) {
        let Some(origin) = origin else { return };
        if !origin.to_str().is_ok_and(|text| self.0.is_match(text)) {
            return;
        }
        for (name, value) in [
            (header::ACCESS_CONTROL_ALLOW_HEADERS, "Accept, Authorization, Content-Type, Origin"),
            (header::ACCESS_CONTROL_ALLOW_METHODS, "GET, POST, OPTIONS"),
            (header::ACCESS_CONTROL_EXPOSE_HEADERS, "Date"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
}
