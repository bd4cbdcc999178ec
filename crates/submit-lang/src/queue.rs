//! The `queue` statement: how many jobs, over which items.

use std::collections::BTreeSet;

use nom::bytes::complete::take_till;
use nom::character::complete::char;
use nom::combinator::map_opt;
use nom::multi::separated_list1;
use nom::sequence::delimited;
use nom::{IResult, Parser};

use crate::expand::check_marks;
use crate::lines::{Lines, is_space};
use crate::macros::Macros;
use crate::reader::read_source;
use crate::values::{integer, words};

/// A run over items, read from what follows `queue`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Queue {
    /// Jobs per item, at least 1.
    pub(crate) count: u32,
    /// Loop variables; empty without items.
    pub(crate) variables: Vec<String>,
    /// Numbers in the whole list and texts of the chosen items; `None` for a plain `queue`.
    pub(crate) items: Option<Vec<(u32, String)>>,
}

/// How items are given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    In,
    From,
    Matching,
    Files,
    Dirs,
    Any,
}

/// Where the items stand.
#[derive(Debug, PartialEq, Eq)]
enum Source {
    /// On the line itself.
    Here,
    /// On the following lines, up to `)`.
    Below,
    /// In a file, or what a command writes.
    File(String),
}

/// `[start:end:step]`
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Slice {
    start: Option<i64>,
    end: Option<i64>,
    step: Option<i64>,
}

impl Slice {
    /// Reads a slice at the begin of `text`; returns it and what follows.
    fn parse(text: &str) -> Option<(Slice, &str)> {
        // Blanks may stand before a number, not behind it.
        let number = map_opt(take_till(|c| c == ':' || c == ']'), |part: &str| match part {
            "" => Some(None),
            number => number.trim_start_matches(is_space).parse().ok().map(Some),
        });
        let parts = delimited(char('['), separated_list1(char(':'), number), char(']'));
        let read: IResult<&str, Slice> = map_opt(parts, |parts: Vec<Option<i64>>| {
            let part = |index: usize| parts.get(index).copied().flatten();
            let slice = Slice { start: part(0), end: part(1), step: part(2) };
            (parts.len() <= 3 && slice.step.is_none_or(|step| step > 0)).then_some(slice)
        })
        .parse_complete(text);
        read.ok().map(|(rest, slice)| (slice, rest))
    }

    fn choose(self, items: Vec<String>) -> Vec<(u32, String)> {
        let length = items.len() as i64;
        let place = |number: i64| (if number < 0 { number + length } else { number }).clamp(0, length) as usize;
        let (start, end) = (self.start.map_or(0, place), self.end.map_or(items.len(), place));
        let step = usize::try_from(self.step.unwrap_or(1)).expect("the slice was read with a positive step");
        let numbered = (0_u32..).zip(items);
        numbered.take(end).skip(start).step_by(step).collect()
    }
}

/// Looks for one of `tokens` among words that end at white space or `(`. Returns the token's index, where its word
/// begins, and what follows the word. Without `search` only the first word is looked at.
fn scan<'a>(text: &'a str, tokens: &[&str], search: bool) -> Option<(usize, usize, &'a str)> {
    let mut begin = None;
    for (at, c) in text.char_indices() {
        if !(is_space(c) || c == '(') {
            begin.get_or_insert(at);
            continue;
        }
        if let Some(start) = begin.take() {
            if let Some(index) = tokens.iter().position(|token| text[start..at].eq_ignore_ascii_case(token)) {
                return Some((index, start, &text[at..]));
            }
            if !search {
                return None;
            }
        }
    }
    None
}

/// Splits `[count] [variables]`, which stand before the keyword.
fn split_variables(text: &str) -> (&str, &str) {
    let bytes = text.as_bytes();
    let mut begin = text.len();
    let mut at = text.len();
    while at > 0 {
        let mut c = bytes[at - 1];
        if c.is_ascii_digit() {
            // Digits belong to a name only behind a letter.
            at -= 1;
            while at > 0 && bytes[at - 1].is_ascii_digit() {
                at -= 1;
            }
            match at.checked_sub(1).map(|before| bytes[before]) {
                Some(before) if before.is_ascii_alphabetic() => c = before,
                _ => break,
            }
        }
        if !(is_space(c.into()) || c.is_ascii_alphabetic() || b",_.".contains(&c)) {
            break;
        }
        at -= 1;
        begin = at;
    }
    text.split_at(begin)
}

/// The error is the detail for the user.
pub(crate) fn parse(text: &str, lines: &mut Lines<'_>, macros: &Macros<'_>) -> Result<Queue, String> {
    let text = text.trim_start_matches(is_space);
    let modes = [Mode::In, Mode::From, Mode::Matching];
    let Some((index, at, after)) = scan(text, &["in", "from", "matching"], true) else {
        return Ok(Queue { count: count(text)?, variables: Vec::new(), items: None });
    };
    let (before, names) = split_variables(text[..at].trim_end_matches(is_space));
    let count = count(before)?;
    let mut mode = modes[index];
    let mut slice = Slice::default();
    let mut rest = after.trim_start_matches(is_space);
    while !rest.starts_with('(') {
        if rest.starts_with('[') {
            if rest.split_once(']').is_some_and(|(_, behind)| behind.trim_matches(is_space).is_empty()) {
                // With nothing behind it, it is an item itself.
                break;
            }
            let (found, after) = Slice::parse(rest).ok_or("Invalid [::] statement")?;
            slice = found;
            rest = after.trim_start_matches(is_space);
            continue;
        }
        let Some((qualifier, _, after)) = scan(rest, &["files", "dirs", "any"], false) else { break };
        if !matches!(mode, Mode::Matching | Mode::Files | Mode::Dirs | Mode::Any) {
            return Err("Queue keyword conflict".to_owned());
        }
        mode = [Mode::Files, Mode::Dirs, Mode::Any][qualifier];
        rest = after.trim_start_matches(is_space);
    }
    let mut items: Vec<String> = Vec::new();
    let source = list(rest, mode, &mut items);
    let mut variables: Vec<String> = words(names).map(str::to_owned).collect();
    if variables.is_empty() {
        variables.push("Item".to_owned());
    }
    load(source, mode, &mut items, lines, macros)?;
    if !matches!(mode, Mode::In | Mode::From) {
        items = matching(&items, mode, macros);
        for name in &items {
            check_marks(name).map_err(|refusal| refusal.to_string())?;
        }
    }
    Ok(Queue { count, variables, items: Some(slice.choose(items)) })
}

/// The number of jobs per item; nothing and 0 mean one.
fn count(text: &str) -> Result<u32, String> {
    let text = text.trim_matches(is_space);
    if text.is_empty() {
        return Ok(1);
    }
    let number = integer(text).ok_or("Invalid Queue count expression")?;
    if (0..i64::from(i32::MAX)).contains(&number) {
        Ok(u32::try_from(number).expect("the range was checked").max(1))
    } else {
        Err("Queue count out of range".to_owned())
    }
}

/// Takes the items that stand on the line itself.
fn list(text: &str, mode: Mode, items: &mut Vec<String>) -> Source {
    let whole = text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let (text, source) = match (whole, text.strip_prefix('(')) {
        (Some(inside), _) => (inside, Source::Here),
        (None, Some(begin)) => (begin, Source::Below),
        (None, None) if mode == Mode::From => return Source::File(text.trim_matches(is_space).to_owned()),
        (None, None) => (text, Source::Here),
    };
    let text = text.trim_start_matches(is_space);
    if mode == Mode::From {
        // Between parentheses on one line stands one item, even an empty one.
        if source == Source::Here || !text.is_empty() {
            items.push(text.to_owned());
        }
    } else {
        items.extend(words(text).map(str::to_owned));
    }
    source
}

fn load(
    source: Source,
    mode: Mode,
    items: &mut Vec<String>,
    lines: &mut Lines<'_>,
    macros: &Macros<'_>,
) -> Result<(), String> {
    match source {
        Source::Here => {}
        Source::Below => {
            let begin = lines.line;
            loop {
                let Some(line) = lines.next_line() else {
                    return Err(format!(
                        "Reached end of file without finding closing brace ')' for Queue command on line {begin}"
                    ));
                };
                match line.chars().next() {
                    Some('#') => {}
                    Some(')') => return Ok(()),
                    _ if mode == Mode::From => items.push(line),
                    _ => items.extend(words(&line).map(str::to_owned)),
                }
            }
        }
        Source::File(name) => {
            let bytes = read_source(&name, false, macros)?;
            let text = String::from_utf8_lossy(&bytes);
            let mut below = Lines::new(&text);
            items.extend(std::iter::from_fn(|| below.next_line()));
        }
    }
    Ok(())
}

/// What the patterns match: those of one pattern sorted, each name once.
fn matching(patterns: &[String], mode: Mode, macros: &Macros<'_>) -> Vec<String> {
    let mut seen = BTreeSet::new();
    let mut names = Vec::new();
    for pattern in patterns {
        let mut found: Vec<String> = macros
            .world
            .glob(pattern)
            .into_iter()
            .filter(|found| match mode {
                Mode::Files => !found.is_dir,
                Mode::Dirs => found.is_dir,
                _ => true,
            })
            .map(|found| if found.is_dir { format!("{}/", found.path.trim_end_matches('/')) } else { found.path })
            .collect();
        found.sort();
        names.extend(found.into_iter().filter(|name| seen.insert(name.clone())));
    }
    names
}

/// Splits an item into at most `columns` values at commas and white space, or at the unit separator if there is one.
/// An empty item gives none: the variables keep what they had. Missing values are empty.
pub(crate) fn split_item(item: &str, columns: usize) -> Vec<&str> {
    let blank = [' ', '\t'];
    let separators: &[char] = if item.contains('\u{1f}') { &['\u{1f}'] } else { &[',', ' ', '\t'] };
    let mut rest = item.trim_end_matches(['\r', '\n']).trim_matches(blank);
    let mut values = Vec::with_capacity(columns);
    if rest.is_empty() {
        return values;
    }
    while values.len() + 1 < columns {
        match rest.split_once(separators) {
            None => {
                values.push(rest);
                rest = "";
                values.resize(columns - 1, "");
            }
            Some((value, after)) => {
                values.push(value.trim_end_matches(blank));
                rest = after.trim_start_matches(blank);
            }
        }
    }
    values.push(rest);
    values
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_and_count_are_told_apart() {
        assert_eq!(split_variables("2 x,y"), ("2", " x,y"));
        assert_eq!(split_variables("x1"), ("", "x1"));
        assert_eq!(split_variables("3*2 a"), ("3*2", " a"));
        assert_eq!(split_variables("10"), ("10", ""));
        assert_eq!(split_variables("law_job_postfix, arguments"), ("", "law_job_postfix, arguments"));
    }

    #[test]
    fn items_are_split() {
        assert_eq!(split_item("2, two", 2), ["2", "two"]);
        assert_eq!(split_item("3\tthree more", 2), ["3", "three more"]);
        assert_eq!(split_item("a b", 1), ["a b"]);
        assert_eq!(split_item("2", 3), ["2", "", ""]);
        assert_eq!(split_item("1 a q r", 3), ["1", "a", "q r"]);
        assert_eq!(split_item("a b\u{1f}c, d", 2), ["a b", "c, d"]);
        assert!(split_item("", 2).is_empty());
    }

    #[test]
    fn slices_choose() {
        let check = |text: &str, want: &[u32]| {
            let items = ["a", "b", "c", "d", "e"].map(str::to_owned).to_vec();
            let (slice, _) = Slice::parse(text).unwrap();
            let chosen: Vec<u32> = slice.choose(items).into_iter().map(|(number, _)| number).collect();
            assert_eq!(chosen, want, "{text}");
        };
        check("[1:3]", &[1, 2]);
        check("[::2]", &[0, 2, 4]);
        check("[-2:]", &[3, 4]);
        check("[3]", &[3, 4]);
        check("[:-1]", &[0, 1, 2, 3]);
        check("[9:]", &[]);
        assert_eq!(Slice::parse("[a]"), None);
        assert_eq!(Slice::parse("[::0]"), None);
    }
}
