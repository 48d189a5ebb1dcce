//! What `uname` says.

use super::Error;
use crate::page::{Kind, Page};

pub(super) fn collect(page: &mut Page) -> Result<(), Error> {
    let uname = rustix::system::uname();
    let values = [
        ("domainname", uname.domainname()),
        ("machine", uname.machine()),
        ("nodename", uname.nodename()),
        ("release", uname.release()),
        ("sysname", uname.sysname()),
        ("version", uname.version()),
    ]
    .map(|(name, value)| (name, value.to_string_lossy()));
    let labels: Vec<(&str, &str)> = values.iter().map(|(name, value)| (*name, value.as_ref())).collect();
    let help = "Labeled system information as provided by the uname system call.";
    page.family("node_uname_info", help, Kind::Gauge).sample(&labels, 1.0);
    Ok(())
}
