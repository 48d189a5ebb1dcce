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
    let mut known: HashMap<Labels, usize, foldhash::fast::RandomState> = HashMap::default();
    for series in input {
        let labels = labels(&series.labels, aggregate);
        let group = *known.entry(labels).or_insert_with_key(|labels| {
            groups.series.push(Series { labels: labels.clone(), drop_name: false });
            groups.series.len() - 1
        });
        groups.series[group].drop_name |= series.drop_name;
        groups.of.push(group);
    }
    groups
}

fn labels(labels: &Labels, aggregate: &Aggregate) -> Labels {
    let listed = |name: &str| aggregate.grouping.binary_search_by(|known| known.as_str().cmp(name)).is_ok();
    if aggregate.without {
        labels.filtered(|name| name != METRIC_NAME && !listed(name))
    } else if aggregate.grouping.is_empty() {
        Labels::empty()
    } else {
        labels.filtered(listed)
    }
}
