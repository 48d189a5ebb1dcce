//! Signals of the operating system as futures.

use anyhow::{Context, Result};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Resolves at the first SIGINT or SIGTERM with its name.
pub(crate) async fn interrupted() -> Result<&'static str> {
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for SIGINT")?;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    Ok(tokio::select! {
        _ = interrupt.recv() => "SIGINT",
        _ = terminate.recv() => "SIGTERM",
    })
}

/// A stream of SIGHUP.
pub(crate) fn hangups() -> Result<Signal> {
    signal(SignalKind::hangup()).context("cannot listen for SIGHUP")
}
