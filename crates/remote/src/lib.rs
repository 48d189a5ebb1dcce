//! The remote-write link, both ends: durable queue and shards; receiver.
