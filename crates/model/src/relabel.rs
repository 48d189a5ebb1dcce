//! Relabelling: rules that change or drop a label set. Used for targets, scraped series, alerts and
//! remote write, always in the same way.
//!
//! Not here: which labels a stage adds before or removes after.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use md5::{Digest, Md5};
use serde::de::{Deserializer, Error as _};
use serde::ser::Serializer;
use serde::{Deserialize, Serialize};

use crate::label::{Builder, is_legacy_metric_name, is_legacy_name};
use crate::regex::{Regex, RegexError};

const DEFAULT_SEPARATOR: &str = ";";
const DEFAULT_REPLACEMENT: &str = "$1";
const DEFAULT_REGEX: &str = "(.*)";

/// Which names of metrics and labels are accepted (upstream `metric_name_validation_scheme`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(try_from = "String", into = "&'static str")]
pub enum NameScheme {
    /// Any UTF-8 text that is not empty.
    #[default]
    Utf8,
    /// `[a-zA-Z_][a-zA-Z0-9_]*`, with colons for metrics.
    Legacy,
}

impl NameScheme {
    /// Whether `name` may name a label.
    #[must_use]
    pub fn allows_label(self, name: &str) -> bool {
        !name.is_empty() && (self == Self::Utf8 || is_legacy_name(name))
    }

    /// Whether `name` may name a metric.
    #[must_use]
    pub fn allows_metric(self, name: &str) -> bool {
        !name.is_empty() && (self == Self::Utf8 || is_legacy_metric_name(name))
    }
}

impl FromStr for NameScheme {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "utf8" => Ok(Self::Utf8),
            "legacy" => Ok(Self::Legacy),
            _ => Err(format!("unrecognized ValidationScheme: {text:?}")),
        }
    }
}

impl TryFrom<String> for NameScheme {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<NameScheme> for &'static str {
    fn from(scheme: NameScheme) -> Self {
        match scheme {
            NameScheme::Utf8 => "utf8",
            NameScheme::Legacy => "legacy",
        }
    }
}

/// What a rule does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the names are the documentation users have
pub enum Action {
    Replace,
    Keep,
    Drop,
    KeepEqual,
    DropEqual,
    HashMod,
    LabelMap,
    LabelDrop,
    LabelKeep,
    Lowercase,
    Uppercase,
}

impl Action {
    const ALL: [(Self, &'static str); 11] = [
        (Self::Replace, "replace"),
        (Self::Keep, "keep"),
        (Self::Drop, "drop"),
        (Self::KeepEqual, "keepequal"),
        (Self::DropEqual, "dropequal"),
        (Self::HashMod, "hashmod"),
        (Self::LabelMap, "labelmap"),
        (Self::LabelDrop, "labeldrop"),
        (Self::LabelKeep, "labelkeep"),
        (Self::Lowercase, "lowercase"),
        (Self::Uppercase, "uppercase"),
    ];
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = Self::ALL.iter().find(|(action, _)| action == self).map_or("", |(_, name)| name);
        f.write_str(name)
    }
}

impl FromStr for Action {
    type Err = RelabelError;

    /// Upper and lower case are the same.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let lower = text.to_lowercase();
        let known = Self::ALL.iter().find(|(_, name)| *name == lower);
        known.map(|(action, _)| *action).ok_or_else(|| RelabelError::UnknownAction(text.to_owned()))
    }
}

/// Why a rule was refused; the texts are upstream's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RelabelError {
    /// `action:` with nothing behind it.
    #[error("relabel action cannot be empty")]
    NoAction,
    /// None of the eleven.
    #[error("unknown relabel action {0:?}")]
    UnknownAction(String),
    /// Not RE2.
    #[error(transparent)]
    Regex(#[from] RegexError),
    /// `hashmod` by nothing.
    #[error("relabel configuration for hashmod requires non-zero modulus")]
    NoModulus,
    /// Nowhere to put the result.
    #[error("relabel configuration for {0} action requires 'target_label' value")]
    NoTarget(Action),
    /// Not a label name.
    #[error("{name:?} is invalid '{field}' for {action} action")]
    InvalidName {
        /// As written.
        name: String,
        /// Which field.
        field: &'static str,
        /// Of which action.
        action: Action,
    },
    /// `lowercase`, `uppercase` and the like take the value as it is.
    #[error("'replacement' can not be set for {0} action")]
    Replacement(Action),
    /// Fields that the action would ignore.
    #[error("{0} action requires only {1}, and no other fields")]
    OtherFields(Action, &'static str),
}

/// One rule, checked. Reads and prints as `relabel_config`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct RelabelConfig {
    source_labels: Option<Vec<String>>,
    separator: String,
    regex: Regex,
    /// Whether the regex was written or is the default.
    regex_written: bool,
    modulus: u64,
    target_label: String,
    replacement: String,
    action: Action,
}

/// The fields as they stand in a file.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    source_labels: Option<Vec<String>>,
    #[serde(default = "default_separator")]
    separator: Option<String>,
    // Compiled where it is read, so that the error has its place.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        serialize_with = "regex_text",
        deserialize_with = "regex"
    )]
    regex: Option<Regex>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    modulus: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    target_label: Option<String>,
    #[serde(default = "default_replacement")]
    replacement: Option<String>,
    #[serde(default = "default_action")]
    action: Option<String>,
}

// `key:` without a value leaves the default for these, as it does upstream.
fn default_separator() -> Option<String> {
    Some(DEFAULT_SEPARATOR.to_owned())
}

fn default_replacement() -> Option<String> {
    Some(DEFAULT_REPLACEMENT.to_owned())
}

fn default_action() -> Option<String> {
    Some(Action::Replace.to_string())
}

fn regex<'de, D: Deserializer<'de>>(from: D) -> Result<Option<Regex>, D::Error> {
    let text = Option::<String>::deserialize(from)?;
    text.map(|text| Regex::anchored(&text)).transpose().map_err(D::Error::custom)
}

#[allow(clippy::ref_option)] // serde gives the reference
fn regex_text<S: Serializer>(regex: &Option<Regex>, serializer: S) -> Result<S::Ok, S::Error> {
    regex.as_ref().map(Regex::as_str).serialize(serializer)
}

impl TryFrom<Written> for RelabelConfig {
    type Error = RelabelError;

    fn try_from(written: Written) -> Result<Self, Self::Error> {
        let action = written.action.unwrap_or_default();
        if action.is_empty() {
            return Err(RelabelError::NoAction);
        }
        let regex_written = written.regex.is_some();
        let rule = Self {
            source_labels: written.source_labels,
            separator: written.separator.or_else(default_separator).unwrap_or_default(),
            regex: written.regex.map_or_else(|| Regex::anchored(DEFAULT_REGEX), Ok)?,
            regex_written,
            modulus: written.modulus.unwrap_or(0),
            target_label: written.target_label.unwrap_or_default(),
            replacement: written.replacement.or_else(default_replacement).unwrap_or_default(),
            action: action.parse()?,
        };
        rule.validate(NameScheme::Utf8)?;
        Ok(rule)
    }
}

impl From<RelabelConfig> for Written {
    fn from(rule: RelabelConfig) -> Self {
        Self {
            source_labels: rule.source_labels,
            separator: Some(rule.separator),
            regex: rule.regex_written.then_some(rule.regex),
            modulus: Some(rule.modulus).filter(|modulus| *modulus != 0),
            target_label: Some(rule.target_label).filter(|label| !label.is_empty()),
            replacement: Some(rule.replacement),
            action: Some(rule.action.to_string()),
        }
    }
}

/// What becomes of a label set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Verdict {
    /// It goes on, changed or not.
    Keep,
    /// It is dropped.
    Drop,
}

impl RelabelConfig {
    /// What the rule does.
    #[must_use]
    pub fn action(&self) -> Action {
        self.action
    }

    /// Checks the rule under a naming scheme. Reading from a file has checked it under UTF-8.
    ///
    /// # Errors
    /// When the action lacks a field, has one too many, or names what is no label name.
    pub fn validate(&self, scheme: NameScheme) -> Result<(), RelabelError> {
        use Action::{
            DropEqual, HashMod, KeepEqual, LabelDrop, LabelKeep, LabelMap, Lowercase, Replace, Uppercase,
        };
        let action = self.action;
        if action == HashMod && self.modulus == 0 {
            return Err(RelabelError::NoModulus);
        }
        let sets = matches!(action, Replace | HashMod | Lowercase | Uppercase | KeepEqual | DropEqual);
        if sets && self.target_label.is_empty() {
            return Err(RelabelError::NoTarget(action));
        }
        let invalid = |name: &str, field| {
            Err(RelabelError::InvalidName { name: name.to_owned(), field, action: self.action })
        };
        let template = action == Replace && has_reference(&self.target_label);
        if template && !allows_template(scheme, &self.target_label)
            || sets && !template && !scheme.allows_label(&self.target_label)
        {
            return invalid(&self.target_label, "target_label");
        }
        let replaces = self.replacement != DEFAULT_REPLACEMENT;
        if matches!(action, Lowercase | Uppercase | KeepEqual | DropEqual) && replaces {
            return Err(RelabelError::Replacement(action));
        }
        if action == LabelMap && !allows_template(scheme, &self.replacement) {
            return invalid(&self.replacement, "replacement");
        }
        let plain = self.modulus == 0 && self.separator == DEFAULT_SEPARATOR && !replaces;
        let plain_regex = self.regex.as_str() == DEFAULT_REGEX;
        if matches!(action, DropEqual | KeepEqual) && !(plain && plain_regex) {
            return Err(RelabelError::OtherFields(action, "'source_labels' and `target_label`"));
        }
        let by_name_only = plain && self.source_labels.is_none() && self.target_label.is_empty();
        if matches!(action, LabelDrop | LabelKeep) && !by_name_only {
            return Err(RelabelError::OtherFields(action, "'regex'"));
        }
        Ok(())
    }

    /// Applies this rule.
    pub fn apply(&self, labels: &mut Builder) -> Verdict {
        let keep_if = |keep| if keep { Verdict::Keep } else { Verdict::Drop };
        match self.action {
            Action::Keep => return keep_if(self.regex.is_match(&self.source(labels))),
            Action::Drop => return keep_if(!self.regex.is_match(&self.source(labels))),
            Action::KeepEqual => return keep_if(labels.get(&self.target_label) == self.source(labels)),
            Action::DropEqual => return keep_if(labels.get(&self.target_label) != self.source(labels)),
            Action::Replace => self.replace(labels),
            Action::Lowercase => self.set(labels, str::to_lowercase),
            Action::Uppercase => self.set(labels, str::to_uppercase),
            Action::HashMod => self.set(labels, |value| (hash(value) % self.modulus).to_string()),
            Action::LabelMap => self.map_names(labels),
            Action::LabelDrop => _ = labels.retain(|name, _| !self.regex.is_match(name)),
            Action::LabelKeep => _ = labels.retain(|name, _| self.regex.is_match(name)),
        }
        Verdict::Keep
    }

    /// The values of the source labels, joined.
    fn source<'a>(&self, labels: &'a Builder) -> Cow<'a, str> {
        let mut names = self.source_labels.as_deref().unwrap_or_default().iter();
        let mut value = Cow::Borrowed(names.next().map_or("", |name| labels.get(name)));
        for name in names {
            let joined = value.to_mut();
            joined.push_str(&self.separator);
            joined.push_str(labels.get(name));
        }
        value
    }

    fn set(&self, labels: &mut Builder, change: impl Fn(&str) -> String) {
        let value = change(&self.source(labels));
        labels.set(&self.target_label, &value);
    }

    fn replace(&self, labels: &mut Builder) {
        let source = self.source(labels);
        let fixed = !has_reference(&self.target_label) && !has_reference(&self.replacement);
        if fixed {
            if self.regex.is_match(&source) {
                labels.set(&self.target_label, &self.replacement);
            }
            return;
        }
        let Some(captures) = self.regex.captures(&source) else { return };
        let target = captures.expand(&self.target_label);
        let value = captures.expand(&self.replacement);
        drop(source);
        if !target.is_empty() {
            labels.set(&target, &value);
        }
    }

    fn map_names(&self, labels: &mut Builder) {
        let mapped: Vec<(String, String)> = labels
            .pairs()
            .iter()
            .filter_map(|(name, value)| {
                self.regex.replace(name, &self.replacement).map(|new| (new, value.clone()))
            })
            .filter(|(new, _)| !new.is_empty())
            .collect();
        for (name, value) in mapped {
            labels.set(&name, &value);
        }
    }
}

/// Applies `rules` in order until one drops.
pub fn process(labels: &mut Builder, rules: &[RelabelConfig]) -> Verdict {
    for rule in rules {
        if rule.apply(labels) == Verdict::Drop {
            return Verdict::Drop;
        }
    }
    Verdict::Keep
}

/// The low half of the MD5 of `value`, as upstream shards by it.
fn hash(value: &str) -> u64 {
    let sum = Md5::digest(value.as_bytes());
    sum[8..].iter().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

fn has_reference(template: &str) -> bool {
    template.contains('$')
}

/// Whether `template` can become a label name: letters, digits, underscores and references `$1`, `${name}`,
/// where the first thing is no digit.
fn allows_template(scheme: NameScheme, template: &str) -> bool {
    if scheme == NameScheme::Utf8 {
        return !template.is_empty();
    }
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut rest = template;
    while let Some(c) = rest.chars().next() {
        let body = match rest.strip_prefix('$') {
            Some(after) => after,
            None if is_word(c) && !(rest.len() == template.len() && c.is_ascii_digit()) => {
                rest = &rest[1..];
                continue;
            }
            None => return false,
        };
        let name = body.strip_prefix('{').unwrap_or(body);
        let after = name.trim_start_matches(is_word);
        let closed = if name.len() == body.len() { Some(after) } else { after.strip_prefix('}') };
        match closed {
            Some(closed) if after.len() < name.len() => rest = closed,
            _ => return false,
        }
    }
    !template.is_empty()
}

#[cfg(test)]
#[path = "relabel_tests.rs"]
mod tests;
