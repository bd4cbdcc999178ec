//! Attribute and function names: kept as written, matched ignoring ASCII case.

use std::sync::Arc;

/// A name as written with its lower-case form, so that evaluation never folds case.
#[derive(Debug, Clone)]
pub(crate) struct Name {
    text: Arc<str>,
    lower: Arc<str>,
}

impl Name {
    pub(crate) fn new(text: &str) -> Name {
        let whole: Arc<str> = text.into();
        let lower = if text.bytes().any(|b| b.is_ascii_uppercase()) {
            text.to_ascii_lowercase().into()
        } else {
            Arc::clone(&whole)
        };
        Name { text: whole, lower }
    }

    /// As written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// As written, to be kept.
    pub(crate) fn shared(&self) -> &Arc<str> {
        &self.text
    }

    /// In lower case: what scopes are asked for.
    pub(crate) fn lower(&self) -> &Arc<str> {
        &self.lower
    }
}

/// Names are equal as written: `parse(print(e)) == e` is to notice a change of case.
impl PartialEq for Name {
    fn eq(&self, other: &Name) -> bool {
        self.text == other.text
    }
}

/// Words that mean something else when written without quotes; `parent` is the enclosing ad.
const RESERVED: [&str; 7] = ["error", "false", "is", "isnt", "parent", "true", "undefined"];

/// Whether the name can be written without single quotes.
pub(crate) fn is_plain(name: &str) -> bool {
    let mut bytes = name.bytes();
    let starts_well = bytes.next().is_some_and(|b| b.is_ascii_alphabetic() || b == b'_');
    starts_well
        && bytes.all(|b| b.is_ascii_alphanumeric() || b == b'_')
        && !RESERVED.iter().any(|word| word.eq_ignore_ascii_case(name))
}
