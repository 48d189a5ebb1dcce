//! Scripts of upstream's test language for PromQL: load series, evaluate, compare.

pub mod store;

pub use store::MemoryStore;
