//! Regular expressions with RE2's meaning, anchored at both ends.

use std::fmt;
use std::sync::Arc;

/// Why a pattern was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("error parsing regexp: {message}: `{pattern}`")]
pub struct RegexError {
    /// The pattern as written.
    pub pattern: String,
    /// What is wrong with it.
    pub message: String,
}

/// A compiled, anchored pattern. Cloning copies a pointer.
#[derive(Clone)]
pub struct Regex(Arc<Inner>);

struct Inner {
    source: String,
    compiled: regex::Regex,
}

impl Regex {
    /// Compiles `^(?s:pattern)$`.
    ///
    /// # Errors
    /// When RE2 would refuse the pattern, or it compiles to more than the size limit.
    pub fn anchored(pattern: &str) -> Result<Self, RegexError> {
        let compiled = regex::Regex::new(&format!("^(?s:{pattern})$"))
            .map_err(|error| RegexError { pattern: pattern.to_owned(), message: error.to_string() })?;
        Ok(Self(Arc::new(Inner { source: pattern.to_owned(), compiled })))
    }

    /// The pattern as written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0.source
    }

    /// Whether all of `text` matches.
    #[must_use]
    pub fn is_match(&self, text: &str) -> bool {
        self.0.compiled.is_match(text)
    }
}

impl fmt::Debug for Regex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}/", self.0.source)
    }
}

impl PartialEq for Regex {
    fn eq(&self, other: &Self) -> bool {
        self.0.source == other.0.source
    }
}

impl Eq for Regex {}
