//! Users: what they ask for, in which mood, and what they make of the answers.

use std::collections::BTreeMap;

use bytes::Bytes;
use control_proto::{Act, Action, ClusterRequest, Edit, Query, Reply, Request, Selection, Submit, Targets};
use journal::{JobId, Taken};
use wq_core::Input;
use wq_core::ids::BlobId;
use wq_core::io::{Ask, BlobIn};

use crate::mistakes::Mistake;
use crate::options::Fault;
use crate::queue::SECOND;
use crate::world::{Event, World};

/// Number of the client that looks at everything after each start; no user.
pub(crate) const PROBE: usize = usize::MAX;

/// The attribute that tells submissions apart.
pub(crate) const TAG: &str = "SimTag";

/// What a client wants.
#[derive(Debug, Clone)]
pub(crate) enum Plan {
    Submit(usize),
    Act(Action, Targets),
    Edit(JobId, i64),
    Query,
    /// A file of the spool folder: which, and its submission.
    Take(Taken, usize),
}

/// Contents of executables: a few, so that jobs share them; the last is kept in the cache of peers.
pub(crate) fn executable(which: u64) -> Bytes {
    let line = format!("#!/bin/sh\n# number {which}\n");
    let length = [30, 200, 3_000, 70_000][which as usize % 4];
    line.bytes().cycle().take(length).collect::<Vec<u8>>().into()
}

pub(crate) fn blob_id(content: &[u8]) -> BlobId {
    // No hash: what the shell makes of a content is not what is simulated, only that equal contents have equal names.
    let mut id = [0; 32];
    id[..content.len().min(24)].copy_from_slice(&content[..content.len().min(24)]);
    id[24..].copy_from_slice(&(content.len() as u64).to_le_bytes());
    BlobId(id)
}

impl World {
    /// A client does its next thing.
    pub(crate) fn client_acts(&mut self, client: usize) {
        if !self.faults_on {
            return;
        }
        let again = self.now + 1 + self.chance.skewed(60 * SECOND);
        self.queue.put(again, Event::Client(client));
        if self.submissions >= 40 {
            return;
        }
        let plan = self.make_plan();
        let Some(plan) = plan else { return };
        let at = self.now + self.chance.skewed(10_000);
        self.queue.put(at, Event::Asked(client, Box::new(plan)));
    }

    fn make_plan(&mut self) -> Option<Plan> {
        let known = self.auditor.known_jobs();
        let targets = |world: &mut World| {
            Some(match world.chance.below(8) {
                0 => Targets::Constraint(format!("ClusterId == {}", world.chance.pick(&known)?.cluster)),
                1 => Targets::Constraint("ProcId == 1".to_owned()),
                2 if world.chance.once_in(8) => Targets::All,
                _ => {
                    let some: Vec<(u32, u32)> = (0..world.chance.between(1, 3))
                        .filter_map(|_| world.chance.pick(&known).map(|job| (job.cluster, job.proc_)))
                        .collect();
                    Targets::Jobs(some)
                }
            })
        };
        Some(match self.chance.below(20) {
            0..=6 => Plan::Submit(self.new_submission()),
            7 | 8 => {
                let action = if self.chance.once_in(4) { Action::RemoveForce } else { Action::Remove };
                Plan::Act(action, targets(self)?)
            }
            9 | 10 => Plan::Act(Action::Hold, targets(self)?),
            11..=13 => Plan::Act(Action::Release, targets(self)?),
            14 => Plan::Act(Action::Vacate, targets(self)?),
            15 => Plan::Edit(*self.chance.pick(&known)?, self.chance.below(20) as i64 - 10),
            16 => {
                self.drop_file();
                return None;
            }
            _ => Plan::Query,
        })
    }

    fn new_submission(&mut self) -> usize {
        self.submissions += 1;
        self.submissions
    }

    /// A file comes into the spool folder.
    fn drop_file(&mut self) {
        let submission = self.new_submission();
        let inode = self.chance.below(20);
        let file = Taken { device: 1, inode, ctime_ns: self.now as i64 * 1_000, size: 100 };
        self.machine.spool.insert(file, submission);
        self.auditor.file_came(submission);
    }

    /// The shell looks at the spool folder: what was taken is unlinked, what was not is taken.
    pub(crate) fn look_at_door(&mut self) {
        self.queue.put(self.now + 5 * SECOND, Event::Door);
        let Some(service) = self.service.as_ref().filter(|_| !self.draining) else { return };
        let files: Vec<(Taken, usize)> = self.machine.spool.iter().map(|(file, tag)| (*file, *tag)).collect();
        let (gone, new): (Vec<_>, Vec<_>) = files.into_iter().partition(|(file, _)| {
            service.core.has_taken(file) && !self.options.mistake.is_some_and(|m| m == Mistake::FileTwice)
        });
        // Between the look and the unlink anything may happen.
        let unlinked: Vec<Taken> = gone.into_iter().map(|(file, _)| file).filter(|_| !self.chance.once_in(3)).collect();
        for file in &unlinked {
            self.machine.spool.remove(file);
        }
        if !unlinked.is_empty() {
            self.input(Input::Unlinked { files: unlinked });
        }
        for (file, tag) in new {
            if !self.auditor.is_being_taken(tag) {
                self.auditor.taking(tag);
                self.asked(PROBE, Box::new(Plan::Take(file, tag)));
            }
        }
    }

    /// A request reaches the master, or waits until there is one.
    pub(crate) fn asked(&mut self, client: usize, plan: Box<Plan>) {
        let Some(service) = self.service.as_mut().filter(|service| !service.ended) else {
            return self.backlog.push_back((client, plan));
        };
        let serial = self.auditor.asked(&plan);
        let id = service.client(serial);
        let ask = match *plan {
            Plan::Submit(tag) => {
                let (request, blobs) = self.submission(tag);
                Ask::Submit { rows: vec![Vec::new(); request.clusters.len()], request, blobs }
            }
            Plan::Take(file, tag) => {
                let (request, blobs) = self.submission(tag);
                Ask::Take { file, rows: vec![Vec::new(); request.clusters.len()], request, blobs }
            }
            Plan::Act(action, targets) => {
                Ask::Other(Request::Act(Act { action, targets, reason: None, subcode: None }))
            }
            Plan::Edit(job, prio) => Ask::Other(Request::Edit(Edit {
                targets: Targets::Jobs(vec![(job.cluster, job.proc_)]),
                attributes: vec![("JobPrio".to_owned(), prio.to_string())],
                evaluate: false,
                dry_run: false,
            })),
            Plan::Query => Ask::Other(Request::Query(Query {
                select: Selection { constraints: vec!["true".to_owned()], ..Selection::default() },
                attributes: ["ClusterId", "ProcId", "JobStatus", "NumJobStarts", "JobPrio", "HoldReason", TAG]
                    .map(str::to_owned)
                    .to_vec(),
                ..Query::default()
            })),
        };
        let killed = self.may(Fault::ClientKill) && client != PROBE && self.chance.once_in(8);
        self.input(Input::Asked { client: id, caller: World::caller(), ask });
        if killed && let Some(serial) = self.answer_client(id) {
            self.auditor.client_killed(serial);
            self.input(Input::ClientGone { client: id });
        }
    }

    /// The request of a submission: always the same for its number.
    fn submission(&mut self, tag: usize) -> (Submit, Vec<BlobIn>) {
        let mut chance = crate::chance::Chance::new(tag as u64 * 0x5851_F42D + 7);
        let content = executable(if chance.once_in(10) { 3 } else { chance.below(3) });
        let (id, size) = (blob_id(&content), content.len() as u64);
        let inline = size <= journal::INLINE_MAX as u64;
        if !inline {
            self.machine.large.insert(id);
        }
        self.machine.blobs.borrow_mut().insert(id, content.clone());
        let blobs = vec![BlobIn { id, size, mode: 0o755, inline: inline.then_some(content) }];
        let clusters = (0..chance.between(1, 2)).map(|at| {
            let own = |name: &str| format!("\"{name}.\u{1}.\u{2}\"");
            let mut ad: BTreeMap<&str, String> = BTreeMap::from([
                ("Cmd", "\"/home/a/agent.sh\"".to_owned()),
                ("Iwd", "\"/home/a\"".to_owned()),
                ("In", "\"/dev/null\"".to_owned()),
                ("Out", own("o")),
                ("Err", if chance.once_in(2) { own("o") } else { own("e") }),
                ("Arguments", "\"job \u{1}.\u{2}\"".to_owned()),
                ("Environment", "\"\"".to_owned()),
                ("JobStatus", "1".to_owned()),
                ("JobPrio", chance.below(3).to_string()),
                ("RequestCpus", chance.between(1, 3).to_string()),
                ("RequestMemory", "128".to_owned()),
                ("UserLog", format!("\"/home/a/log.{}\"", tag % 3)),
                ("LeaveJobInQueue", "false".to_owned()),
                ("ShouldTransferFiles", "\"IF_NEEDED\"".to_owned()),
                (TAG, tag.to_string()),
                ("SimPart", at.to_string()),
            ]);
            if chance.once_in(4) {
                ad.insert("TransferOutput", "\"d\"".to_owned());
                ad.insert("TransferOutputRemaps", "\"d=d.\u{1}.\u{2}\"".to_owned());
            }
            if chance.once_in(4) {
                ad.insert("TransferInput", "\"in\"".to_owned());
            }
            if chance.once_in(8) {
                ad.insert("AllowedExecuteDuration", "100".to_owned());
            }
            let ad = ad.into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
            let procs = chance.between(1, 4) as u32;
            ClusterRequest { ad, procs, executable: Some(0), ..ClusterRequest::default() }
        });
        let clusters = clusters.collect();
        (Submit { clusters, blob_sizes: vec![size], blob_modes: vec![0o755], umask: 0o022 }, blobs)
    }

    /// An answer reaches whoever asked.
    pub(crate) fn heard(&mut self, serial: usize, reply: &Reply) {
        self.note(|| format!("request {serial} is answered: {reply:?}"));
        self.auditor.answered(serial, reply);
    }

    pub(crate) fn listing_heard(&mut self, serial: usize) {
        self.note(|| format!("listing {serial} is complete"));
    }
}
