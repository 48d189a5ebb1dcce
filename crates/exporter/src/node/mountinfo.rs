//! The mounts of the host, from `/proc/1/mountinfo`, or of this process where that is not readable.

use super::file::Text;
use super::{Error, NodeOptions};

/// One mounted file system.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// As the host sees it, `rootfs` not stripped.
    pub(super) point: String,
    pub(super) device: String,
    pub(super) fs_type: String,
    pub(super) major: String,
    pub(super) minor: String,
    pub(super) read_only: bool,
}

/// All mounts, unfiltered, in the order they were mounted.
pub(super) fn read(options: &NodeOptions) -> Result<Vec<Mount>, Error> {
    let file = Text::read(options.procfs.join("1/mountinfo"))
        .or_else(|_| Text::read(options.procfs.join("self/mountinfo")))?;
    let expected = "`id parent major:minor root mountpoint options ... - type device options`";
    file.lines()
        .filter(|(_, text)| !text.trim().is_empty())
        .map(|(line, text)| parse(text).ok_or_else(|| file.unexpected(line, expected, text)))
        .collect()
}

fn parse(line: &str) -> Option<Mount> {
    let (mount, fs) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(2);
    let (major, minor) = mount.next()?.split_once(':')?;
    let point = mount.nth(1)?;
    let mount_options = mount.next()?;
    let mut fs = fs.split(' ');
    let (fs_type, device) = (fs.next()?, fs.next()?);
    let super_options = fs.next().unwrap_or("");
    let read_only = |options: &str| options.split(',').any(|option| option == "ro");
    Some(Mount {
        point: unescape(point),
        device: unescape(device),
        fs_type: fs_type.to_owned(),
        major: major.to_owned(),
        minor: minor.to_owned(),
        read_only: read_only(mount_options) || read_only(super_options),
    })
}

/// Space, tab, newline and backslash are written as a backslash and three octal digits.
fn unescape(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let octal = (*first == b'\\').then(|| after.get(..3)).flatten();
        let code = octal.and_then(|digits| u8::from_str_radix(std::str::from_utf8(digits).ok()?, 8).ok());
        bytes.push(code.unwrap_or(*first));
        rest = if code.is_some() { &after[3..] } else { after };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines() {
        let check = |line: &str, expect: Option<(&str, &str, &str, &str, bool)>| {
            let came = parse(line);
            let short = came.as_ref().map(|m| (&*m.point, &*m.device, &*m.fs_type, &*m.minor, m.read_only));
            assert_eq!(short, expect, "{line}");
        };
        check(
            "36 35 98:7 /mnt1 /mnt2 rw,noatime master:1 shared:2 - ext3 /dev/root rw,errors=continue",
            Some(("/mnt2", "/dev/root", "ext3", "7", false)),
        );
        check(
            "1 0 0:1 / /a\\040b\\134c ro - tmpfs t\\011x rw",
            Some(("/a b\\c", "t\tx", "tmpfs", "1", true)),
        );
        check("1 0 0:1 / /x rw - tmpfs none ro", Some(("/x", "none", "tmpfs", "1", true)));
        check("1 0 0:1 / /x\\9 rw - tmpfs none", Some(("/x\\9", "none", "tmpfs", "1", false)));
        check("1 0 0 / /x rw - tmpfs none rw", None);
        check("1 0 0:1 / /x rw tmpfs none rw", None);
    }
}
