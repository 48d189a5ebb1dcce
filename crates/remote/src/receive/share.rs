//! Fair share: how much of the receiver one cluster may take at a time, so that a flood of one leaves room for the others.
//!
//! A share is a part of the slots and of the memory. It is counted while requests are under way only, and bounds clusters;
//! senders without a cluster share what there is. What is beyond is 503, which senders retry: nothing is lost by it.

use std::collections::HashMap;
use std::sync::Arc;

use nave_base::budget::Budget;
use nave_base::metric::{Counter, Family, Gauge, Registry};
use nave_model::append::Principal;
use parking_lot::Mutex;
use tokio::sync::SemaphorePermit;

use super::Options;
use super::answer::Refusal;

/// What all clusters have under way.
pub(super) struct Shares {
    requests_max: usize,
    bytes_max: usize,
    total: Budget,
    under_way: Mutex<HashMap<Arc<str>, UnderWay>>,
    in_flight: Family<Gauge>,
    shed: Family<Counter>,
}

struct UnderWay {
    requests: usize,
    budget: Budget,
}

/// A request that is under way; dropping it gives its place back.
pub(super) struct Turn<'a> {
    shares: &'a Shares,
    cluster: Option<Arc<str>>,
    /// Held, not looked at.
    slot: Option<SemaphorePermit<'a>>,
    /// What its bytes are charged to.
    pub(super) budget: Budget,
}

impl Shares {
    pub(super) fn new(options: &Options, registry: &Registry) -> Self {
        let part = |whole: usize| (whole as f64 * options.cluster_share.clamp(0.0, 1.0)) as usize;
        // The largest request that is allowed fits always: compressed, decompressed, decoded.
        let largest = options.decompressed_bytes_max.saturating_mul(4).saturating_add(options.body_bytes_max);
        Self {
            requests_max: part(options.concurrent_requests_max).max(1),
            bytes_max: part(options.budget.limit()).max(largest),
            total: options.budget.clone(),
            under_way: Mutex::default(),
            in_flight: registry.gauge_family(
                "nave_cluster_inflight_requests",
                "Write requests of the cluster that are under way.",
                &["cluster"],
            ),
            shed: registry.counter_family(
                "nave_cluster_shed_requests_total",
                "Write requests that were answered by 503 because the cluster has its share: of slots or of bytes.",
                &["cluster", "share"],
            ),
        }
    }

    /// Takes a place of the principal's cluster.
    pub(super) fn enter(&self, principal: &Principal) -> Result<Turn<'_>, Refusal> {
        let Some(cluster) = principal.cluster.clone() else {
            return Ok(Turn { shares: self, cluster: None, slot: None, budget: self.total.clone() });
        };
        let mut all = self.under_way.lock();
        let fresh =
            || UnderWay { requests: 0, budget: self.total.child("the cluster's share", self.bytes_max) };
        let own = all.entry(cluster.clone()).or_insert_with(fresh);
        if own.requests >= self.requests_max {
            self.shed.with(&[&cluster, "slots"]).inc();
            return Err(Refusal::Share { cluster, limit: self.requests_max });
        }
        own.requests += 1;
        self.in_flight.with(&[&cluster]).set(own.requests as f64);
        Ok(Turn { shares: self, budget: own.budget.clone(), cluster: Some(cluster), slot: None })
    }
}

impl<'a> Turn<'a> {
    /// The same with a slot of the receiver, which is given back with it.
    pub(super) fn with(mut self, slot: SemaphorePermit<'a>) -> Self {
        self.slot = Some(slot);
        self
    }

    /// Counts a refusal that is for want of memory.
    pub(super) fn refused(&self, refusal: &Refusal) {
        if let (Some(cluster), Refusal::OverBudget(_)) = (&self.cluster, refusal) {
            self.shares.shed.with(&[cluster, "bytes"]).inc();
        }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let Some(cluster) = &self.cluster else { return };
        let mut all = self.shares.under_way.lock();
        let Some(own) = all.get_mut(cluster) else { return };
        own.requests -= 1;
        if own.requests > 0 {
            self.shares.in_flight.with(&[cluster]).set(own.requests as f64);
            return;
        }
        all.remove(cluster);
        self.shares.in_flight.with(&[cluster]).set(0.0);
    }
}
