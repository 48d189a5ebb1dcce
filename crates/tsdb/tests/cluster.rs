//! What a cluster's principal means to the store: stamps, contradictions, limits.

mod common;

use std::sync::Arc;
use std::time::Duration;

use common::{NOW, labels, options};
use nave_base::clock::FakeClock;
use nave_base::disk::{MemoryDisk, SharedDisk};
use nave_base::metric::Registry;
use nave_model::append::{
    Append, BatchBuilder, Contradiction, Limits, Outcome, Principal, SeriesRef, Tenant,
};
use nave_model::time::Timestamp;
use nave_tsdb::{Options, Tsdb};

fn principal(id: u32, cluster: &str, limits: Limits) -> Arc<Principal> {
    let stamp = vec![("cluster".to_owned(), cluster.to_owned())];
    Arc::new(Principal { id, stamp, limits, ..Principal::anonymous(cluster) })
}

/// One sample of each series `name` or `name/instance`.
async fn send(tsdb: &Tsdb, principal: &Arc<Principal>, names: &[&str], at: i64) -> Outcome {
    let mut builder = BatchBuilder::new(principal.clone());
    for name in names {
        let (name, instance) = name.split_once('/').unwrap_or((name, ""));
        builder
            .series(&labels(&[("__name__", name), ("instance", instance)]), SeriesRef::NONE)
            .sample(Timestamp(at), 1.0);
    }
    tsdb.append(builder.build()).await.unwrap()
}

fn reasons(outcome: &Outcome) -> Vec<(u32, String)> {
    outcome.rejections.iter().map(|one| (one.series, one.reason.to_string())).collect()
}

fn series(tsdb: &Tsdb, cluster: &str) -> usize {
    tsdb.series_of_cluster(&Tenant::default(), cluster)
}

#[tokio::test]
async fn a_series_limit_refuses_new_series_of_that_cluster_only() {
    let tsdb = common::open(&MemoryDisk::default());
    let spoke1 = principal(1, "spoke1", Limits { series: Some(2), ..Limits::default() });
    let spoke2 = principal(2, "spoke2", Limits::default());
    let first = send(&tsdb, &spoke1, &["a", "b", "c"], NOW).await;
    assert_eq!(first.samples.stored, 2);
    assert_eq!(reasons(&first), [(2, "limit limits.series of the cluster of 2 reached".to_owned())]);
    let known = send(&tsdb, &spoke1, &["a", "b"], NOW + 1).await;
    assert_eq!(known.samples.stored, 2, "known series go on");
    assert_eq!(send(&tsdb, &spoke2, &["a", "b", "c"], NOW).await.samples.stored, 3);
    assert_eq!((series(&tsdb, "spoke1"), series(&tsdb, "spoke2"), series(&tsdb, "x")), (2, 3, 0));
}

#[tokio::test]
async fn series_per_metric_are_counted_per_cluster_and_come_free_with_retention() {
    let disk = MemoryDisk::default();
    let clock = FakeClock::at(NOW);
    let shared: SharedDisk = Arc::new(disk);
    let options = Options { retention_ms: Some(60_000), ..options() };
    let tsdb = Tsdb::open(options, shared, clock.clone(), &Registry::default()).unwrap();
    let limits = Limits { series_per_metric: Some(1), ..Limits::default() };
    let (spoke1, spoke2) = (principal(1, "spoke1", limits), principal(2, "spoke2", limits));
    let sent = send(&tsdb, &spoke1, &["a/1", "a/2", "b/1"], NOW).await;
    assert_eq!(
        reasons(&sent),
        [(1, "limit limits.series_per_metric of the cluster of 1 reached".to_owned())]
    );
    assert_eq!(send(&tsdb, &spoke2, &["a/3"], NOW).await.samples.stored, 1);
    clock.advance(Duration::from_secs(120));
    tsdb.retain().await.unwrap();
    assert_eq!(series(&tsdb, "spoke1"), 0);
    assert_eq!(send(&tsdb, &spoke1, &["a/2"], NOW + 120_000).await.samples.stored, 1);
}

#[tokio::test]
async fn equal_bytes_of_two_clusters_are_two_series_and_a_foreign_label_is_refused() {
    let tsdb = common::open(&MemoryDisk::default());
    let strict = |id, name| Principal {
        contradiction: Contradiction::Refuse,
        ..(*principal(id, name, Limits::default())).clone()
    };
    let (spoke1, spoke2) = (Arc::new(strict(1, "spoke1")), Arc::new(strict(2, "spoke2")));
    for one in [&spoke1, &spoke2] {
        assert_eq!(send(&tsdb, one, &["up"], NOW).await.samples.stored, 1);
    }
    let mut builder = BatchBuilder::new(spoke2);
    let foreign = labels(&[("__name__", "up"), ("cluster", "spoke1")]);
    builder.series(&foreign, SeriesRef::NONE).sample(Timestamp(NOW + 1), 666.0);
    let outcome = tsdb.append(builder.build()).await.unwrap();
    assert_eq!(
        reasons(&outcome),
        [(0, "label cluster is \"spoke1\", but the credentials are those of \"spoke2\"".to_owned())]
    );
    assert_eq!(common::dump(&tsdb).await.len(), 2);
}
