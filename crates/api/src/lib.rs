//! The HTTP API of Prometheus, and the routes beside it.
//!
//! ```text
//! router(Server)       /api/v1/* and /prometheus/api/v1/*, /federate, /-/*, /metrics, pages
//! agent_router(Common) the part that works without a store; the rest refuses as upstream's agent does
//! ```
//!
//! This crate turns parameters into calls and answers into upstream's JSON. It evaluates nothing and stores
//! nothing: what it shows of others it asks through the traits in [`view`].

mod admin;
mod answer;
mod cluster;
mod endpoint;
mod envelope;
mod federate;
mod histogram;
mod json;
mod lifecycle;
mod param;
mod query;
mod relabel_step;
mod router;
mod series;
mod status;
mod target;
mod target_search;
mod time;
mod tree;
mod ui;
pub mod view;

pub use admin::{BlockView, TsdbAdmin, admin_router};
pub use cluster::clusters_router;
pub use endpoint::endpoints_router;
pub use envelope::{ApiError, ErrorType};
pub use router::{Common, Mode, Server, agent_router, router};
