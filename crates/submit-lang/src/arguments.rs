//! Arguments in the old (V1) and the new (V2) syntax.
//!
//! New: the whole in double quotes, `""` for one; words are cut at white space, `'…'` groups, `''` inside is one `'`.
//! Old: words are cut at white space, `\"` is a double quote. In the ad stand `Args` (old) or `Arguments` (new, raw:
//! every white-space character and `'` of a word in single quotes).

/// Words of an argument list and the syntax they were given in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Arguments {
    pub(crate) words: Vec<String>,
    pub(crate) old: bool,
}

fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\r')
}

/// The text is in the new syntax.
pub(crate) fn is_quoted(text: &str) -> bool {
    text.trim_start_matches(crate::lines::is_space).starts_with('"')
}

/// Takes the double quotes off. The error is HTCondor's text.
pub(crate) fn unquote(text: &str) -> Result<String, String> {
    let text = text.trim_start_matches(crate::lines::is_space);
    let mut rest = text.strip_prefix('"').unwrap_or(text);
    let mut raw = String::with_capacity(rest.len());
    loop {
        let Some(at) = rest.find('"') else { return Err("Unterminated double-quote.".to_owned()) };
        raw.push_str(&rest[..at]);
        let after = &rest[at + 1..];
        if let Some(more) = after.strip_prefix('"') {
            raw.push('"');
            rest = more;
            continue;
        }
        if after.trim_start_matches(crate::lines::is_space).is_empty() {
            return Ok(raw);
        }
        return Err(format!(
            "Unexpected characters following double-quote.  Did you forget to escape the double-quote by repeating it?  \
             Here is the quote and trailing characters: {}\n",
            &rest[at..]
        ));
    }
}

/// Cuts raw new syntax into words. The error is HTCondor's text.
pub(crate) fn split_raw(raw: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut rest = raw.char_indices().peekable();
    while let Some((at, c)) = rest.next() {
        if c == '\'' {
            let into = word.get_or_insert_default();
            loop {
                match rest.next() {
                    None => return Err(format!("Unbalanced quote starting here: {}", &raw[at..])),
                    Some((_, '\'')) => {
                        if rest.next_if(|(_, next)| *next == '\'').is_none() {
                            break;
                        }
                        into.push('\'');
                    }
                    Some((_, inside)) => into.push(inside),
                }
            }
        } else if is_blank(c) {
            words.extend(word.take());
        } else {
            word.get_or_insert_default().push(c);
        }
    }
    words.extend(word);
    Ok(words)
}

/// Reads either syntax.
pub(crate) fn parse(text: &str) -> Result<Arguments, String> {
    if is_quoted(text) {
        return parse_quoted(text);
    }
    let mut raw = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find('"') {
        let Some(before) = rest[..at].strip_suffix('\\') else {
            return Err(format!("Found illegal unescaped double-quote: {}", &rest[at..]));
        };
        raw.push_str(before);
        raw.push('"');
        rest = &rest[at + 1..];
    }
    raw.push_str(rest);
    let words = raw.split(is_blank).filter(|word| !word.is_empty()).map(str::to_owned).collect();
    Ok(Arguments { words, old: true })
}

/// Reads the new syntax only.
pub(crate) fn parse_quoted(text: &str) -> Result<Arguments, String> {
    if !is_quoted(text) {
        return Err("Expecting double-quoted input string (V2 format).".to_owned());
    }
    Ok(Arguments { words: split_raw(&unquote(text)?)?, old: false })
}

impl Arguments {
    /// The value of `Args` or, new, of `Arguments`.
    pub(crate) fn to_attribute(&self) -> String {
        if self.old { self.words.join(" ") } else { join_raw(self.words.iter().map(String::as_str)) }
    }
}

/// Joins words in raw new syntax.
pub(crate) fn join_raw<'a>(words: impl IntoIterator<Item = &'a str>) -> String {
    let mut out = String::new();
    for word in words {
        if !out.is_empty() {
            out.push(' ');
        }
        if word.is_empty() {
            out.push_str("''");
        }
        for c in word.chars() {
            if !(is_blank(c) || c == '\'') {
                out.push(c);
                continue;
            }
            // A quoted section directly before is continued; a new one would read as an escaped quote.
            if out.ends_with('\'') {
                out.pop();
            } else {
                out.push('\'');
            }
            if c == '\'' {
                out.push('\'');
            }
            out.push(c);
            out.push('\'');
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn check(text: &str, want: Result<&str, &str>) {
        assert_eq!(parse(text).map(|a| a.to_attribute()), want.map(str::to_owned).map_err(str::to_owned), "{text}");
    }

    #[test]
    fn both_syntaxes() {
        check("a  b", Ok("a b"));
        check(r#"a\"b c\\d"#, Ok(r#"a"b c\\d"#));
        check(r#""a 'b c' d""#, Ok("a b' 'c d"));
        check(r#""a 'it''s' x""#, Ok("a it''''s x"));
        check(r#""say ""hi"" now""#, Ok(r#"say "hi" now"#));
        check(r#""''""#, Ok("''"));
        check(r#""a'b'c""#, Ok("abc"));
        check("a 'b c' \"d\"", Err("Found illegal unescaped double-quote: \"d\""));
        check("\"a 'b\"", Err("Unbalanced quote starting here: 'b"));
        check("\"a", Err("Unterminated double-quote."));
    }

    #[test]
    fn cctools_quotes() {
        // makeflow writes every single quote as three.
        check(r#""'''b c''' ""#, Ok("''''b' 'c''''"));
        assert_eq!(parse(r#""'''b c''' ""#).unwrap().words, ["'b c'"]);
    }

    proptest! {
        #[test]
        fn words_survive(words in proptest::collection::vec("[a-z '\t\"\\\\]{0,8}", 0..6)) {
            let raw = join_raw(words.iter().map(String::as_str));
            prop_assert_eq!(split_raw(&raw).unwrap(), words);
        }

        #[test]
        fn any_text_is_taken(text in any::<String>()) {
            let _ = parse(&text);
        }
    }
}
