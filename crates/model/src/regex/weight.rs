//! How large a pattern gets when it is compiled, without compiling it.

use regex_syntax::hir::{Class, Hir, HirKind};

/// Whether `hir` weighs more than `max`. A unit is about one state of an automaton, rounded up generously;
/// repetitions count as often as they are written out.
pub(super) fn exceeds(hir: &Hir, max: u64) -> bool {
    weight(hir) > max
}

fn weight(hir: &Hir) -> u64 {
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => 1,
        HirKind::Literal(literal) => literal.0.len() as u64,
        // A range of code points takes up to four bytes in several alternatives.
        HirKind::Class(Class::Unicode(class)) => 16 * class.ranges().len() as u64,
        HirKind::Class(Class::Bytes(class)) => class.ranges().len() as u64,
        HirKind::Repetition(repetition) => {
            let times = repetition.max.unwrap_or(repetition.min.saturating_add(1));
            u64::from(times.max(1)).saturating_mul(weight(&repetition.sub).saturating_add(2))
        }
        HirKind::Capture(capture) => weight(&capture.sub).saturating_add(2),
        HirKind::Concat(parts) | HirKind::Alternation(parts) => {
            parts.iter().map(weight).fold(parts.len() as u64, u64::saturating_add)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repetitions_multiply() {
        let check = |pattern: &str, max: u64, want: bool| {
            let hir = regex_syntax::parse(pattern).unwrap();
            assert_eq!(exceeds(&hir, max), want, "{pattern} {}", weight(&hir));
        };
        check("abc.*", 64, false);
        check("(a{100}){100}", 10_000, true);
        check(r"\pL", 5_000, true);
        check("node-[0-9]+|web.*", 200, false);
    }

    #[test]
    fn light_patterns_compile() {
        for pattern in [r"(\pL[a-z]{200}){2}", "(?:(?:[a-z0-9]{8}){8}){8}", "(a|b|c|[^d]){300}"] {
            let hir = regex_syntax::parse(pattern).unwrap();
            let late = !exceeds(&hir, super::super::WEIGHT_UNCOMPILED_MAX);
            assert!(!late || super::super::compile(pattern).is_ok(), "{pattern} {}", weight(&hir));
        }
    }
}
