//! The page of a binary without the web UI: how to build it, and which endpoints there are.

use super::escape;
use crate::router::{Common, Mode};

/// Endpoints worth a link, with what they show.
const SERVER_LINKS: &[(&str, &str)] = &[
    ("api/v1/query?query=up", "is every target up?"),
    ("api/v1/labels", "label names"),
    ("api/v1/label/__name__/values", "metric names"),
    ("api/v1/status/tsdb", "what the store holds"),
    ("federate?match[]=up", "federation"),
];
const COMMON_LINKS: &[(&str, &str)] = &[
    ("api/v1/targets", "scrape targets"),
    ("api/v1/metadata", "metric types and help"),
    ("api/v1/status/config", "configuration in use"),
    ("api/v1/status/flags", "command line"),
    ("api/v1/status/runtimeinfo", "runtime"),
    ("api/v1/status/buildinfo", "version"),
    ("metrics", "own metrics"),
    ("-/healthy", "is it alive?"),
    ("-/ready", "can it answer?"),
];

pub(super) fn page(common: &Common, base: &str) -> String {
    let server = match common.mode {
        Mode::Server => SERVER_LINKS,
        Mode::Agent => &[],
    };
    let base = escape(base);
    let link = |(path, text): &(&str, &str)| {
        format!("<li><a href=\"{base}{path}\">/{path}</a> &ndash; {text}</li>\n")
    };
    let links: String = server.iter().chain(COMMON_LINKS).map(link).collect();
    let (title, name) = (escape(&common.page_title), common.name);
    let version = escape(&common.status.build().version);
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title></head>\n\
         <body><h1>{name}</h1>\n<p>Version {version}. This binary was built without the web UI. To have it, \
         install Node and run <code>make build</code> in the source folder, or <code>make ui</code> before \
         <code>cargo build</code>. The HTTP API is complete:</p>\n<ul>\n{links}</ul></body></html>\n"
    )
}
