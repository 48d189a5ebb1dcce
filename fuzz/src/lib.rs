//! The properties that the fuzz targets check. A target hands its input to one of these functions; a
//! panic is a finding, and so is memory beyond the limit that `scripts/fuzz` sets.

mod block_file;
mod block_index;
mod block_page;
mod exposition;
mod otlp_body;
mod prometheus_chunk;
mod prometheus_index;
mod prometheus_wal;
mod promql;
mod promql_execute;
mod protobuf_exposition;
mod wal_record;
mod write_body;
mod write_v2_body;

pub use block_file::block_file;
pub use block_index::block_index;
pub use block_page::block_page;
pub use exposition::exposition;
pub use otlp_body::otlp_body;
pub use prometheus_chunk::prometheus_chunk;
pub use prometheus_index::prometheus_index;
pub use prometheus_wal::prometheus_wal;
pub use promql::promql;
pub use promql_execute::promql_execute;
pub use protobuf_exposition::protobuf_exposition;
pub use wal_record::wal_record;
pub use write_body::write_body;
pub use write_v2_body::write_v2_body;
