//! Sending what metric families say about themselves, once per interval.

use std::sync::Arc;

use bytes::Bytes;
use nave_model::metadata::Metadata;
use nave_wire::write_v1::Encoder;

use super::deliver::{Fate, What};
use super::link::Link;

/// Who knows the metadata, such as the scraper.
pub trait MetadataSource: Send + Sync {
    /// All families now, each once.
    fn metadata(&self) -> Vec<(Arc<str>, Metadata)>;
}

/// Runs until the soft stop.
pub(super) async fn run(link: Arc<Link>, source: Arc<dyn MetadataSource>) {
    let mut encoder = Encoder::new();
    loop {
        tokio::select! {
            () = link.clock.sleep(link.metadata.send_interval.into()) => {}
            () = link.soft_stop.cancelled() => return,
        }
        for entries in source.metadata().chunks(link.metadata.max_samples_per_send) {
            for (family, metadata) in entries {
                encoder.metadata(family, metadata);
            }
            let body = Bytes::from(encoder.finish());
            tokio::select! {
                () = deliver(&link, &body, entries.len()) => {}
                () = link.soft_stop.cancelled() => return,
            }
        }
    }
}

async fn deliver(link: &Link, body: &Bytes, count: usize) {
    let mut backoff = link.backoff();
    let mut attempt = 0;
    let fate = loop {
        if attempt > 0 {
            link.metrics.metadata_retried.add(count as f64);
        }
        match link.attempt(body, attempt, count, What::Metadata, &mut backoff).await {
            Some(fate) => break fate,
            None => attempt += 1,
        }
    };
    match fate {
        Fate::Delivered => {
            link.metrics.metadata.add(count as f64);
            link.metrics.metadata_bytes.add(body.len() as f64);
        }
        Fate::Refused => link.metrics.metadata_failed.add(count as f64),
        Fate::Abandoned => {}
    }
}
