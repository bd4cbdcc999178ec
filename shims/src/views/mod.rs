//! The tables of `condor_q`: pure functions of jobs, totals and site.

mod ads;
mod auto_clusters;
mod batch;
mod clusters;
mod head;
mod hold_codes;
mod past;
mod rows;

pub use ads::{AdForm, print_ads, print_past_ads};
pub use auto_clusters::{AUTO_CLUSTER_ATTRIBUTES, auto_clusters};
pub use batch::{BATCH_ATTRIBUTES, batch};
pub(crate) use clusters::mode;
pub use clusters::{FACTORY_ATTRIBUTES, IS_FACTORY, JOB_SET_TITLES, factories};
pub use head::{UNKNOWN_TOTALS, file_head, head, submitter_head, totals_ad, totals_json, totals_line, wire_address};
pub use hold_codes::hold_codes;
pub use past::{PAST_ATTRIBUTES, past};
pub use rows::{RowView, RunTime};
pub(crate) use rows::{command, run_time_s, status, universe_name};

use classad::Env;

use crate::clock::Clock;

/// What the tables know besides the jobs.
#[derive(Debug, Clone)]
pub struct Scene<'a> {
    /// The caller's zone.
    pub clock: &'a Clock,
    /// For evaluating attributes.
    pub env: &'a Env,
    /// The master's time of the answer, seconds since 1970.
    pub now_s: i64,
    /// Rows and titles are cut to so many columns.
    pub cut_at: Option<usize>,
}

impl Scene<'_> {
    /// Appends one line of a table.
    fn line(&self, out: &mut String, text: &str) {
        match self.cut_at.and_then(|columns| text.char_indices().nth(columns)) {
            Some((end, _)) => out.push_str(&text[..end]),
            None => out.push_str(text),
        }
        out.push('\n');
    }
}
