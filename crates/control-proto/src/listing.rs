//! Rows of ads as they travel in [`crate::Kind::Rows`] frames.
//!
//! A frame stands for itself: number of names, the names, then the rows until its end. A row is the number of
//! its attributes and for each the name's number and the expression text. Numbers are LEB128, texts have their
//! length in front. Names are written once a frame, which is what makes long listings short.

use std::collections::HashMap;

/// Collects rows for one frame.
#[derive(Debug, Default)]
pub struct Writer {
    names: HashMap<String, u64>,
    /// Names of the last row in their order, with their numbers: the next one most often has the same.
    last: Vec<(String, u64)>,
    name_bytes: Vec<u8>,
    rows: Vec<u8>,
    ads: u64,
}

impl Writer {
    /// Adds one ad: attribute names and expression texts.
    pub fn push<'a>(&mut self, attributes: impl ExactSizeIterator<Item = (&'a str, &'a str)>) {
        put_number(&mut self.rows, attributes.len() as u64);
        for (at, (name, text)) in attributes.enumerate() {
            let number = self.number(at, name);
            put_number(&mut self.rows, number);
            put_text(&mut self.rows, text);
        }
        self.ads += 1;
    }

    /// The number of the name that stands at this place of a row.
    fn number(&mut self, at: usize, name: &str) -> u64 {
        if let Some((last, number)) = self.last.get(at)
            && last == name
        {
            return *number;
        }
        let number = match self.names.get(name) {
            Some(number) => *number,
            None => {
                let number = self.names.len() as u64;
                self.names.insert(name.to_owned(), number);
                put_text(&mut self.name_bytes, name);
                number
            }
        };
        self.last.truncate(at);
        if self.last.len() == at {
            self.last.push((name.to_owned(), number));
        }
        number
    }

    /// Ads since the last [`Writer::take`].
    pub fn ads(&self) -> u64 {
        self.ads
    }

    /// Bytes collected so far, to decide when a frame is full.
    pub fn size(&self) -> usize {
        self.name_bytes.len() + self.rows.len()
    }

    /// The payload of a frame; the writer is empty afterwards.
    pub fn take(&mut self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.size() + 10);
        put_number(&mut out, self.names.len() as u64);
        out.append(&mut self.name_bytes);
        out.append(&mut self.rows);
        self.names.clear();
        self.last.clear();
        self.ads = 0;
        out
    }
}

/// The bytes of a frame are no listing.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("a listing frame is damaged at byte {at} of {length}")]
pub struct ListingError {
    /// How far it could be read.
    pub at: usize,
    /// Length of the payload.
    pub length: usize,
}

/// Reads the payload of one frame, calling `each` with the attributes of every ad in order.
pub fn read<'a>(payload: &'a [u8], mut each: impl FnMut(&[(&'a str, &'a str)])) -> Result<(), ListingError> {
    let mut rest = payload;
    let error = |rest: &[u8]| ListingError { at: payload.len() - rest.len(), length: payload.len() };
    let count = take_number(&mut rest).ok_or_else(|| error(rest))?;
    // Each name takes at least one byte, so a count beyond the payload is a lie that must not become an allocation.
    if count > rest.len() as u64 {
        return Err(error(rest));
    }
    let mut names = Vec::with_capacity(count as usize);
    for _ in 0..count {
        names.push(take_text(&mut rest).ok_or_else(|| error(rest))?);
    }
    let mut row = Vec::new();
    while !rest.is_empty() {
        row.clear();
        let attributes = take_number(&mut rest).ok_or_else(|| error(rest))?;
        for _ in 0..attributes {
            let number = take_number(&mut rest).ok_or_else(|| error(rest))?;
            let name = *names.get(usize::try_from(number).unwrap_or(usize::MAX)).ok_or_else(|| error(rest))?;
            row.push((name, take_text(&mut rest).ok_or_else(|| error(rest))?));
        }
        each(&row);
    }
    Ok(())
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_number(out, text.len() as u64);
    out.extend_from_slice(text.as_bytes());
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0u64;
    for shift in (0..63).step_by(7) {
        let (&byte, tail) = rest.split_first()?;
        *rest = tail;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

fn take_text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    let length = usize::try_from(take_number(rest)?).ok()?;
    if length > rest.len() {
        return None;
    }
    let (text, tail) = rest.split_at(length);
    *rest = tail;
    std::str::from_utf8(text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn rows_round_trip(ads in prop::collection::vec(prop::collection::vec(("[A-D]{1,2}", ".{0,12}"), 0..5), 0..8)) {
            let mut writer = Writer::default();
            for ad in &ads {
                writer.push(ad.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect::<Vec<_>>().into_iter());
            }
            prop_assert_eq!(writer.ads(), ads.len() as u64);
            let payload = writer.take();
            let mut seen = Vec::new();
            read(&payload, |row| seen.push(row.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect::<Vec<_>>())).unwrap();
            prop_assert_eq!(seen, ads);
            prop_assert_eq!(writer.size(), 0);
        }

        #[test]
        fn damaged_rows_are_an_error_not_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes, |_| ());
        }
    }
}
