//! Plans: a random query over random data has the same answer, error and annotations under any rewrites as under none.

use std::sync::{Arc, LazyLock};

use nave_model::select::Select;
use nave_promql::Rewrites;
use nave_promql::testing::{Choices, Data, Grammar, difference};

/// Sets of random data; a query meets one of them.
const SETS: u64 = 16;
/// When they end, in ms.
const NOW: i64 = 1_700_000_000_000;

type Stored = (Data, Arc<dyn Select>);

/// Checks the query that `choices` lead to.
pub fn promql_execute(choices: &[u8]) {
    static ALL: LazyLock<Vec<Stored>> = LazyLock::new(|| {
        let one = |seed| {
            let data = Data::new(seed, NOW);
            let store: Arc<dyn Select> = data.stored();
            (data, store)
        };
        (0..SETS).map(one).collect()
    });
    let mut choices = Choices::of(choices);
    let (data, store) = &ALL[choices.usize(0..ALL.len())];
    // Half of the time all rewrites, else any of them.
    let rewrites = match choices.bool() {
        true => Rewrites::of(choices.u32(0..1 << 16) as u16),
        false => Rewrites::ALL,
    };
    let mut grammar = Grammar::choosing(choices);
    let when = data.when(&mut grammar);
    let query = grammar.query().to_string();
    if let Some(found) = difference(store, &query, when, rewrites) {
        panic!("{found}");
    }
}
