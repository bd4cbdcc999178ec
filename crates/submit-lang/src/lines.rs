//! Logical lines: trimming, continuation and comments.
//!
//! Source: `getline` of HTCondor's configuration reader as recorded in `tests/data/submit`: a `\` at the end joins
//! the next line with its leading white space dropped; a comment line does not continue; a comment inside a
//! continuation counts as nothing.

/// The white space of the C locale.
pub(crate) fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r' | '\u{b}' | '\u{c}')
}

/// Takes logical lines off a text.
#[derive(Debug, Clone)]
pub(crate) struct Lines<'a> {
    rest: &'a str,
    /// Number of the last physical line taken, from 1.
    pub(crate) line: u32,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(text: &'a str) -> Lines<'a> {
        Lines { rest: text, line: 0 }
    }

    /// Everything is taken.
    pub(crate) fn at_end(&self) -> bool {
        self.rest.is_empty()
    }

    fn physical(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        self.line += 1;
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        self.rest = rest;
        Some(line)
    }

    /// The next logical line, trimmed at both ends; `None` at the end of the text.
    pub(crate) fn next_line(&mut self) -> Option<String> {
        let mut logical = String::new();
        let mut begun = false;
        loop {
            let Some(physical) = self.physical() else {
                return begun.then_some(logical).filter(|line| !line.is_empty());
            };
            let mut part = physical.trim_matches(is_space);
            let mut comment = part.starts_with('#');
            if comment && begun {
                // Between continued lines a comment is white space; only its own backslash counts.
                part = &part[part.len() - part.chars().next_back().map_or(0, char::len_utf8)..];
                comment = false;
            }
            logical.push_str(part);
            begun = true;
            if !logical.ends_with('\\') {
                return Some(logical);
            }
            logical.pop();
            if comment {
                return Some(logical);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(text: &str) -> Vec<String> {
        let mut lines = Lines::new(text);
        std::iter::from_fn(|| lines.next_line()).collect()
    }

    #[test]
    fn lines_are_joined_and_trimmed() {
        assert_eq!(all("a \\\n  b\r\n\tc"), ["a b", "c"]);
        assert_eq!(all("x = y \\\n\nqueue"), ["x = y ", "queue"]);
        assert_eq!(all("# a \\\nb"), ["# a ", "b"]);
        assert_eq!(all("a \\\n# gone \\\nb"), ["a b"]);
        assert_eq!(all("a \\"), ["a "]);
    }

    #[test]
    fn line_numbers_count_physical_lines() {
        let mut lines = Lines::new("a \\\nb\nc\n");
        lines.next_line();
        assert_eq!(lines.line, 2);
        lines.next_line();
        assert_eq!(lines.line, 3);
        assert!(lines.at_end() && lines.next_line().is_none());
    }
}
