//! The labels of a series: attributes of the point, promoted ones of the resource, the scope, `job` and `instance`.

use std::collections::BTreeMap;

use super::attribute::Attribute;
use super::name;
use super::{Promote, Settings};

/// Resource attributes that become `job` and `instance`.
const NAMESPACE: &str = "service.namespace";
const NAME: &str = "service.name";
const INSTANCE: &str = "service.instance.id";

/// Labels by name; an empty value is no label.
pub(super) type LabelMap = BTreeMap<String, String>;

/// What a resource gives to its series.
#[derive(Default)]
pub(super) struct Resource {
    attributes: Vec<Attribute>,
    /// Promoted attributes in order of their names.
    promoted: Vec<(String, String)>,
    /// `job` and `instance`.
    identity: Vec<(&'static str, String)>,
}

/// What a scope gives to its series.
#[derive(Default)]
pub(super) struct Scope {
    pub(super) name: String,
    pub(super) version: String,
    pub(super) schema_url: String,
    pub(super) attributes: Vec<Attribute>,
}

impl Resource {
    pub(super) fn new(attributes: Vec<Attribute>, settings: &Settings) -> Self {
        let of = |key: &str| attributes.iter().find(|one| one.key == key).map(|one| one.value.as_str());
        let mut identity = Vec::new();
        if let Some(name) = of(NAME) {
            let job =
                of(NAMESPACE).map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"));
            identity.push(("job", job));
        }
        identity.extend(of(INSTANCE).map(|instance| ("instance", instance.to_owned())));
        let wanted = |one: &&Attribute| match &settings.promote {
            Promote::Only(names) => names.contains(&one.key),
            Promote::AllBut(names) => !names.contains(&one.key),
        };
        let mut chosen: Vec<_> = attributes.iter().filter(wanted).collect();
        chosen.sort_by(|a, b| a.key.cmp(&b.key));
        let named = |one: &Attribute| Some((name::label(&one.key, settings)?, one.value.clone()));
        let promoted = chosen.into_iter().filter_map(named).collect();
        Self { attributes, promoted, identity }
    }

    /// The labels of `target_info`; `None` where it would say nothing, or not of whom.
    pub(super) fn info(&self, settings: &Settings) -> Option<LabelMap> {
        let identifies = |one: &Attribute| [NAMESPACE, NAME, INSTANCE].contains(&one.key.as_str());
        if self.identity.is_empty() || self.attributes.iter().all(identifies) {
            return None;
        }
        let shown = self.attributes.iter().filter(|one| settings.keep_identifying || !identifies(one));
        let mut labels = merged(shown, settings);
        self.identify(&mut labels);
        Some(labels)
    }

    fn identify(&self, labels: &mut LabelMap) {
        labels.extend(self.identity.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    }
}

/// The labels of a point, without its name.
pub(super) fn of_point(
    resource: &Resource,
    scope: &Scope,
    attributes: &[Attribute],
    settings: &Settings,
) -> LabelMap {
    let mut labels = merged(attributes.iter(), settings);
    for (name, value) in &resource.promoted {
        labels.entry(name.clone()).or_insert_with(|| value.clone());
    }
    if settings.promote_scope && !scope.name.is_empty() {
        let own = [
            ("otel_scope_name", &scope.name),
            ("otel_scope_version", &scope.version),
            ("otel_scope_schema_url", &scope.schema_url),
        ];
        labels.extend(own.map(|(name, value)| (name.to_owned(), value.clone())));
        let named = |one: &Attribute| {
            let name = name::label(&format!("otel_scope_{}", one.key), settings)?;
            Some((name, one.value.clone()))
        };
        labels.extend(scope.attributes.iter().filter_map(named));
    }
    resource.identify(&mut labels);
    labels
}

/// Attributes under the names of labels; where two get one name, their values are joined in the order of the keys.
fn merged<'a>(attributes: impl Iterator<Item = &'a Attribute>, settings: &Settings) -> LabelMap {
    let mut sorted: Vec<_> = attributes.collect();
    sorted.sort_by(|a, b| a.key.cmp(&b.key));
    let mut labels = LabelMap::new();
    for Attribute { key, value } in sorted {
        let Some(name) = name::label(key, settings) else { continue };
        labels
            .entry(name)
            .and_modify(|known| {
                known.push(';');
                known.push_str(value);
            })
            .or_insert_with(|| value.clone());
    }
    labels
}
