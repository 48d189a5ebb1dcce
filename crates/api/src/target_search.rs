//! `targets/search`: targets by health and words, a page at a time, with counts per pool. Nave's own, for lists of
//! many thousand targets; upstream's `targets` gives them all.

use std::sync::Arc;

use axum::extract::State;
use serde::Serialize;

use crate::envelope::{Answered, ApiError, Success};
use crate::param::Params;
use crate::router::Common;
use crate::target::{Active, Dropped, Pairs, show};
use crate::view::{ActiveTarget, Health, TargetPool};

const LIMIT_DEFAULT: usize = 200;
const LIMIT_MAX: usize = 5_000;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Found<'a> {
    pools: Vec<Counts<'a>>,
    /// Of the targets that were asked for, all pages together.
    total: usize,
    active_targets: Vec<Active<'a>>,
    dropped_targets: Vec<Dropped<'a>>,
}

/// A pool and how its targets fare, whatever was asked for.
#[derive(Serialize)]
struct Counts<'a> {
    name: &'a str,
    up: usize,
    down: usize,
    unknown: usize,
    dropped: usize,
}

/// Which targets are wanted.
struct Wanted<'a> {
    pool: &'a str,
    health: &'a str,
    words: Vec<String>,
    offset: usize,
    limit: usize,
}

/// `targets/search` with `state` (`active` or `dropped`), `scrapePool`, `health`, `search` (words, all of which
/// must be there), `offset` and `limit`. Failing targets come first.
pub(crate) async fn search(State(common): State<Arc<Common>>, params: Params) -> Answered {
    let wanted = Wanted {
        pool: params.get("scrapePool"),
        health: params.get("health"),
        words: params.get("search").to_lowercase().split_whitespace().map(ToOwned::to_owned).collect(),
        offset: number(&params, "offset", 0, usize::MAX)?,
        limit: number(&params, "limit", LIMIT_DEFAULT, LIMIT_MAX)?,
    };
    let pools = common.targets.pools();
    let mut found = Found {
        pools: pools.iter().map(Counts::of).collect(),
        total: 0,
        active_targets: Vec::new(),
        dropped_targets: Vec::new(),
    };
    if params.get("state") == "dropped" {
        (found.total, found.dropped_targets) = wanted.dropped(&pools);
    } else {
        let hostname = common.status.runtime().hostname;
        let (total, page) = wanted.active(&pools);
        let shown =
            page.into_iter().map(|(pool, target)| show(target, pool, &hostname, &common.external_url));
        (found.total, found.active_targets) = (total, shown.collect());
    }
    Success::of(&found)
}

fn number(params: &Params, name: &str, default: usize, most: usize) -> Result<usize, ApiError> {
    match params.get(name) {
        "" => Ok(default),
        text => match text.parse() {
            Ok(number) if number <= most => Ok(number),
            _ => Err(ApiError::parameter(name, format!("expected a number up to {most}, came {text:?}"))),
        },
    }
}

impl<'a> Wanted<'a> {
    fn active<'t>(&self, pools: &'t [TargetPool]) -> (usize, Vec<(&'t str, &'t ActiveTarget)>) {
        let mut all: Vec<_> = self
            .pools(pools)
            .flat_map(|pool| pool.active.iter().map(|target| (pool.name.as_str(), target)))
            .filter(|(_, target)| self.health.is_empty() || name(target.health) == self.health)
            .filter(|(_, target)| self.has_words(&text(target)))
            .collect();
        // Stable: within one health the order of pools and labels stays.
        all.sort_by_key(|(_, target)| rank(target.health));
        let page = all.iter().skip(self.offset).take(self.limit).copied().collect();
        (all.len(), page)
    }

    fn dropped<'t>(&self, pools: &'t [TargetPool]) -> (usize, Vec<Dropped<'t>>) {
        let all: Vec<_> = self
            .pools(pools)
            .flat_map(|pool| pool.dropped.iter().map(|labels| (pool.name.as_str(), labels)))
            .filter(|(_, labels)| {
                self.has_words(&pairs(labels.iter().map(|(n, v)| (n.as_str(), v.as_str()))))
            })
            .collect();
        let page = all.iter().skip(self.offset).take(self.limit);
        let shown =
            page.map(|(pool, labels)| Dropped { discovered_labels: Pairs(labels), scrape_pool: pool });
        (all.len(), shown.collect())
    }

    fn pools<'t>(&'a self, pools: &'t [TargetPool]) -> impl Iterator<Item = &'t TargetPool> + use<'a, 't> {
        pools.iter().filter(|pool| self.pool.is_empty() || pool.name == self.pool)
    }

    fn has_words(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.words.iter().all(|word| text.contains(word))
    }
}

impl<'a> Counts<'a> {
    fn of(pool: &'a TargetPool) -> Self {
        let count = |health| pool.active.iter().filter(|target| target.health == health).count();
        Self {
            name: &pool.name,
            up: count(Health::Up),
            down: count(Health::Down),
            unknown: count(Health::Unknown),
            dropped: pool.dropped_count,
        }
    }
}

fn name(health: Health) -> &'static str {
    match health {
        Health::Up => "up",
        Health::Down => "down",
        Health::Unknown => "unknown",
    }
}

fn rank(health: Health) -> u8 {
    match health {
        Health::Down => 0,
        Health::Unknown => 1,
        Health::Up => 2,
    }
}

/// What words are looked for in: address, labels, the last error.
fn text(target: &ActiveTarget) -> String {
    let labels = pairs(&target.labels);
    format!("{} {labels} {}", target.scrape_url, target.last_error)
}

fn pairs<'l>(labels: impl IntoIterator<Item = (&'l str, &'l str)>) -> String {
    let pairs: Vec<_> = labels.into_iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
    pairs.join(" ")
}
