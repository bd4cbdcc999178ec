//! What really happened at the workers, for the auditor to compare with what the master says.

use std::collections::BTreeMap;

use bytes::Bytes;
use journal::JobId;

/// Number of a run: one program that began at one worker.
pub(crate) type RunNo = usize;

/// A program that began.
#[derive(Debug)]
pub(crate) struct Run {
    pub(crate) job: JobId,
    /// Exit as the worker reports it, when it has ended by itself.
    pub(crate) exit: Option<i32>,
    /// What it leaves under each cache name, unless it leaves nothing there.
    pub(crate) outputs: BTreeMap<Bytes, Bytes>,
    /// Its worker lies: nothing that it says need be true.
    pub(crate) lied: bool,
    /// A foreman started it again by itself, of which no master can know.
    pub(crate) repeated: bool,
}

/// All runs, in the order of their begins.
#[derive(Debug, Default)]
pub(crate) struct Truth {
    pub(crate) runs: Vec<Run>,
}

impl Truth {
    pub(crate) fn begin(&mut self, job: JobId, lied: bool, repeated: bool) -> RunNo {
        self.runs.push(Run { job, exit: None, outputs: BTreeMap::new(), lied, repeated });
        self.runs.len() - 1
    }

    /// Runs of a job that count as starts.
    pub(crate) fn begun(&self, job: JobId) -> u64 {
        self.runs.iter().filter(|run| run.job == job && !run.repeated).count() as u64
    }

    /// Whether some worker of the job may have told lies of it.
    pub(crate) fn lied_about(&self, job: JobId) -> bool {
        self.runs.iter().any(|run| run.job == job && run.lied)
    }

    /// Whether a run of the job ended with this exit.
    pub(crate) fn ended(&self, job: JobId, exit: i32) -> bool {
        self.runs.iter().any(|run| run.job == job && run.exit == Some(exit))
    }
}

/// What a run leaves: a text that names the run and the output, repeated to the length wanted.
pub(crate) fn content(run: RunNo, output: &[u8], length: usize) -> Bytes {
    let line = format!("run {run} leaves {}\n", String::from_utf8_lossy(output));
    line.bytes().cycle().take(length).collect::<Vec<u8>>().into()
}
