//! Start timestamps from the store to an answer: in memory and in files.

use std::sync::Arc;

use nave_base::clock::FakeClock;
use nave_base::disk::MemoryDisk;
use nave_base::metric::Registry;
use nave_model::append::{Append as _, BatchBuilder, Principal, SeriesRef};
use nave_model::label::Labels;
use nave_model::time::Timestamp;
use nave_promql::{Engine, EngineOptions, ParseOptions, QueryOptions};
use nave_tsdb::{Options, Tsdb};

const NOW: i64 = 1_700_000_000_000;
const MINUTE: i64 = 60_000;
const START: i64 = NOW - 20 * MINUTE - 1000;

#[tokio::test]
async fn queries_see_them() {
    let (clock, disk) = (FakeClock::at(NOW), Arc::new(MemoryDisk::default()));
    // What was flushed leaves memory at once.
    let store = Options { hot_ms: 0, ..Options::new("/data") };
    let tsdb = Arc::new(Tsdb::open(store, disk, clock.clone(), &Registry::default()).unwrap());
    let mut builder = BatchBuilder::new(Arc::new(Principal::anonymous("test")));
    builder.series(&Labels::from_pairs([("__name__", "since")]).unwrap(), SeriesRef::NONE);
    for ago in (0..5).rev() {
        builder.started_sample(Timestamp(NOW - ago * MINUTE), Timestamp(START), 7.0);
    }
    assert_eq!(tsdb.append(builder.build()).await.unwrap().samples.stored, 5);
    let options =
        EngineOptions { parse: ParseOptions::ALL, use_start_timestamps: true, ..EngineOptions::default() };
    let engine = Engine::new(options, clock, &Registry::default());
    for flushed in [false, true] {
        if flushed {
            tsdb.flush().await.unwrap();
            tsdb.flush().await.unwrap();
        }
        let query = "start_timestamp(since)";
        let answer =
            engine.instant(tsdb.clone(), query, Timestamp(NOW), QueryOptions::default()).await.unwrap();
        let (shown, want) = (format!("{:?}", answer.value), format!("{:?}", START as f64 / 1000.0));
        assert!(shown.contains(&want), "flushed: {flushed}: {shown}");
    }
}
