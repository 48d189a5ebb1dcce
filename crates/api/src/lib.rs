//! The query HTTP API in upstream's JSON, and status endpoints.
