//! One broken link a row: what is changed in a chain that holds, and the reason that is given for it.

use super::chain::follow;
use super::object::Objects;

/// A chain that holds.
const OBJECTS: &str = "
{apiVersion: v1, kind: Namespace, metadata: {name: default, labels: {team: a}}}
---
{apiVersion: v1, kind: Namespace, metadata: {name: monitoring}}
---
apiVersion: v1
kind: List
items:
- apiVersion: monitoring.coreos.com/v1
  kind: Prometheus
  metadata: {name: k8s, namespace: monitoring}
  spec: {serviceMonitorNamespaceSelector: {}, serviceMonitorSelector: {matchLabels: {release: stack}}}
- apiVersion: monitoring.coreos.com/v1
  kind: ServiceMonitor
  metadata: {name: myapp, namespace: default, labels: {release: stack}}
  spec:
    selector: {matchLabels: {app: myapp}}
    endpoints: [{port: web, interval: 30s, relabelings: []}]
- apiVersion: v1
  kind: Service
  metadata: {name: shop, namespace: default, labels: {app: myapp}}
  spec: {selector: {run: shop}, ports: [{name: web, port: 80, targetPort: 8080}]}
- apiVersion: discovery.k8s.io/v1
  kind: EndpointSlice
  metadata: {name: shop-1, namespace: default, labels: {kubernetes.io/service-name: shop}}
  ports: [{name: web, port: 8080}]
  endpoints:
  - {addresses: [10.0.0.1], conditions: {ready: true}, targetRef: {kind: Pod, name: shop-1-a}}
  - {addresses: ['fd00::2'], conditions: {ready: false}}
";

fn objects(text: &str) -> Objects {
    let mut objects = Objects::default();
    for document in crate::yaml::documents(text).unwrap() {
        objects.take(document).unwrap();
    }
    objects
}

#[test]
fn a_chain_that_holds_gives_targets() {
    let outcome = follow(&objects(OBJECTS), "myapp", None);
    assert_eq!(
        outcome.to_string(),
        "servicemonitor default/myapp gives 2 target(s): 10.0.0.1:8080, [fd00::2]:8080"
    );
}

#[test]
fn the_broken_link_is_the_reason() {
    let check = |from: &str, to: &str, reason: &str| {
        let text = OBJECTS.replace(from, to);
        assert_ne!(text, OBJECTS, "{from} is not there");
        let outcome = follow(&objects(&text), "myapp", None).to_string();
        assert!(outcome.ends_with(reason), "{from} -> {to}:\n{outcome}");
    };
    check(
        "{name: myapp,",
        "{name: other,",
        "myapp gives no target: there is no such ServiceMonitor; there are: default/other",
    );
    check(
        "labels: {release: stack}",
        "labels: {release: x}",
        "no Prometheus selects it: the serviceMonitorSelector of monitoring/k8s does not match its labels: it wants release=stack, it has release=x",
    );
    check(
        ", serviceMonitorSelector: {matchLabels: {release: stack}}",
        "",
        "monitoring/k8s has no serviceMonitorSelector, so it selects no monitor",
    );
    check("serviceMonitorNamespaceSelector: {}, ", "", "so it looks in its own namespace only");
    check(
        "serviceMonitorNamespaceSelector: {}",
        "serviceMonitorNamespaceSelector: {matchExpressions: [{key: team, operator: NotIn, values: [a]}]}",
        "does not match the namespace default: it wants team not in (a), it has team=a",
    );
    check(
        "selector: {matchLabels: {app: myapp}}",
        "selector: {matchLabels: {app: my-app}}",
        "selector wants (app=my-app); closest is default/shop: the selector wants app=my-app, it has app=myapp",
    );
    check(
        "endpoints: [{port: web,",
        "namespaceSelector: {matchNames: [nowhere]}\n    endpoints: [{port: web,",
        "names namespaces that do not exist: nowhere",
    );
    check(
        "endpoints: [{port: web,",
        "namespaceSelector: {matchNames: [monitoring]}\n    endpoints: [{port: web,",
        "default/shop matches, but its namespace is not in the monitor's namespaceSelector",
    );
    check(
        "endpoints: [{port: web, interval: 30s, relabelings: []}]",
        "endpoints: []",
        "it has no endpoints, so it names no port to scrape",
    );
    check(
        "[{port: web,",
        "[{port: http,",
        "wants a port named \"http\", but the ports of Service default/shop are: \"web\" (80)",
    );
    check(
        "[{port: web,",
        "[{port: '80',",
        "(port takes a name; targetPort takes a number), but the ports of Service default/shop are: \"web\" (80)",
    );
    check("[{port: web,", "[{targetPort: 9090,", "no pod behind Service default/shop has the port 9090");
    check(
        "[{port: web,",
        "[{targetPort: metrics,",
        "the target port \"metrics\", but the ports of Service default/shop are: \"web\" (80)",
    );
    check(
        "ports: [{name: web, port: 8080}]",
        "ports: [{name: grpc, port: 1}]",
        "no pod behind Service default/shop has the port \"web\"",
    );
    check("service-name: shop", "service-name: other", "no running pod has the labels it selects (run=shop)");
    check(
        "relabelings: []",
        "relabelings: [{sourceLabels: [__meta_kubernetes_service_label_app], regex: shop, action: Keep}]",
        "relabelings[0] of its endpoint drops all targets of Service default/shop",
    );
}

#[test]
fn what_is_not_known_is_not_a_reason() {
    let rule = "relabelings: [{sourceLabels: [__meta_kubernetes_pod_label_x], regex: shop, action: keep}]";
    let outcome = follow(&objects(&OBJECTS.replace("relabelings: []", rule)), "myapp", Some("default"));
    assert_eq!(outcome.targets.len(), 2, "{outcome}");
    let lone = OBJECTS.replace("kind: Prometheus\n", "kind: Other\n").replace("ready: true", "ready: false");
    let outcome = follow(&objects(&lone), "myapp", None).to_string();
    assert!(outcome.contains("none of them is ready"), "{outcome}");
    assert!(outcome.ends_with("whether one selects the monitor was not looked at"), "{outcome}");
}

#[test]
fn two_of_a_name_ask_for_the_namespace() {
    let text = format!(
        "{OBJECTS}---\n{{kind: ServiceMonitor, metadata: {{name: myapp, namespace: other}}, spec: {{}}}}"
    );
    let outcome = follow(&objects(&text), "myapp", None).to_string();
    assert!(
        outcome.ends_with("in each of the namespaces default, other: choose by --namespace"),
        "{outcome}"
    );
}

/// Every monitor of the corpus is read, and one without services says so.
#[test]
#[allow(clippy::print_stderr)] // a test that was skipped must be seen
fn upstream_monitors_are_read() {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../../shared/corpora");
    let root = std::env::var("NAVE_CORPORA").unwrap_or_else(|_| default.to_owned());
    let dir = std::path::Path::new(&root).join("operator/monitors");
    if !dir.exists() {
        assert!(std::env::var_os("CI").is_none(), "corpora not found at {}", dir.display());
        eprintln!("SKIPPED: corpora not found at {}", dir.display());
        return;
    }
    let files: Vec<_> = std::fs::read_dir(&dir).unwrap().map(|entry| entry.unwrap().path()).collect();
    let all = super::read::from_files(&files).unwrap();
    assert!(all.monitors.len() >= 13, "{}", all.monitors.len());
    let outcome = follow(&all, "grafana", Some("monitoring")).to_string();
    assert_eq!(
        outcome,
        "servicemonitor monitoring/grafana gives no target: in namespace monitoring no Service has the labels \
         that its selector wants (app.kubernetes.io/name=grafana)"
    );
}
