//! Words: HTCondor's raw forms of arguments and environment, lists of files, quoting for the shell.

/// Splits the raw new form (`Arguments`, `Environment`): white space separates, `'…'` groups, `''` inside is a quote.
/// An unclosed quote takes the rest, as HTCondor's own reader of an ad does not refuse either.
pub fn split_v2(raw: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut chars = raw.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' => {
                let current = word.get_or_insert_default();
                while let Some(c) = chars.next() {
                    if c != '\'' {
                        current.push(c);
                    } else if chars.peek() == Some(&'\'') {
                        current.push('\'');
                        chars.next();
                    } else {
                        break;
                    }
                }
            }
            c if c.is_ascii_whitespace() => words.extend(word.take()),
            c => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// Splits the old form of arguments: white space, no quoting.
pub fn split_v1(raw: &str) -> Vec<String> {
    raw.split_ascii_whitespace().map(str::to_owned).collect()
}

/// Environment entries of the old form.
pub fn split_env_v1(raw: &str, delimiter: char) -> Vec<String> {
    raw.split(delimiter).map(str::trim_start).filter(|entry| !entry.is_empty()).map(str::to_owned).collect()
}

/// `transfer_output_remaps`: `name=path;…`, with `\` before a literal `;`, `=` or `\`.
pub(crate) fn split_remaps(raw: &str) -> Vec<(String, String)> {
    let mut remaps = Vec::new();
    let (mut name, mut text) = (None::<String>, String::new());
    let mut flush = |name: &mut Option<String>, text: &mut String| {
        let path = std::mem::take(text).trim().to_owned();
        if let Some(name) = name.take() {
            remaps.push((name, path));
        }
    };
    let mut chars = raw.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => text.extend(chars.next()),
            '=' if name.is_none() => name = Some(std::mem::take(&mut text).trim().to_owned()),
            ';' => flush(&mut name, &mut text),
            c => text.push(c),
        }
    }
    flush(&mut name, &mut text);
    remaps
}

/// One word for a POSIX shell, always in single quotes.
pub(crate) fn shell_quote(word: &str) -> String {
    let mut out = String::with_capacity(word.len() + 2);
    out.push('\'');
    for c in word.chars() {
        if c == '\'' {
            out.push_str("'\\''");
        } else {
            out.push(c);
        }
    }
    out.push('\'');
    out
}

/// The last component.
pub(crate) fn base_name(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.rsplit('/').next().unwrap_or(path)
}

/// A relative path of plain components: not empty, no `.`, `..` or empty ones, no NUL.
pub(crate) fn is_plain_relative(path: &str) -> bool {
    !path.is_empty()
        && !path.contains('\0')
        && path.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn raw_arguments_as_htcondor_writes_them() {
        assert_eq!(split_v2("a b' 'c d"), ["a", "b c", "d"]);
        assert_eq!(split_v2("a it''''s x"), ["a", "it's", "x"]);
        assert_eq!(split_v2("''"), [""]);
        assert_eq!(split_v2("  "), [""; 0]);
        assert_eq!(split_v2("A=1 B=two' 'words"), ["A=1", "B=two words"]);
    }

    #[test]
    fn remaps_and_environment() {
        assert_eq!(
            split_remaps("a=b; c = d/e ;x\\;y=z"),
            [("a".to_owned(), "b".to_owned()), ("c".to_owned(), "d/e".to_owned()), ("x;y".to_owned(), "z".to_owned())]
        );
        assert_eq!(split_env_v1("A=b;;C=d e", ';'), ["A=b", "C=d e"]);
    }

    #[test]
    fn names_from_outside_must_be_plain() {
        for bad in ["", "/x", "../x", "a/../b", "a//b", ".", "a/.", "a\0b", "a/"] {
            assert!(!is_plain_relative(bad), "{bad:?}");
        }
        assert!(is_plain_relative("a/b c/.d"));
    }

    proptest! {
        #[test]
        fn a_quoted_word_is_one_word_for_the_shell(word in "[ -~\\n]{0,20}") {
            let quoted = shell_quote(&word);
            // Undo it by the shell's rules: quotes toggle, a backslash outside takes the next character.
            let (mut out, mut inside, mut chars) = (String::new(), false, quoted.chars());
            while let Some(c) = chars.next() {
                match c {
                    '\'' => inside = !inside,
                    '\\' if !inside => out.extend(chars.next()),
                    c => { prop_assert!(inside); out.push(c); }
                }
            }
            prop_assert!(!inside);
            prop_assert_eq!(out, word);
        }
    }
}
