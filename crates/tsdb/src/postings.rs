//! Sorted lists of series numbers, and their set algebra.

/// Ascending, unique series numbers.
pub(crate) type Postings = Vec<u32>;

/// Adds `id` where it belongs; at the end nearly always.
pub(crate) fn insert(list: &mut Postings, id: u32) {
    match list.last() {
        Some(last) if *last >= id => {
            if let Err(at) = list.binary_search(&id) {
                list.insert(at, id);
            }
        }
        _ => list.push(id),
    }
}

/// Keeps what is in `other` too, or with `keep` false, what is not.
pub(crate) fn retain_in(list: &mut Postings, other: &[u32], keep: bool) {
    let mut rest = other;
    list.retain(|id| {
        rest = &rest[skip_below(rest, *id)..];
        (rest.first() == Some(id)) == keep
    });
}

/// How many entries at the front are less than `id`, by doubling steps: cheap when the answer is small or the
/// list is much longer than the other one.
pub(crate) fn skip_below(list: &[u32], id: u32) -> usize {
    let mut step = 1;
    while step < list.len() && list[step - 1] < id {
        step *= 2;
    }
    let (from, to) = (step / 2, step.min(list.len()));
    from + list[from..to].partition_point(|known| *known < id)
}

/// What both lists have, found by leaps on either side; cheap when only the first few are taken.
pub(crate) fn common<'a>(mut a: &'a [u32], mut b: &'a [u32]) -> impl Iterator<Item = u32> + 'a {
    std::iter::from_fn(move || {
        loop {
            let id = *a.first()?;
            b = &b[skip_below(b, id)..];
            let other = *b.first()?;
            if id == other {
                a = &a[1..];
                return Some(id);
            }
            a = &a[skip_below(a, other)..];
        }
    })
}

/// All numbers of `lists`, ascending.
pub(crate) fn union(lists: &[&[u32]]) -> Postings {
    match lists {
        [] => Vec::new(),
        [one] => one.to_vec(),
        [a, b] => merge(a, b),
        many => {
            let mut all: Postings = Vec::with_capacity(many.iter().map(|list| list.len()).sum());
            many.iter().for_each(|list| all.extend_from_slice(list));
            // Long ascending runs, which the standard sort merges.
            all.sort();
            all.dedup();
            all
        }
    }
}

fn merge(a: &[u32], b: &[u32]) -> Postings {
    let mut all = Vec::with_capacity(a.len() + b.len());
    let (mut i, mut j) = (0, 0);
    while i < a.len() && j < b.len() {
        let next = a[i].min(b[j]);
        all.push(next);
        i += usize::from(a[i] == next);
        j += usize::from(b[j] == next);
    }
    all.extend_from_slice(&a[i..]);
    all.extend_from_slice(&b[j..]);
    all
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn as_sets(a in set(), b in set(), c in set()) {
            let list = |set: &BTreeSet<u32>| set.iter().copied().collect::<Vec<_>>();
            let mut both = list(&a);
            retain_in(&mut both, &list(&b), true);
            prop_assert_eq!(both, list(&(&a & &b)));
            prop_assert_eq!(common(&list(&a), &list(&b)).collect::<Vec<_>>(), list(&(&a & &b)));
            let mut less = list(&a);
            retain_in(&mut less, &list(&b), false);
            prop_assert_eq!(less, list(&(&a - &b)));
            prop_assert_eq!(union(&[&list(&a), &list(&b)]), list(&(&a | &b)));
            prop_assert_eq!(union(&[&list(&a), &list(&b), &list(&c)]), list(&(&(&a | &b) | &c)));
            let mut built = Vec::new();
            a.iter().rev().chain(&b).for_each(|id| insert(&mut built, *id));
            prop_assert_eq!(built, list(&(&a | &b)));
        }
    }

    fn set() -> impl Strategy<Value = BTreeSet<u32>> {
        proptest::collection::btree_set(0u32..300, 0..80)
    }
}
