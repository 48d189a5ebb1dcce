//! Load averages from `/proc/loadavg`.

use super::file::Text;
use super::{Error, NodeOptions};
use crate::page::{Kind, Page};

const FAMILIES: [(&str, &str); 3] = [
    ("node_load1", "1m load average."),
    ("node_load5", "5m load average."),
    ("node_load15", "15m load average."),
];

pub(super) fn collect(options: &NodeOptions, page: &mut Page) -> Result<(), Error> {
    let file = Text::read(options.procfs.join("loadavg"))?;
    let (line, text) = file.lines().next().unwrap_or((1, ""));
    let mut fields = text.split_whitespace();
    for (name, help) in FAMILIES {
        let value = file.number(line, fields.next())?;
        page.family(name, help, Kind::Gauge).sample(&[], value);
    }
    Ok(())
}
