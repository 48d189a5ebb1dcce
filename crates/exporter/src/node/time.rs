//! The clock, its zone and the kernel's clock sources.

use jiff::Timestamp;
use jiff::tz::TimeZone;

use super::file::read_attribute;
use super::{Error, NodeOptions};
use crate::page::{Kind, Page};

const AVAILABLE: &str = "Available clocksources read from '/sys/devices/system/clocksource'.";
const CURRENT: &str = "Current clocksource read from '/sys/devices/system/clocksource'.";

pub(super) fn collect(options: &NodeOptions, now_ms: i64, page: &mut Page) -> Result<(), Error> {
    page.family("node_time_seconds", "System time in seconds since epoch (1970).", Kind::Gauge)
        .sample(&[], now_ms as f64 / 1000.0);
    let zone = TimeZone::system();
    let offset = zone.to_offset_info(Timestamp::from_millisecond(now_ms).unwrap_or_default());
    page.family("node_time_zone_offset_seconds", "System time zone offset in seconds.", Kind::Gauge)
        .sample(&[("time_zone", offset.abbreviation())], f64::from(offset.offset().seconds()));
    add_clocksources(options, page);
    Ok(())
}

/// Machines without the folder (some containers) have no clock sources to show; that is no failure.
fn add_clocksources(options: &NodeOptions, page: &mut Page) {
    let root = options.sysfs.join("devices/system/clocksource");
    let Ok(entries) = std::fs::read_dir(root) else { return };
    let mut folders: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    folders.sort();
    for folder in folders {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let Some(device) = name.strip_prefix("clocksource") else { continue };
        for source in
            read_attribute(&folder.join("available_clocksource")).unwrap_or_default().split_whitespace()
        {
            page.family("node_time_clocksource_available_info", AVAILABLE, Kind::Gauge)
                .sample(&[("clocksource", source), ("device", device)], 1.0);
        }
        if let Some(source) =
            read_attribute(&folder.join("current_clocksource")).filter(|text| !text.is_empty())
        {
            page.family("node_time_clocksource_current_info", CURRENT, Kind::Gauge)
                .sample(&[("clocksource", &source), ("device", device)], 1.0);
        }
    }
}
