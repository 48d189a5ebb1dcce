//! How many dashboard expressions per second one core parses and type-checks.
//! `cargo run --release -p nave-promql --example parse_speed`

#[path = "../tests/common/mod.rs"]
mod common;

use std::hint::black_box;
use std::time::Instant;

use nave_promql::parse::{ParseOptions, parse};

fn main() {
    let Some(queries) = common::dashboard_queries() else { return };
    measure("as they are", &queries);
    // What remains is the parser: compiling patterns belongs to the matchers.
    let plain: Vec<String> =
        queries.iter().map(|query| query.replace("=~", "=").replace("!~", "!=")).collect();
    measure("without patterns", &plain);
}

fn measure(what: &str, queries: &[String]) {
    let bytes: usize = queries.iter().map(String::len).sum();
    let rounds = 40;
    let started = Instant::now();
    for _ in 0..rounds {
        for query in queries {
            black_box(parse(query, &ParseOptions::default())).ok();
        }
    }
    let seconds = started.elapsed().as_secs_f64();
    let count = (rounds * queries.len()) as f64;
    common::note(&format!(
        "{what}: {:.0} expressions/s, {:.2} us each, {:.0} bytes on average",
        count / seconds,
        seconds / count * 1e6,
        bytes as f64 / queries.len() as f64
    ));
}
