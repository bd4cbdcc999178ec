//! The jobs of a cluster as they are made: the first ad, and what changes from each job to the next.
//!
//! Which attributes differ is known only at the end, so changes are logged first and packed into rows then.

use std::collections::BTreeMap;

use classad::pack_row;

use crate::ad::Ad;

/// Attributes that the master assigns whatever the text says.
const MASTERS: [&str; 4] = ["ClusterId", "ProcId", "Owner", "User"];

/// One entry of the log.
#[derive(Debug, Clone, Copy)]
struct Change {
    /// Index of the job.
    proc: u32,
    /// Index of the attribute.
    name: u32,
    /// End of the value in the arena; `None` means that the attribute is gone.
    end: Option<usize>,
}

/// The jobs of a cluster in their final form, see [`Cluster`](crate::Cluster).
#[derive(Debug)]
pub(crate) struct Packed {
    pub(crate) ad: Vec<(String, String)>,
    pub(crate) procs: u32,
    pub(crate) varying: Vec<String>,
    pub(crate) rows: Vec<u8>,
}

/// All jobs so far.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    procs: u32,
    /// Attribute names and their present texts, by their slot in the ad.
    names: Vec<(String, Option<String>)>,
    /// Texts of the first job.
    first: Vec<Option<String>>,
    log: Vec<Change>,
    arena: String,
}

impl Rows {
    /// Bytes that the logged changes take.
    pub(crate) fn bytes(&self) -> usize {
        self.arena.len() + self.log.len() * size_of::<Change>()
    }

    /// Jobs so far.
    pub(crate) fn procs(&self) -> u32 {
        self.procs
    }

    /// Adds a job; every attribute is compared with the job before.
    pub(crate) fn push_whole(&mut self, ad: &Ad) {
        for slot in 0..ad.len() {
            self.compare(ad, slot);
        }
        self.end_job();
    }

    /// Adds a job of which only the attributes known as changed are compared.
    pub(crate) fn push_changes(&mut self, ad: &Ad) {
        for slot in ad.changed() {
            self.compare(ad, *slot);
        }
        self.end_job();
    }

    /// Adds jobs that are equal to the last one.
    pub(crate) fn repeat(&mut self, count: u32) {
        self.procs += count;
    }

    fn compare(&mut self, ad: &Ad, slot: usize) {
        while self.names.len() <= slot {
            self.names.push((ad.name(self.names.len()).to_owned(), None));
        }
        // What the master decides cannot be asked for.
        let is_masters = MASTERS.iter().any(|own| own.eq_ignore_ascii_case(&self.names[slot].0));
        let text = if is_masters { None } else { ad.text(slot) };
        if text == self.names[slot].1 {
            return;
        }
        if self.procs > 0 {
            let end = text.as_ref().map(|text| {
                self.arena.push_str(text);
                self.arena.len()
            });
            let name = u32::try_from(slot).expect("an ad has few attributes");
            self.log.push(Change { proc: self.procs, name, end });
        }
        self.names[slot].1 = text;
    }

    fn end_job(&mut self) {
        if self.procs == 0 {
            self.first = self.names.iter().map(|(_, text)| text.clone()).collect();
        }
        self.procs += 1;
    }

    /// All jobs, packed.
    pub(crate) fn finish(mut self) -> Packed {
        self.first.resize(self.names.len(), None);
        let mut ad: Vec<(String, String)> = Vec::with_capacity(self.first.len());
        for ((name, _), text) in self.names.iter().zip(&self.first) {
            ad.extend(text.clone().map(|text| (name.clone(), text)));
        }
        ad.sort_by_cached_key(|(name, _)| name.to_ascii_lowercase());
        let mut columns: Vec<u32> = self.log.iter().map(|change| change.name).collect();
        columns.sort_unstable();
        columns.dedup();
        columns.sort_by_cached_key(|name| self.names[*name as usize].0.to_ascii_lowercase());
        let place: BTreeMap<u32, usize> = columns.iter().enumerate().map(|(place, name)| (*name, place)).collect();
        let varying = columns.iter().map(|name| self.names[*name as usize].0.clone()).collect();
        let mut rows = Vec::new();
        if !columns.is_empty() {
            let mut row: Vec<Option<&str>> = columns.iter().map(|name| self.first[*name as usize].as_deref()).collect();
            let mut log = self.log.iter().peekable();
            let mut begin = 0;
            for proc in 0..self.procs {
                while let Some(change) = log.next_if(|change| change.proc == proc) {
                    row[place[&change.name]] = change.end.map(|end| &self.arena[begin..end]);
                    begin = change.end.unwrap_or(begin);
                }
                pack_row(&mut rows, &row);
            }
        }
        Packed { ad, procs: self.procs, varying, rows }
    }
}
