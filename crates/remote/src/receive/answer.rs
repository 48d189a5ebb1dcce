//! From what happened to status, headers and text.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::header::{ACCEPT_ENCODING, ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderName, HeaderValue, Method, StatusCode};
use axum::response::Response;
use nave_base::budget::OverBudget;
use nave_model::append::{AppendError, Item, Outcome, Principal, Tally};
use nave_wire::remote_write::{
    self, EXEMPLARS_WRITTEN_HEADER, HISTOGRAMS_WRITTEN_HEADER, LATE_ACCEPTED, LATE_HEADER,
    SAMPLES_WRITTEN_HEADER,
};
use nave_wire::write_v1;

use super::Refused;

/// How many refused items an answer names.
const NAMED_MAX: usize = 5;
/// When to come back after a limit that passes quickly.
const RETRY_SOON: Duration = Duration::from_secs(1);
/// When to come back when there is no room.
const RETRY_LATER: Duration = Duration::from_secs(10);

const LATE: (HeaderName, HeaderValue) =
    (HeaderName::from_static(LATE_HEADER), HeaderValue::from_static(LATE_ACCEPTED));

/// What of a request is stored now, for the headers of 2.0 answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Written {
    samples: usize,
    histograms: usize,
    exemplars: usize,
}

impl Written {
    /// Duplicates are stored, too.
    pub(super) fn of(outcome: &Outcome) -> Self {
        let kept = |tally: Tally| tally.stored + tally.duplicate;
        Self {
            samples: kept(outcome.samples),
            histograms: kept(outcome.histograms),
            exemplars: kept(outcome.exemplars),
        }
    }

    fn put(self, response: &mut Response) {
        let counts = [
            (SAMPLES_WRITTEN_HEADER, self.samples),
            (HISTOGRAMS_WRITTEN_HEADER, self.histograms),
            (EXEMPLARS_WRITTEN_HEADER, self.exemplars),
        ];
        for (name, count) in counts {
            let name = HeaderName::try_from(name).expect("Written: constant names are good");
            response.headers_mut().insert(name, HeaderValue::from(count));
        }
    }
}

/// Why a request is not answered by 204.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("remote write receiver is off: start with --web.enable-remote-write-receiver to switch it on")]
    Disabled,
    #[error("OTLP receiver is off: start with --web.enable-otlp-receiver to switch it on")]
    OtlpDisabled,
    #[error("method {0} is not allowed here, expected POST")]
    Method(Method),
    #[error("{0}")]
    Unsupported(String),
    #[error("{0}")]
    Broken(String),
    #[error("{what} is larger than the limit of {limit} bytes: send smaller batches (max_samples_per_send)")]
    TooLarge { what: &'static str, limit: usize },
    #[error("{0}: send smaller batches (max_samples_per_send)")]
    TooLargeDecoded(String),
    #[error("the body did not arrive within {timeout:?}")]
    Slow { timeout: Duration },
    #[error("{limit} writes are being taken at once, which is the limit: try again")]
    Busy { limit: usize },
    #[error("cluster {cluster} has {limit} writes under way, which is its share of the receiver: try again")]
    Share { cluster: Arc<str>, limit: usize },
    #[error("{0}: try again")]
    OverBudget(String),
    #[error("{}", .0.why)]
    Principal(Refused),
    #[error("{text}")]
    Rejected { text: String, sender: Arc<str>, written: Written },
    #[error("{error}")]
    Append { error: AppendError, sender: Arc<str> },
}

impl From<OverBudget> for Refusal {
    fn from(error: OverBudget) -> Self {
        Self::OverBudget(error.to_string())
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        Self::Principal(refused)
    }
}

impl From<write_v1::Error> for Refusal {
    fn from(error: write_v1::Error) -> Self {
        match error {
            write_v1::Error::TooLarge { .. } => Self::TooLargeDecoded(error.to_string()),
            _ => Self::Broken(error.to_string()),
        }
    }
}

impl Refusal {
    pub(super) fn append(error: AppendError, principal: &Principal) -> Self {
        Self::Append { error, sender: principal.sender.clone() }
    }

    /// Names the first refused items; `series` gives the text of a series of the request.
    pub(super) fn rejected(
        outcome: &Outcome,
        principal: &Principal,
        written: Written,
        series: impl Fn(usize) -> Option<String>,
    ) -> Self {
        let refused = outcome.samples.rejected + outcome.histograms.rejected + outcome.exemplars.rejected;
        let kept = written.samples + written.histograms;
        let mut text = format!("{refused} items refused, {kept} samples kept:");
        for rejection in outcome.rejections.iter().take(NAMED_MAX) {
            let series = series(rejection.series as usize).unwrap_or_default();
            let item = match rejection.item {
                Item::Series | Item::Sample(_) => "",
                Item::Histogram(_) => " (histogram)",
                Item::Exemplar(_) => " (exemplar)",
            };
            let _ = write!(text, "\n{series}{item}: {}", rejection.reason);
        }
        let more = outcome.rejections.len().saturating_sub(NAMED_MAX);
        if more > 0 {
            let _ = write!(text, "\nand {more} more");
        }
        Self::Rejected { text, sender: principal.sender.clone(), written }
    }

    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::Disabled | Self::OtlpDisabled => StatusCode::NOT_FOUND,
            Self::Method(_) => StatusCode::METHOD_NOT_ALLOWED,
            Self::Unsupported(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Broken(_) | Self::Rejected { .. } => StatusCode::BAD_REQUEST,
            Self::TooLarge { .. } | Self::TooLargeDecoded(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Principal(refused) => refused.status,
            Self::Append { error: AppendError::Io(_), .. } => StatusCode::INTERNAL_SERVER_ERROR,
            // Not 408: to a sender every 4xx is final, and slow networks must not cost samples.
            Self::Slow { .. }
            | Self::Busy { .. }
            | Self::Share { .. }
            | Self::OverBudget(_)
            | Self::Append { .. } => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// On whose behalf, when that was found out.
    pub(super) fn sender(&self) -> &str {
        match self {
            Self::Rejected { sender, .. } | Self::Append { sender, .. } => sender,
            Self::Share { cluster, .. } => cluster,
            _ => "",
        }
    }

    fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Slow { .. } | Self::Busy { .. } | Self::Share { .. } | Self::OverBudget(_) => {
                Some(RETRY_SOON)
            }
            Self::Principal(refused) => refused.retry_after,
            Self::Append { error, .. } => match error {
                AppendError::Overloaded { retry_after, .. } => Some(*retry_after),
                AppendError::Full { .. } => Some(RETRY_LATER),
                AppendError::Closed(_) => Some(RETRY_SOON),
                AppendError::Io(_) => None,
            },
            _ => None,
        }
    }

    pub(super) fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(format!("{self}\n")));
        *response.status_mut() = self.status();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        if let Some(wait) = self.retry_after() {
            // Whole seconds, and never 0: that would mean at once.
            let seconds = wait.as_millis().div_ceil(1000).max(1);
            headers.insert(RETRY_AFTER, HeaderValue::from(u64::try_from(seconds).unwrap_or(u64::MAX)));
        }
        match self {
            Self::Method(_) => _ = response.headers_mut().insert(ALLOW, HeaderValue::from_static("POST")),
            Self::Disabled => return response,
            Self::Rejected { written, .. } => written.put(&mut response),
            Self::Principal(Refused { challenge: Some(challenge), .. }) => {
                response.headers_mut().insert(WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
            }
            _ => {}
        }
        announce(&mut response);
        response
    }
}

/// What every answer says about this end: it takes late samples, and these encodings.
fn announce(response: &mut Response) {
    let headers = response.headers_mut();
    headers.insert(LATE.0, LATE.1);
    headers.insert(ACCEPT_ENCODING, HeaderValue::from_static(remote_write::ACCEPT_ENCODING));
}

/// Everything is stored; 2.0 says how much that was.
pub(super) fn stored(written: Option<Written>) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NO_CONTENT;
    if let Some(written) = written {
        written.put(&mut response);
    }
    announce(&mut response);
    response
}
