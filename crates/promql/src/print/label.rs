//! Label names and matchers, quoted where they must be.

use std::borrow::Cow;

use nave_model::label::is_legacy_name;
use nave_model::matcher::Matcher;

use crate::quote::{quote, quote_into};

fn label_name(name: &str) -> Cow<'_, str> {
    if is_legacy_name(name) { Cow::Borrowed(name) } else { Cow::Owned(quote(name.as_bytes())) }
}

/// `a, "b.c"`
pub(crate) fn label_list(labels: &[String]) -> String {
    let names: Vec<_> = labels.iter().map(|label| label_name(label)).collect();
    names.join(", ")
}

/// `a="b"`
pub(crate) fn show_matcher(matcher: &Matcher) -> String {
    let mut out = label_name(matcher.name()).into_owned();
    out.push_str(matcher.op().as_str());
    quote_into(&mut out, matcher.value().as_bytes());
    out
}
