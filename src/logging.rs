//! The operator's log: tracing to stderr, as text or JSON, and a last word of panics.
//!
//! What peers and jobs call themselves goes into it; bytes that would steer a terminal or begin a line of their own are
//! written as `\x1b` (requirement R-39).

use std::borrow::Cow;
use std::io::{self, Write};
use std::panic::PanicHookInfo;
use std::sync::OnceLock;

use tracing_subscriber::EnvFilter;

use crate::options::LogFormat;

/// The filter is none.
#[derive(Debug, thiserror::Error)]
#[error("--log-level {filter}: {source}")]
pub(crate) struct FilterError {
    /// As given.
    filter: String,
    /// What is wrong.
    source: tracing_subscriber::filter::ParseError,
}

/// Puts another filter into the logger; false if there is no logger any more.
type Change = Box<dyn Fn(EnvFilter) -> bool + Send + Sync>;

static CHANGE: OnceLock<Change> = OnceLock::new();

/// Starts logging to stderr; stdout belongs to the lines that scripts wait for.
///
/// # Errors
/// The filter cannot be read.
pub(crate) fn start(filter: &str, format: LogFormat) -> Result<(), FilterError> {
    let parsed = EnvFilter::try_new(filter).map_err(|source| FilterError { filter: filter.to_owned(), source })?;
    let builder = tracing_subscriber::fmt().with_env_filter(parsed).with_writer(|| Plain(io::stderr()));
    // A second call (tests) keeps the first logger, which is what they want.
    let (started, change): (_, Change) = match format {
        LogFormat::Text => {
            let builder = builder.with_ansi(false).with_filter_reloading();
            let handle = builder.reload_handle();
            (builder.try_init(), Box::new(move |filter| handle.reload(filter).is_ok()))
        }
        LogFormat::Json => {
            let builder = builder.json().flatten_event(true).with_filter_reloading();
            let handle = builder.reload_handle();
            (builder.try_init(), Box::new(move |filter| handle.reload(filter).is_ok()))
        }
    };
    if started.is_ok() {
        // Whoever started the logger is the first.
        let _ = CHANGE.set(change);
    }
    std::panic::set_hook(Box::new(report_panic));
    Ok(())
}

/// Changes what is logged, from now on.
///
/// # Errors
/// The filter cannot be read; the one before stays.
pub(crate) fn change(filter: &str) -> Result<(), FilterError> {
    let parsed = EnvFilter::try_new(filter).map_err(|source| FilterError { filter: filter.to_owned(), source })?;
    if !CHANGE.get().is_some_and(|change| change(parsed)) {
        tracing::error!("what is logged cannot be changed");
    }
    Ok(())
}

/// Writes records without control characters. One record is one write, with the end of its line.
struct Plain<W>(W);

impl<W: Write> Write for Plain<W> {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        self.0.write_all(&plain(record))?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

fn plain(record: &[u8]) -> Cow<'_, [u8]> {
    let text = String::from_utf8_lossy(record);
    let (line, end) = match text.strip_suffix('\n') {
        Some(line) => (line, "\n"),
        None => (&*text, ""),
    };
    if !line.chars().any(char::is_control) {
        return Cow::Borrowed(record);
    }
    let mut out = String::with_capacity(line.len() + 16);
    for char in line.chars() {
        if char.is_control() { out += &format!("\\x{:02x}", u32::from(char)) } else { out.push(char) }
    }
    Cow::Owned((out + end).into_bytes())
}

/// With `panic = "abort"` nothing else would tell where a bug was.
fn report_panic(info: &PanicHookInfo<'_>) {
    let place = info.location().map(ToString::to_string).unwrap_or_default();
    let thread = std::thread::current();
    let thread = thread.name().unwrap_or("unnamed");
    tracing::error!(thread, place, message = info.payload_as_str().unwrap_or("no text"), "panic");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_record_steers_a_terminal_or_makes_a_second_line() {
        let mut log = Vec::new();
        for record in ["a worker joined host=h\n", "x \u{1b}[2J\r\n2026 ERROR forged\t\u{7f}\u{9b}1m\n"] {
            Plain(&mut log).write_all(record.as_bytes()).unwrap();
        }
        let log = String::from_utf8(log).unwrap();
        assert_eq!(log, "a worker joined host=h\nx \\x1b[2J\\x0d\\x0a2026 ERROR forged\\x09\\x7f\\x9b1m\n");
    }

    #[test]
    fn a_wrong_filter_is_named() {
        let error = start("info,a=nonsense", LogFormat::Text).unwrap_err();
        assert!(error.to_string().starts_with("--log-level info,a=nonsense: "), "{error}");
        assert!(start("debug", LogFormat::Json).is_ok());
    }
}
