//! Parameters of a request: the form in the body first, then those of the address, as upstream reads them.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{ConnectInfo, FromRequest, Request};
use axum::http::{Method, header};
use bytes::Bytes;
use nave_model::matcher::Matcher;
use nave_model::time::{TimeRange, Timestamp};
use nave_promql::{Origin, ParseOptions, parse_selector};
use url::form_urlencoded;

use crate::envelope::ApiError;
use crate::time::{parse_time, quoted};

/// Parameters by name, and who sent them.
#[derive(Debug, Clone)]
pub(crate) struct Params {
    all: Vec<(String, String)>,
    origin: Arc<Origin>,
}

impl Params {
    /// Who sent them.
    pub(crate) fn origin(&self) -> Arc<Origin> {
        self.origin.clone()
    }

    /// The first value of `name`; empty when there is none.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.all.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// All values of `name`.
    pub(crate) fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.all.iter().filter(move |(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    /// A time, or `default` when missing.
    pub(crate) fn time_or(&self, name: &str, default: Timestamp) -> Result<Timestamp, ApiError> {
        match self.get(name) {
            "" => Ok(default),
            text => parse_time(text).map_err(|error| {
                ApiError::parameter(name, format!("invalid time value for '{name}': {error}"))
            }),
        }
    }

    /// A time that must be there.
    pub(crate) fn time(&self, name: &str) -> Result<Timestamp, ApiError> {
        parse_time(self.get(name)).map_err(|error| ApiError::parameter(name, error))
    }

    /// `start` and `end`, everything when missing.
    pub(crate) fn range(&self) -> Result<TimeRange, ApiError> {
        Ok(TimeRange {
            min: self.time_or("start", Timestamp::MIN)?,
            max: self.time_or("end", Timestamp::MAX)?,
        })
    }

    /// `limit`: 0 is none.
    pub(crate) fn limit(&self) -> Result<Option<usize>, ApiError> {
        let text = self.get("limit");
        match text.parse::<i64>() {
            _ if text.is_empty() => Ok(None),
            Ok(limit) if limit < 0 => Err(ApiError::parameter("limit", "limit must be non-negative")),
            Ok(limit) => Ok(usize::try_from(limit).ok().filter(|limit| *limit > 0)),
            Err(_) => {
                let text = quoted(text);
                Err(ApiError::parameter("limit", format!("strconv.Atoi: parsing {text}: invalid syntax")))
            }
        }
    }

    /// The selectors of `match[]`.
    pub(crate) fn selectors(&self) -> Result<Vec<Vec<Matcher>>, ApiError> {
        self.all("match[]").map(parse_match).collect()
    }
}

/// How the parser says that a selector would match series without any label.
const SELECTS_ALL: &str = "vector selector must contain at least one non-empty matcher";

fn parse_match(text: &str) -> Result<Vec<Matcher>, ApiError> {
    parse_selector(text, &ParseOptions::ALL).map_err(|errors| match errors.first().message == SELECTS_ALL {
        true => ApiError::parameter("match[]", "match[] must contain at least one non-empty matcher"),
        false => ApiError::parameter("match[]", errors),
    })
}

impl<S: Send + Sync> FromRequest<S> for Params {
    type Rejection = ApiError;

    async fn from_request(request: Request, state: &S) -> Result<Self, ApiError> {
        let query = request.uri().query().unwrap_or_default().to_owned();
        let content_type = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
        let is_form = content_type.is_some_and(|kind| kind.starts_with("application/x-www-form-urlencoded"));
        let origin = Arc::new(origin(&request));
        let mut all = Vec::new();
        if request.method() == Method::POST && is_form {
            let body = Bytes::from_request(request, state)
                .await
                .map_err(|error| ApiError::bad_data(format!("error parsing form values: {error}")))?;
            all.extend(form_urlencoded::parse(&body).into_owned());
        }
        all.extend(form_urlencoded::parse(query.as_bytes()).into_owned());
        Ok(Self { all, origin })
    }
}

fn origin(request: &Request) -> Origin {
    let peer = request.extensions().get::<ConnectInfo<SocketAddr>>();
    Origin {
        client: peer.map(|ConnectInfo(peer)| peer.ip().to_string()).unwrap_or_default(),
        method: request.method().to_string(),
        path: request.uri().path().to_owned(),
    }
}
