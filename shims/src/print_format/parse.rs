//! From the text of a print-format file to a table.

use classad::parse_expr;

use super::functions::Function;
use super::{Column, How, Separators, Summary, Table};
use crate::groups::Grouped;
use crate::printf::{Format, unescape};

/// A word of a line: what it is, where it begins and ends, whether it stood in quotes.
struct Word<'l> {
    text: &'l str,
    from: usize,
    quoted: bool,
}

/// Reads a file, `-` being standard input. The error is the first line for standard error.
pub fn load(path: &str) -> Result<Table, String> {
    use std::io::Read;
    let mut text = String::new();
    let read = match path {
        "-" => std::io::stdin().lock().read_to_string(&mut text).map(|_| ()),
        path => std::fs::read(path).map(|bytes| text = String::from_utf8_lossy(&bytes).into_owned()),
    };
    read.map_err(|_| format!("Can't open select file: {path}"))?;
    Ok(parse(&text))
}

#[derive(PartialEq, Eq)]
enum Section {
    Select,
    Group,
    Summary,
    Join,
    Ignored,
}

/// Reads a text. What is no part of the language is told in the table's complaints.
pub fn parse(text: &str) -> Table {
    let mut table = Table::default();
    let mut section = Section::Select;
    let mut label: Option<String> = None;
    let mut summary = Table::default();
    for (number, line) in logical_lines(text) {
        let line = line.as_str();
        let words = words(line);
        let Some(first) = words.first().filter(|word| !word.text.starts_with('#')) else { continue };
        let behind = |count: usize| words.get(count).map_or("", |word| line[word.from..].trim());
        match first.text {
            _ if first.quoted => {}
            "SELECT" => {
                section = Section::Select;
                label = select(&words[1..], &mut table);
                continue;
            }
            "WHERE" => {
                section = Section::Ignored;
                match behind(1) {
                    "" => {}
                    text if parse_expr(text).is_ok() => table.constraints.push(text.to_owned()),
                    text => table.complaints += &format!("WHERE expression is not valid: {text}\n"),
                }
                continue;
            }
            "JOIN" => {
                section = Section::Join;
                table.complaints += &join(&words[1..], number);
                continue;
            }
            // Reserved for a condition on what is joined.
            "AND" => {
                section = Section::Ignored;
                continue;
            }
            "GROUP" => {
                section = Section::Group;
                let by = usize::from(words.get(1).is_some_and(|word| word.text == "BY"));
                group(behind(1 + by), &mut table);
                continue;
            }
            "SUMMARY" => {
                section = Section::Summary;
                table.summary = match words.get(1).map(|word| word.text) {
                    Some("NONE") => Summary::None,
                    Some("STANDARD") => Summary::Standard,
                    Some(other) => {
                        table.complaints += &format!("Unknown argument {other} for SELECT\n");
                        Summary::Standard
                    }
                    None => Summary::Custom(Box::default()),
                };
                continue;
            }
            _ => {}
        }
        match section {
            Section::Select => column(line, &words, label.as_deref(), &mut table),
            Section::Summary => column(line, &words, label.as_deref(), &mut summary),
            Section::Group => group(line.trim(), &mut table),
            Section::Join => table.complaints += &join(&words, number),
            Section::Ignored => {}
        }
    }
    if let Summary::Custom(custom) = &mut table.summary {
        table.complaints += &std::mem::take(&mut summary.complaints);
        **custom = summary;
    }
    table
}

/// Lines without the blanks around them, one that ends in a backslash with the next one, and the number of the last line of each.
fn logical_lines(text: &str) -> impl Iterator<Item = (usize, String)> {
    let mut lines = (1..).zip(text.lines());
    std::iter::from_fn(move || {
        let (mut number, line) = lines.next()?;
        let mut whole = line.trim().to_owned();
        while let Some(start) = whole.strip_suffix('\\') {
            let Some((next, line)) = lines.next() else { break };
            (number, whole) = (next, format!("{start} {}", line.trim()));
        }
        Some((number, whole))
    })
}

/// What HTCondor says of a join: the word is known, no join is.
fn join(words: &[Word<'_>], line: usize) -> String {
    match words {
        [] => String::new(),
        [first, ..] if !first.quoted && matches!(first.text, "ON" | "USING") => {
            format!("expected data set name before ON or USING at line {line} offset {} in JOIN\n", first.from)
        }
        [_, second, ..] => format!("{} was unexpected at line {line} offset {} in JOIN\n", second.text, second.from),
        // HTCondor's program dies of it.
        [_] => format!("expected ON or USING at line {line} in JOIN\n"),
    }
}

/// The rest of a `SELECT` line; the separator of labels, if fields are labelled.
fn select(words: &[Word<'_>], table: &mut Table) -> Option<String> {
    let mut label = None;
    table.separators = Separators::default();
    let mut words = words.iter();
    while let Some(word) = words.next() {
        let mut text = || words.next().map(|word| unescape(word.text)).unwrap_or_default();
        match word.text {
            "BARE" => (table.no_title, table.no_headings, table.summary) = (true, true, Summary::None),
            "NOTITLE" => table.no_title = true,
            "NOHEADER" => table.no_headings = true,
            "NOSUMMARY" => table.summary = Summary::None,
            "LABEL" => label = Some(" = ".to_owned()),
            "SEPARATOR" if label.is_some() => label = Some(text()),
            "RECORDPREFIX" => table.separators.row_before = text(),
            "RECORDSUFFIX" => table.separators.row_after = text(),
            "FIELDPREFIX" => table.separators.column_before = text(),
            "FIELDSUFFIX" => table.separators.column_after = text(),
            "FROM" => {
                let of = text();
                if of == "AUTOCLUSTER" {
                    table.grouped = Some(Grouped::AutoClusters);
                }
            }
            "UNIQUE" => table.grouped = Some(Grouped::Shown),
            other => table.complaints += &format!("Warning: Unknown header argument {other} for SELECT\n"),
        }
    }
    label
}

/// One line below `SELECT` or `SUMMARY`.
fn column(line: &str, words: &[Word<'_>], label: Option<&str>, table: &mut Table) {
    let is_keyword = |word: &&Word<'_>| {
        !word.quoted
            && matches!(
                word.text,
                "ALWAYS"
                    | "AS"
                    | "AUTO"
                    | "FIT"
                    | "LEFT"
                    | "NOPREFIX"
                    | "NOSUFFIX"
                    | "OR"
                    | "PRINTAS"
                    | "PRINTF"
                    | "RENDERAS"
                    | "RIGHT"
                    | "TRUNCATE"
                    | "WIDTH"
            )
    };
    let first = words.iter().position(|word| is_keyword(&word)).unwrap_or(words.len());
    let end = words.get(first).map_or(line.len(), |word| word.from);
    let text = line[..end].trim();
    let Ok(expr) = parse_expr(text) else {
        table.complaints += &format!("attribute or expression is not valid: {text}\n");
        return;
    };
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    let mut column = Column {
        attribute: plain.then(|| text.to_ascii_lowercase()),
        expr,
        heading: text.to_owned(),
        how: How::Value,
        width: 0,
        left: false,
        auto: true,
        truncate: false,
        no_prefix: false,
        no_suffix: false,
        or: None,
    };
    let mut width: Option<i64> = None;
    let mut format = None;
    let mut rest = words[first..].iter();
    while let Some(word) = rest.next() {
        let mut argument = |what: &str| match rest.next() {
            Some(word) => word.text.to_owned(),
            None => {
                table.complaints += &format!("expected {what} in SELECT\n");
                String::new()
            }
        };
        match word.text {
            "AS" => column.heading = unescape(&argument("column name after AS")),
            "PRINTF" => format = Some(Format::parse(&argument("format after PRINTF"))),
            "PRINTAS" | "RENDERAS" => {
                let name = argument("function name after PRINTAS");
                match Function::named(&name) {
                    Some(function) => column.how = How::Function(function),
                    None => table.complaints += &format!("Unknown argument {name} for {}\n", word.text),
                }
            }
            "OR" => {
                let text = argument("? or ?? after OR");
                let mut chars = text.chars();
                match chars.next().filter(|c| " ?*.-_#0".contains(*c)) {
                    Some(c) => column.or = Some((c, chars.next() == Some(c))),
                    None => table.complaints += &format!("Unknown argument {text} for OR\n"),
                }
            }
            "WIDTH" => match argument("number or AUTO after WIDTH").as_str() {
                "AUTO" => {}
                number => {
                    // What is no number is 0, as for C.
                    width = Some(number.parse().unwrap_or(0));
                    column.auto = false;
                }
            },
            "NOPREFIX" => column.no_prefix = true,
            "NOSUFFIX" => column.no_suffix = true,
            "LEFT" => column.left = true,
            "RIGHT" => column.left = false,
            "TRUNCATE" => column.truncate = true,
            "FIT" => (column.auto, column.truncate) = (true, false),
            // `ALWAYS` is for functions that take undefined values: ours say so themselves.
            _ => {}
        }
    }
    if let (How::Value, Some(format)) = (&column.how, format) {
        column.how = How::Printf(format);
    }
    match (label, width) {
        (Some(separator), _) => {
            let text = format!("{}{separator}", column.heading);
            column.how = How::Labelled(text, Box::new(std::mem::replace(&mut column.how, How::Value)));
            (column.width, column.auto) = (0, false);
        }
        (None, Some(width)) => {
            column.width = usize::try_from(width.unsigned_abs()).unwrap_or(0).min(10_000);
            column.left |= width < 0;
        }
        // A column without a width is as wide as its heading at least, and its texts stand to the left.
        (None, None) => (column.width, column.left) = (column.heading.chars().count(), true),
    }
    table.columns.push(column);
    // Fields with labels have no headings.
    table.no_headings |= label.is_some();
}

/// `EXPR [AS NAME] [ASCENDING | DESCENDING]`
fn group(text: &str, table: &mut Table) {
    let words = words(text);
    let Some(first) = words.first().filter(|word| !word.text.starts_with('#')) else { return };
    let keyword = |word: &Word<'_>| !word.quoted && matches!(word.text, "AS" | "ASCENDING" | "DESCENDING");
    let end = words.iter().find(|word| keyword(word)).map_or(text.len(), |word| word.from);
    let descending = words.iter().any(|word| !word.quoted && word.text == "DESCENDING");
    match parse_expr(text[first.from..end].trim()) {
        Ok(expr) => table.sort.push((expr, descending)),
        Err(_) => table.complaints += &format!("GROUP BY expression is not valid: {}\n", text[..end].trim()),
    }
}

/// Words between blanks; one that begins with a quote goes on to the next such quote.
fn words(line: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut at = 0;
    while let Some(skip) = line[at..].find(|c: char| !c.is_whitespace()) {
        let from = at + skip;
        let rest = &line[from..];
        let quote = rest.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let (text, end) = match quote {
            Some(quote) => match rest[1..].find(quote) {
                Some(end) => (&rest[1..=end], end + 2),
                None => (&rest[1..], rest.len()),
            },
            None => {
                let end = rest.find(char::is_whitespace).unwrap_or(rest.len());
                (&rest[..end], end)
            }
        };
        words.push(Word { text, from, quoted: quote.is_some() });
        at = from + end;
    }
    words
}
