//! Dependency arrows: which crate may use which, and what the pure crates must not touch.
//!
//! The table is the truth about the structure; ARCHITECTURE.md explains it. A new arrow is the rarest kind of change.

use std::collections::BTreeSet;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::Value;

use crate::purity::impurities;
use crate::rust_source::{module_place, test_modules, without_literals, without_tests};
use crate::workspace;

/// What a package of the workspace may depend on (`[dependencies]` and `[build-dependencies]`).
struct Rule {
    package: &'static str,
    /// Crates of ours.
    ours: &'static [&'static str],
    /// Foreign crates of a pure package; `None` = any, the package is shell.
    foreign: Option<&'static [&'static str]>,
}

/// One row per package.
const RULES: &[Rule] = &[
    Rule { package: "classad", ours: &[], foreign: Some(&["nom", "pcre2", "thiserror"]) },
    Rule { package: "journal", ours: &[], foreign: Some(&["crc32c", "postcard", "serde", "thiserror"]) },
    Rule { package: "handover", ours: &["journal"], foreign: Some(&["serde", "serde_json", "thiserror"]) },
    Rule { package: "submit-lang", ours: &["classad"], foreign: Some(&["nom", "thiserror"]) },
    Rule { package: "userlog", ours: &[], foreign: Some(&["jiff", "serde_json", "thiserror"]) },
    Rule { package: "wq-proto", ours: &[], foreign: Some(&["bytes", "hex", "nom", "sha1", "subtle", "thiserror"]) },
    Rule {
        package: "wq-core",
        ours: &["classad", "control-proto", "handover", "journal", "userlog", "wq-proto"],
        foreign: Some(&["bytes", "thiserror"]),
    },
    // Pure types; the blocking client of the shims is behind its feature `client`, with nix.
    Rule { package: "control-proto", ours: &[], foreign: Some(&["nix", "serde", "serde_json", "thiserror"]) },
    // The submit language: files of the spool folder have no client that would read them (decision D11).
    Rule {
        package: "alien-workqueue",
        ours: &["classad", "control-proto", "handover", "journal", "submit-lang", "userlog", "wq-core", "wq-proto"],
        foreign: None,
    },
    Rule { package: "shims", ours: &["classad", "control-proto", "submit-lang", "userlog"], foreign: None },
    Rule {
        package: "fuzz",
        ours: &["classad", "control-proto", "journal", "shims", "submit-lang", "wq-core", "wq-proto"],
        foreign: None,
    },
    Rule {
        package: "wq-sim",
        ours: &["control-proto", "journal", "userlog", "wq-core", "wq-proto"],
        foreign: Some(&["bytes"]),
    },
    Rule { package: "testkit", ours: &["wq-proto"], foreign: None },
    Rule { package: "xtask", ours: &[], foreign: None },
];

/// Crates whose source must not mention clock, files, sockets, threads, environment or randomness.
const PURE: &[&str] = &["classad", "handover", "journal", "submit-lang", "userlog", "wq-core", "wq-proto"];

/// Everything that breaks the table.
pub(crate) fn findings() -> Result<Vec<String>> {
    let mut found = wrong_arrows(&workspace::metadata(false)?);
    let root = workspace::root()?;
    for name in PURE {
        found.extend(impure_lines(&root, name)?);
    }
    Ok(found)
}

/// Arrows in `cargo metadata --no-deps` that the table does not have.
fn wrong_arrows(metadata: &Value) -> Vec<String> {
    let packages = metadata["packages"].as_array().map_or(&[][..], Vec::as_slice);
    let names: BTreeSet<&str> = packages.iter().filter_map(|package| package["name"].as_str()).collect();
    let mut found = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some(rule) = RULES.iter().find(|rule| rule.package == name) else {
            found.push(format!("package {name} has no row in the table of xtask/src/arrows.rs"));
            continue;
        };
        let dependencies = package["dependencies"].as_array().map_or(&[][..], Vec::as_slice);
        // Development dependencies are free: tests may use files, and testkit.
        for dependency in dependencies.iter().filter(|dependency| dependency["kind"] != "dev") {
            let target = dependency["name"].as_str().unwrap_or_default();
            let good = if names.contains(target) {
                rule.ours.contains(&target)
            } else {
                rule.foreign.is_none_or(|foreign| foreign.contains(&target))
            };
            if !good {
                found.push(format!("{name} -> {target}: no such arrow in the table of xtask/src/arrows.rs"));
            }
        }
    }
    found
}

/// Forbidden uses in the sources of one crate, tests left out.
fn impure_lines(root: &Path, name: &str) -> Result<Vec<String>> {
    let source = root.join("crates").join(name).join("src");
    let mut texts = Vec::new();
    let mut only_for_tests = BTreeSet::new();
    for file in workspace::files(&source)? {
        if file.extension().is_some_and(|extension| extension == "rs") {
            let path = source.join(&file);
            let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
            let text = without_literals(&text);
            only_for_tests.extend(test_modules(&text).iter().map(|module| module_place(&file, module)));
            texts.push((file, without_tests(&text)));
        }
    }
    texts.retain(|(file, _)| !only_for_tests.iter().any(|module| file.with_extension("").starts_with(module)));
    Ok(texts
        .iter()
        .flat_map(|(file, text)| {
            impurities(text).into_iter().map(move |impurity| {
                let place = Path::new("crates").join(name).join("src").join(file);
                let (line, path, reaches) = (impurity.line, impurity.path, impurity.reaches);
                format!("{}:{line}: {path} reaches for {reaches}; {name} is pure", place.display())
            })
        })
        .collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, dependencies: &[(&str, Option<&str>)]) -> Value {
        let dependencies: Vec<_> =
            dependencies.iter().map(|(name, kind)| serde_json::json!({ "name": name, "kind": kind })).collect();
        serde_json::json!({ "name": name, "dependencies": dependencies })
    }

    #[test]
    fn arrows_point_inwards_only() {
        let metadata = serde_json::json!({ "packages": [
            package("wq-core", &[("wq-proto", None), ("tokio", None), ("shims", None), ("proptest", Some("dev"))]),
            package("wq-proto", &[("wq-core", None), ("bytes", None), ("cc", Some("build"))]),
            package("shims", &[("nix", None), ("wq-core", None)]),
            package("common", &[]),
        ]});
        let found: Vec<_> =
            wrong_arrows(&metadata).into_iter().map(|line| line.split(':').next().unwrap().to_owned()).collect();
        assert_eq!(
            found,
            [
                "wq-core -> tokio",
                "wq-core -> shims",
                "wq-proto -> wq-core",
                "wq-proto -> cc",
                "shims -> wq-core",
                "package common has no row in the table of xtask/src/arrows.rs",
            ]
        );
    }

    #[test]
    fn pure_crates_are_pure_on_paper_too() {
        for name in PURE {
            let rule = RULES.iter().find(|rule| rule.package == *name).unwrap();
            assert!(rule.foreign.is_some(), "{name} may use any foreign crate");
        }
    }
}
