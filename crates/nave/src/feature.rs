//! Features of the query engine by upstream's names, for commands that run queries without a server.

use anyhow::{Result, bail};
use nave_promql::EngineOptions;

/// Switches `features` on.
///
/// A server ignores names it does not know, as upstream's does, because a feature may belong to another
/// part. Here a wrong name would silently test something else, so it is refused.
pub(crate) fn enable(options: &mut EngineOptions, features: &[String]) -> Result<()> {
    for feature in features {
        match feature.as_str() {
            "promql-delayed-name-removal" => options.delayed_name_removal = true,
            "use-start-timestamps" => options.use_start_timestamps = true,
            other if options.parse.enable(other) => {}
            other => bail!(
                "unknown feature {other:?} of the query engine, expected one of \
                 promql-experimental-functions, promql-extended-range-selectors, \
                 promql-binop-fill-modifiers, promql-duration-expr, promql-delayed-name-removal, \
                 use-start-timestamps"
            ),
        }
    }
    Ok(())
}
