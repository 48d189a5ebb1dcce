//! Series that the queue knows, and in which segment each was last named.

use std::hash::{BuildHasher as _, Hasher as _, RandomState};
use std::sync::atomic::{AtomicU32, Ordering};

use hashbrown::HashMap;
use nave_model::append::{Batch, BatchSeries, Reason, SeriesRef};
use nave_model::label::Labels;
use siphasher::sip128::{Hasher128 as _, SipHasher13};

/// References of one queue never mean something in another, also when it is opened again.
static GENERATION: AtomicU32 = AtomicU32::new(1);

#[derive(Debug)]
struct Known {
    labels: Labels,
    key: u128,
    /// The last segment that names it; 0 is none.
    named_in: u64,
}

/// Series by number, and numbers by the keyed hash of raw label bytes.
#[derive(Debug)]
pub(super) struct SeriesTable {
    hash_keys: (u64, u64),
    generation: u32,
    next: u32,
    numbers: HashMap<u128, u32>,
    series: HashMap<u32, Known>,
}

impl SeriesTable {
    pub(super) fn new() -> Self {
        let random = RandomState::new();
        Self {
            hash_keys: (random.hash_one(0), random.hash_one(1)),
            generation: GENERATION.fetch_add(1, Ordering::Relaxed),
            next: 1,
            numbers: HashMap::new(),
            series: HashMap::new(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.series.len()
    }

    /// The reference of a series of `batch`, which becomes known.
    pub(super) fn find(&mut self, batch: &Batch, series: &BatchSeries) -> Result<SeriesRef, Reason> {
        let given = series.reference;
        if given.generation == self.generation && self.series.contains_key(&given.id) {
            return Ok(given);
        }
        let bytes = batch.label_bytes(series);
        let key = self.key(batch, bytes);
        let id = match self.numbers.get(&key) {
            Some(id) => *id,
            None => self.add(key, decode(batch, bytes)?),
        };
        Ok(SeriesRef { generation: self.generation, id })
    }

    fn key(&self, batch: &Batch, bytes: &[u8]) -> u128 {
        let mut hasher = SipHasher13::new_with_keys(self.hash_keys.0, self.hash_keys.1);
        hasher.write(&batch.principal.id.to_le_bytes());
        hasher.write(&[batch.label_format.id]);
        hasher.write(bytes);
        hasher.finish128().as_u128()
    }

    fn add(&mut self, key: u128, labels: Labels) -> u32 {
        if self.next == u32::MAX {
            // Four thousand million series later: earlier references stop being good.
            *self = Self { hash_keys: self.hash_keys, ..Self::new() };
        }
        let id = self.next;
        self.next += 1;
        self.numbers.insert(key, id);
        self.series.insert(id, Known { labels, key, named_in: 0 });
        id
    }

    /// The labels of `id` when `segment` does not name them yet; from now on it does.
    pub(super) fn name_in(&mut self, id: u32, segment: u64) -> Option<&Labels> {
        let known = self.series.get_mut(&id)?;
        let named = std::mem::replace(&mut known.named_in, segment) == segment;
        (!named).then_some(&known.labels)
    }

    /// Forgets series that neither `segment`, which begins now, nor the one before it names; how many.
    pub(super) fn forget_before(&mut self, segment: u64) -> usize {
        let Self { series, numbers, .. } = self;
        let before = series.len();
        series.retain(|_, known| {
            let keep = known.named_in + 1 >= segment;
            if !keep {
                numbers.remove(&known.key);
            }
            keep
        });
        before - series.len()
    }
}

fn decode(batch: &Batch, bytes: &[u8]) -> Result<Labels, Reason> {
    let invalid = |what: String| Reason::InvalidLabels(what);
    let labels = (batch.label_format.decode)(bytes).map_err(|error| invalid(error.to_string()))?;
    let labels = batch.principal.stamped(labels)?;
    if labels.is_empty() {
        return Err(invalid("empty label set: expected at least __name__".to_owned()));
    }
    Ok(labels)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use nave_model::append::{BatchBuilder, Principal};

    use super::*;

    fn batch(name: &str, reference: SeriesRef) -> Batch {
        let mut builder = BatchBuilder::new(Arc::new(Principal::anonymous("test")));
        builder.series(&Labels::from_pairs([("__name__", name)]).unwrap(), reference);
        builder.build()
    }

    #[test]
    fn references_are_good_for_a_generation() {
        let (mut table, mut other) = (SeriesTable::new(), SeriesTable::new());
        let find = |table: &mut SeriesTable, name: &str, reference| {
            let batch = batch(name, reference);
            table.find(&batch, &batch.series[0]).unwrap()
        };
        let a = find(&mut table, "a", SeriesRef::NONE);
        assert_eq!(find(&mut table, "a", SeriesRef::NONE), a);
        assert_eq!(find(&mut table, "anything", a), a, "the reference is believed");
        let foreign = find(&mut other, "b", a);
        assert_ne!(foreign.generation, a.generation, "a foreign one is not: the bytes count");
        assert_eq!(find(&mut other, "b", SeriesRef::NONE), foreign);
    }

    #[test]
    fn series_are_named_once_per_segment_and_forgotten() {
        let mut table = SeriesTable::new();
        let batch = batch("a", SeriesRef::NONE);
        let id = table.find(&batch, &batch.series[0]).unwrap().id;
        assert!(table.name_in(id, 1).is_some() && table.name_in(id, 1).is_none());
        assert!(table.name_in(id, 2).is_some());
        assert_eq!((table.forget_before(3), table.len()), (0, 1));
        assert_eq!((table.forget_before(4), table.len()), (1, 0));
        assert!(table.name_in(id, 4).is_none());
        assert_ne!(table.find(&batch, &batch.series[0]).unwrap().id, id, "numbers are not used again");
    }

    #[test]
    fn bad_label_sets_are_refused_and_stamps_are_set() {
        let mut table = SeriesTable::new();
        let mut empty = batch("a", SeriesRef::NONE);
        empty.series[0].labels = 0..0;
        assert!(matches!(table.find(&empty, &empty.series[0]), Err(Reason::InvalidLabels(_))));
        let mut stamped = batch("a", SeriesRef::NONE);
        let stamp = vec![("cluster".to_owned(), "spoke1".to_owned())];
        stamped.principal = Arc::new(Principal { id: 7, stamp, ..Principal::anonymous("test") });
        let id = table.find(&stamped, &stamped.series[0]).unwrap().id;
        assert_eq!(table.name_in(id, 1).unwrap().to_string(), r#"{__name__="a", cluster="spoke1"}"#);
    }
}
