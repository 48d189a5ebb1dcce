//! Who follows queries from outside: a log of them, a record of what ran when the process died.
//!
//! The engine calls; it does not know what is done with it. Calls come from the tasks of queries, so they must not
//! block for long.

use std::sync::Arc;

use nave_model::time::Timestamp;

use crate::answer::Stats;
use crate::error::QueryError;

/// Who asked, where that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    /// The address of the client, without its port; empty when it is not known.
    pub client: String,
    /// `GET`, `POST`.
    pub method: String,
    /// The path of the request.
    pub path: String,
}

/// What was asked.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The expression.
    pub query: String,
    /// First step.
    pub start: Timestamp,
    /// Last step.
    pub end: Timestamp,
    /// Between steps in ms; 0 for an instant query.
    pub step_ms: i64,
    /// Who asked.
    pub origin: Option<Arc<Origin>>,
}

/// Follows queries.
pub trait Follow: std::fmt::Debug + Send + Sync {
    /// A query has left the queue and is about to be evaluated. The number is given to [`Follow::ended`].
    fn begun(&self, asked: &Asked) -> u64;

    /// The query `number` has its answer, or failed, or was canceled.
    fn ended(&self, number: u64, asked: &Asked, outcome: Result<&Stats, &QueryError>);
}

/// A query that is followed. Dropped without an outcome, it counts as canceled.
#[derive(Debug)]
pub(crate) struct Followed {
    by: Vec<(Arc<dyn Follow>, u64)>,
    asked: Asked,
}

impl Followed {
    pub(crate) fn begin(all: &[Arc<dyn Follow>], asked: Asked) -> Self {
        let by = all.iter().map(|follow| (follow.clone(), follow.begun(&asked))).collect();
        Self { by, asked }
    }

    pub(crate) fn end(mut self, outcome: Result<&Stats, &QueryError>) {
        self.tell(outcome);
    }

    fn tell(&mut self, outcome: Result<&Stats, &QueryError>) {
        for (follow, number) in self.by.drain(..) {
            follow.ended(number, &self.asked, outcome);
        }
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.tell(Err(&QueryError::Canceled(crate::error::EVALUATION)));
    }
}
