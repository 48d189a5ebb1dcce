//! Decoded pages of all blocks of a process, within one budget.

use nave_base::budget::Budget;

/// Decoded pages, shared by all blocks that were opened with a clone of it.
#[derive(Debug, Clone)]
pub struct PageCache {
    _budget: Option<Budget>,
}

impl PageCache {
    /// One that keeps pages as long as `budget` has room for them.
    #[must_use]
    pub fn new(budget: Budget) -> Self {
        Self { _budget: Some(budget) }
    }

    /// One that keeps nothing: for merges and tools, which see each page once.
    #[must_use]
    pub fn none() -> Self {
        Self { _budget: None }
    }
}
