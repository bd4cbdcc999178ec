//! The spool folder: files that are put there become jobs.
//!
//! The order for each file is: its jobs and its identity are in the journal, then it is unlinked. A crash in between
//! leaves a file whose identity is known; it is only unlinked. No file is ever deleted without that: what cannot be taken
//! goes to `rejected/`, with the reason beside it.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use control_proto::{Refusal, Reply, Request};
use journal::Taken;
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::unistd::getegid;
use tokio::sync::mpsc::{Receiver, channel};
use tokio::sync::oneshot;
use wq_core::Input;
use wq_core::io::{Ask, Caller};

use super::folder::{Folder, Look, ReadError};
use super::ripening::{Ripening, Visit};
use super::text::{Expanded, Submitter, TextError, expand};
use crate::blobs::Store;
use crate::control::Submission;
use crate::driver::Shell;

/// Files that are visited together: their records share a sync.
const BATCH: usize = 32;

/// What the kernel told and nobody has heard yet; beyond, it waits in the kernel.
const MESSAGES_MAX: usize = 64;

/// Between two looks at the whole folder, for what the kernel did not tell.
const SCAN_EVERY: Duration = Duration::from_secs(60);

/// Between two looks for the end of draining.
const DRAIN_BEAT: Duration = Duration::from_secs(1);

/// What may have made a file complete. Writing alone is not told: a file that grows is found to have changed.
const WATCHED: AddWatchFlags =
    AddWatchFlags::IN_CREATE.union(AddWatchFlags::IN_CLOSE_WRITE).union(AddWatchFlags::IN_MOVED_TO);

/// What a visit found.
#[derive(Debug)]
enum Found {
    /// It looks different by now, or is gone.
    Changed(Option<Look>),
    /// Its jobs are in the journal already.
    Taken,
    /// Jobs.
    Jobs(Box<Expanded>),
    /// Jobs whose text must know their cluster numbers.
    NeedsNumbers { text: Vec<u8>, clusters: usize },
    /// No jobs, and why.
    Refused(String),
}

struct Door {
    path: PathBuf,
    shell: Rc<Shell>,
    submitter: Arc<Submitter>,
    caller: Caller,
    /// What the kernel tells of the folder; `None`: nothing is heard.
    messages: Option<(Arc<Inotify>, Receiver<Told>)>,
    folder: Option<Arc<Folder>>,
    files: Ripening,
    next_scan: Instant,
    /// That the folder cannot be used was told.
    told: bool,
}

/// Takes files from the spool folder, for ever.
pub(crate) async fn watch(path: PathBuf, submitter: Submitter, shell: Rc<Shell>) {
    let messages =
        listen().inspect_err(|error| tracing::warn!(%error, "files of the spool folder are found only once a minute"));
    let caller = shell.callers.caller(submitter.uid, getegid().as_raw(), &submitter.name);
    let mut door = Door {
        path,
        shell,
        submitter: Arc::new(submitter),
        caller,
        messages: messages.ok(),
        folder: None,
        files: Ripening::default(),
        next_scan: Instant::now(),
        told: false,
    };
    loop {
        let names = door.wait().await;
        if door.next_scan <= Instant::now() {
            door.scan().await;
        } else {
            door.look(names).await;
        }
        door.visit_all().await;
    }
}

impl Door {
    /// Names that the kernel told, or none when the time has come for something.
    async fn wait(&mut self) -> Vec<OsString> {
        let due = if self.shell.draining() { Some(Instant::now() + DRAIN_BEAT) } else { self.files.next() };
        let wake = due.map_or(self.next_scan, |due| due.min(self.next_scan));
        let told = async {
            match &mut self.messages {
                Some((_, messages)) => messages.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            told = told => match told {
                Some(Told::Names(names)) => names,
                Some(Told::TooMuch) => {
                    self.next_scan = Instant::now();
                    Vec::new()
                }
                None => {
                    self.messages = None;
                    Vec::new()
                }
            },
            () = tokio::time::sleep_until(wake.into()) => Vec::new(),
        }
    }

    /// Looks at the whole folder, which may be a new one by now.
    async fn scan(&mut self) {
        self.next_scan = Instant::now() + SCAN_EVERY;
        let path = self.path.clone();
        let opened = self.shell.pool.wait(move || Folder::open(&path).map_err(anyhow::Error::from)).await;
        let listed = match opened {
            Ok(folder) => {
                let folder = Arc::new(folder);
                if let Some((inotify, _)) = &self.messages
                    && let Err(errno) = inotify.add_watch(&folder.held_path(), WATCHED)
                {
                    tracing::warn!(%errno, "files of the spool folder are found only once a minute");
                }
                self.folder = Some(Arc::clone(&folder));
                self.shell.pool.wait(move || folder.list().map_err(anyhow::Error::from)).await
            }
            Err(error) => Err(error),
        };
        match listed {
            Ok(names) => {
                self.told = false;
                let seen = self.look(names).await;
                let taken = self.shell.taken();
                let files: Vec<Taken> = taken.into_iter().filter(|file| !seen.contains(file)).collect();
                self.shell.input(Input::Unlinked { files });
            }
            Err(error) => {
                if !std::mem::replace(&mut self.told, true) {
                    let error = format!("{error:#}");
                    tracing::warn!(folder = %self.path.display(), error, "the spool folder cannot be used");
                }
            }
        }
    }

    /// Looks at these files; the identities of those that exist.
    async fn look(&mut self, names: Vec<OsString>) -> BTreeSet<Taken> {
        let Some(folder) = self.folder.clone().filter(|_| !names.is_empty()) else { return BTreeSet::new() };
        let looks = self.shell.pool.wait(move || {
            names.into_iter().map(|name| (folder.look(&name), name)).collect::<Vec<(Option<Look>, OsString)>>()
        });
        let looks = looks.await;
        let now = Instant::now();
        for (look, name) in &looks {
            self.files.saw(now, name, *look);
        }
        looks.into_iter().filter_map(|(look, _)| look).map(|look| look.file).collect()
    }

    /// Visits what is due; nothing while the service drains.
    async fn visit_all(&mut self) {
        while let Some(folder) = self.folder.clone() {
            let visits = self.files.due(Instant::now(), BATCH);
            if visits.is_empty() || self.shell.look_for_drain() {
                return;
            }
            self.visit(visits, &folder).await;
        }
    }

    async fn visit(&mut self, visits: Vec<Visit>, folder: &Arc<Folder>) {
        let visits: Vec<(Visit, bool)> = visits
            .into_iter()
            .map(|visit| {
                let taken = self.shell.has_taken(&visit.look.file);
                (visit, taken)
            })
            .collect();
        let place = self.place(folder);
        let examiner = place.clone();
        let found = self.shell.pool.wait(move || {
            visits.into_iter().map(|(visit, taken)| (examiner.examine(&visit, taken), visit)).collect::<Vec<_>>()
        });
        let mut asked = Vec::new();
        let mut taken = Vec::new();
        for (found, visit) in found.await {
            match found {
                Found::Changed(look) if look == Some(visit.look) => self.put_off(&visit, "it changes"),
                Found::Changed(look) => self.files.saw(Instant::now(), &visit.name, look),
                Found::Taken => taken.push(visit),
                Found::Refused(why) => self.refuse(visit, why, folder).await,
                Found::Jobs(jobs) => self.submit(visit, *jobs, &mut asked, folder).await,
                Found::NeedsNumbers { text, clusters } => match self.numbers(clusters).await {
                    Ok(first) => {
                        let (place, path) = (place.clone(), place.path(&visit));
                        match self.shell.pool.wait(move || place.expand(&path, &text, Some(first))).await {
                            Ok(jobs) => self.submit(visit, jobs, &mut asked, folder).await,
                            Err(error) => self.refuse(visit, error.to_string(), folder).await,
                        }
                    }
                    Err(why) => self.put_off(&visit, &why),
                },
            }
        }
        for (visit, reply) in asked {
            match reply.await {
                Ok(Reply::Submitted { clusters, warnings }) => {
                    for warning in warnings {
                        tracing::warn!(file = ?visit.name, warning, "of a file of the spool folder");
                    }
                    let clusters: Vec<u32> = clusters.iter().map(|cluster| cluster.cluster).collect();
                    tracing::info!(file = ?visit.name, ?clusters, "a file of the spool folder was taken");
                    taken.push(visit);
                }
                // It was told that the service ends.
                Ok(Reply::Refused { code: Refusal::Draining, .. }) => {
                    self.files.put_off(Instant::now(), &visit.name);
                }
                Ok(Reply::Refused { code: Refusal::Limit | Refusal::Storage, message, .. }) => {
                    self.put_off(&visit, &message);
                }
                Ok(Reply::Refused { message, .. }) => self.refuse(visit, message, folder).await,
                _ => self.put_off(&visit, "the submission was not answered"),
            }
        }
        self.unlink(taken, folder).await;
    }

    /// Gives jobs to the core; the answers are waited for together.
    async fn submit(
        &mut self,
        visit: Visit,
        jobs: Expanded,
        asked: &mut Vec<(Visit, oneshot::Receiver<Reply>)>,
        folder: &Arc<Folder>,
    ) {
        let submission = Submission::whole(jobs.head, jobs.rows, jobs.blobs);
        match submission.finish(&self.shell).await {
            Ok(gathered) => {
                let Ask::Submit { request, rows, blobs } = gathered.ask else {
                    unreachable!("a submission asks to submit")
                };
                let ask = Ask::Take { file: visit.look.file, request, rows, blobs };
                asked.push((visit, self.shell.ask(self.caller.clone(), ask)));
                self.shell.unpin(&gathered.pinned);
            }
            Err(Reply::Refused { code: Refusal::Storage, message, .. }) => self.put_off(&visit, &message),
            Err(Reply::Refused { message, .. }) => self.refuse(visit, message, folder).await,
            Err(other) => unreachable!("{other:?} is no refusal"),
        }
    }

    /// So many cluster numbers in a row; the first.
    async fn numbers(&self, count: usize) -> Result<u32, String> {
        // All are asked for before anybody else is heard.
        let asked: Vec<_> =
            (0..count).map(|_| self.shell.ask(self.caller.clone(), Ask::Other(Request::ReserveCluster))).collect();
        let mut first = Err("it has no clusters".to_owned());
        for reply in asked {
            match reply.await {
                Ok(Reply::Reserved { cluster }) => first = first.or(Ok(cluster)),
                Ok(Reply::Refused { message, .. }) => return Err(message),
                _ => return Err("the request was not answered".to_owned()),
            }
        }
        first
    }

    /// No jobs: perhaps it is half written. Later it is rejected.
    async fn refuse(&mut self, visit: Visit, why: String, folder: &Arc<Folder>) {
        if !visit.last {
            return self.files.refused(&visit.name);
        }
        let folder = Arc::clone(folder);
        let (visit, moved, look) = self
            .shell
            .pool
            .wait(move || {
                let moved = folder.reject(&visit, &why);
                let look = folder.look(&visit.name);
                (visit, moved, look)
            })
            .await;
        match moved {
            Ok(moved) => {
                if let Some(to) = moved {
                    // The reason may quote an environment; it stands beside the file, for its author alone.
                    tracing::warn!(file = ?visit.name, to = %to.display(), "a file of the spool folder was rejected");
                }
                self.files.saw(Instant::now(), &visit.name, look);
            }
            Err(error) => self.put_off(&visit, &format!("it cannot be moved to the rejected: {error}")),
        }
    }

    async fn unlink(&mut self, taken: Vec<Visit>, folder: &Arc<Folder>) {
        if taken.is_empty() {
            return;
        }
        let folder = Arc::clone(folder);
        let done = self.shell.pool.wait(move || {
            let unlink = |visit: Visit| {
                let outcome = folder.unlink(&visit.name, &visit.look.file);
                let look = folder.look(&visit.name);
                (visit, outcome, look)
            };
            taken.into_iter().map(unlink).collect::<Vec<_>>()
        });
        let mut files = Vec::new();
        for (visit, outcome, look) in done.await {
            match outcome {
                Ok(()) => {
                    files.push(visit.look.file);
                    // Another one may stand there already.
                    self.files.saw(Instant::now(), &visit.name, look);
                }
                Err(error) => self.put_off(&visit, &format!("it was taken and cannot be unlinked: {error}")),
            }
        }
        self.shell.input(Input::Unlinked { files });
    }

    fn put_off(&mut self, visit: &Visit, why: &str) {
        if self.files.put_off(Instant::now(), &visit.name) {
            tracing::warn!(file = ?visit.name, why, "a file of the spool folder stays there for now");
        }
    }

    fn place(&self, folder: &Arc<Folder>) -> Place {
        let store = Arc::clone(self.shell.blobs.store());
        Place { folder: Arc::clone(folder), path: self.path.clone(), submitter: Arc::clone(&self.submitter), store }
    }
}

/// What a visit needs on its thread.
#[derive(Clone)]
struct Place {
    folder: Arc<Folder>,
    path: PathBuf,
    submitter: Arc<Submitter>,
    store: Arc<Store>,
}

impl Place {
    fn examine(&self, visit: &Visit, taken: bool) -> Found {
        let look = self.folder.look(&visit.name);
        if look != Some(visit.look) {
            return Found::Changed(look);
        }
        if taken {
            return Found::Taken;
        }
        if let Some(obstacle) = visit.look.obstacle {
            return Found::Refused(obstacle.to_string());
        }
        let text = match self.folder.read(&visit.name, &visit.look) {
            Ok(text) => text,
            Err(ReadError::Changed) => return Found::Changed(self.folder.look(&visit.name)),
            Err(error) => return Found::Refused(error.to_string()),
        };
        match self.expand(&self.path(visit), &text, None) {
            Ok(jobs) => Found::Jobs(Box::new(jobs)),
            Err(TextError::Numbers { clusters }) => Found::NeedsNumbers { text, clusters },
            Err(error) => Found::Refused(error.to_string()),
        }
    }

    fn expand(&self, path: &Path, text: &[u8], first: Option<u32>) -> Result<Expanded, TextError> {
        expand(path, text, first, &self.submitter, &self.store)
    }

    fn path(&self, visit: &Visit) -> PathBuf {
        self.path.join(&visit.name)
    }
}

/// What the kernel told.
#[derive(Debug)]
enum Told {
    /// Something happened to files of these names.
    Names(Vec<OsString>),
    /// More than it keeps.
    TooMuch,
}

/// Listens to the kernel on a thread, which ends with the process.
fn listen() -> std::io::Result<(Arc<Inotify>, Receiver<Told>)> {
    let inotify = Arc::new(Inotify::init(InitFlags::IN_CLOEXEC)?);
    let (tell, told) = channel(MESSAGES_MAX);
    let ear = Arc::clone(&inotify);
    let _held = crate::signals::hold();
    std::thread::Builder::new().name("spool-folder".into()).spawn(move || {
        loop {
            let news = match ear.read_events() {
                Ok(events) if events.iter().any(|event| event.mask.contains(AddWatchFlags::IN_Q_OVERFLOW)) => {
                    Told::TooMuch
                }
                Ok(events) => {
                    let names: BTreeSet<OsString> = events.into_iter().filter_map(|event| event.name).collect();
                    Told::Names(names.into_iter().collect())
                }
                Err(Errno::EINTR) => continue,
                Err(errno) => {
                    tracing::warn!(%errno, "files of the spool folder are found only once a minute");
                    return;
                }
            };
            if tell.blocking_send(news).is_err() {
                return;
            }
        }
    })?;
    Ok((inotify, told))
}
