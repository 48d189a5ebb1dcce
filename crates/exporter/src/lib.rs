//! Built-in exporters: pages of metrics about the machine, with node_exporter's names, labels, HELP
//! and TYPE, so that dashboards and rules written for node_exporter work unchanged.
//!
//! [`Node`] makes the page. It does not serve it: `nave exporter node` puts it behind HTTP and
//! `nave agent --exporter.node` hands it to the scraper as a built-in source. It never blocks for
//! longer than its mount timeout, whatever a hung network file system does.

pub mod node;
mod page;

pub use node::{Error, Node, NodeOptions};
