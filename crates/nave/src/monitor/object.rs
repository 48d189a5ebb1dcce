//! Typed views of the few Kubernetes objects between a ServiceMonitor and its targets. Fields that nothing here looks at
//! are not read.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result};
use nave_model::relabel::RelabelConfig;
use serde::Deserialize;
use serde_json::Value;

use super::selector::Selector;

/// All objects that were read, by kind.
#[derive(Debug, Default)]
pub(super) struct Objects {
    pub(super) monitors: Vec<Object<MonitorSpec>>,
    pub(super) services: Vec<Object<ServiceSpec>>,
    pub(super) slices: Vec<EndpointSlice>,
    pub(super) namespaces: Vec<Object<NoSpec>>,
    /// Prometheus and PrometheusAgent objects.
    pub(super) collectors: Vec<Object<CollectorSpec>>,
}

/// Name, namespace and labels of an object.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Meta {
    pub(super) name: String,
    #[serde(default = "default_namespace")]
    pub(super) namespace: String,
    #[serde(default)]
    pub(super) labels: BTreeMap<String, String>,
}

/// What kubectl would put an object without a namespace into.
fn default_namespace() -> String {
    "default".to_owned()
}

impl fmt::Display for Meta {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

/// An object whose content stands under `spec`.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Object<S> {
    pub(super) metadata: Meta,
    pub(super) spec: S,
}

/// For objects of which only the metadata counts.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct NoSpec {}

/// `spec` of a ServiceMonitor.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct MonitorSpec {
    #[serde(default)]
    pub(super) selector: Selector,
    #[serde(default)]
    pub(super) namespace_selector: NamespaceChoice,
    #[serde(default)]
    pub(super) endpoints: Vec<Endpoint>,
}

/// In which namespaces a monitor looks for services: its own unless it says otherwise.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct NamespaceChoice {
    #[serde(default)]
    pub(super) any: bool,
    #[serde(default)]
    pub(super) match_names: Vec<String>,
}

/// One endpoint of a monitor.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Endpoint {
    pub(super) port: Option<String>,
    pub(super) target_port: Option<PortName>,
    #[serde(default)]
    pub(super) relabelings: Vec<Relabeling>,
}

/// A port by number or by name.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub(super) enum PortName {
    Number(u16),
    Name(String),
}

impl fmt::Display for PortName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => number.fmt(f),
            Self::Name(name) => write!(f, "{name:?}"),
        }
    }
}

/// A relabelling rule in the operator's spelling.
#[derive(Debug, Clone, Deserialize)]
#[serde(try_from = "Spelled")]
pub(super) struct Relabeling {
    pub(super) rule: RelabelConfig,
    pub(super) source_labels: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spelled {
    source_labels: Option<Vec<String>>,
    separator: Option<Value>,
    target_label: Option<Value>,
    regex: Option<Value>,
    modulus: Option<Value>,
    replacement: Option<Value>,
    action: Option<Value>,
}

impl TryFrom<Spelled> for Relabeling {
    type Error = serde_json::Error;

    fn try_from(spelled: Spelled) -> Result<Self, Self::Error> {
        let fields = [
            ("source_labels", spelled.source_labels.clone().map(Value::from)),
            ("separator", spelled.separator),
            ("target_label", spelled.target_label),
            ("regex", spelled.regex),
            ("modulus", spelled.modulus),
            ("replacement", spelled.replacement),
            ("action", spelled.action),
        ];
        let written = fields.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
        let rule = serde_json::from_value(Value::Object(written.collect()))?;
        Ok(Self { rule, source_labels: spelled.source_labels.unwrap_or_default() })
    }
}

/// `spec` of a Service.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ServiceSpec {
    #[serde(default)]
    pub(super) ports: Vec<ServicePort>,
    #[serde(default)]
    pub(super) selector: BTreeMap<String, String>,
}

/// A port of a Service.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ServicePort {
    pub(super) name: Option<String>,
    pub(super) port: u16,
    pub(super) target_port: Option<PortName>,
}

/// Addresses behind a Service.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct EndpointSlice {
    pub(super) metadata: Meta,
    #[serde(default, deserialize_with = "none_is_empty")]
    pub(super) ports: Vec<SlicePort>,
    #[serde(default, deserialize_with = "none_is_empty")]
    pub(super) endpoints: Vec<SliceEndpoint>,
}

/// kubectl prints `null` for a slice without endpoints.
fn none_is_empty<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de>,
{
    Ok(Option::deserialize(deserializer)?.unwrap_or_default())
}

/// A port of a slice.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct SlicePort {
    #[serde(default)]
    pub(super) name: Option<String>,
    pub(super) port: Option<u16>,
}

/// An endpoint of a slice.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct SliceEndpoint {
    #[serde(default)]
    pub(super) addresses: Vec<String>,
    #[serde(default)]
    pub(super) conditions: Conditions,
    pub(super) target_ref: Option<TargetRef>,
}

/// Whether an endpoint takes requests.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Conditions {
    /// Unknown counts as ready, as the API says.
    pub(super) ready: Option<bool>,
}

/// The object behind an endpoint.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct TargetRef {
    #[serde(default)]
    pub(super) kind: String,
    #[serde(default)]
    pub(super) name: String,
}

/// `spec` of a Prometheus or PrometheusAgent. A selector that is absent selects nothing, an empty one everything; an
/// absent selector of namespaces means the object's own.
#[derive(Debug, Clone, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct CollectorSpec {
    pub(super) service_monitor_selector: Option<Selector>,
    pub(super) service_monitor_namespace_selector: Option<Selector>,
}

impl Objects {
    /// Takes one object, or the items of a list; kinds that do not matter here are left out.
    ///
    /// # Errors
    /// When an object of a kind that matters is not as the API has it.
    pub(super) fn take(&mut self, object: Value) -> Result<()> {
        let kind = object["kind"].as_str().unwrap_or_default().to_owned();
        match kind.as_str() {
            "ServiceMonitor" => self.monitors.push(view(object)?),
            "Service" => self.services.push(view(object)?),
            "EndpointSlice" => self.slices.push(view(object)?),
            "Namespace" => self.namespaces.push(view(object)?),
            "Prometheus" | "PrometheusAgent" => self.collectors.push(view(object)?),
            _ if object["items"].is_array() => {
                if let Value::Object(mut fields) = object
                    && let Some(Value::Array(items)) = fields.remove("items")
                {
                    items.into_iter().try_for_each(|item| self.take(item))?;
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// The typed view of an object; an error names it.
fn view<T: serde::de::DeserializeOwned>(mut object: Value) -> Result<T> {
    let named = |field: &str| object["metadata"][field].as_str().unwrap_or("?").to_owned();
    let name = format!("{} {}/{}", object["kind"].as_str().unwrap_or("?"), named("namespace"), named("name"));
    if object["spec"].is_null() {
        object["spec"] = Value::Object(serde_json::Map::new());
    }
    serde_json::from_value(object).with_context(|| format!("{name} is not as the Kubernetes API has it"))
}
