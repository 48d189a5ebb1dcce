//! What an endpoint calls the series of the log: external labels and write relabelling, once per series.

use std::sync::Arc;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use nave_model::label::Labels;
use nave_model::relabel::{self, RelabelConfig, Verdict};
use siphasher::sip128::{Hasher128 as _, SipHasher13};
use std::hash::{BuildHasher as _, Hasher as _};

use super::lane::Target;

/// What an endpoint makes of series.
#[derive(Debug, Clone)]
pub(super) struct SeriesRules {
    /// Set where a series has no label of that name.
    pub(super) external: Vec<(String, String)>,
    /// Then these.
    pub(super) rules: Vec<RelabelConfig>,
}

impl SeriesRules {
    /// Tells whether two lives put the same samples into the same lanes: rules, the number of lanes, and how
    /// this program picks them.
    pub(super) fn fingerprint(&self, lanes: usize, kinds: [bool; 2]) -> u64 {
        let few = u32::try_from(lanes).expect("SeriesRules: lanes are few");
        let probe = |name: &str| {
            let labels = [("__name__", name), ("job", "probe"), ("instance", name)];
            Labels::from_pairs(labels).map(|labels| lane(&labels, few))
        };
        let probes = ["a", "longer_name_total", "x"].map(probe);
        let program = env!("CARGO_PKG_VERSION");
        let text = format!("{program} {lanes} {kinds:?} {probes:?} {self:?}");
        let mut hasher = SipHasher13::new_with_keys(0, 0);
        hasher.write(text.as_bytes());
        hasher.finish128().h1
    }

    pub(super) fn cache(&self, lanes: usize) -> SeriesCache {
        SeriesCache::new(self.external.clone(), self.rules.clone(), lanes)
    }
}

/// Series by their number in the log.
#[derive(Debug)]
pub(super) struct SeriesCache {
    external: Vec<(String, String)>,
    rules: Vec<RelabelConfig>,
    lanes: u32,
    known: HashMap<u32, Known>,
    segment: u64,
}

#[derive(Debug)]
struct Known {
    labels: Labels,
    /// The last segment that named it.
    segment: u64,
    /// `None` when relabelling drops it.
    target: Option<Arc<Target>>,
}

/// What to do with a sample.
pub(super) enum Found<'a> {
    Send(&'a Arc<Target>),
    Dropped,
    /// The series was never named: the record that did so is damaged.
    Unknown,
}

impl SeriesCache {
    /// External labels are set where a series has none of that name.
    pub(super) fn new(external: Vec<(String, String)>, rules: Vec<RelabelConfig>, lanes: usize) -> Self {
        let lanes = u32::try_from(lanes).expect("SeriesCache: lanes are few");
        Self { external, rules, lanes, known: HashMap::new(), segment: 0 }
    }

    /// The reader has entered `segment`. Every segment names the series it uses, so those that neither
    /// of the last two segments named are forgotten.
    pub(super) fn enter_segment(&mut self, segment: u64) {
        if segment != self.segment {
            self.segment = segment;
            self.known.retain(|_, known| known.segment + 1 >= segment);
        }
    }

    /// From here on `id` means `labels`.
    pub(super) fn name(&mut self, id: u32, labels: &Labels) {
        let segment = self.segment;
        if let Some(known) = self.known.get_mut(&id)
            && known.labels == *labels
        {
            known.segment = segment;
            return;
        }
        let target = self.target(labels);
        self.known.insert(id, Known { labels: labels.clone(), segment, target });
    }

    fn target(&self, labels: &Labels) -> Option<Arc<Target>> {
        let mut builder = labels.to_builder();
        for (name, value) in &self.external {
            if builder.get(name).is_empty() {
                builder.set(name, value);
            }
        }
        if relabel::process(&mut builder, &self.rules) == Verdict::Drop {
            return None;
        }
        let labels = builder.build();
        if labels.is_empty() {
            return None;
        }
        let lane = lane(&labels, self.lanes);
        Some(Arc::new(Target { labels, lane }))
    }

    pub(super) fn find(&self, id: u32) -> Found<'_> {
        match self.known.get(&id) {
            Some(Known { target: Some(target), .. }) => Found::Send(target),
            Some(_) => Found::Dropped,
            None => Found::Unknown,
        }
    }
}

/// Lanes of one scrape target, so that a large one is not sent by one worker alone. They are neighbours,
/// beginning at a multiple of their number.
pub(super) const LANES_PER_TARGET: u32 = 8;

/// Series of one scrape target stand in few lanes, so that a batch holds whole targets: neighbours in it share
/// most of their label bytes, which makes requests small. Equal labels share a lane, and two runs put a series
/// into the same one.
fn lane(labels: &Labels, lanes: u32) -> u32 {
    let hasher = FixedState::with_seed(0);
    let few = |hash: u64, among: u32| u32::try_from(hash % u64::from(among)).expect("lanes are few");
    let part = few(hasher.hash_one(labels.metric_name()), LANES_PER_TARGET);
    let groups = (lanes / LANES_PER_TARGET).max(1);
    let group = few(hasher.hash_one((labels.get("job"), labels.get("instance"))), groups);
    (group * LANES_PER_TARGET + part) % lanes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(pairs: &[(&str, &str)]) -> Labels {
        Labels::from_pairs(pairs.iter().copied()).unwrap()
    }

    #[test]
    fn labels_are_added_relabelled_and_cached() {
        let rules: Vec<RelabelConfig> = serde_json::from_str(
            r#"[{"source_labels": ["__name__"], "regex": "expensive.*", "action": "drop"},
                {"source_labels": ["cluster"], "target_label": "seen"}]"#,
        )
        .unwrap();
        let external = vec![("cluster".to_owned(), "spoke1".to_owned())];
        let mut cache = SeriesCache::new(external, rules, 8);
        let check = |cache: &SeriesCache, id: u32, want: Option<&str>| {
            let got = match cache.find(id) {
                Found::Send(target) => Some(target.labels.to_string()),
                Found::Dropped => None,
                Found::Unknown => Some("unknown".to_owned()),
            };
            assert_eq!(got.as_deref(), want);
        };
        cache.enter_segment(1);
        cache.name(1, &labels(&[("__name__", "up")]));
        cache.name(2, &labels(&[("__name__", "up"), ("cluster", "own")]));
        cache.name(3, &labels(&[("__name__", "expensive_total")]));
        check(&cache, 1, Some(r#"{__name__="up", cluster="spoke1", seen="spoke1"}"#));
        check(&cache, 2, Some(r#"{__name__="up", cluster="own", seen="own"}"#));
        check(&cache, 3, None);
        check(&cache, 4, Some("unknown"));
        cache.enter_segment(2);
        cache.name(1, &labels(&[("__name__", "down")]));
        check(&cache, 1, Some(r#"{__name__="down", cluster="spoke1", seen="spoke1"}"#));
        cache.enter_segment(3);
        check(&cache, 2, Some("unknown"));
    }
}
