//! The contract of everything that gives samples.
//!
//! promql and the API call it; tsdb, bucket and their merge implement it. It has two steps:
//!
//! 1. [`Select::open`] looks at indexes only and says which series there are, in label order. Its result
//!    holds whatever must stay alive (a snapshot of the head, open blocks) until dropped.
//! 2. [`Selected::fetch`] brings the pages of some series near, which may mean I/O. [`Pages::decode`] is
//!    plain code without I/O or locks held by writers; callers run it on the CPU pool.
//!
//! - Series are numbered `0..len()` in ascending label order; no label set stands twice.
//! - A fetch may be repeated and ranges may overlap; fetching in order is cheapest.
//! - Decoded samples are ascending in time, without two at one time, within the requested range, stale
//!   markers included.
//! - What is appended after `open` may or may not be seen; what was acknowledged before it is.
//! - Everything that is buffered is charged to [`Selection::budget`] and given back on drop.
//! - Once [`Selection::cancel`] fires, every call ends soon with [`SelectError::Cancelled`].

use std::ops::Range;
use std::sync::Arc;

use futures_util::future::BoxFuture;
use nave_base::Shutdown;
use nave_base::budget::{Budget, OverBudget};

use crate::append::Tenant;
use crate::histogram::Histogram;
use crate::label::Labels;
use crate::matcher::Matcher;
use crate::metadata::Metadata;
use crate::sample::Exemplar;
use crate::time::{TimeRange, Timestamp};

/// Gives series and samples.
pub trait Select: Send + Sync {
    /// Finds the series of `selection`; see the module.
    fn open(&self, selection: Selection) -> BoxFuture<'_, Result<Box<dyn Selected>, SelectError>>;

    /// Since when which past has changed; for caches of answers.
    fn watermark(&self) -> Watermark;

    /// How many series `matchers` select at most, when finding and reading them takes neither I/O nor waiting, so that
    /// futures of `open` with [`Selection::may_block`] and of `fetch` resolve when first polled. `None` where that is
    /// not known. Answers without looking at series.
    fn at_hand(&self, scope: &Scope, matchers: &[Matcher], range: TimeRange) -> Option<usize> {
        let _ = (scope, matchers, range);
        None
    }
}

/// What a reader may see: its tenant, and matchers that are always enforced.
#[derive(Debug, Clone, Default)]
pub struct Scope {
    /// The partition.
    pub tenant: Tenant,
    /// Added to the matchers of every request.
    pub matchers: Vec<Matcher>,
}

/// What of the series is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    /// No samples.
    Labels,
    /// Only the newest sample in the range.
    LastSample,
    /// All samples in the range.
    Samples,
    /// Aggregates at this resolution are good enough, where there are any.
    Aggregates {
        /// Width of a window in ms.
        resolution_ms: i64,
    },
}

/// Which labels the caller looks at; others need not be built.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Projection {
    /// All of them.
    #[default]
    All,
    /// Only these.
    Only(Vec<String>),
    /// All but these.
    Without(Vec<String>),
}

/// What will be done with the samples, so that a store may choose a cheaper source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hint {
    /// Function or aggregation around the selector, or empty.
    pub function: String,
    /// Range of a range selector in ms, or 0.
    pub range_ms: i64,
    /// Step of the query in ms, or 0 for an instant query.
    pub step_ms: i64,
}

/// A request for series.
#[derive(Debug, Clone)]
pub struct Selection {
    /// What the caller may see.
    pub scope: Scope,
    /// All must match.
    pub matchers: Vec<Matcher>,
    /// Samples outside are not given; series without a sample inside may be.
    pub range: TimeRange,
    /// What is wanted.
    pub need: Need,
    /// Which labels are looked at. Series that differ only in other labels stay apart.
    pub projection: Projection,
    /// What will be done.
    pub hint: Hint,
    /// Labels that tell replicas apart; series that differ only in these are merged.
    pub replica_labels: Vec<String>,
    /// At most this many series; the first ones in label order.
    pub limit: Option<usize>,
    /// Charged for buffers.
    pub budget: Budget,
    /// Ends the work early.
    pub cancel: Shutdown,
    /// The thread that polls may block: files are read on it, not on another one.
    pub may_block: bool,
}

impl Selection {
    /// All samples of the series that `matchers` select, unbounded in memory and never cancelled.
    #[must_use]
    pub fn new(matchers: Vec<Matcher>, range: TimeRange) -> Self {
        Self {
            scope: Scope::default(),
            matchers,
            range,
            need: Need::Samples,
            projection: Projection::All,
            hint: Hint::default(),
            replica_labels: Vec::new(),
            limit: None,
            budget: Budget::unlimited(),
            cancel: Shutdown::new(),
            may_block: false,
        }
    }
}

/// The series of a selection.
pub trait Selected: Send + Sync {
    /// How many series.
    fn len(&self) -> usize;

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Labels of series `index`, with at least what the projection asked for. Built on demand: call it
    /// once and keep the result.
    fn labels(&self, index: usize) -> Labels;

    /// Brings the pages of `series` near.
    fn fetch(&self, series: Range<usize>) -> BoxFuture<'_, Result<Box<dyn Pages>, SelectError>>;

    /// What the caller should tell the user, such as damaged pages that were left out.
    fn warnings(&self) -> Vec<String> {
        Vec::new()
    }
}

/// Fetched, not yet decoded samples of some series.
pub trait Pages: Send + Sync {
    /// Replaces the content of `columns` by the samples of series `index`, which is one of those fetched.
    ///
    /// # Errors
    /// When the budget is exhausted or the query was cancelled. Damaged pages are left out and named in
    /// [`Selected::warnings`].
    fn decode(&self, index: usize, columns: &mut Columns) -> Result<(), SelectError>;
}

/// The samples of one series, as columns of equal length. Reuse it from series to series.
#[derive(Debug, Clone, Default)]
pub struct Columns {
    /// Ascending, unique.
    pub timestamps: Vec<Timestamp>,
    /// The floats; 0 where `histograms` has an entry.
    pub values: Vec<f64>,
    /// Native histograms as (index, histogram), ascending in index. Empty for most series.
    pub histograms: Vec<(u32, Arc<Histogram>)>,
    /// Empty, or one per sample; `Timestamp(0)` is unknown.
    pub start_timestamps: Vec<Timestamp>,
}

impl Columns {
    /// Removes all samples and keeps the buffers.
    pub fn clear(&mut self) {
        self.timestamps.clear();
        self.values.clear();
        self.histograms.clear();
        self.start_timestamps.clear();
    }

    /// How many samples.
    #[must_use]
    pub fn len(&self) -> usize {
        self.timestamps.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.timestamps.is_empty()
    }

    /// Adds a float at the end.
    pub fn push(&mut self, timestamp: Timestamp, value: f64) {
        debug_assert!(self.timestamps.last().is_none_or(|last| *last < timestamp), "Columns: ascending");
        self.timestamps.push(timestamp);
        self.values.push(value);
    }

    /// Adds a histogram at the end.
    pub fn push_histogram(&mut self, timestamp: Timestamp, histogram: Arc<Histogram>) {
        let index = u32::try_from(self.values.len()).expect("Columns: under 4 Gi samples");
        self.push(timestamp, 0.0);
        self.histograms.push((index, histogram));
    }
}

/// A change counter for the past: while `epoch` is the same, answers about times before `settled` stay
/// valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Watermark {
    /// Grows whenever something before `settled` changed (late data, deletes).
    pub epoch: u64,
    /// Times before this are not expected to change without a new epoch.
    pub settled: Timestamp,
}

/// Why a selection ended early.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// The memory budget said no.
    #[error(transparent)]
    OverBudget(#[from] OverBudget),
    /// The caller asked to stop.
    #[error("query was canceled")]
    Cancelled,
    /// A store failed.
    #[error("storage failed: {0}")]
    Storage(String),
}

/// A page of names or values with what the user should know about it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Listing {
    /// Sorted, unique.
    pub items: Vec<String>,
    /// Whether the limit cut it.
    pub truncated: bool,
    /// Problems on the way.
    pub warnings: Vec<String>,
}

/// Label names and values, without samples.
pub trait LabelIndex: Send + Sync {
    /// Names of labels on series that match.
    fn label_names(&self, selection: Selection) -> BoxFuture<'_, Result<Listing, SelectError>>;
    /// Values of label `name` on series that match.
    fn label_values(&self, name: String, selection: Selection)
    -> BoxFuture<'_, Result<Listing, SelectError>>;
}

/// A series and its exemplars, which ascend by time and have one.
pub type SeriesExemplars = (Labels, Vec<Exemplar>);

/// Exemplars that are kept.
pub trait ExemplarIndex: Send + Sync {
    /// Exemplars in `range` of series that all matchers of one of `selectors` and of `scope` fit, by series, which ascend.
    fn exemplars(&self, scope: &Scope, selectors: &[Vec<Matcher>], range: TimeRange) -> Vec<SeriesExemplars>;
}

/// What is known about metric families.
pub trait MetadataIndex: Send + Sync {
    /// Family names with their metadata, sorted by name; one family may have several. `family` narrows it
    /// to one.
    fn metadata(&self, scope: &Scope, family: Option<&str>) -> Vec<(Arc<str>, Metadata)>;
}
