//! The job's environment in the old and the new syntax, and what `getenv` copies.

use std::collections::BTreeMap;

use crate::arguments::{is_quoted, join_raw, split_raw, unquote};
use crate::values::wildcard;

/// Delimiter of the old syntax on Unix.
pub(crate) const DELIMITER: char = ';';

/// Variables by name. `None`: an entry without `=` that is a `$$(…)`, kept as it stands.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Environment {
    entries: BTreeMap<String, Option<String>>,
}

impl Environment {
    /// Reads either syntax. The error is HTCondor's text.
    pub(crate) fn parse(text: &str) -> Result<Environment, String> {
        if is_quoted(text) { Environment::parse_quoted(text) } else { Environment::parse_old(text) }
    }

    /// Reads the new syntax only.
    pub(crate) fn parse_quoted(text: &str) -> Result<Environment, String> {
        if !is_quoted(text) {
            return Err("Expecting a double-quoted environment string (V2 format).".to_owned());
        }
        let mut environment = Environment::default();
        for entry in split_raw(&unquote(text)?)? {
            environment.set_entry(&entry)?;
        }
        Ok(environment)
    }

    fn parse_old(text: &str) -> Result<Environment, String> {
        const PERMITTED: &str = "!#$%&*+,-/:;<>?@^`|~\u{1f}";
        let mut environment = Environment::default();
        // A delimiter in front names itself, so that values may contain the usual one.
        let (delimiter, body) = match text.chars().next() {
            Some(c) if PERMITTED.contains(c) => (c, &text[c.len_utf8()..]),
            _ => (DELIMITER, text),
        };
        for entry in body.split([delimiter, '\n']) {
            let entry = entry.trim_start_matches([' ', '\t', '\n', '\r']);
            if !entry.is_empty() {
                environment.set_entry(entry)?;
            }
        }
        Ok(environment)
    }

    fn set_entry(&mut self, entry: &str) -> Result<(), String> {
        match entry.split_once('=') {
            None if entry.contains("$$") => {
                self.entries.insert(entry.to_owned(), None);
            }
            // A quoted nothing is refused without a word.
            None if entry.is_empty() => return Err(String::new()),
            None => return Err(format!("ERROR: Missing '=' after environment variable '{entry}'.")),
            Some(("", _)) => return Err(format!("ERROR: missing variable in '{entry}'.")),
            Some((name, value)) => {
                self.entries.insert(name.to_owned(), Some(value.to_owned()));
            }
        }
        Ok(())
    }

    /// Copies from the submitter's environment what `filter` lets pass and is not set yet.
    pub(crate) fn import(&mut self, variables: Vec<(String, String)>, filter: &Filter, old: bool) {
        for (name, value) in variables {
            // Values that the chosen syntax cannot carry are left out silently, as in HTCondor.
            let unsafe_value = value.contains('\n') || (old && value.contains(DELIMITER));
            if !unsafe_value && !name.is_empty() && filter.passes(&name) {
                self.entries.entry(name).or_insert(Some(value));
            }
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Names, in order.
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.entries.keys().map(String::as_str)
    }

    /// The value of `Environment`.
    pub(crate) fn to_raw(&self) -> String {
        let entries: Vec<String> = self.entries.iter().map(join).collect();
        join_raw(entries.iter().map(String::as_str))
    }

    /// The value of `Env`, or the entry that it cannot carry.
    pub(crate) fn to_old(&self) -> Result<String, (String, String)> {
        for (name, value) in &self.entries {
            let value = value.as_deref().unwrap_or_default();
            if name.contains([DELIMITER, '\n']) || value.contains([DELIMITER, '\n']) {
                return Err((name.clone(), value.to_owned()));
            }
        }
        let entries: Vec<String> = self.entries.iter().map(join).collect();
        Ok(entries.join(&DELIMITER.to_string()))
    }
}

fn join((name, value): (&String, &Option<String>)) -> String {
    value.as_ref().map_or_else(|| name.clone(), |value| format!("{name}={value}"))
}

/// Which variables `getenv` copies: names with `*`, those after `!` never.
#[derive(Debug, Clone, Default)]
pub(crate) struct Filter {
    wanted: Vec<String>,
    unwanted: Vec<String>,
}

impl Filter {
    /// Reads `FOO_*, !BAR`.
    pub(crate) fn parse(list: &str) -> Filter {
        let mut filter = Filter::default();
        for item in list.split([',', ';', ' ', '\t', '\r', '\n']).filter(|item| !item.is_empty()) {
            match item.strip_prefix('!') {
                Some("") => {}
                Some(name) => filter.unwanted.push(name.to_owned()),
                None => filter.wanted.push(item.to_owned()),
            }
        }
        filter
    }

    fn passes(&self, name: &str) -> bool {
        !self.unwanted.iter().any(|pattern| wildcard(pattern, name))
            && (self.wanted.is_empty() || self.wanted.iter().any(|pattern| wildcard(pattern, name)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_syntaxes_give_one_form() {
        for text in ["B=two words;A=1;C=", "\"A=1 B='two words' C=\"", "|A=1|B=two words|C="] {
            assert_eq!(Environment::parse(text).unwrap().to_raw(), "A=1 B=two' 'words C=", "{text}");
        }
        assert_eq!(Environment::parse("\"B=2 A=1 B=3\"").unwrap().to_raw(), "A=1 B=3");
        assert_eq!(Environment::parse("A=1;$$(X)").unwrap().to_raw(), "$$(X) A=1");
        assert_eq!(Environment::parse("a.b=1;;").unwrap().to_raw(), "a.b=1");
    }

    #[test]
    fn mistakes_have_their_texts() {
        let error = |text| Environment::parse(text).unwrap_err();
        assert_eq!(error("noequals"), "ERROR: Missing '=' after environment variable 'noequals'.");
        assert_eq!(error("\"=bad\""), "ERROR: missing variable in '=bad'.");
        assert_eq!(error("\"A='b\""), "Unbalanced quote starting here: 'b");
    }

    #[test]
    fn imports_respect_patterns_and_earlier_values() {
        let all = || ["FOO=1", "FOX=2", "BAR=3", "BAD=a\nb"].map(|e| e.split_once('=').unwrap());
        let all = || all().map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec();
        let mut environment = Environment::parse("\"FOO=mine\"").unwrap();
        environment.import(all(), &Filter::parse("FO*, !FOX"), false);
        assert_eq!(environment.to_raw(), "FOO=mine");
        environment.import(all(), &Filter::default(), false);
        assert_eq!(environment.to_raw(), "BAR=3 FOO=mine FOX=2");
    }
}
