//! The operator's log: tracing to stderr, as text or JSON, and a last word of panics.

use std::panic::PanicHookInfo;

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

/// Starts logging to stderr; stdout belongs to the lines that scripts wait for.
///
/// # Errors
/// The filter cannot be read.
pub(crate) fn start(filter: &str, format: LogFormat) -> Result<(), FilterError> {
    let parsed = EnvFilter::try_new(filter).map_err(|source| FilterError { filter: filter.to_owned(), source })?;
    let builder = tracing_subscriber::fmt().with_env_filter(parsed).with_writer(std::io::stderr);
    // A second call (tests) keeps the first logger, which is what they want.
    let _ = match format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    std::panic::set_hook(Box::new(report_panic));
    Ok(())
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
    fn a_wrong_filter_is_named() {
        let error = start("info,a=nonsense", LogFormat::Text).unwrap_err();
        assert!(error.to_string().starts_with("--log-level info,a=nonsense: "), "{error}");
        assert!(start("debug", LogFormat::Json).is_ok());
    }
}
