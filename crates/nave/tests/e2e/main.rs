//! End to end, with real processes: the binary under test against itself and against the real programs
//! of the ecosystem.
#![allow(clippy::print_stderr, reason = "a skipped test and a measured figure are said loudly")]

mod admin;
mod bad_query;
mod bridge;
mod cluster;
mod compliance;
mod dashboards;
mod differential;
mod doctor;
mod durability;
mod exposition;
mod full_disk;
mod harness;
mod hub;
mod killed_agent;
mod otlp;
mod peers;
mod protobuf;
mod security;
mod stats;
