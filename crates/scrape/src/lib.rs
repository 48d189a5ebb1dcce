//! Targets, scrape loops, staleness and report series; calls Append.
