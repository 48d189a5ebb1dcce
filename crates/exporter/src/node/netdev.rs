//! Traffic per network device from `/proc/net/dev`, and `receive_nohandler` from sysfs.
//!
//! node_exporter asks over netlink; the file has the same sums under the same kernel rules, and works
//! from a fixture.

use super::file::{Text, read_number};
use super::options::Filter;
use super::{Error, NodeOptions};
use crate::page::{Kind, Page};

/// In the order of the columns.
const COLUMNS: [&str; 16] = [
    "receive_bytes",
    "receive_packets",
    "receive_errs",
    "receive_drop",
    "receive_fifo",
    "receive_frame",
    "receive_compressed",
    "receive_multicast",
    "transmit_bytes",
    "transmit_packets",
    "transmit_errs",
    "transmit_drop",
    "transmit_fifo",
    "transmit_colls",
    "transmit_carrier",
    "transmit_compressed",
];

/// Which devices are shown.
#[derive(Debug)]
pub(super) struct Devices {
    exclude: Filter,
    include: Filter,
}

impl Devices {
    pub(super) fn new(options: &NodeOptions) -> Result<Self, Error> {
        Ok(Self {
            exclude: Filter::new("--collector.netdev.device-exclude", &options.net_devices_exclude)?,
            include: Filter::new("--collector.netdev.device-include", &options.net_devices_include)?,
        })
    }

    fn shows(&self, device: &str) -> bool {
        !self.exclude.matches(device) && (!self.include.is_set() || self.include.matches(device))
    }

    pub(super) fn collect(&self, options: &NodeOptions, page: &mut Page) -> Result<(), Error> {
        let file = Text::read(options.procfs.join("net/dev"))?;
        for (line, text) in file.lines().skip(2) {
            // A device name may hold a colon itself; the figures do not.
            let Some((device, figures)) = text.rsplit_once(':') else {
                return Err(file.unexpected(line, "`device: figures`", text));
            };
            let device = device.trim();
            if !self.shows(device) {
                continue;
            }
            let mut figures = figures.split_whitespace();
            for name in COLUMNS {
                add(page, name, device, file.number(line, figures.next())?);
            }
            let folder = options.sysfs.join("class/net").join(device).join("statistics");
            if let Some(value) = read_number(&folder.join("rx_nohandler")) {
                add(page, "receive_nohandler", device, value);
            }
        }
        Ok(())
    }
}

fn add(page: &mut Page, name: &str, device: &str, value: f64) {
    page.family(
        format!("node_network_{name}_total"),
        format!("Network device statistic {name}."),
        Kind::Counter,
    )
    .sample(&[("device", device)], value);
}
