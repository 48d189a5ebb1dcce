//! `otlp`: how OpenTelemetry metrics become series.

use std::collections::BTreeSet;

use nave_remote::receive::{OtlpSettings, Promote, TranslationStrategy};
use serde::{Deserialize, Serialize};

/// The `otlp` section (features F5).
#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(try_from = "Written")]
pub(crate) struct Otlp(Written);

#[derive(Debug, Clone, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default)]
    promote_all_resource_attributes: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    promote_resource_attributes: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ignore_resource_attributes: Option<Vec<String>>,
    #[serde(default)]
    translation_strategy: Strategy,
    #[serde(default)]
    keep_identifying_resource_attributes: bool,
    #[serde(default)]
    convert_histograms_to_nhcb: bool,
    #[serde(default)]
    promote_scope_metadata: bool,
    #[serde(default = "yes")]
    label_name_underscore_sanitization: bool,
    #[serde(default = "yes")]
    label_name_preserve_multiple_underscores: bool,
}

fn yes() -> bool {
    true
}

/// What becomes of names that are not in the old alphabet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Deserialize, Serialize)]
#[serde(try_from = "String")]
enum Strategy {
    #[default]
    UnderscoreEscapingWithSuffixes,
    UnderscoreEscapingWithoutSuffixes,
    NoUTF8EscapingWithSuffixes,
    NoTranslation,
}

impl TryFrom<String> for Strategy {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "" | "UnderscoreEscapingWithSuffixes" => Ok(Self::UnderscoreEscapingWithSuffixes),
            "UnderscoreEscapingWithoutSuffixes" => Ok(Self::UnderscoreEscapingWithoutSuffixes),
            "NoUTF8EscapingWithSuffixes" => Ok(Self::NoUTF8EscapingWithSuffixes),
            "NoTranslation" => Ok(Self::NoTranslation),
            _ => Err(format!("unsupported OTLP translation strategy {text:?}")),
        }
    }
}

impl TryFrom<Written> for Otlp {
    type Error = String;

    fn try_from(mut written: Written) -> Result<Self, String> {
        let is_set = |list: &Option<Vec<String>>| list.as_ref().is_some_and(|list| !list.is_empty());
        if written.promote_all_resource_attributes {
            if is_set(&written.promote_resource_attributes) {
                return Err("'promote_all_resource_attributes' and 'promote_resource_attributes' cannot be \
                            configured simultaneously"
                    .to_owned());
            }
        } else if is_set(&written.ignore_resource_attributes) {
            return Err("'ignore_resource_attributes' cannot be configured unless \
                        'promote_all_resource_attributes' is true"
                .to_owned());
        }
        tidy("promote_resource_attributes", &mut written.promote_resource_attributes)?;
        tidy("ignore_resource_attributes", &mut written.ignore_resource_attributes)?;
        Ok(Self(written))
    }
}

/// Removes white space around names and repeated names.
fn tidy(field: &str, names: &mut Option<Vec<String>>) -> Result<(), String> {
    let Some(names) = names else { return Ok(()) };
    let mut seen = BTreeSet::new();
    let mut tidied = Vec::new();
    for name in names.iter().map(|name| name.trim()) {
        if name.is_empty() {
            return Err(format!("invalid '{field}': an attribute's name is empty"));
        }
        if seen.insert(name) {
            tidied.push(name.to_owned());
        }
    }
    *names = tidied;
    Ok(())
}

impl Otlp {
    /// What the receiver works by.
    pub(super) fn settings(&self, lookback_ms: i64) -> OtlpSettings {
        let Self(written) = self;
        let names = |list: &Option<Vec<String>>| list.iter().flatten().cloned().collect();
        let (escape, suffixes) = match written.translation_strategy {
            Strategy::UnderscoreEscapingWithSuffixes => (true, true),
            Strategy::UnderscoreEscapingWithoutSuffixes => (true, false),
            Strategy::NoUTF8EscapingWithSuffixes => (false, true),
            Strategy::NoTranslation => (false, false),
        };
        OtlpSettings {
            strategy: TranslationStrategy { escape, suffixes },
            promote: if written.promote_all_resource_attributes {
                Promote::AllBut(names(&written.ignore_resource_attributes))
            } else {
                Promote::Only(names(&written.promote_resource_attributes))
            },
            keep_identifying: written.keep_identifying_resource_attributes,
            convert_histograms: written.convert_histograms_to_nhcb,
            promote_scope: written.promote_scope_metadata,
            prefix_underscore: written.label_name_underscore_sanitization,
            keep_underscores: written.label_name_preserve_multiple_underscores,
            lookback_ms,
        }
    }

    /// Refuses strategies that make names which the old alphabet does not have.
    pub(super) fn check_legacy_names(&self) -> Result<(), String> {
        let strategy = self.0.translation_strategy;
        match strategy {
            Strategy::UnderscoreEscapingWithSuffixes | Strategy::UnderscoreEscapingWithoutSuffixes => Ok(()),
            Strategy::NoUTF8EscapingWithSuffixes | Strategy::NoTranslation => Err(format!(
                "OTLP translation strategy \"{strategy:?}\" is not allowed when UTF8 is disabled"
            )),
        }
    }
}
