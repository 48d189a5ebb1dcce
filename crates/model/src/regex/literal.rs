//! What a pattern says about its matches before it is run: the whole set of them when it is small,
//! else the text that all begin with. The label index looks these up instead of scanning.

use regex_syntax::hir::{Class, Hir, HirKind, Look};

/// Concatenations may multiply their parts up to this; a plain alternation may be longer.
const PRODUCT_MAX: usize = 256;
/// Longest alternation that is kept as a set.
const SET_MAX: usize = 100_000;

/// Every text that `hir` matches as a whole, in order of preference and without repeats; `None` when they are
/// many or no finite set.
pub(super) fn alternatives(hir: &Hir) -> Option<Vec<String>> {
    let mut set = set_of(without_anchors(hir).iter().copied())?;
    let mut seen = std::collections::HashSet::new();
    set.retain(|text| seen.insert(text.clone()));
    Some(set)
}

/// Text that every match begins with.
pub(super) fn prefix(hir: &Hir) -> String {
    let mut prefix = String::new();
    for part in without_anchors(hir) {
        let (more, exact) = prefix_of(part);
        prefix.push_str(&more);
        if !exact {
            break;
        }
    }
    prefix
}

/// What stands before or behind the text of a [`Shape`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gap {
    /// Nothing.
    None,
    /// `.*`
    Any,
    /// `.+`
    Some,
}

/// A text with anything before or behind it: `x`, `x.*`, `.*x.*`, `x.+`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Shape {
    before: Gap,
    text: String,
    behind: Gap,
}

/// Shapes that are tried one after the other are quicker than a compiled pattern up to this many.
const SHAPES_MAX: usize = 16;

impl Shape {
    /// Whether all of `text` has this shape.
    pub(super) fn is_match(&self, text: &str) -> bool {
        let own = self.text.as_str();
        let fits = |gap: Gap, rest: usize| match gap {
            Gap::None => rest == 0,
            Gap::Any => true,
            Gap::Some => rest > 0,
        };
        match (self.before, self.behind) {
            (Gap::None, behind) => text.strip_prefix(own).is_some_and(|rest| fits(behind, rest.len())),
            (before, Gap::None) => text.strip_suffix(own).is_some_and(|rest| fits(before, rest.len())),
            (Gap::Any, Gap::Any) => text.contains(own),
            (before, behind) => (0..=text.len().saturating_sub(own.len())).any(|at| {
                let rest = text.get(at..).and_then(|rest| rest.strip_prefix(own));
                rest.is_some_and(|rest| fits(before, at) && fits(behind, rest.len()))
            }),
        }
    }
}

/// The shapes whose union `hir` is; `None` when it is something else, or too many.
pub(super) fn shapes(hir: &Hir) -> Option<Vec<Shape>> {
    match without_anchors(hir).as_slice() {
        [one] => match one.kind() {
            HirKind::Capture(capture) => shapes(&capture.sub),
            HirKind::Alternation(all) if all.len() <= SHAPES_MAX => {
                all.iter().map(|part| shape(&without_anchors(part))).collect()
            }
            _ => shape(&[one]).map(|shape| vec![shape]),
        },
        parts => shape(parts).map(|shape| vec![shape]),
    }
}

fn shape(parts: &[&Hir]) -> Option<Shape> {
    let (before, parts) = match parts.split_first() {
        Some((first, rest)) if gap(first) != Gap::None => (gap(first), rest),
        _ => (Gap::None, parts),
    };
    let (behind, parts) = match parts.split_last() {
        Some((last, rest)) if gap(last) != Gap::None => (gap(last), rest),
        _ => (Gap::None, parts),
    };
    let text = parts.iter().map(|part| match part.kind() {
        HirKind::Literal(literal) => std::str::from_utf8(&literal.0).ok(),
        _ => None,
    });
    let text: String = text.collect::<Option<_>>()?;
    (!text.is_empty()).then_some(Shape { before, text, behind })
}

/// `.*` and `.+`, in parentheses or not.
fn gap(hir: &Hir) -> Gap {
    let repeat = match hir.kind() {
        HirKind::Capture(capture) => return gap(&capture.sub),
        HirKind::Repetition(repeat) if repeat.max.is_none() => repeat,
        _ => return Gap::None,
    };
    let HirKind::Class(Class::Unicode(class)) = repeat.sub.kind() else { return Gap::None };
    let is_dot = matches!(class.ranges(), [all] if all.start() == '\0' && all.end() == char::MAX);
    match repeat.min {
        0 if is_dot => Gap::Any,
        1 if is_dot => Gap::Some,
        _ => Gap::None,
    }
}

/// The parts of a concatenation, without `^` before and `$` after: the whole text is matched anyway.
fn without_anchors(hir: &Hir) -> Vec<&Hir> {
    let mut parts: &[Hir] = match hir.kind() {
        HirKind::Concat(parts) => parts,
        _ => std::slice::from_ref(hir),
    };
    while let Some((first, rest)) = parts.split_first() {
        match first.kind() {
            HirKind::Look(Look::Start) => parts = rest,
            _ => break,
        }
    }
    while let Some((last, rest)) = parts.split_last() {
        match last.kind() {
            HirKind::Look(Look::End) => parts = rest,
            _ => break,
        }
    }
    parts.iter().collect()
}

fn set_of<'a>(parts: impl Iterator<Item = &'a Hir>) -> Option<Vec<String>> {
    let mut all = vec![String::new()];
    for part in parts {
        let more = set(part)?;
        let product = all.len().checked_mul(more.len())?;
        if product > PRODUCT_MAX.max(all.len()).max(more.len()) {
            return None;
        }
        all = all.iter().flat_map(|head| more.iter().map(move |tail| format!("{head}{tail}"))).collect();
    }
    Some(all)
}

fn set(hir: &Hir) -> Option<Vec<String>> {
    match hir.kind() {
        HirKind::Empty => Some(vec![String::new()]),
        HirKind::Literal(literal) => Some(vec![String::from_utf8(literal.0.to_vec()).ok()?]),
        HirKind::Capture(capture) => set(&capture.sub),
        HirKind::Class(Class::Unicode(class)) => {
            let count: usize = class.ranges().iter().map(|r| r.end() as usize - r.start() as usize + 1).sum();
            let chars = || class.ranges().iter().flat_map(|range| range.start()..=range.end());
            (count <= PRODUCT_MAX).then(|| chars().map(String::from).collect())
        }
        HirKind::Repetition(repeat) if (repeat.min, repeat.max) == (0, Some(1)) => {
            let mut either = set(&repeat.sub)?;
            either.push(String::new());
            Some(either)
        }
        HirKind::Concat(parts) => set_of(parts.iter()),
        HirKind::Alternation(parts) => {
            let mut all = Vec::new();
            for part in parts {
                all.append(&mut set(part)?);
                if all.len() > SET_MAX {
                    return None;
                }
            }
            Some(all)
        }
        HirKind::Class(Class::Bytes(_)) | HirKind::Look(_) | HirKind::Repetition(_) => None,
    }
}

/// The prefix, and whether it is all that this part matches.
fn prefix_of(hir: &Hir) -> (String, bool) {
    match hir.kind() {
        HirKind::Empty => (String::new(), true),
        HirKind::Literal(literal) => match std::str::from_utf8(&literal.0) {
            Ok(text) => (text.to_owned(), true),
            Err(_) => (String::new(), false),
        },
        HirKind::Capture(capture) => prefix_of(&capture.sub),
        HirKind::Repetition(repeat) if repeat.min > 0 => (prefix_of(&repeat.sub).0, false),
        HirKind::Concat(parts) => {
            let mut prefix = String::new();
            for part in parts {
                let (more, exact) = prefix_of(part);
                prefix.push_str(&more);
                if !exact {
                    return (prefix, false);
                }
            }
            (prefix, true)
        }
        HirKind::Alternation(parts) => {
            let mut prefixes = parts.iter().map(|part| prefix_of(part).0);
            let first = prefixes.next().unwrap_or_default();
            (prefixes.fold(first, |common, next| common_prefix(&common, &next).to_owned()), false)
        }
        HirKind::Class(_) | HirKind::Look(_) | HirKind::Repetition(_) => (String::new(), false),
    }
}

fn common_prefix<'a>(a: &'a str, b: &str) -> &'a str {
    let same = a.char_indices().zip(b.chars()).find(|((_, a), b)| a != b);
    let len = same.map_or(a.len().min(b.len()), |((at, _), _)| at);
    &a[..len]
}
