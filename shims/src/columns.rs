//! The columns of `-autoformat` and `-format`, alone or mixed.
//!
//! `-af` sets how columns are separated, for the columns of `-format` too; without any `-af` nothing separates
//! them. Recorded from `condor_q` 25.13.2 and from what the AliEn and JAliEn computing elements run.

use std::collections::BTreeSet;

use classad::{AttributeName, Env, Expr, Plain, Value, parse_expr, plain_text};

use crate::job::Job;
use crate::printf::{Format, Subject};

/// All columns of a command line, in order.
#[derive(Debug, Default)]
pub struct Columns {
    columns: Vec<Column>,
    separators: Separators,
    headings: bool,
    /// A column whose text is no expression: HTCondor then prints no job at all and ends with 0.
    unreadable: bool,
}

#[derive(Debug, Default)]
struct Separators {
    row_before: &'static str,
    column_before: &'static str,
    column_after: &'static str,
    row_after: &'static str,
}

#[derive(Debug)]
enum Column {
    /// `-af:j`: the job's number.
    Number,
    Auto {
        text: String,
        wanted: Wanted,
        style: Style,
        label: bool,
    },
    Formatted {
        format: Format,
        wanted: Wanted,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    /// Strings bare.
    Value,
    /// `V`: strings in quotes.
    Quoted,
    /// `r`, `o`: as written in the ad.
    Raw,
    /// `T`: a span of time.
    Span,
    /// `Y`: a date.
    Date,
}

/// An attribute or any other expression.
#[derive(Debug)]
struct Wanted {
    /// The name, if it is a plain one.
    attribute: Option<String>,
    /// The same in lower case, in which ads are searched without folding it each time.
    folded: String,
    /// `None`: not an expression.
    expr: Option<Expr>,
}

impl Columns {
    /// `-af:FLAGS WORDS…`. False if there are no words.
    pub fn auto(&mut self, flags: &str, words: &[String]) -> bool {
        let has = |flag: char| flags.contains(flag);
        let style = if has('r') || has('o') {
            Style::Raw
        } else if has('V') {
            Style::Quoted
        } else if has('T') {
            Style::Span
        } else if has('Y') {
            Style::Date
        } else {
            Style::Value
        };
        self.headings |= has('h');
        self.separators = Separators {
            row_before: if has('g') { "\n" } else { "" },
            column_before: match () {
                () if has('g') => "",
                () if has('t') => "\t",
                () => " ",
            },
            column_after: match () {
                () if has('n') => "\n",
                () if has(',') => ",",
                () => "",
            },
            row_after: "\n",
        };
        if has('j') {
            self.columns.push(Column::Number);
        }
        for word in words {
            let wanted = Wanted::new(word);
            self.unreadable |= wanted.expr.is_none();
            // Headings take the place of labels.
            self.columns.push(Column::Auto { text: word.clone(), wanted, style, label: has('l') && !has('h') });
        }
        !words.is_empty()
    }

    /// `-format FORMAT ATTRIBUTE`.
    pub fn format(&mut self, format: &str, attribute: &str) {
        self.columns.push(Column::Formatted { format: Format::parse(format), wanted: Wanted::new(attribute) });
    }

    /// Whether there is any column.
    pub fn is_empty(&self) -> bool {
        self.columns.is_empty()
    }

    /// The attributes that the columns name, those of their conditions as well.
    pub fn named(&self) -> Vec<String> {
        let mut names = BTreeSet::new();
        for column in &self.columns {
            let wanted = match column {
                Column::Number => {
                    names.extend(["clusterid".to_owned(), "procid".to_owned()]);
                    continue;
                }
                Column::Auto { wanted, .. } | Column::Formatted { wanted, .. } => wanted,
            };
            if let Some(expr) = &wanted.expr {
                let references = expr.references();
                names.extend(references.unscoped.iter().chain(&references.my).map(|name| name.to_string()));
            }
        }
        names.into_iter().collect()
    }

    /// Attributes that the columns need; empty when they may need any.
    pub fn attributes(&self) -> Vec<String> {
        let mut names = BTreeSet::new();
        for column in &self.columns {
            let wanted = match column {
                Column::Number => {
                    names.extend(["clusterid".to_owned(), "procid".to_owned()]);
                    continue;
                }
                Column::Formatted { format, .. } if !format.has_conversion() => continue,
                Column::Auto { wanted, .. } | Column::Formatted { wanted, .. } => wanted,
            };
            let Some(expr) = &wanted.expr else { continue };
            let references = expr.references();
            if references.dynamic {
                return Vec::new();
            }
            names.extend(references.unscoped.iter().chain(&references.my).map(|name| name.to_string()));
        }
        // No attribute at all would mean every attribute to the master.
        if names.is_empty() {
            names.insert("clusterid".to_owned());
        }
        names.into_iter().collect()
    }

    /// Whether rows can be printed as they come, by [`RowPrinter`]: headings are as wide as the widest value.
    pub fn print_at_once(&self) -> bool {
        !self.headings
    }

    /// All rows as `condor_history` prints them: with headings, each column grows as wider values come.
    pub fn print_as_read(&self, jobs: impl Iterator<Item = Job>, env: &Env) -> String {
        if !self.headings {
            return self.print(jobs, env);
        }
        let mut out = String::new();
        let mut widths = self.title_widths();
        self.title_row(&mut out, &widths);
        for job in jobs.filter(|_| !self.unreadable) {
            let mut row: Vec<Option<Cell>> = self.columns.iter().map(|column| column.cell(&job, env)).collect();
            // As recorded: here everything that is printed is measured, undefined values too.
            for cell in row.iter_mut().flatten() {
                cell.measure = cell.measure.max(cell.text.chars().count());
            }
            widen(&mut widths, &row);
            self.cell_row(&mut out, &row, &widths);
        }
        out
    }

    /// All rows.
    pub fn print(&self, jobs: impl Iterator<Item = Job>, env: &Env) -> String {
        let mut out = String::new();
        if self.headings {
            self.print_table(&mut out, jobs, env);
        } else {
            for job in jobs {
                // Read on: the listing must be seen to its end although nothing of it is shown.
                if !self.unreadable {
                    self.row(&mut out, self.columns.iter().map(|column| column.cell(&job, env).map(|cell| cell.text)));
                }
            }
        }
        out
    }

    /// One row of cells; a column without a cell leaves its separators out as well.
    fn row(&self, out: &mut String, cells: impl Iterator<Item = Option<String>>) {
        let s = &self.separators;
        out.push_str(s.row_before);
        let last = self.columns.len() - 1;
        let mut first = true;
        for (index, cell) in cells.enumerate() {
            let Some(cell) = cell else { continue };
            if !first {
                out.push_str(s.column_before);
            }
            first = false;
            out.push_str(&cell);
            if index < last {
                out.push_str(s.column_after);
            }
        }
        out.push_str(s.row_after);
    }

    /// With headings: columns as wide as the longest title or measured value, left-justified.
    fn print_table(&self, out: &mut String, jobs: impl Iterator<Item = Job>, env: &Env) {
        let mut widths = self.title_widths();
        let cells = |job: Job| self.columns.iter().map(|column| column.cell(&job, env)).collect();
        let mut rows: Vec<Vec<Option<Cell>>> = jobs.map(cells).collect();
        if self.unreadable {
            rows.clear();
        }
        rows.iter().for_each(|row| widen(&mut widths, row));
        self.title_row(out, &widths);
        for row in &rows {
            self.cell_row(out, row, &widths);
        }
    }

    fn title_widths(&self) -> Vec<usize> {
        self.columns.iter().map(|column| column.title().chars().count()).collect()
    }

    fn title_row(&self, out: &mut String, widths: &[usize]) {
        self.row(
            out,
            self.columns.iter().map(Column::title).zip(widths).map(|(title, width)| Some(pad(title, *width))),
        );
    }

    fn cell_row(&self, out: &mut String, row: &[Option<Cell>], widths: &[usize]) {
        let pad = |(cell, width): (&Option<Cell>, &usize)| cell.as_ref().map(|cell| pad(&cell.text, *width));
        self.row(out, row.iter().zip(widths).map(pad));
    }
}

fn pad(text: &str, width: usize) -> String {
    format!("{text:<width$}")
}

fn widen(widths: &mut [usize], row: &[Option<Cell>]) {
    for (width, cell) in widths.iter_mut().zip(row) {
        *width = (*width).max(cell.as_ref().map_or(0, |cell| cell.measure));
    }
}

/// A printed value and how much it counts for the width of its column.
struct Cell {
    text: String,
    measure: usize,
}

impl Column {
    fn title(&self) -> &str {
        match self {
            Column::Number => " ID",
            Column::Auto { text, .. } => text,
            Column::Formatted { wanted, .. } => wanted.attribute.as_deref().unwrap_or(""),
        }
    }

    fn cell(&self, job: &Job, env: &Env) -> Option<Cell> {
        match self {
            Column::Number => {
                let (cluster, proc) = job.id(env);
                let text = format!("{cluster}.{proc}");
                Some(Cell { measure: text.len(), text })
            }
            Column::Auto { text, wanted, style, label } => {
                let mut cell = style.print(wanted, job, env);
                if *label {
                    cell.text = format!("{text} = {}", cell.text);
                }
                Some(cell)
            }
            Column::Formatted { format, wanted } => {
                let value = wanted.value(job, env);
                let subject = Subject { expr: wanted.raw(job), value: &value, plain: wanted.attribute.is_some(), env };
                let text = format.print(subject)?;
                Some(Cell { measure: text.chars().count(), text })
            }
        }
    }
}

impl Style {
    fn print(self, wanted: &Wanted, job: &Job, env: &Env) -> Cell {
        if self == Style::Raw {
            let text = wanted.raw(job).map_or_else(|| "undefined".to_owned(), Expr::to_string);
            let measure = if wanted.raw(job).is_some() { text.chars().count() } else { 0 };
            return Cell { text, measure };
        }
        let value = wanted.value(job, env);
        let text = match (self, &value) {
            (Style::Quoted, _) => value.to_string(),
            (Style::Span, Value::Int(seconds)) => crate::clock::span(*seconds),
            (Style::Date, Value::Int(at_s)) => crate::clock::short_in(*at_s, env),
            _ => value.display_old(),
        };
        // As recorded: reals count with their long form, and lists, ads, booleans and undefined not at all.
        let measure = match &value {
            Value::Int(_) | Value::Str(_) => text.chars().count(),
            Value::Real(_) => value.print_new().len(),
            _ => 0,
        };
        Cell { text, measure }
    }
}

impl Wanted {
    fn new(text: &str) -> Wanted {
        let name = text.trim();
        let plain = name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
        // These look like names and are none: CurrentTime is made at the moment, the others are literals.
        let plain = plain
            && !["true", "false", "undefined", "error", "currenttime"]
                .iter()
                .any(|word| name.eq_ignore_ascii_case(word));
        let attribute = plain.then(|| name.to_owned());
        Wanted { attribute, folded: name.to_ascii_lowercase(), expr: parse_expr(text).ok() }
    }

    fn value(&self, job: &Job, env: &Env) -> Value {
        match (&self.attribute, &self.expr) {
            (Some(_), _) => job.value(&self.folded, env),
            (None, Some(expr)) => job.eval(expr, env),
            (None, None) => Value::Undefined,
        }
    }

    /// The attribute as written in the ad; any other expression as it was asked for.
    fn raw<'a>(&'a self, job: &'a Job) -> Option<&'a Expr> {
        match &self.attribute {
            Some(_) => job.expr(&self.folded),
            None => self.expr.as_ref(),
        }
    }
}

/// The text of an attribute, which most often stands where it stood in the row before.
fn find<'a>(row: &[(&str, &'a str)], folded: &str, place: &mut usize) -> Option<&'a str> {
    let is_it = |(name, _): &(&str, &str)| name.eq_ignore_ascii_case(folded);
    if !row.get(*place).is_some_and(is_it) {
        *place = row.iter().position(is_it)?;
    }
    Some(row[*place].1)
}

/// Prints rows of a listing while they come. Most values are literals, which print as they are written.
#[derive(Debug)]
pub struct RowPrinter<'a> {
    columns: &'a Columns,
    env: &'a Env,
    /// Where each column's attribute stood in the row before.
    places: Vec<usize>,
    /// Names of the last row that was read as an ad.
    names: Vec<AttributeName>,
}

impl<'a> RowPrinter<'a> {
    /// For columns without headings, see [`Columns::print_at_once`].
    pub fn new(columns: &'a Columns, env: &'a Env) -> RowPrinter<'a> {
        RowPrinter { columns, env, places: vec![0; columns.columns.len()], names: Vec::new() }
    }

    /// Prints one row: names and expression texts.
    pub fn print(&mut self, row: &[(&str, &str)], out: &mut String) {
        if self.columns.unreadable {
            return;
        }
        let start = out.len();
        if self.print_as_written(row, out).is_none() {
            out.truncate(start);
            let job = Job::with_names(row, &mut self.names);
            let cells = self.columns.columns.iter().map(|column| column.cell(&job, self.env).map(|cell| cell.text));
            self.columns.row(out, cells);
        }
    }

    /// `None`: something has to be evaluated, or is printed in another form.
    fn print_as_written(&mut self, row: &[(&str, &str)], out: &mut String) -> Option<()> {
        let s = &self.columns.separators;
        let last = self.columns.columns.len() - 1;
        out.push_str(s.row_before);
        for (index, (column, place)) in self.columns.columns.iter().zip(&mut self.places).enumerate() {
            if index > 0 {
                out.push_str(s.column_before);
            }
            match column {
                Column::Number => {
                    let number = |name| match plain_text(find(row, name, &mut 0)?) {
                        Some(Plain::Int(digits)) => Some(digits),
                        _ => None,
                    };
                    out.push_str(number("clusterid")?);
                    out.push('.');
                    out.push_str(number("procid")?);
                }
                Column::Auto { text: title, wanted: Wanted { attribute: Some(_), folded, .. }, style, label } => {
                    if *label {
                        out.push_str(title);
                        out.push_str(" = ");
                    }
                    match find(row, folded, place) {
                        None => out.push_str("undefined"),
                        Some(text) => match (plain_text(text)?, style) {
                            (Plain::Int(_), Style::Span) => return None,
                            (Plain::Str(inner), Style::Value | Style::Span) => out.push_str(inner),
                            _ => out.push_str(text),
                        },
                    }
                }
                Column::Auto { .. } | Column::Formatted { .. } => return None,
            }
            if index < last {
                out.push_str(s.column_after);
            }
        }
        out.push_str(s.row_after);
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn job(cluster: &str, proc: &str) -> Job {
        Job::from_row(&[
            ("ClusterId", cluster),
            ("ProcId", proc),
            ("Owner", "\"alice\""),
            ("Num", "3.5"),
            ("B", "true"),
            ("E", "1 + B"),
            ("L", "{ 1,\"x\",2.5 }"),
            ("R", "10000000000.0"),
        ])
    }

    fn words(line: &str) -> Vec<String> {
        line.split_whitespace().map(str::to_owned).collect()
    }

    #[track_caller]
    fn check(flags: &str, attributes: &str, expected: &str) {
        let mut columns = Columns::default();
        assert!(columns.auto(flags, &words(attributes)));
        let jobs = [job("3", "0"), job("12", "1")];
        assert_eq!(columns.print(jobs.into_iter(), &Env::default()), expected, "-af:{flags} {attributes}");
    }

    #[test]
    fn flags() {
        check("", "ClusterId Owner NoSuch", "3 alice undefined\n12 alice undefined\n");
        check("j", "Owner", "3.0 alice\n12.1 alice\n");
        check("jt", "Owner", "3.0\talice\n12.1\talice\n");
        check(",", "ClusterId Owner", "3, alice\n12, alice\n");
        check("n", "ClusterId Owner", "3\n alice\n12\n alice\n");
        check("g", "ClusterId Owner", "\n3alice\n\n12alice\n");
        check("lng", "ClusterId Owner", "\nClusterId = 3\nOwner = alice\n\nClusterId = 12\nOwner = alice\n");
        check("V", "Owner Num E", "\"alice\" 3.5 2\n\"alice\" 3.5 2\n");
        check("r", "Owner E NoSuch", "\"alice\" 1 + B undefined\n\"alice\" 1 + B undefined\n");
        check("lrh", "Num", "Num\n3.5\n3.5\n");
        check("lr", "E", "E = 1 + B\nE = 1 + B\n");
        check("T", "ClusterId", "0+00:00:03\n0+00:00:12\n");
        check("jY", "ClusterId", "3.0  1/1  00:00\n12.1  1/1  00:00\n");
    }

    proptest::proptest! {
        /// What is printed as it is written is what printing the ad gives.
        #[test]
        fn rows_print_alike_with_and_without_an_ad(
            texts in proptest::collection::vec(
                "0|7|-3|\"[a-z é]{0,4}\"|\"a\\\\\"b\"|true|false|TRUE|undefined|1 \\+ A|B|2\\.50|010|12345678901234567890|\\{ 1 \\}|[a-z]{1,3} \\+|",
                1..6,
            ),
            flags in "[Vrot,nglj]{0,3}|T",
            words in proptest::collection::vec("A|b|C|D|JobStatus|A \\+ 1|true", 1..4),
        ) {
            let mut columns = Columns::default();
            columns.auto(&flags, &words);
            let names = ["A", "B", "c", "ClusterId", "ProcId"];
            let row: Vec<(&str, &str)> = names.into_iter().zip(texts.iter().map(String::as_str)).collect();
            let env = Env::default();
            let mut out = String::new();
            let mut printer = RowPrinter::new(&columns, &env);
            // Twice, and in another order: places are remembered.
            let turned: Vec<(&str, &str)> = row.iter().rev().copied().collect();
            for row in [&row, &row, &turned] {
                printer.print(row, &mut out);
            }
            let jobs = [&row, &row, &turned].into_iter().map(|row| Job::from_row(row));
            proptest::prop_assert_eq!(out, columns.print(jobs, &env));
        }
    }

    #[test]
    fn headings_are_as_wide_as_what_is_measured() {
        check("h", "ClusterId Owner", "ClusterId Owner\n3         alice\n12        alice\n");
        check("jh", "Owner", " ID  Owner\n3.0  alice\n12.1 alice\n");
        check(
            "h",
            "L B R",
            "L B R                    \n{ 1,\"x\",2.5 } true 10000000000.0        \n{ 1,\"x\",2.5 } true 10000000000.0        \n",
        );
        let mut columns = Columns::default();
        columns.auto("h", &words("ClusterId"));
        assert_eq!(columns.print([].into_iter(), &Env::default()), "ClusterId\n");
    }

    #[test]
    fn formats_alone_and_behind_af() {
        let mut columns = Columns::default();
        columns.format("%d.", "ClusterId");
        columns.format("%d ", "ProcId");
        columns.format("[%s]", "NoSuch");
        columns.format("%s\\n", "Owner");
        assert_eq!(columns.print([job("3", "0")].into_iter(), &Env::default()), "3.0 alice\n");
        let mut columns = Columns::default();
        columns.auto("", &words("ProcId"));
        columns.format("local_pool", "GridResource");
        assert_eq!(
            columns.print([job("3", "0"), job("3", "1")].into_iter(), &Env::default()),
            "0 local_pool\n1 local_pool\n"
        );
        assert_eq!(columns.attributes(), ["procid"]);
    }

    #[test]
    fn what_is_no_expression_silences_the_listing() {
        check("", "ClusterId 1K", "");
        let mut columns = Columns::default();
        assert!(!columns.auto("", &[]));
    }

    #[test]
    fn only_needed_attributes_are_asked_for() {
        let mut columns = Columns::default();
        columns.auto("j", &words("JobStatus MY.Foo+Bar"));
        assert_eq!(columns.attributes(), ["bar", "clusterid", "foo", "jobstatus", "procid"]);
        let mut columns = Columns::default();
        columns.auto("", &words("3"));
        assert_eq!(columns.attributes(), ["clusterid"]);
    }
}
