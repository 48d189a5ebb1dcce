//! Recent data: head behind the log, late data, selection, retention.
