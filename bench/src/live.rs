//! A fleet that lives for as long as it is asked to: pods are made when they are born and forgotten when
//! they end, so that a day of churn takes no more memory than a minute. `fleet.rs` makes a fleet with its
//! whole future, for what is encoded ahead of time.
//!
//! The same [`Spec`] gives the same labels, values and timestamps, whatever the number of lanes.

use crate::fleet::{self, Deployment};
use crate::workload::{Builder, Rng, Spec, Target};

/// A pod's place on a node: who is in it, and what the next one is made of.
struct Slot {
    deployment: Deployment,
    rng: Rng,
    cluster: u32,
    cluster_name: String,
    node: String,
    /// What its series share with the kubelet's and with kube-state-metrics' other series.
    hosts: [Host; 2],
    /// The pod's part of the kubelet's page, of kube-state-metrics' page, and its own page.
    pages: Vec<Target>,
    /// Scrape at which the pod is replaced next.
    replaced_at: Option<u32>,
}

/// A target that shows other things than itself.
#[derive(Clone)]
struct Host {
    common: Vec<(String, String)>,
    phase_ms: i64,
    job: &'static str,
    jitter: Rng,
    seed: u64,
}

impl Host {
    fn of(b: &Builder) -> Self {
        Host {
            common: b.common.clone(),
            phase_ms: b.target.phase_ms,
            job: b.target.job,
            jitter: b.target.jitter.clone(),
            seed: b.target.seed,
        }
    }

    /// A builder of further series of this target.
    fn builder(&self, rng: &mut Rng) -> Builder {
        let series = Vec::new();
        Builder {
            common: self.common.clone(),
            target: Target {
                phase_ms: self.phase_ms,
                series,
                job: self.job,
                jitter: self.jitter.clone(),
                seed: self.seed,
            },
            rng: Rng::new(rng.next()),
            life: (0, u32::MAX),
        }
    }
}

impl Slot {
    fn new(rng: &mut Rng, spec: &Spec, cluster: (u32, &str), node: &str, hosts: [Host; 2]) -> Self {
        let mut own = Rng::new(rng.next());
        let mut slot = Slot {
            deployment: Deployment::new(&mut own),
            rng: own,
            cluster: cluster.0,
            cluster_name: cluster.1.to_string(),
            node: node.to_string(),
            hosts,
            pages: Vec::new(),
            replaced_at: None,
        };
        slot.pages = slot.next_pod(spec, 0);
        slot
    }

    fn next_pod(&mut self, spec: &Spec, from: u32) -> Vec<Target> {
        let pod = self.deployment.pod(&mut self.rng, self.cluster, (from, u32::MAX));
        let [mut kubelet, mut state] = [0, 1].map(|i| self.hosts[i].builder(&mut self.rng));
        fleet::container(&mut kubelet, &pod, &self.node);
        fleet::kube_pod(&mut state, &pod, &self.node);
        let mut pages = vec![kubelet.target, state.target];
        fleet::application(&mut self.rng, spec, &self.cluster_name, &pod, &self.node, &mut pages);
        pages
    }
}

/// What one connection sends: targets that stay, and slots whose pods come and go.
#[derive(Default)]
pub struct Lane {
    targets: Vec<Target>,
    slots: Vec<Slot>,
    series: usize,
}

impl Lane {
    /// Brings the lane to `round`: calls `each` with every page and whether it ends with this scrape (its
    /// series then get their stale markers). Call it for every round, in order.
    pub fn scrape(&mut self, spec: &Spec, round: u32, mut each: impl FnMut(&mut Target, bool)) {
        for target in &mut self.targets {
            each(target, false);
        }
        let period = spec.rounds_of(spec.churn_minutes).max(1);
        for slot in &mut self.slots {
            if slot.replaced_at == Some(round) {
                slot.pages.iter_mut().for_each(|t| each(t, true));
                slot.pages = slot.next_pod(spec, round);
                slot.replaced_at = None;
            }
            if round.is_multiple_of(period) && spec.churn > 0.0 {
                let draw = slot.rng.unit() < spec.churn;
                slot.replaced_at = draw.then(|| round + 1 + slot.rng.below(u64::from(period)) as u32);
            }
            slot.pages.iter_mut().for_each(|t| each(t, false));
        }
    }
}

/// The fleet at its first scrape.
pub struct Live {
    pub lanes: Vec<Lane>,
    /// Series, and targets that have an `up`, at any one time.
    pub series: usize,
    pub targets: usize,
}

/// Makes the fleet and deals it out to `lanes` connections of about the same size.
pub fn live(spec: &Spec, lanes: usize) -> Live {
    let mut rng = Rng::new(spec.seed);
    let names = fleet::clusters(spec);
    let mut states: Vec<Builder> =
        names.iter().enumerate().map(|(c, n)| fleet::state_metrics(&mut rng, spec, c, n)).collect();
    let mut out = Live { lanes: (0..lanes).map(|_| Lane::default()).collect(), series: 0, targets: 0 };
    let (mut node, mut state_series) = (0u32, 0);
    while out.series + state_series < spec.series as usize {
        let c = (node % spec.clusters) as usize;
        let (cluster, name) = (&names[c], fleet::node_name(c, node, &names[c]));
        let (busy, mut targets) = (fleet::busy(&mut rng, c), Vec::new());
        fleet::node_exporter(&mut rng, spec, cluster, &name, busy, &mut targets);
        let kubelet = fleet::kubelet(&mut rng, spec, c, node, cluster);
        state_series -= states[c].target.series.len();
        fleet::kube_node(&mut states[c], &name);
        state_series += states[c].target.series.len();
        let hosts = [Host::of(&kubelet), Host::of(&states[c])];
        kubelet.finish(&mut targets);
        targets.into_iter().for_each(|t| out.put(t));
        for _ in 0..spec.pods {
            out.put_slot(Slot::new(&mut rng, spec, (c as u32, cluster), &name, hosts.clone()));
        }
        node += 1;
    }
    let mut targets = Vec::new();
    states.into_iter().for_each(|s| s.finish(&mut targets));
    targets.into_iter().for_each(|t| out.put(t));
    out
}

impl Live {
    fn smallest(&mut self, series: usize) -> &mut Lane {
        self.series += series;
        self.targets += 1; // a slot has one target of its own, the pod
        let lane = self.lanes.iter_mut().min_by_key(|l| l.series).expect("one lane at least");
        lane.series += series;
        lane
    }
    fn put(&mut self, target: Target) {
        self.smallest(target.series.len()).targets.push(target);
    }
    fn put_slot(&mut self, slot: Slot) {
        self.smallest(slot.pages.iter().map(|t| t.series.len()).sum()).slots.push(slot);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workload::tests::spec;
    use std::collections::{BTreeMap, BTreeSet};

    /// Value bits by labels and round.
    type Samples = BTreeMap<(Box<[u8]>, u32), u64>;

    /// Every sample that `lanes` lanes give, and how many pages ended.
    fn all(spec: &Spec, lanes: usize, rounds: u32) -> (Samples, usize) {
        let mut live = live(spec, lanes);
        let (mut out, mut ended) = (BTreeMap::new(), 0);
        for round in 0..rounds {
            for lane in &mut live.lanes {
                lane.scrape(spec, round, |target, end| {
                    ended += usize::from(end);
                    for s in target.series.iter_mut().filter(|_| !end) {
                        let value = s.next(i64::from(round) * 15_000, 15.0).to_bits();
                        assert!(out.insert((s.labels.clone(), round), value).is_none(), "a series twice");
                    }
                });
            }
        }
        (out, ended)
    }

    #[test]
    fn the_same_whatever_the_lanes() {
        let spec = spec();
        assert_eq!(all(&spec, 1, 12), all(&spec, 5, 12));
    }

    #[test]
    fn churn_replaces_its_share_and_keeps_the_size() {
        let spec = Spec { churn: 0.1, churn_minutes: 1, ..spec() };
        let pods = live(&spec, 1).lanes[0].slots.len();
        let (samples, ended) = all(&spec, 2, 161); // 40 periods of 4 scrapes
        let expected = pods as f64 * 0.1 * 40.0 * 3.0;
        assert!((ended as f64 / expected - 1.0).abs() < 0.2, "{ended} pages ended, {expected} expected");
        let at = |round: u32| samples.keys().filter(|k| k.1 == round).count();
        assert_eq!(at(0), live(&spec, 1).series);
        assert_eq!(at(0), at(160));
        let series: BTreeSet<_> = samples.keys().map(|k| &k.0).collect();
        assert!(series.len() > 2 * at(0), "{} series in all", series.len());
    }

    #[test]
    fn has_the_series_of_a_fleet_without_churn() {
        let spec = Spec { churn: 0.0, ..spec() };
        let fleet = crate::fleet::fleet(&spec);
        let live = live(&spec, 3);
        assert_eq!(live.series, fleet.iter().map(|t| t.series.len()).sum::<usize>());
        assert_eq!(live.targets, fleet.len());
    }
}
