//! Rust source made fit for simple matching: comments, literals and test code replaced by blanks.
//!
//! Not a parser. It knows exactly what can hide a word (comments, strings, characters) and what ends an item; lines
//! keep their numbers.

use std::path::{Path, PathBuf};

/// The source with the contents of comments, strings and character literals blanked out.
pub(crate) fn without_literals(source: &str) -> String {
    let bytes = source.as_bytes();
    let mut out = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes.get(at + 1) == Some(&b'/') => line_end(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'*') => block_comment_end(bytes, at),
            b'"' => string_end(bytes, at + 1),
            b'r' if !ends_in_word(&bytes[..at]) || is_byte_prefix(bytes, at) => match raw_string_end(bytes, at) {
                Some(end) => end,
                None => {
                    at += 1;
                    continue;
                }
            },
            b'\'' => match char_end(source, at) {
                Some(end) => end,
                None => {
                    at += 1;
                    continue;
                }
            },
            _ => {
                at += 1;
                continue;
            }
        };
        blank(&mut out[at..end]);
        at = end;
    }
    String::from_utf8(out).expect("only whole characters are replaced by blanks")
}

/// Text without literals, with each item behind `#[cfg(test)]` (or `cfg(all(test, …))`) blanked out too.
pub(crate) fn without_tests(text: &str) -> String {
    let mut out = text.as_bytes().to_vec();
    for (begin, end) in test_items(text) {
        blank(&mut out[begin..end]);
    }
    String::from_utf8(out).expect("items begin and end at ASCII characters")
}

/// Only the items behind `#[cfg(test)]`, everything else blanked out.
pub(crate) fn only_tests(text: &str) -> String {
    let mut out = text.as_bytes().to_vec();
    let mut from = 0;
    for (begin, end) in test_items(text) {
        blank(&mut out[from..begin]);
        from = end;
    }
    blank(&mut out[from..]);
    String::from_utf8(out).expect("items begin and end at ASCII characters")
}

/// Names of modules that exist only for tests and stand in files of their own: `#[cfg(test)] mod name;`.
pub(crate) fn test_modules(text: &str) -> Vec<String> {
    test_items(text)
        .filter_map(|(begin, end)| {
            let item = text[begin..end].trim().strip_suffix(';')?;
            let (before, name) = item.rsplit_once(' ')?;
            before.trim_end().ends_with("mod").then(|| name.to_owned())
        })
        .collect()
}

/// Path without extension of the module `name` declared in `file`.
pub(crate) fn module_place(file: &Path, name: &str) -> PathBuf {
    let stem = file.file_stem().and_then(|stem| stem.to_str()).unwrap_or_default();
    match stem {
        "lib" | "main" | "mod" => file.with_file_name(name),
        _ => file.with_extension("").join(name),
    }
}

/// Byte ranges of items for tests, attribute included.
fn test_items(text: &str) -> impl Iterator<Item = (usize, usize)> {
    let mut from = 0;
    std::iter::from_fn(move || {
        let begin = ["#[cfg(test)]", "#[cfg(all(test"]
            .iter()
            .filter_map(|attribute| Some(from + text[from..].find(attribute)?))
            .min()?;
        let end = item_end(text.as_bytes(), begin);
        from = end;
        Some((begin, end))
    })
}

/// The end of the item whose first attribute begins at `at`.
fn item_end(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at) == Some(&b'#') {
        at = closing(bytes, at + 1);
        while bytes.get(at).is_some_and(u8::is_ascii_whitespace) {
            at += 1;
        }
    }
    let ends_in_semicolon = ["use ", "pub use ", "pub(crate) use ", "const ", "static ", "type "]
        .iter()
        .any(|word| bytes[at..].starts_with(word.as_bytes()));
    while let Some(byte) = bytes.get(at) {
        match byte {
            b';' => return at + 1,
            b'{' if !ends_in_semicolon => return closing(bytes, at),
            b'(' | b'[' | b'{' => at = closing(bytes, at),
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The place behind the bracket that closes the one at `at`; the end of the text if none does.
fn closing(bytes: &[u8], at: usize) -> usize {
    let mut depth = 0_usize;
    for (place, byte) in bytes.iter().enumerate().skip(at) {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return place + 1;
                }
            }
            _ => {}
        }
    }
    bytes.len()
}

fn blank(bytes: &mut [u8]) {
    for byte in bytes {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

fn line_end(bytes: &[u8], at: usize) -> usize {
    bytes[at..].iter().position(|byte| *byte == b'\n').map_or(bytes.len(), |length| at + length)
}

/// Block comments nest in Rust.
fn block_comment_end(bytes: &[u8], mut at: usize) -> usize {
    let mut depth = 0_usize;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}

fn string_end(bytes: &[u8], mut at: usize) -> usize {
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

/// The end of a raw string that begins with `r` at `at`; `None` if it is just a letter.
fn raw_string_end(bytes: &[u8], at: usize) -> Option<usize> {
    let hashes = bytes[at + 1..].iter().take_while(|byte| **byte == b'#').count();
    let open = at + 1 + hashes;
    if bytes.get(open) != Some(&b'"') {
        return None;
    }
    let mut close = vec![b'"'];
    close.extend(std::iter::repeat_n(b'#', hashes));
    let length = bytes[open + 1..].windows(close.len()).position(|window| window == close);
    Some(length.map_or(bytes.len(), |length| open + 1 + length + close.len()))
}

/// The end of a character literal that begins at `at`; `None` for a lifetime.
fn char_end(source: &str, at: usize) -> Option<usize> {
    let rest = source.get(at + 1..)?;
    if let Some(escaped) = rest.strip_prefix('\\') {
        // What is escaped may itself be a quote.
        let width = escaped.chars().next()?.len_utf8();
        return Some(at + 2 + width + escaped[width..].find('\'')? + 1);
    }
    // One character, then the quote; a lifetime has no quote there.
    let width = rest.chars().next()?.len_utf8();
    rest[width..].starts_with('\'').then_some(at + width + 2)
}

fn ends_in_word(bytes: &[u8]) -> bool {
    bytes.last().is_some_and(|byte| byte.is_ascii_alphanumeric() || *byte == b'_')
}

/// Whether the `r` at `at` belongs to a `br` or `cr` that begins a word.
fn is_byte_prefix(bytes: &[u8], at: usize) -> bool {
    at > 0 && matches!(bytes[at - 1], b'b' | b'c') && !ends_in_word(&bytes[..at - 1])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_hides_in_literals_and_comments() {
        let cases = [
            ("a // std::fs\nb", "a \nb"),
            ("a /* x /* y */ std::fs */ b", "a  b"),
            (r#"f("std::fs \" z") + g"#, "f() + g"),
            (r####"f(r#"std"fs"#, br"x\", cr##"y"#"##)"####, "f(, b, c)"),
            ("for 'a in ['x', '\\'', '\\u{1F600}', 'ß'] 'b", "for 'a in [, , , ] 'b"),
            ("let r = var; letter\"s\"", "let r = var; letter"),
        ];
        for (source, wanted) in cases {
            let blanked = without_literals(source);
            assert_eq!(blanked.len(), source.len(), "{source}");
            let squeezed = |text: &str| text.replace(' ', "");
            assert_eq!(squeezed(&blanked), squeezed(wanted), "{source}");
        }
    }

    #[test]
    fn code_for_tests_goes_and_lines_stay() {
        let text = "a();\n#[cfg(test)]\nuse x::{y, z};\nb();\n#[cfg(test)]\n#[path = x]\nmod tests {\n fn t() { c(); }\n}\nd();\n";
        let kept = without_tests(text);
        assert_eq!(kept.split_whitespace().collect::<Vec<_>>(), ["a();", "b();", "d();"]);
        assert_eq!(kept.lines().count(), text.lines().count());
        let rest = only_tests(text);
        assert!(rest.contains("c();") && !rest.contains("a();") && !rest.contains("d();"), "{rest}");
        assert!(only_tests("a();\n").trim().is_empty());
    }

    #[test]
    fn test_modules_in_files_of_their_own_are_named() {
        let text =
            "mod a;\n#[cfg(test)]\nmod tests;\n#[cfg(test)]\npub(crate) mod model;\n#[cfg(test)]\nmod inline {}\n";
        assert_eq!(test_modules(text), ["tests", "model"]);
    }

    #[test]
    fn modules_are_found_where_rust_looks_for_them() {
        assert_eq!(module_place(Path::new("lib.rs"), "tests"), Path::new("tests"));
        assert_eq!(module_place(Path::new("eval/mod.rs"), "tests"), Path::new("eval/tests"));
        assert_eq!(module_place(Path::new("eval.rs"), "tests"), Path::new("eval/tests"));
    }

    #[test]
    fn unfinished_text_ends_without_panic() {
        for source in ["/*", "\"", "r#\"", "'", "'\\", "#[cfg(test)]", "#[cfg(test)] mod x {", "b'", "\"\\"] {
            let text = without_literals(source);
            without_tests(&text);
            only_tests(&text);
            test_modules(&text);
        }
    }
}
