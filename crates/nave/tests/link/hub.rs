//! A receiver with the real store on a disk that survives kills.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use nave_base::clock::SharedClock;
use nave_base::disk::FaultDisk;
use nave_base::metric::Registry;
use nave_model::select::{Columns, Select as _, Selection};
use nave_model::time::TimeRange;
use nave_remote::Metrics;
use nave_remote::receive::{self, Anonymous};
use nave_tsdb::{Options, Tsdb};
use tokio::task::JoinHandle;

use crate::ledger::Content;

pub(crate) struct Hub {
    disk: FaultDisk,
    clock: SharedClock,
    store: Arc<Tsdb>,
    address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Hub {
    pub(crate) async fn start(seed: u64, clock: &SharedClock) -> Self {
        Self::open(FaultDisk::new(seed, None), clock.clone()).await
    }

    async fn open(disk: FaultDisk, clock: SharedClock) -> Self {
        let registry = Registry::default();
        let mut options = Options::new(Path::new("/hub"));
        // Small enough that a kill leaves several segments, and samples of long ago stay.
        (options.segment_bytes, options.retention_ms) = (4000, None);
        let store =
            Tsdb::open(options, Arc::new(disk.clone()), clock.clone(), &registry).expect("the store opens");
        let store = Arc::new(store);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let router = receive::router(
            receive::Options::default(),
            store.clone(),
            Arc::new(Anonymous),
            clock.clone(),
            &Metrics::register(&registry),
            &registry,
        );
        let serving = tokio::spawn(async move {
            axum::serve(listener, router).await.expect("serving does not end");
        });
        Self { disk, clock, store, address, serving }
    }

    /// Killed in the middle of whatever it does, and started again on what the kill left.
    pub(crate) async fn restart(&self) -> Self {
        let disk = self.disk.after_kill();
        self.serving.abort();
        Self::open(disk, self.clock.clone()).await
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// All samples.
    pub(crate) async fn content(&self) -> Content {
        let selected =
            self.store.open(Selection::new(vec![], TimeRange::ALL)).await.expect("the store is whole");
        let pages = selected.fetch(0..selected.len()).await.expect("the store is whole");
        let (mut columns, mut content) = (Columns::default(), Content::new());
        for index in 0..selected.len() {
            pages.decode(index, &mut columns).expect("the store is whole");
            let labels = selected.labels(index);
            for (at, value) in columns.timestamps.iter().zip(&columns.values) {
                let before = content.insert((labels.clone(), at.0), value.to_bits());
                assert_eq!(before, None, "{labels} twice at {}", at.0);
            }
        }
        content
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
