//! When a certificate is valid: the one thing of X.509 that an operator must be told before workers tell it.
//!
//! Reads the two times of `Certificate ::= SEQUENCE { tbsCertificate SEQUENCE { [0] version, serialNumber, signature,
//! issuer, validity SEQUENCE { notBefore, notAfter } … } … }` (RFC 5280, 4.1) and nothing else.

const INTEGER: u8 = 0x02;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xA0;

const EPOCH: jiff::civil::Date = jiff::civil::date(1970, 1, 1);

/// Begin and end of the validity of a certificate in DER, seconds since 1970; `None` if it is no certificate.
pub(super) fn validity(certificate: &[u8]) -> Option<(i64, i64)> {
    let (certificate, _) = element(certificate, SEQUENCE)?;
    let (body, _) = element(certificate, SEQUENCE)?;
    let rest = element(body, VERSION).map_or(body, |(_, rest)| rest);
    let (_, rest) = element(rest, INTEGER)?;
    let (_, rest) = element(rest, SEQUENCE)?;
    let (_, rest) = element(rest, SEQUENCE)?;
    let (times, _) = element(rest, SEQUENCE)?;
    let (begin, rest) = time(times)?;
    let (end, _) = time(rest)?;
    Some((begin, end))
}

/// The content of the element of this kind at the front, and what follows it.
fn element(bytes: &[u8], kind: u8) -> Option<(&[u8], &[u8])> {
    let (&tag, rest) = bytes.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = match first {
        0..=0x7F => (usize::from(first), rest),
        // Longer than four bytes is no file of ours.
        0x81..=0x84 => {
            let (digits, rest) = rest.split_at_checked(usize::from(first & 0x7F))?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        }
        _ => return None,
    };
    if tag == kind { rest.split_at_checked(length) } else { None }
}

fn time(bytes: &[u8]) -> Option<(i64, &[u8])> {
    let (text, rest, century) = match bytes.first()? {
        &UTC_TIME => {
            let (text, rest) = element(bytes, UTC_TIME)?;
            // Two digits: 50 to 99 are of the last century.
            (text, rest, Some(if *text.first()? >= b'5' { "19" } else { "20" }))
        }
        _ => element(bytes, GENERALIZED_TIME).map(|(text, rest)| (text, rest, None))?,
    };
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let text = format!("{}{text}", century.unwrap_or_default());
    let time = jiff::civil::DateTime::strptime("%Y%m%d%H%M%S", text).ok()?;
    // Not as a time stamp: those of the library end before 9999-12-31, which stands for "never".
    let days = EPOCH.until((jiff::Unit::Day, time.date())).ok()?.get_days();
    let time = time.time();
    let second = i64::from(time.hour()) * 3600 + i64::from(time.minute()) * 60 + i64::from(time.second());
    Some((i64::from(days) * 86_400 + second, rest))
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::pem::PemObject;

    use super::*;

    fn certificate(pem: &str) -> CertificateDer<'static> {
        CertificateDer::from_pem_slice(pem.as_bytes()).unwrap()
    }

    #[test]
    fn both_kinds_of_time_are_read() {
        let good = validity(&certificate(include_str!("../../tests/data/tls/cert.pem"))).unwrap();
        // 2000-01-01 to 9999-12-31 and 2001-01-01 to 2001-12-31.
        assert_eq!(good, (946_684_800, 253_402_300_799));
        let old = validity(&certificate(include_str!("../../tests/data/tls/expired.pem"))).unwrap();
        assert_eq!(old, (978_307_200, 1_009_843_199));
    }

    #[test]
    fn no_cut_certificate_is_one() {
        let whole = certificate(include_str!("../../tests/data/tls/cert.pem"));
        for end in 0..whole.len() {
            assert_eq!(validity(&whole[..end]), None, "{end}");
        }
        assert_eq!(validity(&[0x30, 0x85, 1, 1, 1, 1, 1]), None);
    }
}
