//! Plans: a random query over random data has the same answer, error and annotations under any rewrites as under none.

use std::sync::{Arc, OnceLock};

use nave_model::select::Select;
use nave_promql::Rewrites;
use nave_promql::testing::{Choices, Data, Grammar, difference};

/// Sets of random data; a query meets one of them.
const SETS: usize = 8;
/// When they end, in ms.
const NOW: i64 = 1_700_000_000_000;

type Stored = (Data, Arc<dyn Select>);

/// Checks the query that `choices` lead to.
pub fn promql_execute(choices: &[u8]) {
    static ALL: [OnceLock<Stored>; SETS] = [const { OnceLock::new() }; SETS];
    let mut choices = Choices::of(choices);
    let set = choices.usize(0..SETS);
    // One at a time: all of them would take longer than an input may.
    let (data, store) = ALL[set].get_or_init(|| {
        let data = Data::new(set as u64, NOW);
        let store: Arc<dyn Select> = data.stored();
        (data, store)
    });
    // Half of the time all rewrites, else any of them.
    let rewrites = if choices.bool() { Rewrites::of(choices.u32(0..1 << 16) as u16) } else { Rewrites::ALL };
    let mut grammar = Grammar::choosing(choices);
    let when = data.when(&mut grammar);
    let query = grammar.query().to_string();
    if let Some(found) = difference(store, &query, when, rewrites) {
        panic!("{found}");
    }
}
