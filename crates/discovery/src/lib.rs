//! Where targets come from: static lists and files today, behind one trait so that more mechanisms
//! can join.
//!
//! A mechanism is a [`Discoverer`]: a task that publishes its whole list of [`TargetGroup`]s whenever
//! it changes. [`Discovery`] runs all mechanisms of one job and merges what they publish. Nothing here
//! relabels, scrapes or knows what a target is for.

mod file;
mod glob;
mod group;
mod metric;
mod run;
mod static_list;

pub use file::FileSdConfig;
pub use glob::glob;
pub use group::{ADDRESS_LABEL, TargetGroup};
pub use metric::Metrics;
pub use run::{Discoverer, Discovery, Groups, Publisher};
pub use static_list::StaticConfig;

/// Why discovery settings or target files were refused; file texts name the file.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// `file_sd_configs` without files.
    #[error("file service discovery config must contain at least one path name")]
    NoFiles,
    /// A path that is neither JSON nor YAML, or has a pattern before its last part.
    #[error("path name {0:?} is not valid for file discovery")]
    Path(String),
    /// A static target with a path in its address.
    #[error("{0:?} is not a valid hostname")]
    Address(String),
    /// A target file that cannot be read or parsed.
    #[error("{file}: {problem}")]
    File {
        /// Which.
        file: String,
        /// What is wrong with it, with line and column where known.
        problem: String,
    },
}
