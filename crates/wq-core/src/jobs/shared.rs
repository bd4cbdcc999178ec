//! Jobs of one cluster as a submission has them: what they share, and a row each. Checkpoints of the journal keep them so.

use classad::pack_row;

use super::table::{JobTable, Slot};

/// Some jobs of one cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shared {
    /// Name and text of each attribute, the first job's where they differ. Placeholders stand for the number.
    pub ad: Vec<(String, String)>,
    /// Names of the attributes in which they differ.
    pub varying: Vec<String>,
    /// Packed values of these attributes, one row a job.
    pub rows: Vec<Vec<u8>>,
}

impl JobTable {
    /// Takes as many jobs as have the first one's cluster and attributes, at least one if there is one.
    pub fn share(&self, slots: &[Slot]) -> Shared {
        let (count, changed) = self.alike(slots);
        let jobs: Vec<_> = slots[..count].iter().map(|slot| self.get(*slot)).collect();
        let Some(first) = jobs.first() else { return Shared { ad: Vec::new(), varying: Vec::new(), rows: Vec::new() } };
        let text = |job, at| self.text_at(job, at).raw();
        let ad = (0..self.width(first)).map(|at| (self.name_at(first, at).to_owned(), text(first, at))).collect();
        let differ = |at: &usize| jobs.iter().any(|job| text(job, *at) != text(first, *at));
        let columns: Vec<usize> = changed.into_iter().filter(differ).collect();
        let rows = jobs.iter().map(|job| {
            let texts: Vec<String> = columns.iter().map(|at| text(job, *at)).collect();
            let values: Vec<Option<&str>> = texts.iter().map(|text| Some(text.as_str())).collect();
            let mut row = Vec::new();
            pack_row(&mut row, &values);
            row
        });
        let rows = rows.collect();
        let varying = columns.iter().map(|at| self.name_at(first, *at).to_owned()).collect();
        Shared { ad, varying, rows }
    }
}
