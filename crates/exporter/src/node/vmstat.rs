//! Virtual memory counters from `/proc/vmstat`, untyped as node_exporter has them.

use super::file::Text;
use super::options::Filter;
use super::{Error, NodeOptions};
use crate::page::{Kind, Page, metric_name_part};

/// The fields that are shown; compiled once.
#[derive(Debug)]
pub(super) struct Vmstat {
    fields: Filter,
}

impl Vmstat {
    pub(super) fn new(options: &NodeOptions) -> Result<Self, Error> {
        Ok(Self { fields: Filter::new("--collector.vmstat.fields", &options.vmstat_fields)? })
    }

    pub(super) fn collect(&self, options: &NodeOptions, page: &mut Page) -> Result<(), Error> {
        let file = Text::read(options.procfs.join("vmstat"))?;
        for (line, text) in file.lines() {
            let mut words = text.split_whitespace();
            let Some(field) = words.next().filter(|field| self.fields.matches(field)) else { continue };
            let value = file.number(line, words.next())?;
            let name = metric_name_part(field);
            page.family(
                format!("node_vmstat_{name}"),
                format!("/proc/vmstat information field {name}."),
                Kind::Unknown,
            )
            .sample(&[], value);
        }
        Ok(())
    }
}
