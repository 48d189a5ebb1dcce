//! The one place that knows the YAML library: text to typed settings, with file, line and column in
//! errors, and settings back to text.

use std::path::Path;

use serde::Serialize;
use serde::de::DeserializeOwned;

/// Why a file is no valid configuration.
#[derive(Debug, thiserror::Error)]
#[error("{file}{}: {message}", position(*.at))]
pub(crate) struct Error {
    file: String,
    at: Option<(u64, u64)>,
    message: String,
}

fn position(at: Option<(u64, u64)>) -> String {
    at.map_or_else(String::new, |(line, column)| format!(":{line}:{column}"))
}

impl Error {
    /// An error that concerns the whole file.
    pub(crate) fn whole(file: &Path, message: &dyn ToString) -> Self {
        Self { file: file.display().to_string(), at: None, message: message.to_string() }
    }
}

/// Parses one document. `file` only names it. An empty document gives the defaults.
pub(crate) fn parse<T: DeserializeOwned + Default>(file: &Path, text: &str) -> Result<T, Error> {
    // Local files are trusted with their own size; the library's default bound refuses large ones.
    let mut options = serde_saphyr::Options::default();
    options.budget = None;
    let parsed = serde_saphyr::from_str_with_options::<Option<T>>(text, options);
    parsed.map(Option::unwrap_or_default).map_err(|error| {
        let at = error.location().map(|at| (at.line(), at.column()));
        let message = error.without_snippet().to_string();
        Error { file: file.display().to_string(), at, message }
    })
}

/// Settings as YAML, as `/api/v1/status/config` shows them.
pub(crate) fn print<T: Serialize>(value: &T) -> String {
    serde_saphyr::to_string(value).unwrap_or_else(|error| format!("# cannot be shown: {error}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Sample {
        #[allow(dead_code)]
        known: Option<u32>,
    }

    #[test]
    fn errors_name_file_line_column_and_field() {
        let check = |text: &str, wants: &[&str]| {
            let error = parse::<Sample>(Path::new("x.yml"), text).unwrap_err().to_string();
            for want in wants {
                assert!(error.contains(want), "{error:?} should hold {want:?}");
            }
        };
        check("known: 1\nunknwon: 2\n", &["x.yml:2:1", "unknwon"]);
        check("known: many\n", &["x.yml:1:8"]);
        check("known: 1\nknown: 2\n", &["x.yml:2:1", "known"]);
        assert!(parse::<Sample>(Path::new("x.yml"), "").is_ok());
    }
}
