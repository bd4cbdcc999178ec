//! Rows of optional texts in few bytes: the values that differ between the jobs of one submission or listing.
//!
//! A row is, for each column, LEB128(length + 1) and the bytes; 0 alone is an absent value. The number of columns is
//! not stored: both sides know it.

/// Longest value that is read, bytes. A longer length is damage, not data.
pub const VALUE_MAX: usize = 16 * 1024 * 1024;

/// Appends one row.
pub fn pack_row(out: &mut Vec<u8>, values: &[Option<&str>]) {
    for value in values {
        match value {
            None => out.push(0),
            Some(text) => {
                let mut left = text.len() as u64 + 1;
                while left >= 0x80 {
                    out.push(left as u8 | 0x80);
                    left >>= 7;
                }
                out.push(left as u8);
                out.extend_from_slice(text.as_bytes());
            }
        }
    }
}

/// A row's values and the bytes after it.
pub type Unpacked<'a> = (Vec<Option<&'a str>>, &'a [u8]);

/// Reads one row of `columns` values and returns it with the bytes after it. `None` if the input ends too early,
/// a length is above [`VALUE_MAX`] or a value is not UTF-8. Nothing is allocated for more columns than the input
/// has bytes.
pub fn unpack_row(mut input: &[u8], columns: usize) -> Option<Unpacked<'_>> {
    if columns > input.len() {
        return None;
    }
    let mut values = Vec::with_capacity(columns);
    for _ in 0..columns {
        let (size, rest) = leb128(input)?;
        input = rest;
        values.push(match size.checked_sub(1) {
            None => None,
            Some(length) => {
                let length = usize::try_from(length).ok().filter(|length| *length <= VALUE_MAX)?;
                let (bytes, rest) = input.split_at_checked(length)?;
                input = rest;
                Some(std::str::from_utf8(bytes).ok()?)
            }
        });
    }
    Some((values, input))
}

/// At most five bytes: enough for [`VALUE_MAX`] with room to spare.
fn leb128(input: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0_u64;
    for (index, byte) in input.iter().take(5).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, &input[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_form_is_as_documented() {
        let mut out = Vec::new();
        pack_row(&mut out, &[None, Some(""), Some("ab"), Some(&"x".repeat(200))]);
        assert_eq!(out[..5], [0, 1, 3, b'a', b'b']);
        assert_eq!(out[5..7], [201 & 0x7f | 0x80, 1]);
    }

    #[test]
    fn damage_is_refused() {
        assert_eq!(unpack_row(&[], 1), None);
        assert_eq!(unpack_row(&[4, b'a'], 1), None);
        assert_eq!(unpack_row(&[2, 0xff], 1), None);
        assert_eq!(unpack_row(&[0xff; 16], 1), None);
        assert_eq!(unpack_row(&[0], usize::MAX), None);
    }

    proptest! {
        #[test]
        fn rows_round_trip(row in proptest::collection::vec(proptest::option::of(".{0,300}"), 0..20), tail in any::<Vec<u8>>()) {
            let values: Vec<Option<&str>> = row.iter().map(Option::as_deref).collect();
            let mut out = Vec::new();
            pack_row(&mut out, &values);
            out.extend_from_slice(&tail);
            prop_assert_eq!(unpack_row(&out, values.len()), Some((values, &tail[..])));
        }

        #[test]
        fn any_bytes_are_taken_without_panic(bytes in any::<Vec<u8>>(), columns in 0_usize..40) {
            if let Some((values, rest)) = unpack_row(&bytes, columns) {
                prop_assert_eq!(values.len(), columns);
                prop_assert!(rest.len() <= bytes.len());
            }
        }
    }
}
