//! Licences of everything we link: each dependency must offer one that asks for no more than a notice.

use anyhow::Result;
use serde_json::Value;

use crate::workspace;

/// Permissive licences (SPDX identifiers). Copyleft of any strength is not among them, on purpose: the static
/// programs are handed to sites as they are.
const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "CDLA-Permissive-2.0",
    "ISC",
    "MIT",
    "MIT-0",
    "NCSA",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Dependencies without an acceptable licence.
pub(crate) fn findings() -> Result<Vec<String>> {
    Ok(unacceptable(&workspace::metadata(true)?))
}

fn unacceptable(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    packages
        .iter()
        // Our own have no source.
        .filter(|package| !package["source"].is_null())
        .filter_map(|package| {
            let name = format!("{} {}", package["name"].as_str()?, package["version"].as_str()?);
            match package["license"].as_str() {
                None => Some(format!("{name}: names no licence")),
                Some(text) => match is_acceptable(text) {
                    Some(true) => None,
                    Some(false) => Some(format!("{name}: licence {text:?} is not on the list")),
                    None => Some(format!("{name}: cannot read the licence {text:?}")),
                },
            }
        })
        .collect()
}

/// Whether an SPDX expression leaves us an allowed choice; `None` if it is not one. `/` is an old spelling of `OR`.
fn is_acceptable(text: &str) -> Option<bool> {
    let spaced = text.replace('/', " OR ").replace('(', " ( ").replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let mut rest = words.as_slice();
    let answer = any_of(&mut rest)?;
    rest.is_empty().then_some(answer)
}

fn any_of(rest: &mut &[&str]) -> Option<bool> {
    let mut answer = all_of(rest)?;
    while eat(rest, "OR") {
        answer |= all_of(rest)?;
    }
    Some(answer)
}

fn all_of(rest: &mut &[&str]) -> Option<bool> {
    let mut answer = one(rest)?;
    while eat(rest, "AND") {
        answer &= one(rest)?;
    }
    Some(answer)
}

fn one(rest: &mut &[&str]) -> Option<bool> {
    if eat(rest, "(") {
        let answer = any_of(rest)?;
        return eat(rest, ")").then_some(answer);
    }
    let name = word(rest)?;
    let full = if eat(rest, "WITH") { format!("{name} WITH {}", word(rest)?) } else { name.to_owned() };
    Some(ALLOWED.contains(&full.as_str()))
}

fn word<'a>(rest: &mut &[&'a str]) -> Option<&'a str> {
    let (first, others) = rest.split_first()?;
    let is_name = !matches!(*first, "OR" | "AND" | "WITH" | "(" | ")");
    is_name.then(|| {
        *rest = others;
        *first
    })
}

fn eat(rest: &mut &[&str], wanted: &str) -> bool {
    match rest.split_first() {
        Some((first, others)) if *first == wanted => {
            *rest = others;
            true
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_read_as_spdx_does() {
        let cases = [
            ("MIT", Some(true)),
            ("GPL-3.0-only", Some(false)),
            ("AGPL-3.0-only", Some(false)),
            ("MPL-2.0", Some(false)),
            ("MIT OR GPL-2.0-only", Some(true)),
            ("MIT AND GPL-2.0-only", Some(false)),
            ("MIT/Apache-2.0", Some(true)),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", Some(true)),
            ("(MIT OR Apache-2.0) AND LGPL-2.1-or-later", Some(false)),
            ("MIT OR GPL-3.0-only AND MPL-2.0", Some(true)),
            ("Apache-2.0 WITH LLVM-exception", Some(true)),
            ("GPL-2.0-only WITH Classpath-exception-2.0", Some(false)),
            ("", None),
            ("MIT OR", None),
            ("(MIT", None),
            ("MIT)", None),
            ("MIT MIT", None),
        ];
        for (text, wanted) in cases {
            assert_eq!(is_acceptable(text), wanted, "{text:?}");
        }
    }

    #[test]
    fn findings_name_the_package() {
        let package = |name: &str, licence: Option<&str>, source: Option<&str>| serde_json::json!({ "name": name, "version": "1.2.3", "license": licence, "source": source });
        let metadata = serde_json::json!({ "packages": [
            package("good", Some("MIT"), Some("registry")),
            package("ours", None, None),
            package("silent", None, Some("registry")),
            package("viral", Some("GPL-3.0-or-later"), Some("registry")),
        ]});
        assert_eq!(
            unacceptable(&metadata),
            ["silent 1.2.3: names no licence", "viral 1.2.3: licence \"GPL-3.0-or-later\" is not on the list",]
        );
    }
}
