//! Which rewrites a plan goes through, and in which order.

use super::{Node, Steps, fold, narrow, pinned, project, propagate, reading, share};

/// A rewrite of plans. None of them changes an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rewrite {
    /// Arithmetic on constants is done once.
    Fold,
    /// Checks for equal label sets go where none can arise.
    Pinned,
    /// What one side of an operator must have is asked of the other side too. Figures of samples are smaller then.
    Propagate,
    /// Selectors ask for the samples they can use.
    Narrow,
    /// Selectors ask for the labels that are looked at.
    Project,
    /// Equal expressions are evaluated once.
    Share,
    /// Selectors of the same series read them together.
    Read,
}

/// Some of the rewrites.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Rewrites(u16);

impl Rewrite {
    /// All of them, in the order in which they are applied.
    pub const ALL: [Self; 7] =
        [Self::Fold, Self::Pinned, Self::Propagate, Self::Narrow, Self::Project, Self::Share, Self::Read];

    fn apply(self, plan: &mut Node, steps: Steps) {
        match self {
            Self::Fold => fold::fold(plan),
            Self::Pinned => pinned::remove_dedupe(plan),
            Self::Propagate => propagate::propagate(plan),
            Self::Narrow => narrow::narrow(plan, steps),
            Self::Project => project::project(plan),
            Self::Share => share::share(plan, steps),
            Self::Read => reading::read_together(plan),
        }
    }
}

impl Rewrites {
    /// None: the plan as built.
    pub const NONE: Self = Self(0);
    /// All.
    pub const ALL: Self = Self(u16::MAX);

    /// These and `rewrite`.
    #[must_use]
    pub fn with(self, rewrite: Rewrite) -> Self {
        Self(self.0 | 1 << rewrite as u16)
    }

    /// These without `rewrite`.
    #[must_use]
    pub fn without(self, rewrite: Rewrite) -> Self {
        Self(self.0 & !(1 << rewrite as u16))
    }

    /// Whether `rewrite` is one of them.
    #[must_use]
    pub fn contains(self, rewrite: Rewrite) -> bool {
        self.0 & 1 << rewrite as u16 != 0
    }

    /// By the bits of `number`, in the order of [`Rewrite::ALL`].
    #[must_use]
    pub fn of(number: u16) -> Self {
        Self(number)
    }
}

impl Default for Rewrites {
    fn default() -> Self {
        Self::ALL
    }
}

impl std::fmt::Debug for Rewrites {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let them = Rewrite::ALL.into_iter().filter(|rewrite| self.contains(*rewrite));
        f.debug_set().entries(them).finish()
    }
}

/// Applies `rewrites` to a plan that is evaluated at `steps`.
pub(crate) fn optimize(plan: &mut Node, steps: Steps, rewrites: Rewrites) {
    for rewrite in Rewrite::ALL.into_iter().filter(|rewrite| rewrites.contains(*rewrite)) {
        rewrite.apply(plan, steps);
    }
}
