//! From a ServiceMonitor to its targets, link by link: the monitor, who selects it, its namespaces, their services, the
//! port, the addresses, the relabelling. The first link that is broken is the reason.

use std::collections::BTreeSet;
use std::fmt;

use nave_model::label::Builder;
use nave_model::relabel::{Verdict, process};

use super::object::{
    CollectorSpec, Endpoint, EndpointSlice, MonitorSpec, Object, Objects, PortName, ServiceSpec,
    SliceEndpoint,
};
use super::selector::Selector;

/// The label by which a slice names its service.
const SERVICE_OF_SLICE: &str = "kubernetes.io/service-name";
/// The label with its name that every namespace has.
const NAME_OF_NAMESPACE: &str = "kubernetes.io/metadata.name";
/// Most targets that are named.
const TARGETS_NAMED_MAX: usize = 20;

type Monitor = Object<MonitorSpec>;
type Service = Object<ServiceSpec>;
type Collector = Object<CollectorSpec>;
/// What is there, or why nothing is.
type Found<T> = Result<T, String>;

/// What becomes of a monitor.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Namespace and name, as far as they are known.
    monitor: String,
    /// Addresses to be scraped.
    pub(super) targets: Vec<String>,
    /// Why there are none, or what else is worth knowing.
    remark: String,
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { monitor, targets, remark } = self;
        if targets.is_empty() {
            return write!(f, "servicemonitor {monitor} gives no target: {remark}");
        }
        let named = targets.iter().take(TARGETS_NAMED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
        let more = if targets.len() > TARGETS_NAMED_MAX { ", ..." } else { "" };
        write!(f, "servicemonitor {monitor} gives {} target(s): {named}{more}", targets.len())?;
        if remark.is_empty() { Ok(()) } else { write!(f, "; {remark}") }
    }
}

/// Follows the chain of the monitor `name`.
pub(super) fn follow(objects: &Objects, name: &str, namespace: Option<&str>) -> Outcome {
    let monitor = match find(objects, name, namespace) {
        Ok(monitor) => monitor,
        Err(remark) => {
            let monitor =
                namespace.map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"));
            return Outcome { monitor, targets: Vec::new(), remark };
        }
    };
    let (targets, remark) = match targets(objects, monitor) {
        Ok((targets, remark)) => (targets, remark),
        Err(reason) => (Vec::new(), reason),
    };
    Outcome { monitor: monitor.metadata.to_string(), targets, remark }
}

fn find<'a>(objects: &'a Objects, name: &str, namespace: Option<&str>) -> Found<&'a Monitor> {
    let of_name = |monitor: &&Monitor| {
        monitor.metadata.name == name && namespace.is_none_or(|wanted| wanted == monitor.metadata.namespace)
    };
    let found: Vec<_> = objects.monitors.iter().filter(of_name).collect();
    match found[..] {
        [monitor] => Ok(monitor),
        [] => Err(format!("there is no such ServiceMonitor; there are: {}", list(&objects.monitors))),
        _ => {
            let all = found.iter().map(|monitor| monitor.metadata.namespace.as_str()).collect::<Vec<_>>();
            Err(format!("there is one in each of the namespaces {}: choose by --namespace", all.join(", ")))
        }
    }
}

/// The targets with a remark, or the reason why there are none.
fn targets(objects: &Objects, monitor: &Monitor) -> Found<(Vec<String>, String)> {
    selected(objects, monitor)?;
    let services = services(objects, monitor)?;
    if monitor.spec.endpoints.is_empty() {
        return Err("it has no endpoints, so it names no port to scrape".to_owned());
    }
    let (mut found, mut reasons, mut ready) = (Vec::new(), Vec::new(), false);
    for (number, endpoint) in monitor.spec.endpoints.iter().enumerate() {
        match addresses(objects, endpoint, &services) {
            Ok(targets) => {
                ready |= targets.iter().any(|target| target.ready);
                found.extend(targets.into_iter().map(|target| target.address));
            }
            Err(reason) => reasons.push((number, reason)),
        }
    }
    if found.is_empty() {
        return Err(reasons.into_iter().map(|(_, reason)| reason).next().unwrap_or_default());
    }
    let mut remarks: Vec<_> = reasons
        .into_iter()
        .map(|(number, reason)| format!("endpoints[{number}] gives none: {reason}"))
        .collect();
    if !ready {
        remarks.push("none of them is ready, so scrapes may fail until the pods are".to_owned());
    }
    if objects.collectors.is_empty() {
        remarks.push(
            "no Prometheus object was read, so whether one selects the monitor was not looked at".to_owned(),
        );
    }
    Ok((found, remarks.join("; ")))
}

/// Whether any Prometheus takes the monitor. Where none is known the question is not asked.
fn selected(objects: &Objects, monitor: &Monitor) -> Found<()> {
    let refusals: Vec<_> =
        objects.collectors.iter().filter_map(|collector| refusal(objects, collector, monitor)).collect();
    if refusals.len() < objects.collectors.len() || refusals.is_empty() {
        return Ok(());
    }
    Err(format!("no Prometheus selects it: {}", refusals.join("; ")))
}

/// Why `collector` does not take the monitor.
fn refusal(objects: &Objects, collector: &Collector, monitor: &Monitor) -> Option<String> {
    let (meta, spec) = (&collector.metadata, &collector.spec);
    match &spec.service_monitor_namespace_selector {
        None if meta.namespace != monitor.metadata.namespace => {
            return Some(format!(
                "{meta} has no serviceMonitorNamespaceSelector, so it looks in its own namespace only"
            ));
        }
        Some(selector) => {
            let unmet = unmet_by_namespace(objects, selector, &monitor.metadata.namespace);
            if !unmet.is_empty() {
                let namespace = &monitor.metadata.namespace;
                return Some(format!(
                    "the serviceMonitorNamespaceSelector of {meta} does not match the namespace {namespace}: it {}",
                    unmet.join(" and ")
                ));
            }
        }
        None => {}
    }
    let Some(selector) = &spec.service_monitor_selector else {
        return Some(format!("{meta} has no serviceMonitorSelector, so it selects no monitor"));
    };
    let unmet = selector.unmet(&monitor.metadata.labels);
    (!unmet.is_empty()).then(|| {
        format!("the serviceMonitorSelector of {meta} does not match its labels: it {}", unmet.join(" and "))
    })
}

fn unmet_by_namespace(objects: &Objects, selector: &Selector, namespace: &str) -> Vec<String> {
    let known = objects.namespaces.iter().find(|object| object.metadata.name == namespace);
    let mut labels = known.map(|object| object.metadata.labels.clone()).unwrap_or_default();
    labels.insert(NAME_OF_NAMESPACE.to_owned(), namespace.to_owned());
    selector.unmet(&labels)
}

/// The services that the monitor selects in the namespaces it looks at.
fn services<'a>(objects: &'a Objects, monitor: &Monitor) -> Found<Vec<&'a Service>> {
    let choice = &monitor.spec.namespace_selector;
    let own = [monitor.metadata.namespace.clone()];
    let namespaces = if choice.match_names.is_empty() { &own[..] } else { &choice.match_names };
    let known = |name: &String| objects.namespaces.iter().any(|namespace| namespace.metadata.name == *name);
    if !choice.any && !objects.namespaces.is_empty() && !namespaces.iter().any(known) {
        return Err(format!(
            "its namespaceSelector names namespaces that do not exist: {}",
            namespaces.join(", ")
        ));
    }
    let within = |service: &&Service| choice.any || namespaces.contains(&service.metadata.namespace);
    let reachable: Vec<_> = objects.services.iter().filter(within).collect();
    let selector = &monitor.spec.selector;
    let found: Vec<_> =
        reachable.iter().copied().filter(|service| selector.matches(&service.metadata.labels)).collect();
    if !found.is_empty() {
        return Ok(found);
    }
    let place =
        if choice.any { "any namespace".to_owned() } else { format!("namespace {}", namespaces.join(", ")) };
    let elsewhere = objects.services.iter().find(|service| selector.matches(&service.metadata.labels));
    let hint = match (elsewhere, closest(selector, &reachable)) {
        (Some(service), _) => {
            format!(
                "; {} matches, but its namespace is not in the monitor's namespaceSelector",
                service.metadata
            )
        }
        (None, Some((service, unmet))) => {
            format!("; closest is {}: the selector {}", service.metadata, unmet.join(" and "))
        }
        (None, None) => String::new(),
    };
    let wanted = match selector.len() {
        0 => "there is no Service at all".to_owned(),
        _ => format!("no Service has the labels that its selector wants ({})", selector.text()),
    };
    Err(format!("in {place} {wanted}{hint}"))
}

/// The service that meets most requirements, if it meets any.
fn closest<'a>(selector: &Selector, services: &[&'a Service]) -> Option<(&'a Service, Vec<String>)> {
    let judged = services.iter().map(|service| (*service, selector.unmet(&service.metadata.labels)));
    let (service, unmet) = judged.min_by_key(|(_, unmet)| unmet.len())?;
    let shares_name = selector.text().contains(&format!("={}", service.metadata.name));
    (unmet.len() < selector.len() || services.len() == 1 || shares_name).then_some((service, unmet))
}

/// An address that an endpoint gives.
struct Target {
    address: String,
    ready: bool,
}

/// The targets of an endpoint over all services, or why the first of them gives none.
fn addresses(objects: &Objects, endpoint: &Endpoint, services: &[&Service]) -> Found<Vec<Target>> {
    let (mut found, mut reason) = (Vec::new(), None);
    for service in services {
        match of_service(objects, endpoint, service) {
            Ok(targets) => found.extend(targets),
            Err(why) => reason = reason.or(Some(why)),
        }
    }
    match reason {
        Some(reason) if found.is_empty() => Err(reason),
        _ => Ok(found),
    }
}

fn of_service(objects: &Objects, endpoint: &Endpoint, service: &Service) -> Found<Vec<Target>> {
    let meta = &service.metadata;
    let names = port_names(endpoint, service)?;
    let is_of_service = |slice: &&EndpointSlice| {
        slice.metadata.namespace == meta.namespace
            && slice.metadata.labels.get(SERVICE_OF_SLICE) == Some(&meta.name)
    };
    let slices: Vec<_> = objects.slices.iter().filter(is_of_service).collect();
    if slices.iter().all(|slice| slice.endpoints.iter().all(|endpoint| endpoint.addresses.is_empty())) {
        let pods = Selector::of_labels(&service.spec.selector).text();
        return Err(if pods.is_empty() {
            format!("Service {meta} has no selector and no EndpointSlice gives it addresses")
        } else {
            format!("Service {meta} has no endpoints: no running pod has the labels it selects ({pods})")
        });
    }
    let (mut found, mut dropped) = (Vec::new(), None);
    for slice in slices {
        for port in &slice.ports {
            let name = port.name.as_deref().unwrap_or_default();
            let (true, Some(number)) = (names.take(name, port.port), port.port) else { continue };
            for behind in &slice.endpoints {
                for address in &behind.addresses {
                    let address = host_and_port(address, number);
                    match dropping_rule(endpoint, service, name, &address, behind) {
                        Some(rule) => dropped = dropped.or(Some(rule)),
                        None => found.push(Target { address, ready: behind.conditions.ready != Some(false) }),
                    }
                }
            }
        }
    }
    match dropped {
        _ if !found.is_empty() => Ok(found),
        Some(rule) => Err(format!("relabelings[{rule}] of its endpoint drops all targets of Service {meta}")),
        None => Err(format!("no pod behind Service {meta} has the port {}", names.text())),
    }
}

fn host_and_port(address: &str, port: u16) -> String {
    if address.contains(':') { format!("[{address}]:{port}") } else { format!("{address}:{port}") }
}

/// Which ports of a service an endpoint takes.
enum Ports {
    All,
    Named(BTreeSet<String>),
    Numbered(u16),
}

impl Ports {
    fn take(&self, name: &str, number: Option<u16>) -> bool {
        match self {
            Self::All => true,
            Self::Named(names) => names.contains(name),
            Self::Numbered(wanted) => number == Some(*wanted),
        }
    }

    fn text(&self) -> String {
        match self {
            Self::All => "of any name".to_owned(),
            Self::Named(names) => names.iter().map(|name| format!("{name:?}")).collect::<Vec<_>>().join(", "),
            Self::Numbered(number) => number.to_string(),
        }
    }
}

fn port_names(endpoint: &Endpoint, service: &Service) -> Found<Ports> {
    let ports = &service.spec.ports;
    let described = || {
        let one = |port: &super::object::ServicePort| match &port.name {
            Some(name) => format!("{name:?} ({})", port.port),
            None => format!("{} without a name", port.port),
        };
        ports.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    let missing = |wanted: &str| {
        Err(format!(
            "its endpoint wants {wanted}, but the ports of Service {} are: {}",
            service.metadata,
            described()
        ))
    };
    match (&endpoint.port, &endpoint.target_port) {
        (Some(name), _) if ports.iter().any(|port| port.name.as_ref() == Some(name)) => {
            Ok(Ports::Named(BTreeSet::from([name.clone()])))
        }
        (Some(name), _) if name.parse::<u16>().is_ok() => {
            missing(&format!("a port named {name:?} (port takes a name; targetPort takes a number)"))
        }
        (Some(name), _) => missing(&format!("a port named {name:?}")),
        (None, Some(PortName::Number(number))) => Ok(Ports::Numbered(*number)),
        (None, Some(wanted)) => {
            let behind = ports.iter().filter(|port| port.target_port.as_ref() == Some(wanted));
            let names: BTreeSet<_> = behind.map(|port| port.name.clone().unwrap_or_default()).collect();
            if names.is_empty() {
                missing(&format!("the target port {wanted}"))
            } else {
                Ok(Ports::Named(names))
            }
        }
        (None, None) => Ok(Ports::All),
    }
}

/// The first rule of the endpoint that drops the target. Behind a rule that looks at what is not known here (labels of
/// pods and nodes) nothing is decided.
fn dropping_rule(
    endpoint: &Endpoint,
    service: &Service,
    port: &str,
    address: &str,
    behind: &SliceEndpoint,
) -> Option<usize> {
    let mut labels = target_labels(service, port, address, behind);
    for (number, relabeling) in endpoint.relabelings.iter().enumerate() {
        if relabeling.source_labels.iter().any(|name| is_unknown(name)) {
            return None;
        }
        if process(&mut labels, std::slice::from_ref(&relabeling.rule)) == Verdict::Drop {
            return Some(number);
        }
    }
    None
}

fn is_unknown(name: &str) -> bool {
    let known = [
        "namespace",
        "service_name",
        "service_label",
        "pod_name",
        "endpointslice_port_name",
        "endpoint_port_name",
    ];
    name.strip_prefix("__meta_kubernetes_")
        .is_some_and(|rest| !known.iter().any(|known| rest.starts_with(known)))
}

/// The labels that the operator's own rules and the discovery of services give, as far as they are known here.
fn target_labels(service: &Service, port: &str, address: &str, behind: &SliceEndpoint) -> Builder {
    let meta = &service.metadata;
    let mut labels = Builder::default();
    for (name, value) in [
        ("__address__", address),
        ("__meta_kubernetes_namespace", &meta.namespace),
        ("__meta_kubernetes_service_name", &meta.name),
        ("__meta_kubernetes_endpointslice_port_name", port),
        ("__meta_kubernetes_endpoint_port_name", port),
        ("namespace", &meta.namespace),
        ("service", &meta.name),
        ("job", &meta.name),
        ("endpoint", port),
    ] {
        labels.set(name, value);
    }
    for (name, value) in &meta.labels {
        let name: String = name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect();
        labels.set(&format!("__meta_kubernetes_service_label_{name}"), value);
        labels.set(&format!("__meta_kubernetes_service_labelpresent_{name}"), "true");
    }
    if let Some(pod) = behind.target_ref.as_ref().filter(|target| target.kind == "Pod") {
        labels.set("__meta_kubernetes_pod_name", &pod.name).set("pod", &pod.name);
    }
    labels
}

/// Names of objects for people, at most ten.
fn list<S>(objects: &[Object<S>]) -> String {
    let names: Vec<_> = objects.iter().take(10).map(|object| object.metadata.to_string()).collect();
    match names.len() {
        0 => "none".to_owned(),
        shown if shown < objects.len() => format!("{}, ...", names.join(", ")),
        _ => names.join(", "),
    }
}
