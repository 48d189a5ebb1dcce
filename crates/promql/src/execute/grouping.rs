//! Which series of an aggregation fall into one group.

use hashbrown::HashMap;
use nave_model::label::{Labels, METRIC_NAME};

use super::Series;
use crate::plan::Aggregate;

/// Groups in the order in which their first series came.
#[derive(Debug, Default)]
pub(super) struct Groups {
    /// One series per group.
    pub(super) series: Vec<Series>,
    /// The group of each input series.
    pub(super) of: Vec<usize>,
}

/// Groups `input` by the labels of `aggregate`.
pub(super) fn group(input: &[Series], aggregate: &Aggregate) -> Groups {
    let mut groups = Groups::default();
    // Label sets are built once per group, not once per series.
    let mut known: HashMap<Vec<u8>, usize, foldhash::fast::RandomState> = HashMap::default();
    let mut key = Vec::new();
    for series in input {
        key.clear();
        write_key(&series.labels, aggregate, &mut key);
        let group = known.get(key.as_slice()).copied().unwrap_or_else(|| {
            let labels = labels(&series.labels, aggregate);
            groups.series.push(Series { labels, drop_name: false });
            known.insert(key.clone(), groups.series.len() - 1);
            groups.series.len() - 1
        });
        groups.series[group].drop_name |= series.drop_name;
        groups.of.push(group);
    }
    groups
}

/// Bytes that are equal for series of one group, and only for these.
fn write_key(labels: &Labels, aggregate: &Aggregate, key: &mut Vec<u8>) {
    let mut put = |text: &str| {
        key.extend_from_slice(&(text.len() as u64).to_le_bytes());
        key.extend_from_slice(text.as_bytes());
    };
    if !aggregate.without {
        return aggregate.grouping.iter().for_each(|name| put(labels.get(name)));
    }
    let kept = |name: &str| name != METRIC_NAME && !is_listed(name, aggregate);
    for (name, value) in labels.iter().filter(|(name, _)| kept(name)) {
        put(name);
        put(value);
    }
}

fn is_listed(name: &str, aggregate: &Aggregate) -> bool {
    aggregate.grouping.binary_search_by(|known| known.as_str().cmp(name)).is_ok()
}

fn labels(labels: &Labels, aggregate: &Aggregate) -> Labels {
    let listed = |name: &str| is_listed(name, aggregate);
    if aggregate.without {
        labels.filtered(|name| name != METRIC_NAME && !listed(name))
    } else if aggregate.grouping.is_empty() {
        Labels::empty()
    } else {
        labels.filtered(listed)
    }
}
