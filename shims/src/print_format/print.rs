//! From a table and ads to the printed text.

use std::cmp::Ordering;

use classad::{Env, Value};

use super::{Column, How, Table};
use crate::job::Job;
use crate::printf::Subject;
use crate::views::Scene;

/// A printed value, and how much room it asks for where columns grow.
struct Cell {
    text: String,
    measure: usize,
}

impl Table {
    /// Headings and all rows, each column as wide as its widest value.
    pub fn print(&self, jobs: impl Iterator<Item = Job>, scene: &Scene<'_>) -> String {
        let (headings, rows) = self.parts(jobs, scene);
        headings + &rows
    }

    /// The same, headings and rows apart.
    pub fn parts(&self, jobs: impl Iterator<Item = Job>, scene: &Scene<'_>) -> (String, String) {
        let mut jobs: Vec<Job> = jobs.collect();
        if !self.sort.is_empty() {
            jobs.sort_by(|a, b| self.order(a, b, scene.env));
        }
        if !self.has_columns() {
            return Default::default();
        }
        let rows: Vec<Vec<Option<Cell>>> = jobs.iter().map(|job| self.cells(job, scene)).collect();
        let mut widths = self.widths();
        rows.iter().for_each(|row| self.widen(&mut widths, row));
        let mut out = String::new();
        rows.iter().for_each(|row| self.row(&mut out, row, &widths, scene));
        (self.headings(&widths, scene), out)
    }

    /// The same as `condor_history` prints: as it reads, so that columns grow from row to row.
    pub fn print_as_read(&self, jobs: impl Iterator<Item = Job>, scene: &Scene<'_>) -> String {
        let mut widths = self.widths();
        let mut out = String::new();
        if self.has_columns() {
            out += &self.headings(&widths, scene);
        }
        for job in jobs {
            if self.has_columns() {
                let row = self.cells(&job, scene);
                self.widen(&mut widths, &row);
                self.row(&mut out, &row, &widths, scene);
            }
        }
        out
    }

    fn order(&self, a: &Job, b: &Job, env: &Env) -> Ordering {
        let by = |(expr, descending): &(classad::Expr, bool)| {
            let order = compare(&a.eval(expr, env), &b.eval(expr, env));
            if *descending { order.reverse() } else { order }
        };
        self.sort.iter().map(by).find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
    }

    fn widths(&self) -> Vec<usize> {
        self.columns.iter().map(|column| column.width).collect()
    }

    fn cells(&self, job: &Job, scene: &Scene<'_>) -> Vec<Option<Cell>> {
        self.columns.iter().map(|column| column.cell(job, scene)).collect()
    }

    fn widen(&self, widths: &mut [usize], row: &[Option<Cell>]) {
        for ((width, column), cell) in widths.iter_mut().zip(&self.columns).zip(row) {
            if let Some(cell) = cell.as_ref().filter(|_| column.auto) {
                *width = (*width).max(cell.measure);
            }
        }
    }

    fn headings(&self, widths: &[usize], scene: &Scene<'_>) -> String {
        let mut out = String::new();
        if !self.no_headings {
            let cells = self.columns.iter().zip(widths).map(|(column, width)| format!("{:<width$}", column.heading));
            self.line(&mut out, &cells.collect::<Vec<_>>(), scene);
        }
        out
    }

    fn row(&self, out: &mut String, row: &[Option<Cell>], widths: &[usize], scene: &Scene<'_>) {
        let cells = self.columns.iter().zip(row).zip(widths).map(|((column, cell), width)| column.fitted(cell, *width));
        self.line(out, &cells.collect::<Vec<_>>(), scene);
    }

    fn line(&self, out: &mut String, cells: &[String], scene: &Scene<'_>) {
        let s = &self.separators;
        let mut line = s.row_before.clone();
        for (at, (column, cell)) in self.columns.iter().zip(cells).enumerate() {
            if at > 0 && !column.no_prefix {
                line.push_str(&s.column_before);
            }
            line.push_str(cell);
            if at + 1 < cells.len() && !column.no_suffix {
                line.push_str(&s.column_after);
            }
        }
        match scene.cut_at.and_then(|columns| line.char_indices().nth(columns)) {
            Some((end, _)) => out.push_str(&line[..end]),
            None => out.push_str(&line),
        }
        out.push_str(&s.row_after);
    }
}

impl Column {
    fn value(&self, job: &Job, env: &Env) -> Value {
        match &self.attribute {
            Some(name) => job.value(name, env),
            None => job.eval(&self.expr, env),
        }
    }

    fn cell(&self, job: &Job, scene: &Scene<'_>) -> Option<Cell> {
        self.text(&self.how, job, scene).map(|(text, measure)| Cell { text, measure })
    }

    fn text(&self, how: &How, job: &Job, scene: &Scene<'_>) -> Option<(String, usize)> {
        let count = |text: &String| text.chars().count();
        match how {
            How::Value => {
                let value = self.value(job, scene.env);
                // As with `-af:h`: reals ask for the room of their long form, what is no number or text for none.
                let text = value.display_old();
                let measure = match &value {
                    Value::Int(_) | Value::Str(_) => count(&text),
                    Value::Real(_) => value.print_new().len(),
                    _ => 0,
                };
                // What is missing is undefined and shown as such, unless the column says what else.
                (value != Value::Undefined || self.or.is_none()).then_some((text, measure))
            }
            How::Printf(format) => {
                let value = self.value(job, scene.env);
                let expr = match &self.attribute {
                    Some(name) => job.expr(name),
                    None => Some(&self.expr),
                };
                let plain = self.attribute.is_some();
                let text = format.print(Subject { expr, value: &value, plain, env: scene.env })?;
                let measure = count(&text);
                // Numbers stand to the right even where texts stand to the left.
                let text = if format.is_number() { format!("{text:>width$}", width = self.width) } else { text };
                Some((text, measure))
            }
            How::Function(function) => {
                let text = function.call(self.value(job, scene.env), job, scene)?;
                let measure = count(&text);
                Some((text, measure))
            }
            How::Labelled(label, how) => {
                let (text, measure) = self.text(how, job, scene)?;
                Some((format!("{label}{text}"), measure))
            }
        }
    }

    /// A value in the room of its column.
    fn fitted(&self, cell: &Option<Cell>, width: usize) -> String {
        let text = match (cell, self.or) {
            (Some(cell), _) => cell.text.clone(),
            (None, Some((c, true))) => filled(c, width),
            (None, Some((' ', _)) | None) => String::new(),
            (None, Some((c, false))) => c.to_string(),
        };
        let long = text.chars().count() > width;
        match (width, long) {
            (0, _) => text,
            (_, true) if self.truncate => text.chars().take(width).collect(),
            (_, true) => text,
            _ if self.left => format!("{text:<width$}"),
            _ => format!("{text:>width$}"),
        }
    }
}

/// A field of one character; question marks stand in brackets.
fn filled(c: char, width: usize) -> String {
    match (c, width) {
        (_, 0) => String::new(),
        (_, 1 | 2) => c.to_string(),
        ('?', width) => format!("[{}]", "?".repeat(width - 2)),
        (c, width) => c.to_string().repeat(width),
    }
}

/// Undefined first, then truth values and numbers, then texts in any case.
pub(crate) fn compare(a: &Value, b: &Value) -> Ordering {
    let rank = |value: &Value| match value {
        Value::Undefined | Value::Error => 0,
        Value::Str(_) => 2,
        _ => 1,
    };
    rank(a).cmp(&rank(b)).then_with(|| match (a, b) {
        (Value::Str(a), Value::Str(b)) => a.to_ascii_lowercase().cmp(&b.to_ascii_lowercase()).then_with(|| a.cmp(b)),
        (Value::Int(a), Value::Int(b)) => a.cmp(b),
        _ => a.as_real().partial_cmp(&b.as_real()).unwrap_or(Ordering::Equal),
    })
}
