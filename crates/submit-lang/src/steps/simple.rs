//! Keys of the table, and `+X`.

use crate::job::Job;
use crate::keys::{Key, Kind};
use crate::macros::Numbers;
use crate::refusal::Refusal;
use crate::steps::resources;
use crate::values;

/// Assigns one key of the table.
pub(super) fn assign(job: &mut Job<'_, '_>, entry: &Key) -> Result<(), Refusal> {
    let has_value = |job: &Job<'_, '_>, key: &str| job.macros.raw(key).is_some_and(|raw| !raw.is_empty());
    let key = match entry.alternative {
        // An empty key gives way to its alternative, but is looked at all the same.
        Some(alternative) if !has_value(job, entry.key) && !has_value(job, entry.attribute) => {
            let _ = job.plain(entry.key, entry.attribute)?;
            alternative
        }
        _ => entry.key,
    };
    if !is_set(job, key) && !is_set(job, entry.attribute) {
        return Ok(());
    }
    let Key { attribute, kind, .. } = *entry;
    match kind {
        Kind::Expr => {
            job.expr_param(key, attribute, attribute)?;
        }
        Kind::Bool => {
            if let Some(truth) = job.bool_param(key, attribute)? {
                job.set_bool(attribute, truth);
            }
        }
        Kind::Int | Kind::Uint => {
            if let Some(number) = job.int_param(key, attribute)? {
                if kind == Kind::Uint && number < 0 {
                    return Err(Refusal::NotUnsigned { key: key.to_owned(), value: number.to_string() });
                }
                job.set_int(attribute, number);
            }
        }
        Kind::Text | Kind::Unquoted | Kind::List | Kind::Path | Kind::UnquotedPath => {
            let Some(value) = job.plain(key, attribute)? else { return Ok(()) };
            let bare =
                if matches!(kind, Kind::Unquoted | Kind::UnquotedPath) { values::unquoted(&value) } else { &value };
            let text = match kind {
                Kind::List => values::words(bare).collect::<Vec<_>>().join(","),
                Kind::Path | Kind::UnquotedPath if !bare.is_empty() => job.full_path(bare),
                _ => bare.to_owned(),
            };
            job.set_text(attribute, text);
        }
    }
    Ok(())
}

/// The key has a value, even an empty one.
fn is_set(job: &Job<'_, '_>, key: &str) -> bool {
    job.macros.raw(key).is_some()
}

/// Assigns `+X`; an empty value is undefined. The numbers of the job itself cannot be changed.
pub(super) fn force(job: &mut Job<'_, '_>, key: &str) -> Result<(), Refusal> {
    let attribute = &key["MY.".len()..];
    let raw = job.macros.raw(key).unwrap_or_default().to_owned();
    let raw = if raw.is_empty() { "undefined".to_owned() } else { raw };
    if !job.expr_text(attribute, &raw, attribute)? {
        job.set_expr(attribute, "undefined")?;
    }
    resources::note_asked(job, attribute);
    // The look-up notes what the text depends on even when the value is taken as a whole.
    let _ = job.macros.lookup(&key.to_ascii_lowercase(), Numbers::Marks);
    Ok(())
}
