//! Reading logs: whatever layout, one event after another.

use std::ops::Range;

use crate::event::Event;
use crate::form::{Form, Layout};
use crate::time::OffsetAt;
use crate::{ad, classic, json, xml};

/// An event where it stands in a log.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// The event.
    pub event: Event,
    /// The form it stands in; formatting the event so gives the same bytes.
    pub form: Form,
    /// Where it stands in the text, from the first byte of its first line to the end of its last.
    pub bytes: Range<usize>,
}

/// A stretch of a log that is no event. Reading goes on behind it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LogError {
    /// Lines before the next event (or end mark) that belong to none; the tail of an event when reading begins in the
    /// middle of a log.
    #[error("bytes {} to {} are no event", .bytes.start, .bytes.end)]
    Garbage {
        /// Where.
        bytes: Range<usize>,
    },
    /// An ad that tells of no event: without `EventTypeNumber` or `EventTime`.
    #[error("the ad in bytes {} to {} is no event", .bytes.start, .bytes.end)]
    ForeignAd {
        /// Where.
        bytes: Range<usize>,
    },
}

/// Reads a log.
///
/// `year` is taken for dates that have none; `offset` knows the zone in which local times were written.
pub fn parse<'a>(text: &'a str, year: i64, offset: OffsetAt<'a>) -> Log<'a> {
    Log { text, at: 0, year, offset }
}

/// The events of a log, in order.
///
/// Ends at the end of the text, or before an event that is not complete yet: [`Log::position`] then says where to go
/// on when more has been written.
pub struct Log<'a> {
    text: &'a str,
    at: usize,
    year: i64,
    offset: OffsetAt<'a>,
}

impl std::fmt::Debug for Log<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Log").field("at", &self.at).field("len", &self.text.len()).finish_non_exhaustive()
    }
}

impl Iterator for Log<'_> {
    type Item = Result<Entry, LogError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.skip_blank_lines();
        let rest = &self.text[self.at..];
        if rest.is_empty() {
            return None;
        }
        if rest.starts_with('{') {
            return match json::read(rest) {
                json::Found::Ad(ad, length) => Some(self.ad(&ad, length, Layout::Json)),
                json::Found::Incomplete => None,
                json::Found::Garbage => self.garbage(),
            };
        }
        if rest.starts_with("<c>") {
            return match xml::read(rest) {
                Some((ad, length)) => Some(self.ad(&ad, length, Layout::Xml)),
                None if rest.contains("\n</c>") => self.garbage(),
                None => None,
            };
        }
        self.classic()
    }
}

impl Log<'_> {
    /// Where the next event begins, in bytes from the beginning of the text: everything before has been given out.
    pub fn position(&self) -> usize {
        self.at
    }

    fn skip_blank_lines(&mut self) {
        while let Some(end) = self.text[self.at..].find('\n') {
            if !self.text[self.at..self.at + end].trim().is_empty() {
                break;
            }
            self.at += end + 1;
        }
    }

    fn ad(&mut self, ad: &crate::value::Attributes, length: usize, layout: Layout) -> Result<Entry, LogError> {
        let line_end = usize::from(self.text[self.at + length..].starts_with('\n'));
        let bytes = self.take(length + line_end);
        match ad::to_event(ad, layout, self.offset) {
            Some((event, form)) => Ok(Entry { event, form, bytes }),
            None => Err(LogError::ForeignAd { bytes }),
        }
    }

    fn classic(&mut self) -> Option<Result<Entry, LogError>> {
        let rest = &self.text[self.at..];
        let header_end = rest.find('\n')?;
        if !classic::begins_event(&rest[..header_end]) {
            return self.garbage();
        }
        let mut block = Vec::new();
        let mut length = 0;
        for line in rest.split_inclusive('\n') {
            let text = line.strip_suffix('\n')?;
            length += line.len();
            if text.starts_with("...") {
                break;
            }
            // A writer that died left its event without an end mark.
            if !block.is_empty() && classic::begins_event(text) {
                return self.garbage();
            }
            block.push(text);
            if length == rest.len() {
                return None;
            }
        }
        let bytes = self.take(length);
        Some(match classic::read_block(&block, self.year, self.offset) {
            Some((event, form)) => Ok(Entry { event, form, bytes }),
            None => Err(LogError::Garbage { bytes }),
        })
    }

    /// Skips to the next line that begins an event or follows an end mark.
    fn garbage(&mut self) -> Option<Result<Entry, LogError>> {
        let mut length = 0;
        for line in self.text[self.at..].split_inclusive('\n') {
            let text = line.strip_suffix('\n')?;
            if length > 0 && classic::begins_event(text) {
                break;
            }
            length += line.len();
            if text.starts_with("...") {
                break;
            }
        }
        let bytes = self.take(length);
        Some(Err(LogError::Garbage { bytes }))
    }

    fn take(&mut self, length: usize) -> Range<usize> {
        let start = self.at;
        self.at += length;
        start..self.at
    }
}
