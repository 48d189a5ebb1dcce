//! One bound on memory, shared by everything that buffers.
//!
//! A [`Budget`] counts bytes; a [`Charge`] gives them back when dropped. Budgets nest: a query's
//! budget charges its parent too, so that the sum of all queries stays within the process' bound.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Refused: the budget's name, its limit and what was asked for, in bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OverBudget {
    /// Which budget said no.
    pub name: &'static str,
    /// Its limit in bytes.
    pub limit: usize,
    /// What was in use when the charge was refused.
    pub used: usize,
    /// What was asked for.
    pub wanted: usize,
}

impl std::fmt::Display for OverBudget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { name, limit, used, wanted } = self;
        write!(f, "{name} memory limit of {limit} bytes reached: {used} bytes in use, {wanted} more wanted")
    }
}

impl std::error::Error for OverBudget {}

#[derive(Debug)]
struct Inner {
    name: &'static str,
    limit: usize,
    used: AtomicUsize,
    peak: AtomicUsize,
    parent: Option<Budget>,
}

/// A bound on bytes. Clones share the count.
#[derive(Debug, Clone)]
pub struct Budget(Arc<Inner>);

impl Budget {
    /// A root budget.
    #[must_use]
    pub fn new(name: &'static str, limit: usize) -> Self {
        Self(Arc::new(Inner {
            name,
            limit,
            used: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            parent: None,
        }))
    }

    /// A budget that never refuses, for tests and tools.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::new("unlimited", usize::MAX)
    }

    /// A part of this budget with a limit of its own.
    #[must_use]
    pub fn child(&self, name: &'static str, limit: usize) -> Self {
        Self(Arc::new(Inner {
            name,
            limit,
            used: AtomicUsize::new(0),
            peak: AtomicUsize::new(0),
            parent: Some(self.clone()),
        }))
    }

    /// Takes `bytes`; nothing is taken on error.
    ///
    /// # Errors
    /// When this budget or one above it would pass its limit.
    pub fn charge(&self, bytes: usize) -> Result<Charge, OverBudget> {
        self.take(bytes)?;
        Ok(Charge { budget: self.clone(), bytes })
    }

    fn take(&self, bytes: usize) -> Result<(), OverBudget> {
        let Inner { name, limit, used, peak, parent } = &*self.0;
        let before = used.fetch_add(bytes, Ordering::Relaxed);
        let now = before.saturating_add(bytes);
        let refused =
            (now > *limit).then_some(OverBudget { name, limit: *limit, used: before, wanted: bytes });
        let above = match (refused, parent) {
            (Some(refused), _) => Err(refused),
            (None, Some(parent)) => parent.take(bytes),
            (None, None) => Ok(()),
        };
        match above {
            Ok(()) => _ = peak.fetch_max(now, Ordering::Relaxed),
            Err(_) => _ = used.fetch_sub(bytes, Ordering::Relaxed),
        }
        above
    }

    fn give_back(&self, bytes: usize) {
        let before = self.0.used.fetch_sub(bytes, Ordering::Relaxed);
        debug_assert!(before >= bytes, "{}: gave back more than was taken", self.0.name);
        if let Some(parent) = &self.0.parent {
            parent.give_back(bytes);
        }
    }

    /// Bytes in use.
    #[must_use]
    pub fn used(&self) -> usize {
        self.0.used.load(Ordering::Relaxed)
    }

    /// The most that was ever in use at once.
    #[must_use]
    pub fn peak(&self) -> usize {
        self.0.peak.load(Ordering::Relaxed)
    }

    /// The limit in bytes.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.0.limit
    }
}

/// Bytes held in a budget until dropped.
#[derive(Debug)]
pub struct Charge {
    budget: Budget,
    bytes: usize,
}

impl Charge {
    /// Takes more bytes into the same charge.
    ///
    /// # Errors
    /// As [`Budget::charge`]; the charge keeps what it had.
    pub fn grow(&mut self, bytes: usize) -> Result<(), OverBudget> {
        self.budget.take(bytes)?;
        self.bytes += bytes;
        Ok(())
    }

    /// Bytes held.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_charges_its_parent_and_gives_back() {
        let all = Budget::new("process", 100);
        let query = all.child("query", 80);
        let first = query.charge(60).unwrap();
        assert_eq!((all.used(), query.used()), (60, 60));
        assert_eq!(query.charge(30).unwrap_err().name, "query");
        let other = all.charge(40).unwrap();
        assert_eq!(query.charge(10).unwrap_err().name, "process");
        assert_eq!((all.used(), query.used()), (100, 60));
        drop((first, other));
        assert_eq!((all.used(), query.used(), query.peak()), (0, 0, 60));
    }
}
