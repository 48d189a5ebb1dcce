//! What is known of a target's series, so that scraping a known series decodes and allocates nothing.
//!
//! Two levels: a *line* is the raw text of a series on the page, found by comparing with the line that followed
//! last time, else by hash; a *slot* is a label set, of which several lines may be the text once relabelling has
//! removed what told them apart. A line of a classic histogram that becomes a native one is a *part*: it leads to the
//! slot of the histogram and, where classic series are kept too, to its own. Label bytes of all slots lie in one shared buffer which every batch
//! points into, so that a page without new series copies none of them.
//!
//! Invariants: `live` slots are those whose last stored sample is no stale marker and that are followed for
//! staleness; it changes only when a scrape is finished, so a page that breaks in the middle leaves no trace.

use std::hash::BuildHasher;
use std::ops::Range;

use bytes::{Bytes, BytesMut};
use foldhash::fast::RandomState;
use hashbrown::HashTable;
use nave_model::append::SeriesRef;
use nave_model::label::Labels;

/// A series of the page, as kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Known {
    /// Relabelling dropped it.
    Dropped,
    /// Its slot.
    Slot(u32),
    /// It is part of a histogram that is put together: [`Cache::part`].
    Part(u32),
}

/// Which part of a classic histogram a series is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Role {
    Bucket(f64),
    Count,
    Sum,
}

/// What is known of a series that is part of a classic histogram.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Part {
    /// The histogram.
    pub(crate) whole: Known,
    pub(crate) role: Role,
    /// The series itself, where it is kept beside the histogram.
    pub(crate) beside: Option<Known>,
}

const DROPPED: u32 = u32::MAX;
/// Marks a number of [`Cache::parts`] among those of slots.
const PART: u32 = 1 << 31;
/// Text and label bytes of one target may not be more than this, so that offsets fit.
const BYTES_MAX: usize = 1 << 31;
/// Lines beyond twice what the page has are forgotten once there are this many.
const SPARE_LINES: usize = 1_000;

#[derive(Debug)]
struct Line {
    text: Range<u32>,
    slot: u32,
    seen: u32,
}

#[derive(Debug)]
struct Slot {
    labels: Range<u32>,
    reference: SeriesRef,
    seen: u32,
    /// Whether the sample of the scrape `seen` is followed for staleness.
    followed: bool,
    live: bool,
    report: bool,
    /// Whether its last sample was a native histogram.
    histogram: bool,
    /// Since when it counted in its last sample; 0 is not known.
    start: i64,
}

/// See the module.
#[derive(Debug, Default)]
pub(crate) struct Cache {
    hasher: RandomState,
    text: Vec<u8>,
    lines: Vec<Line>,
    by_text: HashTable<u32>,
    labels: Bytes,
    /// Label bytes that are not in `labels` yet.
    more_labels: Vec<u8>,
    slots: Vec<Slot>,
    parts: Vec<Part>,
    by_labels: HashTable<u32>,
    scrape: u32,
    next: usize,
}

/// Too many series to keep.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the series of this target take more than {BYTES_MAX} bytes")]
pub(crate) struct Full;

impl Cache {
    /// Starts a scrape.
    pub(crate) fn begin(&mut self) {
        self.scrape = self.scrape.wrapping_add(1);
        self.next = 0;
    }

    /// The series whose text is `text`, if it was on a page before.
    pub(crate) fn find(&mut self, text: &[u8]) -> Option<Known> {
        let is = |line: &Line| &self.text[line.text.start as usize..line.text.end as usize] == text;
        let at = if self.lines.get(self.next).is_some_and(is) {
            self.next
        } else {
            let hash = self.hasher.hash_one(text);
            *self.by_text.find(hash, |at| is(&self.lines[*at as usize]))? as usize
        };
        self.next = at + 1;
        let line = &mut self.lines[at];
        line.seen = self.scrape;
        Some(known(line.slot))
    }

    /// Remembers a series; `labels` is what relabelling made of it, or `None` when it dropped it.
    pub(crate) fn add(&mut self, text: &[u8], labels: Option<&Labels>) -> Result<Known, Full> {
        let known = self.place(labels)?;
        self.insert(text, known)
    }

    /// Remembers a series that is part of a histogram of the labels `whole`; `beside` are its own labels where it is kept
    /// too. `None` is what relabelling dropped.
    pub(crate) fn add_part(
        &mut self,
        text: &[u8],
        role: Role,
        whole: Option<&Labels>,
        beside: Option<Option<&Labels>>,
    ) -> Result<Known, Full> {
        let whole = self.place(whole)?;
        let beside = beside.map(|labels| self.place(labels)).transpose()?;
        self.insert_part(text, Part { whole, role, beside })
    }

    fn insert_part(&mut self, text: &[u8], part: Part) -> Result<Known, Full> {
        self.parts.push(part);
        self.insert(text, Known::Part(self.parts.len() as u32 - 1))
    }

    /// A part that [`Cache::find`] gave.
    pub(crate) fn part(&self, at: u32) -> Part {
        self.parts[at as usize]
    }

    fn place(&mut self, labels: Option<&Labels>) -> Result<Known, Full> {
        labels.map_or(Ok(Known::Dropped), |labels| self.slot(labels).map(Known::Slot))
    }

    fn insert(&mut self, text: &[u8], known: Known) -> Result<Known, Full> {
        if self.text.len() + text.len() > BYTES_MAX {
            return Err(Full);
        }
        let slot = number(known);
        let line = self.lines.len() as u32;
        let start = self.text.len() as u32;
        self.text.extend_from_slice(text);
        self.lines.push(Line { text: start..self.text.len() as u32, slot, seen: self.scrape });
        let Self { hasher, by_text, lines, text: all, .. } = self;
        by_text.insert_unique(hasher.hash_one(text), line, |at| {
            let text = &lines[*at as usize].text;
            hasher.hash_one(&all[text.start as usize..text.end as usize])
        });
        self.next = self.lines.len();
        Ok(known)
    }

    /// The slot of `labels`, made when there is none.
    fn slot(&mut self, labels: &Labels) -> Result<u32, Full> {
        let bytes = labels.as_bytes();
        let hash = self.hasher.hash_one(bytes);
        if let Some(at) = self.by_labels.find(hash, |at| self.label_bytes(*at) == bytes) {
            return Ok(*at);
        }
        let start = self.labels.len() + self.more_labels.len();
        if start + bytes.len() > BYTES_MAX {
            return Err(Full);
        }
        self.more_labels.extend_from_slice(bytes);
        let at = self.slots.len() as u32;
        self.slots.push(Slot {
            labels: start as u32..(start + bytes.len()) as u32,
            reference: SeriesRef::NONE,
            seen: self.scrape.wrapping_sub(1),
            followed: false,
            live: false,
            report: false,
            histogram: false,
            start: 0,
        });
        let mut by_labels = std::mem::take(&mut self.by_labels);
        by_labels.insert_unique(hash, at, |at| self.hasher.hash_one(self.label_bytes(*at)));
        self.by_labels = by_labels;
        Ok(at)
    }

    /// The slot of a report series. It is never followed here: every scrape reports it.
    pub(crate) fn report_slot(&mut self, labels: &Labels) -> Result<u32, Full> {
        let at = self.slot(labels)?;
        self.slots[at as usize].report = true;
        Ok(at)
    }

    fn label_bytes(&self, slot: u32) -> &[u8] {
        let range = &self.slots[slot as usize].labels;
        let (start, end) = (range.start as usize, range.end as usize);
        match start.checked_sub(self.labels.len()) {
            None => &self.labels[start..end],
            Some(start) => &self.more_labels[start..end - self.labels.len()],
        }
    }

    /// Takes note of a sample in this scrape; false when there was one already or it is a report series.
    pub(crate) fn sample(&mut self, slot: u32, followed: bool) -> bool {
        let slot = &mut self.slots[slot as usize];
        if slot.seen == self.scrape || slot.report {
            return false;
        }
        (slot.seen, slot.followed) = (self.scrape, followed);
        true
    }

    /// Takes note of what a slot's sample is; gives the former start.
    pub(crate) fn measured(&mut self, slot: u32, histogram: bool, start: i64) -> i64 {
        let slot = &mut self.slots[slot as usize];
        slot.histogram = histogram;
        std::mem::replace(&mut slot.start, start)
    }

    /// Whether the slot's last sample was a native histogram.
    pub(crate) fn is_histogram(&self, slot: u32) -> bool {
        self.slots[slot as usize].histogram
    }

    /// Label range and reference for a batch over [`Cache::labels`].
    pub(crate) fn series(&self, slot: u32) -> (Range<u32>, SeriesRef) {
        let slot = &self.slots[slot as usize];
        (slot.labels.clone(), slot.reference)
    }

    /// What the appender answered for a series.
    pub(crate) fn set_reference(&mut self, slot: u32, reference: SeriesRef) {
        self.slots[slot as usize].reference = reference;
    }

    /// The label bytes of all slots.
    pub(crate) fn labels(&mut self) -> Bytes {
        if !self.more_labels.is_empty() {
            let mut all = BytesMut::with_capacity(self.labels.len() + self.more_labels.len());
            all.extend_from_slice(&self.labels);
            all.extend_from_slice(&self.more_labels);
            self.labels = all.freeze();
            self.more_labels = Vec::new();
        }
        self.labels.clone()
    }

    /// Ends a scrape whose samples are stored: gives the slots that were there before and are not now.
    pub(crate) fn finish(&mut self) -> Vec<u32> {
        let mut vanished = Vec::new();
        for (at, slot) in self.slots.iter_mut().enumerate() {
            let there = slot.seen == self.scrape && slot.followed;
            if slot.live && !there {
                vanished.push(at as u32);
            }
            slot.live = there && !slot.report;
        }
        vanished
    }

    /// Ends a scrape of which nothing is stored: gives all slots that were there before.
    pub(crate) fn fail(&mut self) -> Vec<u32> {
        let all = self.slots.iter_mut().enumerate();
        all.filter_map(|(at, slot)| std::mem::take(&mut slot.live).then_some(at as u32)).collect()
    }

    /// The stale markers of these slots were not stored: they are due again.
    pub(crate) fn not_stored(&mut self, slots: &[u32]) {
        for at in slots {
            let slot = &mut self.slots[*at as usize];
            slot.live = !slot.report;
        }
    }

    /// Forgets which text means which labels, after a change of relabelling; labels and liveness stay.
    pub(crate) fn forget_lines(&mut self) {
        self.text.clear();
        self.lines.clear();
        self.parts.clear();
        self.by_text.clear();
    }

    /// After a finished scrape: forgets lines that are no longer on the page when there are many of them.
    /// Slots move, so no slot number survives this; false when nothing was done.
    pub(crate) fn shrink(&mut self) -> bool {
        let seen = self.lines.iter().filter(|line| line.seen == self.scrape).count();
        if self.lines.len() <= 2 * seen + SPARE_LINES && self.slots.len() <= 2 * seen + 2 * SPARE_LINES {
            return false;
        }
        let old = std::mem::take(self);
        self.scrape = old.scrape;
        let moved = |cache: &mut Self, at: u32| {
            // Bytes that were kept before fit again.
            let labels = Labels::from_bytes(old.label_bytes(at)).ok()?;
            let slot = cache.slot(&labels).ok()?;
            let Slot { reference, seen, followed, live, report, histogram, start, .. } =
                old.slots[at as usize];
            let new = &mut cache.slots[slot as usize];
            *new = Slot {
                labels: new.labels.clone(),
                reference,
                seen,
                followed,
                live,
                report,
                histogram,
                start,
            };
            Some(slot)
        };
        let again = |cache: &mut Self, known: Known| match known {
            Known::Slot(slot) => moved(cache, slot).map_or(Known::Dropped, Known::Slot),
            other => other,
        };
        for (at, slot) in old.slots.iter().enumerate() {
            if slot.report || slot.live {
                moved(self, at as u32);
            }
        }
        for line in old.lines.iter().filter(|line| line.seen == old.scrape) {
            let text = &old.text[line.text.start as usize..line.text.end as usize];
            // What fitted before fits again.
            let _ = match known(line.slot) {
                Known::Part(at) => {
                    let Part { whole, role, beside } = old.part(at);
                    let (whole, beside) = (again(self, whole), beside.map(|known| again(self, known)));
                    self.insert_part(text, Part { whole, role, beside })
                }
                other => {
                    let known = again(self, other);
                    self.insert(text, known)
                }
            };
        }
        true
    }

    /// How many lines are kept.
    #[cfg(test)]
    pub(crate) fn len(&self) -> usize {
        self.lines.len()
    }
}

fn known(number: u32) -> Known {
    match number {
        DROPPED => Known::Dropped,
        part if part & PART != 0 => Known::Part(part ^ PART),
        slot => Known::Slot(slot),
    }
}

fn number(known: Known) -> u32 {
    match known {
        Known::Dropped => DROPPED,
        Known::Slot(slot) => slot,
        Known::Part(part) => part | PART,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(name: &str) -> Labels {
        Labels::from_pairs([("__name__", name)]).unwrap()
    }

    fn scrape(cache: &mut Cache, page: &[&str]) -> Vec<u32> {
        cache.begin();
        for text in page {
            let known = cache.find(text.as_bytes());
            let known = known.unwrap_or_else(|| cache.add(text.as_bytes(), Some(&labels(text))).unwrap());
            let Known::Slot(slot) = known else { panic!("{text} is kept") };
            assert!(cache.sample(slot, true), "{text} once");
        }
        cache.finish()
    }

    fn names(cache: &mut Cache, slots: &[u32]) -> Vec<String> {
        let bytes = cache.labels();
        let name = |slot: &u32| {
            let (range, _) = cache.series(*slot);
            let labels = Labels::from_bytes(&bytes[range.start as usize..range.end as usize]).unwrap();
            labels.metric_name().to_owned()
        };
        slots.iter().map(name).collect()
    }

    #[test]
    fn vanished_series_are_told_once() {
        let mut cache = Cache::default();
        assert!(scrape(&mut cache, &["a", "b", "c"]).is_empty());
        let vanished = scrape(&mut cache, &["c", "a"]);
        assert_eq!(names(&mut cache, &vanished), ["b"]);
        assert!(scrape(&mut cache, &["a", "c"]).is_empty());
        cache.begin();
        let vanished = cache.fail();
        assert_eq!(names(&mut cache, &vanished), ["a", "c"]);
        assert!(cache.fail().is_empty());
        cache.not_stored(&vanished[..1]);
        assert_eq!(cache.fail().len(), 1);
    }

    #[test]
    fn texts_of_equal_labels_share_a_slot() {
        let mut cache = Cache::default();
        cache.begin();
        let Ok(Known::Slot(one)) = cache.add(b"a{x=\"1\"}", Some(&labels("a"))) else { panic!() };
        let Ok(Known::Slot(two)) = cache.add(b"a{x=\"2\"}", Some(&labels("a"))) else { panic!() };
        assert_eq!(one, two);
        assert!(cache.sample(one, true) && !cache.sample(two, true), "the second is a duplicate");
        assert_eq!(cache.add(b"b", None), Ok(Known::Dropped));
        assert_eq!(cache.find(b"b"), Some(Known::Dropped));
        assert!(cache.finish().is_empty());
    }

    #[test]
    fn churn_is_forgotten_and_references_stay() {
        let mut cache = Cache::default();
        let report = cache.report_slot(&labels("up")).unwrap();
        let reference = SeriesRef { generation: 1, id: 7 };
        cache.set_reference(report, reference);
        for round in 0..50 {
            let page: Vec<String> =
                (0..100).map(|n| format!("m{round}_{n}")).chain(["stays".into()]).collect();
            let page: Vec<&str> = page.iter().map(String::as_str).collect();
            let vanished = scrape(&mut cache, &page);
            assert_eq!(vanished.len(), if round == 0 { 0 } else { 100 });
            cache.shrink();
        }
        assert!(cache.len() <= 2 * 101 + SPARE_LINES, "{}", cache.len());
        let report = cache.report_slot(&labels("up")).unwrap();
        assert_eq!(cache.series(report).1, reference);
        cache.forget_lines();
        assert_eq!(scrape(&mut cache, &["stays"]).len(), 100);
    }
}
