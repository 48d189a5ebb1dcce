//! `process_*` metrics of this process, read from `/proc/self` when the page is written.

use std::fs;

use nave_base::metric::{Kind, Registry};

/// Registers the standard process collector of the client libraries.
pub(crate) fn register(registry: &Registry) {
    let ticks = rustix::param::clock_ticks_per_second() as f64;
    let page = rustix::param::page_size() as f64;
    gauge(registry, "process_resident_memory_bytes", "Resident memory size in bytes.", move || {
        Some(stat()?.field(24)? * page)
    });
    gauge(registry, "process_virtual_memory_bytes", "Virtual memory size in bytes.", || stat()?.field(23));
    gauge(
        registry,
        "process_start_time_seconds",
        "Start time of the process since unix epoch in seconds.",
        move || Some(boot_seconds()? + stat()?.field(22)? / ticks),
    );
    gauge(registry, "process_threads", "Number of threads of the process.", || stat()?.field(20));
    gauge(registry, "process_open_fds", "Number of open file descriptors.", || {
        Some(fs::read_dir("/proc/self/fd").ok()?.count() as f64)
    });
    gauge(registry, "process_max_fds", "Maximum number of open file descriptors.", max_fds);
    registry.collect(
        "process_cpu_seconds_total",
        "Total user and system CPU time spent in seconds.",
        Kind::Counter,
        move |out| {
            let cpu = || {
                let stat = stat()?;
                Some((stat.field(14)? + stat.field(15)?) / ticks)
            };
            if let Some(seconds) = cpu() {
                out.sample(&[], seconds);
            }
        },
    );
}

/// Bytes of memory that this process has resident.
pub(crate) fn resident_bytes() -> Option<usize> {
    let text = fs::read_to_string("/proc/self/statm").ok()?;
    let pages: usize = text.split(' ').nth(1)?.parse().ok()?;
    Some(pages * rustix::param::page_size())
}

fn gauge(
    registry: &Registry,
    name: &str,
    help: &'static str,
    read: impl Fn() -> Option<f64> + Send + Sync + 'static,
) {
    registry.collect(name, help, Kind::Gauge, move |out| {
        if let Some(value) = read() {
            out.sample(&[], value);
        }
    });
}

/// The fields of `/proc/self/stat` after the command name, which may hold spaces.
struct Stat(String);

fn stat() -> Option<Stat> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    Some(Stat(text.rsplit_once(") ")?.1.to_owned()))
}

impl Stat {
    /// By the number that proc(5) gives it; 3 is the first after the name.
    fn field(&self, number: usize) -> Option<f64> {
        self.0.split_whitespace().nth(number - 3)?.parse().ok()
    }
}

fn boot_seconds() -> Option<f64> {
    let text = fs::read_to_string("/proc/stat").ok()?;
    text.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

fn max_fds() -> Option<f64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_figure_is_read_on_this_machine() {
        let registry = Registry::default();
        register(&registry);
        let page = registry.page(nave_base::metric::Format::Text);
        assert_eq!(page.lines().filter(|line| !line.starts_with('#')).count(), 7, "{page}");
    }
}
