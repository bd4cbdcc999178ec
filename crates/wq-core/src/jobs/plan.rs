//! The attributes of a listing, looked up once for all jobs of a template: a long listing of a few attributes is the
//! commonest question of all, and names are most of its cost.

use std::fmt::Write;
use std::ops::Range;

use classad::{Expr, Value, plain_text};
use control_proto::listing::Writer;

use super::template::TemplateId;
use super::view::{self, JobView};

/// Which attributes of a template's jobs are shown, and where they stand.
#[derive(Debug)]
pub struct Plan {
    template: TemplateId,
    private: bool,
    columns: Vec<Column>,
    /// The texts of one row, and where each column's stands; kept for their room.
    texts: String,
    row: Vec<(usize, Range<usize>)>,
}

#[derive(Debug)]
struct Column {
    name: String,
    /// The queue makes it, by this row of its table …
    derived: Option<usize>,
    /// … or the submitted ad has it here.
    at: Option<usize>,
}

impl Plan {
    /// For all jobs that share the template of this one. `names` in lower case: what is asked for and what that refers to.
    pub fn new(view: &JobView<'_>, private: bool, names: Vec<String>) -> Plan {
        let shown = names.into_iter().filter(|name| view::is_shown(name, private));
        let columns = shown.filter_map(|folded| {
            let (derived, at) = (view::derived_at(&folded), view.table.position(view.job, &folded));
            let name = match (at, derived) {
                (Some(at), _) => view.table.name_at(view.job, at).to_owned(),
                (None, Some(at)) => view::derived_name(at).to_owned(),
                (None, None) => return None,
            };
            Some(Column { name, derived, at })
        });
        Plan {
            template: view.job.template(),
            private,
            columns: columns.collect(),
            texts: String::new(),
            row: Vec::new(),
        }
    }

    /// Whether it holds for this job.
    pub fn is_for(&self, view: &JobView<'_>, private: bool) -> bool {
        (self.template, self.private) == (view.job.template(), private)
    }

    /// Writes the row of a job that nobody has edited. False, and nothing is written, if the job has an expression of its
    /// own, which may refer to other attributes than its template's.
    pub fn write(&mut self, view: &JobView<'_>, writer: &mut Writer) -> bool {
        self.texts.clear();
        self.row.clear();
        for (number, column) in self.columns.iter().enumerate() {
            let from = self.texts.len();
            let value = column.derived.and_then(|at| view.derived_by(at));
            match (value, column.at) {
                (Some(value), _) => put_value(&mut self.texts, value),
                (None, Some(at)) => {
                    let text = view.table.text_at(view.job, at);
                    text.fill_into(view.job.id.cluster, view.job.id.proc_, &mut self.texts);
                    if !text.is_shared() && plain_text(&self.texts[from..]).is_none() {
                        return false;
                    }
                }
                (None, None) => continue,
            }
            self.row.push((number, from..self.texts.len()));
        }
        let (columns, texts) = (&self.columns, &self.texts);
        writer.push(self.row.iter().map(|(number, place)| (&*columns[*number].name, &texts[place.clone()])));
        true
    }
}

fn put_value(out: &mut String, value: Value) {
    // Writing to a text does not fail.
    let _ = match value {
        Value::Int(number) => write!(out, "{number}"),
        other => write!(out, "{}", Expr::from(other)),
    };
}
