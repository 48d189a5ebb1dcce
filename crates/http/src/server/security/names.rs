//! The names in a certificate: subject alternative names, for `client_allowed_sans`, and the common name.
//!
//! It reads certificates whose signature and shape were verified before; anything unexpected gives fewer
//! names, never more, so that a certificate that is not understood is not let in.

use std::net::{Ipv4Addr, Ipv6Addr};

/// Tags of DER that stand on the way.
const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const VERSION: u8 = 0xa0;
const UTF8: u8 = 0x0c;
const PRINTABLE: u8 = 0x13;
const IA5: u8 = 0x16;
const OBJECT_ID: u8 = 0x06;
const OCTETS: u8 = 0x04;
const EXTENSIONS: u8 = 0xa3;
/// 2.5.4.3.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
/// 2.5.29.17.
const SUBJECT_ALT_NAME: &[u8] = &[0x55, 0x1d, 0x11];

/// DNS names, mail addresses, URIs and IP addresses, as upstream writes them.
pub(super) fn subject_alt_names(certificate: &[u8]) -> Vec<String> {
    extension(certificate, SUBJECT_ALT_NAME).map(names).unwrap_or_default()
}

/// The common names of the subject, then its alternative names; each once.
pub(super) fn all_names(certificate: &[u8]) -> Vec<String> {
    let mut all = common_names(certificate).unwrap_or_default();
    for name in subject_alt_names(certificate) {
        if !all.contains(&name) {
            all.push(name);
        }
    }
    all
}

fn common_names(certificate: &[u8]) -> Option<Vec<String>> {
    let certificate = expect(&mut { certificate }, SEQUENCE)?;
    let mut fields = expect(&mut { certificate }, SEQUENCE)?;
    // The version may be left out; serial number, algorithm, issuer and validity stand before the subject.
    let (tag, _) = next(&mut fields)?;
    let before = if tag == VERSION { 4 } else { 3 };
    for _ in 0..before {
        next(&mut fields)?;
    }
    let mut subject = expect(&mut fields, SEQUENCE)?;
    let mut names: Vec<String> = Vec::new();
    while !subject.is_empty() {
        let mut set = expect(&mut subject, SET)?;
        while !set.is_empty() {
            let mut attribute = expect(&mut set, SEQUENCE)?;
            let is_name = expect(&mut attribute, OBJECT_ID)? == COMMON_NAME;
            let (tag, value) = next(&mut attribute)?;
            if let (true, UTF8 | PRINTABLE | IA5, Ok(name)) = (is_name, tag, std::str::from_utf8(value))
                && !names.iter().any(|known| known == name)
            {
                names.push(name.to_owned());
            }
        }
    }
    Some(names)
}

/// The value of one extension.
fn extension<'a>(certificate: &'a [u8], id: &[u8]) -> Option<&'a [u8]> {
    let certificate = expect(&mut { certificate }, SEQUENCE)?;
    let mut fields = expect(&mut { certificate }, SEQUENCE)?;
    let mut extensions = loop {
        let (tag, value) = next(&mut fields)?;
        if tag == EXTENSIONS {
            break expect(&mut { value }, SEQUENCE)?;
        }
    };
    loop {
        let mut extension = expect(&mut extensions, SEQUENCE)?;
        if expect(&mut extension, OBJECT_ID)? != id {
            continue;
        }
        // A flag may stand between: whether the extension is critical.
        let (tag, value) = next(&mut extension)?;
        return if tag == OCTETS { Some(value) } else { expect(&mut extension, OCTETS) };
    }
}

fn names(value: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    let Some(mut list) = expect(&mut { value }, SEQUENCE) else { return names };
    while let Some((tag, value)) = next(&mut list) {
        match tag {
            // rfc822Name, dNSName, uniformResourceIdentifier: IA5 strings.
            0x81 | 0x82 | 0x86 if value.is_ascii() => {
                names.extend(std::str::from_utf8(value).map(ToOwned::to_owned));
            }
            0x87 => names.extend(address(value)),
            _ => (),
        }
    }
    names
}

fn address(value: &[u8]) -> Option<String> {
    if let Ok(four) = <[u8; 4]>::try_from(value) {
        return Some(Ipv4Addr::from(four).to_string());
    }
    <[u8; 16]>::try_from(value).ok().map(|sixteen| Ipv6Addr::from(sixteen).to_string())
}

/// Takes one value off the front, which must have this tag.
fn expect<'a>(bytes: &mut &'a [u8], expected: u8) -> Option<&'a [u8]> {
    next(bytes).and_then(|(tag, value)| (tag == expected).then_some(value))
}

/// Takes one value off the front: its tag and content.
fn next<'a>(bytes: &mut &'a [u8]) -> Option<(u8, &'a [u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        short @ 0..=0x7f => (usize::from(short), rest),
        long @ 0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(long & 0x7f))?;
            (digits.iter().fold(0, |sum, digit| sum << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    let (value, rest) = rest.split_at_checked(length)?;
    *bytes = rest;
    Some((tag, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_every_kind() {
        let mut params = rcgen::CertificateParams::new(vec!["a.test".to_owned(), "::1".to_owned()]).unwrap();
        let text = |text: &str| text.try_into().unwrap();
        params.subject_alt_names.push(rcgen::SanType::Rfc822Name(text("me@a.test")));
        params.subject_alt_names.push(rcgen::SanType::URI(text("spiffe://a/b")));
        params.subject_alt_names.push(rcgen::SanType::IpAddress([10, 0, 0, 1].into()));
        let certificate = params.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        let expect = ["a.test", "::1", "me@a.test", "spiffe://a/b", "10.0.0.1"];
        assert_eq!(subject_alt_names(certificate.der()), expect);
        let mut named = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        named.distinguished_name = rcgen::DistinguishedName::new();
        named.distinguished_name.push(rcgen::DnType::OrganizationName, "other");
        named.distinguished_name.push(rcgen::DnType::CommonName, "spoke-1");
        let certificate = named.self_signed(&rcgen::KeyPair::generate().unwrap()).unwrap();
        assert_eq!(all_names(certificate.der()), ["spoke-1", "a.test"]);
    }

    #[test]
    fn bytes_that_are_no_certificate_have_no_names() {
        let key = rcgen::KeyPair::generate().unwrap();
        let params = rcgen::CertificateParams::new(vec!["a.test".to_owned()]).unwrap();
        let whole = params.self_signed(&key).unwrap().der().to_vec();
        assert_eq!(subject_alt_names(&whole), ["a.test"]);
        for end in 0..whole.len() {
            assert!(subject_alt_names(&whole[..end]).is_empty(), "{end}");
            let _ = all_names(&whole[..end]);
        }
        for at in 0..whole.len() {
            let mut broken = whole.clone();
            broken[at] ^= 0xff;
            assert!(subject_alt_names(&broken).len() <= 1, "{at}");
            assert!(all_names(&broken).len() <= 3, "{at}");
        }
    }
}
