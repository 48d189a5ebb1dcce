//! Memory figures from `/proc/meminfo`: `Active(anon): 1 kB` is `node_memory_Active_anon_bytes` 1024.

use super::file::Text;
use super::{Error, NodeOptions};
use crate::page::{Kind, Page, metric_name_part};

pub(super) fn collect(options: &NodeOptions, page: &mut Page) -> Result<(), Error> {
    let file = Text::read(options.procfs.join("meminfo"))?;
    for (line, text) in file.lines().filter(|(_, text)| !text.trim().is_empty()) {
        let Some((field, value)) = text.split_once(':') else {
            return Err(file.unexpected(line, "`Field: value`", text));
        };
        let mut words = value.split_whitespace();
        let number: f64 = file.number(line, words.next())?;
        let (unit, factor) = match words.next() {
            None => ("", 1.0),
            Some("kB") => ("_bytes", 1024.0),
            Some(other) => return Err(file.unexpected(line, "the unit kB or none", other)),
        };
        let field = metric_name_part(&field.trim().replace('(', "_").replace(')', ""));
        let kind = if field.ends_with("_total") { Kind::Counter } else { Kind::Gauge };
        page.family(
            format!("node_memory_{field}{unit}"),
            format!("Memory information field {field}{unit}."),
            kind,
        )
        .sample(&[], number * factor);
    }
    Ok(())
}
