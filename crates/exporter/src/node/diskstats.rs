//! Reads, writes and times per block device from `/proc/diskstats`; what the device is from udev.

use super::file::{Text, read_attribute};
use super::options::Filter;
use super::udev::Properties;
use super::{Error, NodeOptions};
use crate::page::{Kind, Page};

/// The kernel counts sectors of this size whatever the device has.
const SECTOR_BYTES: f64 = 512.0;
/// Times are in milliseconds.
const SECONDS_PER_TICK: f64 = 1.0 / 1000.0;

/// Name, HELP, kind, factor; in the order of the columns. Kernels before 4.18 end after the eleventh,
/// those before 5.5 after the fifteenth.
const COLUMNS: [(&str, &str, Kind, f64); 17] = [
    (
        "node_disk_reads_completed_total",
        "The total number of reads completed successfully.",
        Kind::Counter,
        1.0,
    ),
    ("node_disk_reads_merged_total", "The total number of reads merged.", Kind::Counter, 1.0),
    (
        "node_disk_read_bytes_total",
        "The total number of bytes read successfully.",
        Kind::Counter,
        SECTOR_BYTES,
    ),
    (
        "node_disk_read_time_seconds_total",
        "The total number of seconds spent by all reads.",
        Kind::Counter,
        SECONDS_PER_TICK,
    ),
    (
        "node_disk_writes_completed_total",
        "The total number of writes completed successfully.",
        Kind::Counter,
        1.0,
    ),
    ("node_disk_writes_merged_total", "The number of writes merged.", Kind::Counter, 1.0),
    (
        "node_disk_written_bytes_total",
        "The total number of bytes written successfully.",
        Kind::Counter,
        SECTOR_BYTES,
    ),
    (
        "node_disk_write_time_seconds_total",
        "This is the total number of seconds spent by all writes.",
        Kind::Counter,
        SECONDS_PER_TICK,
    ),
    ("node_disk_io_now", "The number of I/Os currently in progress.", Kind::Gauge, 1.0),
    ("node_disk_io_time_seconds_total", "Total seconds spent doing I/Os.", Kind::Counter, SECONDS_PER_TICK),
    (
        "node_disk_io_time_weighted_seconds_total",
        "The weighted # of seconds spent doing I/Os.",
        Kind::Counter,
        SECONDS_PER_TICK,
    ),
    (
        "node_disk_discards_completed_total",
        "The total number of discards completed successfully.",
        Kind::Counter,
        1.0,
    ),
    ("node_disk_discards_merged_total", "The total number of discards merged.", Kind::Counter, 1.0),
    (
        "node_disk_discarded_sectors_total",
        "The total number of sectors discarded successfully.",
        Kind::Counter,
        1.0,
    ),
    (
        "node_disk_discard_time_seconds_total",
        "This is the total number of seconds spent by all discards.",
        Kind::Counter,
        SECONDS_PER_TICK,
    ),
    (
        "node_disk_flush_requests_total",
        "The total number of flush requests completed successfully",
        Kind::Counter,
        1.0,
    ),
    (
        "node_disk_flush_requests_time_seconds_total",
        "This is the total number of seconds spent by all flush requests.",
        Kind::Counter,
        SECONDS_PER_TICK,
    ),
];
const COLUMNS_MIN: usize = 11;

const ATA: [(&str, &str, &str); 3] = [
    ("ID_ATA_WRITE_CACHE", "node_disk_ata_write_cache", "ATA disk has a write cache."),
    (
        "ID_ATA_WRITE_CACHE_ENABLED",
        "node_disk_ata_write_cache_enabled",
        "ATA disk has its write cache enabled.",
    ),
    (
        "ID_ATA_ROTATION_RATE_RPM",
        "node_disk_ata_rotation_rate_rpm",
        "ATA disk rotation rate in RPMs (0 for SSDs).",
    ),
];

/// Which devices are shown.
#[derive(Debug)]
pub(super) struct Disks {
    exclude: Filter,
}

impl Disks {
    pub(super) fn new(options: &NodeOptions) -> Result<Self, Error> {
        Ok(Self {
            exclude: Filter::new("--collector.diskstats.device-exclude", &options.disk_devices_exclude)?,
        })
    }

    pub(super) fn collect(&self, options: &NodeOptions, page: &mut Page) -> Result<(), Error> {
        let file = Text::read(options.procfs.join("diskstats"))?;
        for (line, text) in file.lines() {
            let words: Vec<&str> = text.split_whitespace().collect();
            let [major, minor, device, figures @ ..] = words.as_slice() else {
                return Err(file.unexpected(line, "`major minor device figures`", text));
            };
            if self.exclude.matches(device) {
                continue;
            }
            if figures.len() < COLUMNS_MIN {
                return Err(file.unexpected(line, "at least 11 figures", text));
            }
            for ((name, help, kind, factor), word) in COLUMNS.iter().zip(figures) {
                let value: f64 = file.number(line, Some(word))?;
                page.family(*name, *help, *kind).sample(&[("device", device)], value * factor);
            }
            let udev = Properties::read(&options.udev_data, major, minor);
            add_device(options, page, device, (major, minor), &udev);
        }
        Ok(())
    }
}

fn add_device(
    options: &NodeOptions,
    page: &mut Page,
    device: &str,
    (major, minor): (&str, &str),
    udev: &Properties,
) {
    // Device names with a slash have an exclamation mark in sysfs.
    let folder = options.sysfs.join("block").join(device.replace('/', "!"));
    let rotational = read_attribute(&folder.join("queue/rotational")).unwrap_or_else(|| "0".to_owned());
    page.family("node_disk_info", "Info of /sys/block/<block_device>.", Kind::Gauge).sample(
        &[
            ("device", device),
            ("major", major),
            ("minor", minor),
            ("model", udev.get("ID_MODEL")),
            ("path", udev.get("ID_PATH")),
            ("revision", udev.get("ID_REVISION")),
            ("rotational", &rotational),
            // The serial number on the label, where there is one.
            ("serial", udev.first(&["SCSI_IDENT_SERIAL", "ID_SERIAL_SHORT", "ID_SERIAL"])),
            ("wwn", udev.get("ID_WWN")),
        ],
        1.0,
    );
    add_mapper(page, device, udev);
    add_filesystem(page, device, udev);
    if !udev.get("ID_ATA").is_empty() {
        for (key, name, help) in ATA {
            if let Ok(value) = udev.get(key).parse() {
                page.family(name, help, Kind::Gauge).sample(&[("device", device)], value);
            }
        }
    }
}

fn add_mapper(page: &mut Page, device: &str, udev: &Properties) {
    if udev.get("DM_NAME").is_empty() {
        return;
    }
    page.family("node_disk_device_mapper_info", "Info about disk device mapper.", Kind::Gauge).sample(
        &[
            ("device", device),
            ("lv_layer", udev.get("DM_LV_LAYER")),
            ("lv_name", udev.get("DM_LV_NAME")),
            ("name", udev.get("DM_NAME")),
            ("uuid", udev.get("DM_UUID")),
            ("vg_name", udev.get("DM_VG_NAME")),
        ],
        1.0,
    );
}

fn add_filesystem(page: &mut Page, device: &str, udev: &Properties) {
    if udev.get("ID_FS_TYPE").is_empty() {
        return;
    }
    page.family("node_disk_filesystem_info", "Info about disk filesystem.", Kind::Gauge).sample(
        &[
            ("device", device),
            ("type", udev.get("ID_FS_TYPE")),
            ("usage", udev.get("ID_FS_USAGE")),
            ("uuid", udev.get("ID_FS_UUID")),
            ("version", udev.get("ID_FS_VERSION")),
        ],
        1.0,
    );
}
