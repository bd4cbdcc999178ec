//! The percent encoding of names.
//!
//! Where it applies differs by field and protocol; the message types know. Here is only the encoding itself.

use bytes::{BufMut, BytesMut};
use std::borrow::Cow;

/// Encodes `name` onto `out`.
///
/// Each byte that is ≤ 0x20, > 0x7A or one of `% \ < > ' "` becomes `%` and two upper-case hex digits; `/` stays.
/// The C encoder is wrong for bytes ≥ 0x80 (`%FFFFFFC3`) and < 0x10 (`% A`); all C decoders take the two digits we write
/// (observed with UTF-8 names on 6, 8, 9 and 11).
pub fn encode_name(name: &[u8], out: &mut BytesMut) {
    let mut rest = name;
    while let Some(at) = rest.iter().position(|byte| !is_plain(*byte)) {
        let byte = rest[at];
        out.put_slice(&rest[..at]);
        out.put_slice(&[b'%', hex_digit(byte >> 4), hex_digit(byte & 15)]);
        rest = &rest[at + 1..];
    }
    out.put_slice(rest);
}

/// The name behind an encoded one; borrows when nothing is encoded.
///
/// A `%` that is not followed by two hex digits stands for itself, as in the C decoder.
pub fn decode_name(encoded: &[u8]) -> Cow<'_, [u8]> {
    if !encoded.contains(&b'%') {
        return Cow::Borrowed(encoded);
    }
    let mut name = Vec::with_capacity(encoded.len());
    let mut rest = encoded;
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%'
            && let [high, low, after_digits @ ..] = after
            && let (Some(high), Some(low)) = (digit_value(*high), digit_value(*low))
        {
            name.push(high << 4 | low);
            rest = after_digits;
        } else {
            name.push(byte);
        }
    }
    Cow::Owned(name)
}

/// Whether `name` is made only of `A-Z a-z 0-9 . _ -`, has no leading dot, is not `tmp` and not empty.
///
/// Cache names of this alphabet mean the same in every field of every protocol; others run into the C encoder's and
/// the dialects' differences.
pub fn is_plain_name(name: &[u8]) -> bool {
    !name.is_empty()
        && name[0] != b'.'
        && name != b"tmp"
        && name.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-'))
}

fn is_plain(byte: u8) -> bool {
    (0x21..=0x7A).contains(&byte) && !matches!(byte, b'%' | b'\\' | b'<' | b'>' | b'\'' | b'"')
}

fn hex_digit(nibble: u8) -> u8 {
    b"0123456789ABCDEF"[usize::from(nibble)]
}

fn digit_value(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn encoded(name: &[u8]) -> BytesMut {
        let mut out = BytesMut::new();
        encode_name(name, &mut out);
        out
    }

    #[test]
    fn known_names() {
        let cases: [(&[u8], &[u8]); 7] = [
            (b"in put.txt", b"in%20put.txt"),
            (b"in%20put.txt", b"in%2520put.txt"),
            (b"a/b_c-d.e", b"a/b_c-d.e"),
            ("é".as_bytes(), b"%C3%A9"),
            (b"\n", b"%0A"),
            (b"<'\">\\{z", b"%3C%27%22%3E%5C%7Bz"),
            (b"", b""),
        ];
        for (name, wire) in cases {
            assert_eq!(encoded(name), wire);
            assert_eq!(decode_name(wire), name);
        }
    }

    #[test]
    fn stray_percent_signs_stay() {
        for text in [&b"%"[..], b"%4", b"a%zz", b"100%", b"%%"] {
            assert_eq!(decode_name(text), text);
        }
        assert_eq!(decode_name(b"%c3%C3"), &b"\xc3\xc3"[..]);
    }

    #[test]
    fn plain_names() {
        for good in ["a", "o-1", "f_2.x", "tmp2"] {
            assert!(is_plain_name(good.as_bytes()), "{good}");
        }
        for bad in ["", ".x", "tmp", "a/b", "a b", "é", "a%20"] {
            assert!(!is_plain_name(bad.as_bytes()), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn any_name_survives(name in proptest::collection::vec(any::<u8>(), 0..200)) {
            let wire = encoded(&name);
            prop_assert!(wire.iter().all(|b| (0x21..=0x7A).contains(b)));
            prop_assert_eq!(decode_name(&wire), name);
        }

        #[test]
        fn decoding_takes_anything(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(decode_name(&text).len() <= text.len());
        }
    }
}
