//! Giving series and samples: the contracts `Select`, `LabelIndex` and `MetadataIndex` over memory and files.
//!
//! A reader pins a version of the files, looks into the index of memory and into every file that memory does not stand for,
//! and merges what it finds by series (`find`). `fetch` takes snapshots of memory; `decode` reads pages, and merges
//! by time: files in the order in which they were written, then memory, and where two have one time the first stays
//! (`pages`). A selection that no file is read for does all of this on the caller's thread, as cheap as memory is.

mod damage;
mod find;
mod listing;
mod merge;
mod opened;
mod pages;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use futures_util::future::BoxFuture;
use nave_model::append::Tenant;
use nave_model::matcher::Matcher;
use nave_model::metadata::Metadata;
use nave_model::select::{
    LabelIndex, Listing, MetadataIndex, Scope, Select, SelectError, Selected, Selection, Watermark,
};
use nave_model::time::{TimeRange, Timestamp};

use crate::Tsdb;
use crate::catalog::{Catalog, Pin};
use crate::head::{Head, Partition};
use crate::source;
use damage::Warnings;
use find::{Found, Wanted};
use listing::Places;
use opened::{Ingredients, Opened};

pub(crate) use damage::Damages;

/// What a reader needs of the store. Clones share.
#[derive(Debug, Clone)]
pub(crate) struct Reader {
    pub(crate) head: Arc<Head>,
    pub(crate) catalog: Arc<Catalog>,
    pub(crate) damages: Arc<Damages>,
}

/// A reader with the version that it sees.
struct Session {
    reader: Reader,
    partition: Option<Arc<Partition>>,
    pin: Pin,
    selection: Selection,
}

impl Reader {
    /// Waits for the label index, which is built behind the start.
    async fn session(&self, selection: Selection) -> Result<Session, SelectError> {
        if !self.head.is_ready() {
            tokio::select! {
                () = self.head.ready() => {}
                () = selection.cancel.cancelled() => return Err(SelectError::Cancelled),
            }
        }
        // The pin first: what memory drops after it, the pinned files still have.
        let pin = self.catalog.pin();
        let partition = self.head.find_partition(&selection.scope.tenant);
        Ok(Session { reader: self.clone(), partition, pin, selection })
    }
}

/// Runs `work` where it may block, when it has files to read: here, if the caller's thread may.
async fn run<T: Send + 'static>(
    session: Session,
    work: impl FnOnce(Session) -> Result<T, SelectError> + Send + 'static,
) -> Result<T, SelectError> {
    if session.selection.may_block || !session.reads_files() {
        return work(session);
    }
    let done = tokio::task::spawn_blocking(move || work(session)).await;
    done.unwrap_or_else(|error| Err(SelectError::Storage(format!("the search for series failed: {error}"))))
}

impl Session {
    fn tenant(&self) -> &Tenant {
        &self.selection.scope.tenant
    }

    fn range(&self) -> TimeRange {
        self.selection.range
    }

    fn reads_files(&self) -> bool {
        self.pin.readable(self.tenant(), self.range()).next().is_some()
    }

    fn open(self) -> Result<Opened, SelectError> {
        let warnings = Warnings::default();
        let sources = self.sources(&warnings);
        let matchers = matchers(&self.selection);
        let wanted = Wanted { matchers: &matchers, range: self.range(), cancel: &self.selection.cancel };
        let Reader { head, damages, .. } = &self.reader;
        let partition = self.partition.as_deref();
        let found = match partition {
            Some(partition) if sources.is_empty() => Found::of(find::in_memory(head, partition, wanted)?),
            _ => {
                let mut damaged = |source: &source::Source, what: String| {
                    warnings.add(damages, source.path(), &what);
                };
                find::everywhere(head, partition, &sources, wanted, &mut damaged)?
            }
        };
        let damages = damages.clone();
        let ingredients = Ingredients { found, sources, damages, warnings, pin: self.pin };
        Opened::new((head, partition), &self.selection, ingredients)
    }

    fn list(&self, name: Option<&str>) -> Result<Listing, SelectError> {
        let warnings = Warnings::default();
        let sources = self.sources(&warnings);
        let matchers = matchers(&self.selection);
        let wanted = Wanted { matchers: &matchers, range: self.range(), cancel: &self.selection.cancel };
        let Reader { head, damages, .. } = &self.reader;
        let partition = self.partition.as_deref();
        let places = Places { head, partition, sources: &sources, damages, warnings: &warnings };
        listing::list(places, wanted, name, self.selection.limit)
    }

    fn sources(&self, warnings: &Warnings) -> Vec<source::Source> {
        let damaged = |path: &std::path::Path, what: String| warnings.add(&self.reader.damages, path, &what);
        source::sources(&self.pin, self.tenant(), self.range(), damaged)
    }
}

fn matchers(selection: &Selection) -> Vec<&Matcher> {
    selection.scope.matchers.iter().chain(&selection.matchers).collect()
}

impl Select for Tsdb {
    fn open(&self, selection: Selection) -> BoxFuture<'_, Result<Box<dyn Selected>, SelectError>> {
        Box::pin(async move {
            let session = self.reader().session(selection).await?;
            let opened: Box<dyn Selected> = Box::new(run(session, Session::open).await?);
            Ok(opened)
        })
    }

    fn watermark(&self) -> Watermark {
        let (epoch, settled) = self.head().settled();
        Watermark { epoch, settled: Timestamp(settled) }
    }

    fn at_hand(&self, scope: &Scope, own: &[Matcher], range: TimeRange) -> Option<usize> {
        let reader = self.reader();
        if !reader.head.is_ready() || reader.catalog.pin().readable(&scope.tenant, range).next().is_some() {
            return None;
        }
        let Some(partition) = reader.head.find_partition(&scope.tenant) else { return Some(0) };
        let all: Vec<&Matcher> = scope.matchers.iter().chain(own).collect();
        partition.index.read().at_most(&all)
    }
}

impl LabelIndex for Tsdb {
    fn label_names(&self, selection: Selection) -> BoxFuture<'_, Result<Listing, SelectError>> {
        Box::pin(async move {
            let session = self.reader().session(selection).await?;
            run(session, |session| session.list(None)).await
        })
    }

    fn label_values(
        &self,
        name: String,
        selection: Selection,
    ) -> BoxFuture<'_, Result<Listing, SelectError>> {
        Box::pin(async move {
            let session = self.reader().session(selection).await?;
            run(session, move |session| session.list(Some(&name))).await
        })
    }
}

impl MetadataIndex for Tsdb {
    fn metadata(&self, scope: &Scope, family: Option<&str>) -> Vec<(Arc<str>, Metadata)> {
        let partition = self.head().find_partition(&scope.tenant);
        partition.map(|partition| partition.metadata.lock().list(family)).unwrap_or_default()
    }
}
