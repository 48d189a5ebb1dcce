//! Built-in exporters: node_exporter's metrics of a Linux host.
