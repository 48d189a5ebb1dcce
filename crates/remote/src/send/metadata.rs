//! What metric families say about themselves: in 1.0 requests of their own, once per interval; in 2.0 with
//! the series, from a table that is read anew as often.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use nave_model::metadata::Metadata;
use nave_wire::remote_write::{Encoding, Message};
use nave_wire::write_v1::Encoder;

use super::deliver::{Attempt, Request, What};
use super::link::Link;
use super::transport::Body;

/// As long as nothing is known, the table of 2.0 is read this often.
const FIRST_INTERVAL: Duration = Duration::from_secs(1);

/// Who knows the metadata, such as the scraper.
pub trait MetadataSource: Send + Sync {
    /// All families now, each once.
    fn metadata(&self) -> Vec<(Arc<str>, Metadata)>;
}

/// Runs until the soft stop.
pub(super) async fn run(link: Arc<Link>, source: Arc<dyn MetadataSource>) {
    let mut encoder = Encoder::new();
    let interval = Duration::from(link.metadata.send_interval);
    loop {
        let first = link.message() == Message::V2 && link.families.read().is_empty();
        tokio::select! {
            () = link.clock.sleep(if first { interval.min(FIRST_INTERVAL) } else { interval }) => {}
            () = link.soft_stop.cancelled() => return,
        }
        if link.message() == Message::V2 {
            *link.families.write() = source.metadata().into_iter().collect();
            continue;
        }
        for entries in source.metadata().chunks(link.metadata.max_samples_per_send) {
            for (family, metadata) in entries {
                encoder.metadata(family, metadata);
            }
            let bytes = Bytes::from(encoder.finish());
            let body = Body { message: Message::V1, encoding: Encoding::Snappy, bytes };
            tokio::select! {
                () = deliver(&link, &body, entries.len()) => {}
                () = link.soft_stop.cancelled() => return,
            }
        }
    }
}

async fn deliver(link: &Link, body: &Body, count: usize) {
    let mut backoff = link.backoff();
    let mut attempt = 0;
    loop {
        let (what, stop) = (What::Metadata, &link.hard_stop);
        let request = Request { body, count, what, stop };
        match link.attempt(&request, attempt, &mut backoff).await {
            Attempt::Again => {
                attempt += 1;
                link.metrics.metadata_retried.add(count as f64);
            }
            Attempt::Delivered => {
                link.metrics.metadata.add(count as f64);
                link.metrics.metadata_bytes.add(body.bytes.len() as f64);
                return;
            }
            Attempt::Refused { cause, .. } => {
                let (remote_name, url) = (&link.name, &link.url);
                tracing::error!(
                    remote_name,
                    url,
                    count,
                    kind = "metadata",
                    err = cause,
                    "remote_write: non-recoverable error, dropped the batch"
                );
                link.metrics.metadata_failed.add(count as f64);
                return;
            }
            Attempt::Abandoned => return,
        }
    }
}
