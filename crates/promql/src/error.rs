//! Why a query has no answer.

use nave_model::select::SelectError;

use crate::parse::ParseErrors;

/// Why a query has no answer. Variants are the `errorType`s of the HTTP API.
#[derive(Debug, Clone, thiserror::Error)]
pub enum QueryError {
    /// The query is not PromQL.
    #[error(transparent)]
    Parse(#[from] ParseErrors),
    /// The request makes no sense, such as a range query of a range vector.
    #[error("{0}")]
    Invalid(String),
    /// The query is well formed but cannot be answered for this data, or passes a limit.
    #[error("{0}")]
    Execution(String),
    /// The caller went away or the program stops.
    #[error("query was canceled in {0}")]
    Canceled(&'static str),
    /// It took too long.
    #[error("query timed out in {0}")]
    Timeout(&'static str),
    /// The store failed, or there is a bug in here.
    #[error("{0}")]
    Internal(String),
}

impl QueryError {
    /// The `errorType` of the HTTP API.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Parse(_) | Self::Invalid(_) => "bad_data",
            Self::Execution(_) => "execution",
            Self::Canceled(_) => "canceled",
            Self::Timeout(_) => "timeout",
            Self::Internal(_) => "internal",
        }
    }

    pub(crate) fn execution(message: impl Into<String>) -> Self {
        Self::Execution(message.into())
    }

    /// The error for what the language has and this engine does not.
    pub(crate) fn not_built(what: &str) -> Self {
        Self::Execution(format!("{what} is not supported by this version"))
    }
}

impl From<SelectError> for QueryError {
    fn from(error: SelectError) -> Self {
        match error {
            SelectError::OverBudget(over) => over.into(),
            SelectError::Cancelled => Self::Canceled(EVALUATION),
            SelectError::Storage(message) => Self::Internal(message),
        }
    }
}

impl From<nave_base::budget::OverBudget> for QueryError {
    fn from(over: nave_base::budget::OverBudget) -> Self {
        Self::Execution(format!("{over}; select less, or raise --query.memory-limit"))
    }
}

/// What a query did when it was stopped.
pub(crate) const EVALUATION: &str = "expression evaluation";
/// What a query did when it was stopped before it began.
pub(crate) const QUEUE: &str = "query queue";
