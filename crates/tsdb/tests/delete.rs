//! Deletes beside appends: what was acknowledged before is gone, what came after stays, and what was sent meanwhile is
//! either there or not, for good.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};

use common::{NOW, append, dump, labels, open, open_with, options};
use nave_base::disk::MemoryDisk;
use nave_model::append::Tenant;
use nave_model::matcher::Matcher;
use nave_model::time::TimeRange;

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_is_visible_after_a_delete_stays_so() {
    for round in 0..8 {
        let disk = MemoryDisk::default();
        let tsdb = Arc::new(open(&disk));
        let (acknowledged, stop) = (Arc::new(AtomicI64::new(-1)), Arc::new(AtomicBool::new(false)));
        let appender = {
            let (tsdb, acknowledged, stop) = (tsdb.clone(), acknowledged.clone(), stop.clone());
            tokio::spawn(async move {
                for i in 0.. {
                    if stop.load(Ordering::SeqCst) {
                        return;
                    }
                    // One series is known before, one comes and goes.
                    let known = (labels(&[("__name__", "known")]), NOW + i, i as f64);
                    let new = (labels(&[("__name__", &format!("new_{}", i / 7))]), NOW + i, i as f64);
                    append(&tsdb, &[known, new]).await;
                    acknowledged.store(i, Ordering::SeqCst);
                }
            })
        };
        while acknowledged.load(Ordering::SeqCst) < 20 + round {
            tokio::task::yield_now().await;
        }
        let before = acknowledged.load(Ordering::SeqCst);
        let all =
            vec![vec![Matcher::metric_name("known")], vec![common::matcher("=~", "__name__", "new_.*")]];
        tsdb.delete_series(&Tenant::default(), all, TimeRange::ALL).await.unwrap();
        // Two later: one may have been under way when the delete returned.
        let after = acknowledged.load(Ordering::SeqCst) + 2;
        while acknowledged.load(Ordering::SeqCst) < after + 5 {
            tokio::task::yield_now().await;
        }
        stop.store(true, Ordering::SeqCst);
        appender.await.unwrap();
        let visible = dump(&tsdb).await;
        let times: Vec<i64> = visible.keys().map(|(_, t)| t - NOW).collect();
        assert!(
            times.iter().all(|t| *t > before),
            "round {round}: acknowledged before the delete, and still there"
        );
        for t in after..=acknowledged.load(Ordering::SeqCst) {
            assert_eq!(
                times.iter().filter(|found| **found == t).count(),
                2,
                "round {round}: sent after the delete"
            );
        }
        let (restarted, crashed) = (disk.after_power_cut(0), disk.clone());
        assert!(dump(&open(&restarted)).await == visible, "round {round}: over a restart");
        tsdb.flush().await.unwrap();
        tsdb.clean_tombstones().await.unwrap();
        tsdb.compact_all().await.unwrap();
        assert!(dump(&tsdb).await == visible, "round {round}: when it is in files");
        drop(tsdb);
        let cool = open_with(&crashed.after_power_cut(0), options());
        assert!(dump(&cool).await == visible, "round {round}: from files");
    }
}
