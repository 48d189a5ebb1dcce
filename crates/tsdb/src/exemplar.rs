//! Exemplars: a bounded ring of the newest ones of a store.
//!
//! They are in the log and, once it is dropped, in the registry, never in parts or blocks: as upstream, they are kept by
//! number, not by age. The same one twice is a no-op, in any order of time.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use foldhash::quality::RandomState;
use hashbrown::{HashMap, HashSet};
use nave_model::append::Reason;
use nave_model::label::Labels;
use nave_model::matcher::Matcher;
use nave_model::sample::Exemplar;
use nave_model::select::{ExemplarIndex, Scope, SeriesExemplars};
use nave_model::time::{TimeRange, Timestamp};
use parking_lot::Mutex;

use crate::head::Head;
use crate::record;
use crate::series::Series;
use crate::store::Tsdb;

/// Characters of an exemplar's labels, names and values together: `OpenMetrics`' bound, as upstream's.
const LABEL_CHARS_MAX: usize = 128;

/// One exemplar of a series.
#[derive(Debug)]
pub(crate) struct Kept {
    pub(crate) series: Arc<Series>,
    pub(crate) t: i64,
    /// The bits of the value.
    pub(crate) value: u64,
    pub(crate) labels: Labels,
}

impl Kept {
    fn key(&self) -> (u32, i64, u64, &Labels) {
        (self.series.id, self.t, self.value, &self.labels)
    }

    /// Adds it to a payload of the log.
    pub(crate) fn put(&self, payload: &mut Vec<u8>) {
        record::put_exemplar(payload, self.series.id, self.t, f64::from_bits(self.value), &self.labels);
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Kept {}

impl Hash for Kept {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.key().hash(state);
    }
}

/// The ring, and what the registry does not have yet.
#[derive(Debug)]
pub(crate) struct Exemplars {
    max: usize,
    ring: Mutex<Ring>,
    fresh: Mutex<VecDeque<Arc<Kept>>>,
    pub(crate) appended: AtomicU64,
}

#[derive(Debug, Default)]
struct Ring {
    order: VecDeque<Arc<Kept>>,
    known: HashSet<Arc<Kept>, RandomState>,
}

impl Exemplars {
    pub(crate) fn new(max: usize) -> Self {
        Self { max, ring: Mutex::default(), fresh: Mutex::default(), appended: AtomicU64::new(0) }
    }

    pub(crate) fn max(&self) -> usize {
        self.max
    }

    pub(crate) fn len(&self) -> usize {
        self.ring.lock().order.len()
    }

    /// Why an exemplar with these labels is not kept.
    pub(crate) fn check(&self, labels: &Labels) -> Result<(), Reason> {
        if self.max == 0 {
            return Err(Reason::Unsupported("exemplars"));
        }
        let chars = labels.iter().map(|(name, value)| name.chars().count() + value.chars().count());
        if chars.sum::<usize>() > LABEL_CHARS_MAX {
            return Err(Reason::Limit {
                name: "characters of an exemplar's labels",
                limit: LABEL_CHARS_MAX as u64,
            });
        }
        Ok(())
    }

    pub(crate) fn contains(&self, kept: &Kept) -> bool {
        self.ring.lock().known.contains(kept)
    }

    /// Makes it visible; the oldest one leaves a full ring.
    pub(crate) fn insert(&self, kept: Arc<Kept>) {
        let mut ring = self.ring.lock();
        if self.max == 0 || !ring.known.insert(kept.clone()) {
            return;
        }
        ring.order.push_back(kept);
        if ring.order.len() > self.max
            && let Some(oldest) = ring.order.pop_front()
        {
            ring.known.remove(&oldest);
        }
        self.appended.fetch_add(1, Ordering::Relaxed);
    }

    /// The next flush must put it into the registry. Noted before the log has it, or a flush could drop the log and not
    /// know it.
    pub(crate) fn note_fresh(&self, kept: Arc<Kept>) {
        let mut fresh = self.fresh.lock();
        fresh.push_back(kept);
        if fresh.len() > self.max {
            fresh.pop_front();
        }
    }

    pub(crate) fn take_fresh(&self) -> Vec<Arc<Kept>> {
        std::mem::take(&mut *self.fresh.lock()).into()
    }

    /// The flush failed.
    pub(crate) fn give_back(&self, taken: Vec<Arc<Kept>>) {
        let mut fresh = self.fresh.lock();
        let newer = std::mem::replace(&mut *fresh, taken.into());
        fresh.extend(newer);
        while fresh.len() > self.max {
            fresh.pop_front();
        }
    }

    /// All of the ring, oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<Kept>> {
        self.ring.lock().order.iter().cloned().collect()
    }
}

impl ExemplarIndex for Tsdb {
    fn exemplars(&self, scope: &Scope, selectors: &[Vec<Matcher>], range: TimeRange) -> Vec<SeriesExemplars> {
        select(self.head(), scope, selectors, range)
    }
}

fn select(head: &Head, scope: &Scope, selectors: &[Vec<Matcher>], range: TimeRange) -> Vec<SeriesExemplars> {
    let Some(partition) = head.find_partition(&scope.tenant) else { return Vec::new() };
    let fits_all = |labels: &Labels, matchers: &[Matcher]| {
        matchers.iter().all(|matcher| matcher.matches(labels.get(matcher.name())))
    };
    let fits = |labels: &Labels| {
        fits_all(labels, &scope.matchers) && selectors.iter().any(|matchers| fits_all(labels, matchers))
    };
    let mut known: HashMap<u32, bool, RandomState> = HashMap::default();
    let mut found: BTreeMap<Labels, Vec<Exemplar>> = BTreeMap::new();
    for kept in head.exemplars.all() {
        let Kept { series, t, value, labels } = &*kept;
        if series.partition != partition.number || !range.contains(Timestamp(*t)) {
            continue;
        }
        if *known.entry(series.id).or_insert_with(|| fits(&series.labels)) {
            let (value, timestamp) = (f64::from_bits(*value), Some(Timestamp(*t)));
            let exemplar = Exemplar { labels: labels.clone(), value, timestamp };
            found.entry(series.labels.clone()).or_default().push(exemplar);
        }
    }
    found.values_mut().for_each(|all| all.sort_by_key(|exemplar| exemplar.timestamp));
    found.into_iter().collect()
}
