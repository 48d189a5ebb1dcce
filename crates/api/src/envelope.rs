//! The envelope of every answer: `status`, `data`, `errorType`, `error`, `warnings`, `infos`.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use nave_model::select::SelectError;
use nave_promql::QueryError;

use crate::json;

/// The kinds of errors that clients tell apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorType {
    /// A parameter is wrong.
    BadData,
    /// The request is right but cannot be answered.
    Execution,
    /// The client or the process stopped it.
    Canceled,
    /// It took too long.
    Timeout,
    /// Our fault.
    Internal,
    /// Not ready, or switched off.
    Unavailable,
    /// There is no such thing.
    NotFound,
}

impl ErrorType {
    fn as_str(self) -> &'static str {
        match self {
            Self::BadData => "bad_data",
            Self::Execution => "execution",
            Self::Canceled => "canceled",
            Self::Timeout => "timeout",
            Self::Internal => "internal",
            Self::Unavailable => "unavailable",
            Self::NotFound => "not_found",
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::BadData => StatusCode::BAD_REQUEST,
            Self::Execution => StatusCode::UNPROCESSABLE_ENTITY,
            Self::Canceled | Self::Timeout | Self::Unavailable => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::NotFound => StatusCode::NOT_FOUND,
        }
    }
}

/// An error answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiError {
    /// Decides the HTTP status.
    pub kind: ErrorType,
    /// For people.
    pub text: String,
}

impl ApiError {
    pub(crate) fn bad_data(text: impl Into<String>) -> Self {
        Self { kind: ErrorType::BadData, text: text.into() }
    }

    pub(crate) fn parameter(name: &str, text: impl std::fmt::Display) -> Self {
        Self::bad_data(format!("invalid parameter \"{name}\": {text}"))
    }

    pub(crate) fn execution(text: impl Into<String>) -> Self {
        Self { kind: ErrorType::Execution, text: text.into() }
    }

    pub(crate) fn unavailable(text: impl Into<String>) -> Self {
        Self { kind: ErrorType::Unavailable, text: text.into() }
    }
}

impl From<QueryError> for ApiError {
    fn from(error: QueryError) -> Self {
        let kind = match &error {
            QueryError::Parse(_) | QueryError::Invalid(_) => return Self::parameter("query", error),
            QueryError::Execution(_) => ErrorType::Execution,
            QueryError::Canceled(_) => ErrorType::Canceled,
            QueryError::Timeout(_) => ErrorType::Timeout,
            QueryError::Internal(_) => ErrorType::Internal,
        };
        Self { kind, text: error.to_string() }
    }
}

impl From<SelectError> for ApiError {
    fn from(error: SelectError) -> Self {
        let kind = match &error {
            SelectError::OverBudget(_) => ErrorType::Execution,
            SelectError::Cancelled => ErrorType::Canceled,
            SelectError::Storage(_) => ErrorType::Internal,
        };
        Self { kind, text: error.to_string() }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut body = format!(r#"{{"status":"error","errorType":"{}","error":"#, self.kind.as_str());
        json::string(&mut body, &self.text);
        body.push('}');
        answer(self.kind.status(), body)
    }
}

/// A successful answer: `data` is JSON already.
#[derive(Debug, Default)]
pub(crate) struct Success {
    pub(crate) data: String,
    pub(crate) warnings: Vec<String>,
    pub(crate) infos: Vec<String>,
}

impl Success {
    /// An answer of `data`, which is JSON.
    pub(crate) fn json(data: impl Into<String>) -> Self {
        Self { data: data.into(), ..Self::default() }
    }

    /// An answer of `data` as serde writes it.
    pub(crate) fn of<T: serde::Serialize>(data: &T) -> Result<Self, ApiError> {
        serde_json::to_string(data)
            .map(Self::json)
            .map_err(|error| ApiError { kind: ErrorType::Internal, text: error.to_string() })
    }
}

impl IntoResponse for Success {
    fn into_response(self) -> Response {
        let mut body = String::with_capacity(self.data.len() + 40);
        body.push_str(r#"{"status":"success","data":"#);
        body.push_str(&self.data);
        for (name, notes) in [("warnings", &self.warnings), ("infos", &self.infos)] {
            if !notes.is_empty() {
                body.push_str(&format!(",\"{name}\":"));
                json::strings(&mut body, notes);
            }
        }
        body.push('}');
        answer(StatusCode::OK, body)
    }
}

fn answer(status: StatusCode, body: String) -> Response {
    let json = HeaderValue::from_static("application/json");
    (status, [(header::CONTENT_TYPE, json)], body).into_response()
}

/// What handlers of the API give.
pub(crate) type Answered = Result<Success, ApiError>;
