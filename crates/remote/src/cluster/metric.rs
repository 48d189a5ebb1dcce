//! What is known of clusters, as metrics. Read when the page is written, so that removed clusters leave it.

use std::sync::{Arc, Weak};

use nave_base::metric::{Kind, Page, Registry};

use super::{ClusterStatus, Clusters};

type Value = fn(&ClusterStatus) -> Option<f64>;

const COUNTERS: [(&str, &str, Value); 3] = [
    ("nave_cluster_requests_total", "Write requests with the cluster's credentials.", |one| {
        Some(one.requests as f64)
    }),
    ("nave_cluster_received_bytes_total", "Bytes of write requests as they came.", |one| {
        Some(one.bytes as f64)
    }),
    ("nave_cluster_accepted_samples_total", "Samples that were stored or known already.", |one| {
        Some(one.accepted_samples as f64)
    }),
];

const GAUGES: [(&str, &str, Value); 7] = [
    (
        "nave_cluster_last_contact_timestamp_seconds",
        "When a request with the cluster's credentials came last.",
        |one| one.last_contact_ms.map(|ms| ms as f64 / 1000.0),
    ),
    ("nave_cluster_lag_seconds", "How far the cluster's newest sample is behind the hub's clock.", |one| {
        one.lag
    }),
    ("nave_cluster_samples_per_second", "Samples that came in the last minute.", |one| {
        Some(one.samples_per_second)
    }),
    ("nave_cluster_bytes_per_second", "Bytes of write requests in the last minute.", |one| {
        Some(one.bytes_per_second)
    }),
    ("nave_cluster_active_series", "Series of the cluster in memory.", |one| Some(one.active_series as f64)),
    ("nave_cluster_clock_skew_seconds", "How far the sender's clock is ahead of the hub's.", |one| {
        one.clock_skew
    }),
    ("nave_cluster_silent", "1 when nothing came from the cluster for longer than the threshold.", |one| {
        Some(f64::from(u8::from(one.silent)))
    }),
];

/// Puts all families on `registry`.
pub(super) fn register(clusters: &Arc<Clusters>, registry: &Registry) {
    let collect = |name: &str, help, kind, write: fn(&ClusterStatus, &mut Page<'_>)| {
        let clusters = Arc::downgrade(clusters);
        registry.collect(name, help, kind, move |page| each(&clusters, |one| write(one, page)));
    };
    for (all, kind) in [(&COUNTERS[..], Kind::Counter), (&GAUGES[..], Kind::Gauge)] {
        for (name, help, value) in all {
            let (clusters, value) = (Arc::downgrade(clusters), *value);
            registry.collect(name, help, kind, move |page| {
                each(&clusters, |one| {
                    if let Some(value) = value(one) {
                        page.sample(&[("cluster", &one.name)], value);
                    }
                });
            });
        }
    }
    collect(
        "nave_cluster_rejected_samples_total",
        "Samples that were refused, by reason; a refused series counts once.",
        Kind::Counter,
        |one, page| {
            for (reason, count) in &one.rejected {
                page.sample(&[("cluster", &one.name), ("reason", reason)], *count as f64);
            }
        },
    );
    collect(
        "nave_cluster_throttled_requests_total",
        "Requests that were answered by 429, by the limit.",
        Kind::Counter,
        |one, page| {
            for (limit, count) in &one.throttled {
                page.sample(&[("cluster", &one.name), ("limit", limit)], *count as f64);
            }
        },
    );
    collect(
        "nave_cluster_limit",
        "Limits of the cluster, by the field that sets them.",
        Kind::Gauge,
        |one, page| {
            for (limit, value) in one.limits.named() {
                page.sample(&[("cluster", &one.name), ("limit", limit)], value as f64);
            }
        },
    );
    collect("nave_cluster_info", "How the cluster's sender calls itself.", Kind::Gauge, |one, page| {
        page.sample(&[("cluster", &one.name), ("version", &one.sender_version)], 1.0);
    });
}

fn each(clusters: &Weak<Clusters>, act: impl FnMut(&ClusterStatus)) {
    if let Some(clusters) = clusters.upgrade() {
        clusters.status().iter().for_each(act);
    }
}
