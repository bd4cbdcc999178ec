//! Print-format tables: the little language of `-print-format FILE`, for `condor_q`, `condor_history` and `condor_status`.
//!
//! [`parse`] reads `SELECT`, its columns, `WHERE`, `GROUP BY` and `SUMMARY`; [`print`] lays out rows as HTCondor does: columns grow
//! with what they hold, texts to the left and numbers to the right, what is undefined becomes blanks or what `OR` says.
//! The facts are those of HTCondor's manual and of 25.13's behaviour. `JOIN` is told of and passed over, as by HTCondor's.

mod functions;
mod parse;
mod print;

pub use parse::{load, parse};
pub(crate) use print::compare;

use classad::Expr;

use crate::groups::Grouped;
use crate::printf::Format;
use functions::Function;

/// A whole file.
#[derive(Debug, Default)]
pub struct Table {
    columns: Vec<Column>,
    separators: Separators,
    /// The line that says whose jobs these are goes away.
    pub no_title: bool,
    no_headings: bool,
    /// What stands below the rows.
    pub summary: Summary,
    /// Each must be true of an ad.
    pub constraints: Vec<String>,
    sort: Vec<(Expr, bool)>,
    /// `SELECT UNIQUE`, `SELECT FROM AUTOCLUSTER`: rows stand for jobs that are alike. Only `condor_q` knows of it.
    pub grouped: Option<Grouped>,
    /// What could not be understood; HTCondor says it on standard error and goes on.
    pub complaints: String,
}

/// What stands below the rows.
#[derive(Debug, Default)]
pub enum Summary {
    /// Nothing.
    #[default]
    None,
    /// The program's own.
    Standard,
    /// Columns over the numbers of jobs.
    Custom(Box<Table>),
}

#[derive(Debug)]
struct Separators {
    row_before: String,
    column_before: String,
    column_after: String,
    row_after: String,
}

impl Default for Separators {
    fn default() -> Separators {
        Separators {
            row_before: String::new(),
            column_before: " ".into(),
            column_after: String::new(),
            row_after: "\n".into(),
        }
    }
}

/// One column.
#[derive(Debug)]
struct Column {
    /// The attribute in lower case, if it is a plain name.
    attribute: Option<String>,
    expr: Expr,
    heading: String,
    how: How,
    /// 0: as wide as what it holds, without filling.
    width: usize,
    left: bool,
    /// The width grows with the values.
    auto: bool,
    truncate: bool,
    no_prefix: bool,
    no_suffix: bool,
    /// What an undefined value becomes, and whether it fills the column.
    or: Option<(char, bool)>,
}

#[derive(Debug)]
enum How {
    /// `%v`: the value, strings bare.
    Value,
    Printf(Format),
    Function(Function),
    /// `LABEL`: a text before another way.
    Labelled(String, Box<How>),
}

impl Table {
    /// Whether it has any column; without one there are neither headings nor rows.
    pub fn has_columns(&self) -> bool {
        !self.columns.is_empty()
    }

    /// The attributes by which `SELECT UNIQUE` groups: those that columns and `GROUP BY` name, with those of their functions.
    pub fn named(&self) -> Vec<String> {
        let exprs = self.columns.iter().map(|column| &column.expr).chain(self.sort.iter().map(|(expr, _)| expr));
        let mut names = std::collections::BTreeSet::new();
        for expr in exprs {
            let references = expr.references();
            names.extend(references.unscoped.iter().chain(&references.my).map(|name| name.to_string()));
        }
        for column in &self.columns {
            let mut how = &column.how;
            while let How::Labelled(_, inner) = how {
                how = inner;
            }
            if let How::Function(function) = how {
                names.extend(function.reads().iter().map(|name| (*name).to_owned()));
            }
        }
        names.into_iter().collect()
    }

    /// Attributes that it needs; empty when it may need any.
    pub fn attributes(&self) -> Vec<String> {
        let mut names = std::collections::BTreeSet::from(["clusterid".to_owned(), "procid".to_owned()]);
        let exprs = self.columns.iter().map(|column| &column.expr).chain(self.sort.iter().map(|(expr, _)| expr));
        for expr in exprs {
            let references = expr.references();
            if references.dynamic {
                return Vec::new();
            }
            names.extend(references.unscoped.iter().chain(&references.my).map(|name| name.to_string()));
        }
        // A function looks at attributes of its own.
        let free = |column: &Column| !matches!(&column.how, How::Function(_) | How::Labelled(..));
        if self.columns.iter().all(free) { names.into_iter().collect() } else { Vec::new() }
    }
}
