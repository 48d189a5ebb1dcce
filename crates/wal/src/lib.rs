//! Segmented log of typed, checksummed records: append, group commit, replay, tail.
