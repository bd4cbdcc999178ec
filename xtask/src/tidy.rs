//! What no compiler looks at: files that grew too long, leftovers, traces of one machine, papers behind the code.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::reliability;
use crate::rust_source::{module_place, only_tests, test_modules, without_literals, without_tests};
use crate::workspace;

/// Past this many lines of code (tests not counted) a file holds a second idea.
const LINES_MAX: usize = 600;
/// Files that are longer for a reason.
const LONG_FILES: &[(&str, &str)] = &[];
/// Data recorded from other programs is kept as it was, whatever it says.
const RECORDED: &[&str] = &["tests/data", "fuzz/corpus"];
/// Papers whose references to files and tests must be right.
const PAPERS: &[&str] =
    &["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "docs/htcondor-differences.md", RELIABILITY];
/// The paper that has a row for each promise, requirement and mistake.
const RELIABILITY: &str = "docs/reliability.md";

/// Words that mark unfinished work. In two halves, so that this file does not find itself.
const LEFTOVERS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];
/// Attributes and macros that mark it, in Rust code.
const LEFTOVER_CODE: &[&str] = &["#[ignore", "todo!(", "unimplemented!("];
/// Folders of one machine; they mean nothing to anybody else.
const MACHINE_PATHS: &[&str] = &[concat!("/wo", "rk/"), concat!("/fa", "rm/"), concat!("/ro", "ot/")];
/// Servers of package registries: builds must work with any mirror.
const REGISTRIES: &[&str] = &[
    concat!("static.crates", ".io"),
    concat!("index.crates", ".io"),
    concat!("deb.debian", ".org"),
    concat!("pypi", ".org"),
    concat!("registry.npmjs", ".org"),
];

/// Lists of numbered answers, promises and requirements, which the code cites.
const LISTS: &[&str] = &["docs/decisions/answers.md", "docs/decisions/promises.md"];

/// Everything that is not tidy.
pub(crate) fn findings() -> Result<Vec<String>> {
    let root = workspace::root()?;
    let mut found = Vec::new();
    let mut tests = BTreeSet::new();
    let mut known = BTreeSet::new();
    for list in LISTS {
        let path = root.join(list);
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        known.extend(numbers_listed(&text));
    }
    let files = workspace::files(&root)?;
    let test_files = files_of_tests(&root, &files)?;
    for file in files {
        if RECORDED.iter().any(|folder| file.starts_with(folder)) {
            continue;
        }
        let bytes = std::fs::read(root.join(&file)).with_context(|| format!("cannot read {}", file.display()))?;
        // What is no text has no words.
        let Ok(text) = String::from_utf8(bytes) else { continue };
        found.extend(in_text(&file, &text));
        if file.extension().is_some_and(|extension| extension == "rs") {
            let is_test = test_files.contains(&file) || is_test_file(&file);
            found.extend(in_rust(&file, &text, is_test));
            tests.extend(functions(&text));
            found.extend(unknown_numbers(&file, &text, &known));
        }
    }
    for paper in PAPERS {
        let path = root.join(paper);
        let Ok(text) = std::fs::read_to_string(&path) else {
            found.push(format!("{paper}: missing"));
            continue;
        };
        found.extend(in_paper(paper, &text, &|name| root.join(name).exists(), &tests));
        if *paper == RELIABILITY {
            found.extend(reliability::rows_missing(paper, &text));
        }
    }
    Ok(found)
}

/// Files of modules that exist only for tests, whatever their name.
fn files_of_tests(root: &Path, files: &[PathBuf]) -> Result<BTreeSet<PathBuf>> {
    let is_rust = |file: &&PathBuf| file.extension().is_some_and(|extension| extension == "rs");
    let mut modules = BTreeSet::new();
    for file in files.iter().filter(is_rust) {
        let path = root.join(file);
        let text = std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        modules.extend(test_modules(&without_literals(&text)).iter().map(|module| module_place(file, module)));
    }
    let is_below = |file: &&PathBuf| file.with_extension("").ancestors().any(|place| modules.contains(place));
    Ok(files.iter().filter(is_rust).filter(is_below).cloned().collect())
}

/// Words that must stand in no text of ours.
fn in_text(file: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    let is_lock = file.file_name().is_some_and(|name| name == "Cargo.lock");
    for (number, line) in text.lines().enumerate() {
        let place = format!("{}:{}", file.display(), number + 1);
        for word in LEFTOVERS.iter().filter(|word| has_word(line, word)) {
            found.push(format!("{place}: {word}: finish it, or make it an issue"));
        }
        for path in MACHINE_PATHS.iter().filter(|path| has_path(line, path)) {
            found.push(format!("{place}: {path}… exists on one machine only"));
        }
        for host in REGISTRIES.iter().filter(|host| !is_lock && line.contains(**host)) {
            found.push(format!("{place}: {host}: name the package, not the server it comes from"));
        }
    }
    found
}

/// What must not be in Rust code.
fn in_rust(file: &Path, source: &str, is_test: bool) -> Vec<String> {
    let mut found = Vec::new();
    let name = file.display();
    let text = without_literals(source);
    let (code, tests) = if is_test { (String::new(), text) } else { (without_tests(&text), only_tests(&text)) };
    let length = code.lines().filter(|line| !line.trim().is_empty()).count();
    let lines = if is_test { 0 } else { source.lines().count() - blank_tail(&code) };
    let is_listed = LONG_FILES.iter().any(|(listed, _)| file == Path::new(listed));
    let is_long = lines > LINES_MAX && length > 0;
    if is_long && !is_listed && !is_table(file) {
        found.push(format!("{name}: {lines} lines without its tests: look for the second idea"));
    }
    if is_listed && !is_long {
        found.push(format!("{name}: not long any more: take it off the list of exceptions"));
    }
    // The name of `tests.rs` says what it is.
    if !source.starts_with("//!") && file.file_stem().is_none_or(|stem| stem != "tests") {
        found.push(format!("{name}:1: opens without //! (what it is, what it does not do)"));
    }
    for (number, (code, tests)) in code.lines().chain(std::iter::repeat("")).zip(tests.lines()).enumerate() {
        let place = format!("{name}:{}", number + 1);
        for word in LEFTOVER_CODE.iter().filter(|word| code.contains(**word) || tests.contains(**word)) {
            found.push(format!("{place}: {word}…: finish it, or make it an issue"));
        }
        if code.contains(".unwrap()") {
            found.push(format!("{place}: unwrap outside tests: say why it holds, with expect"));
        }
        if tests.contains("thread::sleep") || tests.contains("time::sleep") {
            found.push(format!("{place}: a sleep in a test: wait for a condition (testkit::wait_until)"));
        }
    }
    found
}

/// Numbers that a list explains: an item begins `- **D17 …` or a row `| R-4 |`.
fn numbers_listed(text: &str) -> Vec<String> {
    text.lines()
        .filter_map(|line| line.strip_prefix("- **").or_else(|| line.strip_prefix("| ")))
        .filter_map(|rest| numbers(rest.split(' ').next()?).pop())
        .collect()
}

/// Numbers cited on lines that speak of a decision, promise or requirement, which no list has.
fn unknown_numbers(file: &Path, source: &str, known: &BTreeSet<String>) -> Vec<String> {
    let mut found = Vec::new();
    for (at, line) in source.lines().enumerate() {
        if !["decision", "promise", "requirement"].iter().any(|word| line.contains(word)) {
            continue;
        }
        for number in numbers(line).into_iter().filter(|number| !known.contains(number)) {
            found.push(format!("{}:{}: {number} stands in none of {LISTS:?}", file.display(), at + 1));
        }
    }
    found
}

/// Words such as `D17`, `P8` and `R-23`.
fn numbers(text: &str) -> Vec<String> {
    text.split(|c: char| !(c.is_alphanumeric() || matches!(c, '-' | '_')))
        // `D34-D40` is two of them.
        .flat_map(|word| if word.starts_with("R-") { vec![word] } else { word.split('-').collect() })
        .filter(|word| {
            let digits = word.strip_prefix("R-").or_else(|| word.strip_prefix(['D', 'P'])).unwrap_or_default();
            matches!(digits.len(), 1 | 2) && digits.chars().all(|c| c.is_ascii_digit())
        })
        .map(str::to_owned)
        .collect()
}

/// References of a paper to files that do not exist, and to tests that no source has.
///
/// A file is anything in back quotes that begins with a folder of ours; a test is what stands in back quotes after
/// the word `test`.
fn in_paper(name: &str, text: &str, exists: &dyn Fn(&str) -> bool, functions: &BTreeSet<String>) -> Vec<String> {
    const FOLDERS: &[&str] = &["crates/", "src/", "shims/", "scripts/", "tests/", "docs/", "xtask/", "etc/", ".ci/"];
    let mut found = Vec::new();
    let parts: Vec<&str> = text.split('`').collect();
    for (before, quoted) in parts.iter().zip(&parts[1..]).step_by(2) {
        let path = quoted.split(' ').next().unwrap_or_default();
        // Names in capitals or in braces stand for what the reader puts there.
        let is_pattern = path.contains(['{', '*', '…', '<']) || path.split(['/', '.']).any(is_capitals);
        if FOLDERS.iter().any(|folder| path.starts_with(folder)) && !is_pattern && !exists(path) {
            found.push(format!("{name}: `{path}` does not exist"));
        }
        if before.ends_with("test ") && !functions.contains(*quoted) {
            found.push(format!("{name}: no test `{quoted}` in any source"));
        }
    }
    found
}

fn is_capitals(word: &str) -> bool {
    word.len() > 1 && word.chars().all(|c| c.is_ascii_uppercase() || c == '_' || c == '-')
}

/// Lines at the end that became blank when the tests were taken out.
fn blank_tail(code: &str) -> usize {
    code.lines().rev().take_while(|line| line.trim().is_empty()).count()
}

fn is_test_file(file: &Path) -> bool {
    file.components().any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "benches")))
        || file
            .file_stem()
            .and_then(|stem| stem.to_str())
            .is_some_and(|stem| stem == "tests" || stem.ends_with("_tests"))
}

fn is_table(file: &Path) -> bool {
    file.file_stem().and_then(|stem| stem.to_str()).is_some_and(|stem| stem == "table" || stem.ends_with("_table"))
}

fn has_word(line: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(is_part) && !line[at + word.len()..].starts_with(is_part))
}

/// Whether an absolute path begins here: `/x/…` is one, the `/x/` of `site/x/…` is not.
fn has_path(line: &str, path: &str) -> bool {
    line.match_indices(path).any(|(at, _)| {
        !line[..at].ends_with(|c: char| c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | '}' | ')' | '"'))
            || line[..at].ends_with("=\"")
            || line[..at].ends_with("(\"")
            || line[..at].ends_with(" \"")
    })
}

/// Names of all functions in a source, tests among them.
fn functions(source: &str) -> Vec<String> {
    let text = without_literals(source);
    let words: Vec<&str> =
        text.split(|c: char| !(c.is_alphanumeric() || c == '_')).filter(|word| !word.is_empty()).collect();
    words.windows(2).filter(|pair| pair[0] == "fn").map(|pair| pair[1].to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rust(source: &str) -> Vec<String> {
        in_rust(Path::new("crates/x/src/a.rs"), source, false)
    }

    #[test]
    fn leftovers_are_whole_words() {
        let word = LEFTOVERS[0];
        assert_eq!(in_text(Path::new("a.sh"), &format!("ok\n# {word}: later\n")).len(), 1);
        assert_eq!(in_text(Path::new("a.sh"), &format!("{word}S=3; mktemp -d awq.{0}{0}", LEFTOVERS[2])), [""; 0]);
    }

    #[test]
    fn paths_of_one_machine_are_absolute() {
        let path = MACHINE_PATHS[0];
        for line in [format!("cd {path}main"), format!("open(\"{path}x\")"), format!("`{path}x`")] {
            assert_eq!(in_text(Path::new("a.md"), &line).len(), 1, "{line}");
        }
        for line in [
            format!("site{path}awq.sock"),
            format!("$HOME{path}x"),
            format!("\"$dir\"{path}x"),
            format!("${{D}}{path}x"),
        ] {
            assert_eq!(in_text(Path::new("a.sh"), &line), [""; 0], "{line}");
        }
    }

    #[test]
    fn registries_are_named_in_the_lock_file_only() {
        let line = format!("see https://{}/x", REGISTRIES[0]);
        assert_eq!(in_text(Path::new("a.md"), &line).len(), 1);
        assert_eq!(in_text(Path::new("Cargo.lock"), &line), [""; 0]);
    }

    #[test]
    fn long_files_are_found_and_tests_do_not_count() {
        let code = format!("//! A.\n{}", "fn f() {}\n".repeat(700));
        assert_eq!(rust(&code), ["crates/x/src/a.rs: 701 lines without its tests: look for the second idea"]);
        assert_eq!(in_rust(Path::new("crates/x/src/key_table.rs"), &code, false), [""; 0]);
        assert_eq!(in_rust(Path::new("crates/x/tests/a.rs"), &code, true), [""; 0]);
        let tests = format!("//! A.\nfn f() {{}}\n#[cfg(test)]\nmod tests {{\n{}}}\n", "fn f() {}\n".repeat(700));
        assert_eq!(rust(&tests), [""; 0]);
    }

    #[test]
    fn code_is_finished_or_found() {
        let source = "//! A.\nfn f() { todo!() }\nfn g() { x.unwrap(); }\n#[cfg(test)]\nmod tests {\n#[ignore]\n\
                      fn t() { x.unwrap(); std::thread::sleep(d); }\n}\n";
        let lines: Vec<_> = rust(source).iter().map(|line| line.split(": ").next().unwrap().to_owned()).collect();
        assert_eq!(lines, ["crates/x/src/a.rs:2", "crates/x/src/a.rs:3", "crates/x/src/a.rs:6", "crates/x/src/a.rs:7"]);
        assert_eq!(rust("//! A.\n// x.unwrap() here\nfn f() { g(\"todo!()\"); thread::sleep(d); }\n"), [""; 0]);
        assert_eq!(rust("fn f() {}\n").len(), 1);
        assert_eq!(in_rust(Path::new("crates/x/src/a/tests.rs"), "use super::*;\n", true), [""; 0]);
    }

    #[test]
    fn modules_for_tests_are_tests_whatever_their_name() {
        let folder = std::env::temp_dir().join(format!("xtask-tidy-{}", std::process::id()));
        let files =
            ["src/lib.rs", "src/bench.rs", "src/bench/a.rs", "src/benches2.rs", "src/note.md"].map(PathBuf::from);
        for file in &files {
            std::fs::create_dir_all(folder.join(file).parent().unwrap()).unwrap();
            std::fs::write(folder.join(file), "#[cfg(test)]\nmod bench;\nmod benches2;\n").unwrap();
        }
        let found = files_of_tests(&folder, &files);
        std::fs::remove_dir_all(&folder).unwrap();
        assert_eq!(found.unwrap(), BTreeSet::from(["src/bench.rs", "src/bench/a.rs"].map(PathBuf::from)));
    }

    #[test]
    fn cited_numbers_are_in_a_list() {
        let known = BTreeSet::from_iter(numbers_listed("- **D1 Two folders.** x\n- **D34** y\n| R-3 | z |\nD9\n"));
        assert_eq!(known, BTreeSet::from(["D1", "D34", "R-3"].map(str::to_owned)));
        let source = format!("//! Outputs (requirement R-3, decisions D1, D34-D{}).\n// D{0}\nDecision<D{0}>\n", 36);
        let found = unknown_numbers(Path::new("a.rs"), &source, &known);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].starts_with("a.rs:1: D36 "), "{found:?}");
    }

    #[test]
    fn papers_name_only_what_is_there() {
        let functions = BTreeSet::from(["it_works".to_owned()]);
        let text = "see `crates/a` and `crates/b/src/x.rs`, `crates/NAME/src`, `docs/{x}`, `cargo test`; \
                    test `it_works`, test `it_flies`";
        let found = in_paper("README.md", text, &|path| path == "crates/a", &functions);
        assert_eq!(
            found,
            ["README.md: `crates/b/src/x.rs` does not exist", "README.md: no test `it_flies` in any source",]
        );
    }
}
