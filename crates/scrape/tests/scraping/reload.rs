//! Reloads, removals, discovery and built-in pages.

use std::sync::Arc;

use crate::world::{INTERVAL, World, report, samples};
use nave_model::duration::PromDuration;
use nave_scrape::{Builtin, BuiltinSource};

#[tokio::test]
async fn a_target_that_stays_does_not_notice() {
    let mut world = World::new("a 1\n").await;
    world.reload("").await;
    world.scrape().await;
    world.reload("").await;
    world
        .reload("keep_dropped_targets: 3, relabel_configs: [{action: keep, source_labels: [job], regex: j}]")
        .await;
    let batch = world.scrape().await;
    assert_eq!((samples(&batch).len(), report(&batch, "scrape_series_added").as_str()), (1, "0"));
    assert_eq!(world.requests.lock().len(), 2);
    assert_eq!(world.known_references(), batch.len());
}

#[tokio::test]
async fn a_new_loop_takes_over_without_a_gap() {
    let mut world = World::new("a 1\nb 1\n").await;
    world.reload("").await;
    world.scrape().await;
    world.asleep(1).await;
    world.reload("metric_relabel_configs: [{action: drop, source_labels: [__name__], regex: b}]").await;
    // The old loop's sleep is over when it has ended.
    let batch = world.scrape().await;
    let at = world.now();
    assert_eq!(samples(&batch), [format!("a 1 @{at}"), format!("b stale @{at}")]);
    assert!(world.known_references() >= 6, "references went along");
}

#[tokio::test]
async fn a_target_that_is_removed_ends_its_series() {
    let mut world = World::new("a 1\n").await;
    world.reload("").await;
    world.scrape().await;
    world.asleep(1).await;
    let last = world.now();
    world.reload_all(&[], &[]).unwrap();
    world.settle().await;
    assert!(world.scraper.targets().active.is_empty());
    world.asleep(1).await;
    world.clock.advance(INTERVAL * 2);
    assert_eq!(world.batches(), 1, "it may come back");
    world.clock.advance(INTERVAL / 10);
    let batch = world.batch().await;
    let at = last + INTERVAL.as_millis() as i64;
    assert_eq!(samples(&batch), [format!("a stale @{at}")]);
    assert_eq!(batch.len(), 6);
    assert!(batch.iter().all(|line| line.ends_with(&format!("stale @{at}"))), "{batch:?}");
}

#[tokio::test]
async fn a_target_that_comes_back_in_another_shape_does_not_end() {
    let mut world = World::new("a 1\n").await;
    world.reload("").await;
    world.scrape().await;
    world.asleep(1).await;
    world.reload("metrics_path: /other").await;
    // Both sleep: the old one before its end, the new one before its first scrape.
    world.asleep(2).await;
    for _ in 0..4 {
        world.clock.advance(INTERVAL);
        let batch = world.batch().await;
        assert_eq!(samples(&batch), [format!("a 1 @{}", world.now())]);
        world.asleep(1).await;
    }
}

#[tokio::test]
async fn a_reload_that_fails_changes_nothing() {
    let mut world = World::new("a 1\n").await;
    world.reload("").await;
    world.scrape().await;
    let broken = world.config("tls_config: {ca_file: /none/ca.pem}");
    let error = world.reload_all(&[broken], &[]).unwrap_err().to_string();
    assert!(error.contains("job \"j\"") && error.contains("/none/ca.pem"), "{error}");
    let twice = world.config("");
    let error = world.reload_all(&[twice.clone(), twice], &[]).unwrap_err().to_string();
    assert_eq!(error, "found multiple scrape configs with job name \"j\"");
    assert_eq!(samples(&world.scrape().await).len(), 1);
    assert!(world.metrics().contains("prometheus_target_scrape_pool_reloads_failed_total 2\n"));
}

#[tokio::test]
async fn targets_over_the_limit_are_all_down() {
    let mut world = World::new("a 1\n").await;
    let yaml = format!(
        "{{job_name: j, scrape_interval: 10s, target_limit: 1, static_configs: [{{targets: ['{0}', 'localhost:1']}}]}}",
        world.address
    );
    world.reload_all(&[World::parse(&yaml)], &[]).unwrap();
    world.asleep(2).await;
    world.clock.advance(INTERVAL);
    for _ in 0..2 {
        let batch = world.batch().await;
        assert_eq!((samples(&batch).len(), report(&batch, "up").as_str()), (0, "0"));
    }
    assert_eq!(world.last_error().await, "target_limit exceeded (number of targets: 2, limit: 1)");
    assert!(world.requests.lock().is_empty());
}

#[tokio::test]
async fn files_bring_and_take_targets() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("t.json");
    let mut world = World::new("a 1\n").await;
    let yaml = format!(
        "{{job_name: j, scrape_interval: 10s, file_sd_configs: [{{files: ['{}']}}], relabel_configs: [{{action: drop, source_labels: [zone], regex: b}}]}}",
        file.display()
    );
    world.reload_all(&[World::parse(&yaml)], &[]).unwrap();
    world.asleep(1).await;
    assert!(world.scraper.targets().active.is_empty());
    let text = format!(
        r#"[{{"targets": ["{}"]}}, {{"targets": ["other:1"], "labels": {{"zone": "b"}}}}]"#,
        world.address
    );
    std::fs::write(&file, text).unwrap();
    world.clock.advance(INTERVAL);
    world.asleep(2).await;
    let targets = world.scraper.targets();
    assert_eq!((targets.active.len(), targets.dropped.len(), targets.dropped_counts["j"]), (1, 1, 1));
    assert_eq!(targets.active[0].discovered_labels.get("__meta_filepath"), file.to_str().unwrap());
    let batch = world.scrape().await;
    assert_eq!(samples(&batch).len(), 1);
    assert!(world.metrics().contains("prometheus_sd_discovered_targets{name=\"scrape\",config=\"j\"} 2\n"));
}

struct Fixed;

impl BuiltinSource for Fixed {
    fn page(&self) -> String {
        "# TYPE node_load1 gauge\nnode_load1 0.5\n".to_owned()
    }
}

#[tokio::test]
async fn a_page_of_this_process_is_a_target_of_its_own_job() {
    let mut world = World::new("").await;
    let builtin = Builtin {
        job: "node".to_owned(),
        instance: "host".to_owned(),
        labels: vec![("zone".to_owned(), "a".to_owned())],
        interval: PromDuration::from_secs(10),
        source: Arc::new(Fixed),
    };
    world.reload_all(&[], std::slice::from_ref(&builtin)).unwrap();
    let batch = world.scrape().await;
    assert!(batch.contains(&format!("node_load1{{zone=\"a\"}} 0.5 @{}", world.now())), "{batch:?}");
    world.reload_all(&[], &[builtin]).unwrap();
    world.scrape().await;
    world.asleep(1).await;
    let targets = world.scraper.targets();
    assert_eq!(targets.active.len(), 1);
    assert_eq!((targets.active[0].scrape_pool.as_str(), targets.active[0].health.as_str()), ("node", "up"));
}

#[tokio::test]
async fn the_end_of_the_process_ends_no_series() {
    let mut world = World::new("a 1\n").await;
    world.reload("").await;
    world.scrape().await;
    world.scraper.shutdown().await;
    world.clock.advance(INTERVAL * 10);
    assert_eq!((world.batches(), world.scraper.pools().len()), (1, 0));
}
