//! Queries: parsing never panics; what is printed parses to what prints the same.

use nave_promql::{ParseOptions, parse, parse_selector};

/// Checks one query.
pub fn promql(query: &[u8]) {
    let Ok(query) = std::str::from_utf8(query) else { return };
    let _ = parse_selector(query, &ParseOptions::ALL);
    let _ = parse(query, &ParseOptions::default());
    let Ok(expr) = parse(query, &ParseOptions::ALL) else { return };
    for printed in [expr.to_string(), expr.pretty()] {
        let again = parse(&printed, &ParseOptions::ALL);
        let again = again.unwrap_or_else(|errors| panic!("{query:?} prints as {printed:?}: {errors}"));
        assert_eq!(again.to_string(), expr.to_string(), "{query:?} prints as {printed:?}");
    }
}
