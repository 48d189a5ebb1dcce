//! Bytes between processes: exposition text, OpenMetrics, remote write; pure, no I/O.
