//! Who has which sample: appended at the spoke, refused for good on the way, stored at the hub.

use std::collections::{BTreeMap, BTreeSet};

use fastrand::Rng;
use nave_model::append::Batch;
use nave_model::label::Labels;
use parking_lot::Mutex;

/// A sample by its series and its time in ms.
pub(crate) type Key = (Labels, i64);
/// Samples with the bits of their values.
pub(crate) type Content = BTreeMap<Key, u64>;

/// First time of a sample, in ms.
const EPOCH: i64 = 1_700_000_000_000;

#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Books>);

#[derive(Debug, Default)]
struct Books {
    drawn: i64,
    sent: Content,
    /// In a request that was told that it will never do.
    refused: BTreeSet<Key>,
}

impl Ledger {
    /// The next samples of some series; their times go up.
    pub(crate) fn draw(&self, dice: &mut Rng) -> Content {
        let mut books = self.0.lock();
        let mut content = Content::new();
        for _ in 0..dice.usize(1..4) {
            books.drawn += 1;
            for series in 0..dice.u8(1..40) {
                let pairs = [("__name__", "ledger".to_owned()), ("number", series.to_string())];
                let labels = Labels::from_pairs(pairs).expect("names are unique");
                let value = books.drawn as f64 + f64::from(series) / 100.0;
                content.insert((labels, EPOCH + books.drawn * 1000), value.to_bits());
            }
        }
        content
    }

    /// The spoke has promised to deliver these.
    pub(crate) fn acknowledged(&self, samples: &Content) {
        self.0.lock().sent.extend(samples.iter().map(|(key, value)| (key.clone(), *value)));
    }

    /// The proxy told the spoke that the request is refused for good.
    pub(crate) fn refused(&self, batch: &Batch) {
        let mut books = self.0.lock();
        for series in &batch.series {
            let labels = (batch.label_format.decode)(batch.label_bytes(series))
                .expect("the sender's labels are valid");
            books.refused.extend(batch.samples(series).map(|(at, _)| (labels.clone(), at.0)));
        }
    }

    /// Everything appended is at the hub, unless it was refused for good and counted (`failed`); nothing else is there.
    pub(crate) fn compare(&self, stored: &Content, failed: u64) -> Result<(), String> {
        let books = self.0.lock();
        if let Some((key, value)) = stored.iter().find(|(key, value)| books.sent.get(*key) != Some(*value)) {
            return Err(format!("the hub has {key:?} = {value:x}, appended was {:x?}", books.sent.get(key)));
        }
        let missing: Vec<_> = books.sent.keys().filter(|key| !stored.contains_key(*key)).collect();
        if let Some(key) = missing.iter().find(|key| !books.refused.contains(**key)) {
            return Err(format!(
                "{} of {} missing; {key:?} was never refused",
                missing.len(),
                books.sent.len()
            ));
        }
        if (missing.len() as u64) > failed {
            return Err(format!("{} missing, but the sender counts {failed} refused", missing.len()));
        }
        if books.refused.is_empty() && failed > 0 {
            return Err(format!("nothing was refused, but the sender counts {failed}"));
        }
        Ok(())
    }
}
