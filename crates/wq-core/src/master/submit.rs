//! `condor_submit`: a submission is taken as a whole or not at all.

use std::borrow::Cow;

use classad::{ClassAd, Expr, Scope, Value, unpack_row};
use control_proto::{Refusal, Reply, Submit, SubmittedCluster as Accepted};
use journal::{Blob, Record, Submitted, SubmittedCluster, Taken};

use super::promises::Then;
use super::{Master, doors};
use crate::ids::{BlobId, ClientId, JobId, RecordNo, Timestamp};
use crate::io::{BlobIn, Caller};
use crate::jobs::class::{ClassId, Classes, JobScope};
use crate::jobs::limits::{Limits, LimitsId};
use crate::jobs::template::SortedAd;
use crate::jobs::{Facts, NewCluster, Status, view};
use crate::run::words::is_plain_relative;
use crate::run::{BlobUse, SPOOL_ATTRIBUTE, Spool, SpooledFile};
use crate::workers::Shape;

/// Attributes whose value decides shape, order or first state of a job, lower case.
const WATCHED: [&str; 14] = [
    "_awqdiskasked",
    "_awqmemoryasked",
    "concurrencylimits",
    "concurrencylimitsexpr",
    "jobprio",
    "jobstatus",
    "jobuniverse",
    "rank",
    "requestcpus",
    "requestdisk",
    "requestgpus",
    "requestmemory",
    "requirements",
    "transferinputsizemb",
];

/// `JobUniverse` of jobs that run on the submit host.
const SCHEDULER: i64 = 7;
const LOCAL: i64 = 12;

/// Cluster numbers stay below: clients keep them as signed 32-bit numbers.
const CLUSTER_MAX: u32 = i32::MAX as u32;

impl Master {
    pub(super) fn reserve_cluster(&mut self, client: ClientId) {
        if let Err((code, message)) = self.check_open() {
            return self.refuse(client, code, message);
        }
        // The number is used up by the reservation alone, as by a failed submission to HTCondor; a crash before the
        // submission may hand it out again, when nobody has seen a job of it.
        let cluster = self.next_cluster;
        self.next_cluster += 1;
        self.reserved.insert(cluster);
        self.answer(client, Reply::Reserved { cluster });
    }

    pub(super) fn submit(
        &mut self,
        now: Timestamp,
        client: ClientId,
        caller: &Caller,
        request: Submit,
        rows: Vec<Vec<u8>>,
        blobs: Vec<BlobIn>,
    ) {
        match self.accept(now, caller, request, rows, blobs, None) {
            Ok((no, reply)) => self.when_stored(no, Then::AnswerLogged(client, reply)),
            Err((code, message)) => self.refuse(client, code, message),
        }
    }

    /// Records a submission, of a client or of a file of the spool folder. The jobs enter when the record is on disk;
    /// the answer may go out then.
    pub(super) fn accept(
        &mut self,
        now: Timestamp,
        caller: &Caller,
        request: Submit,
        rows: Vec<Vec<u8>>,
        blobs: Vec<BlobIn>,
        file: Option<&Taken>,
    ) -> Result<(RecordNo, Reply), (Refusal, String)> {
        self.check_open()?;
        self.check(caller, &request, &rows, &blobs)?;
        let mut clusters = Vec::with_capacity(request.clusters.len());
        for (cluster, rows) in request.clusters.into_iter().zip(rows) {
            let number = cluster.number.unwrap_or(self.next_cluster);
            self.reserved.remove(&number);
            self.next_cluster = self.next_cluster.max(number + 1);
            let mut ad = cluster.ad;
            ad.push(("_AwqUmask".to_owned(), request.umask.to_string()));
            ad.extend(file.map(doors::attribute));
            if let Some(files) = cluster.spool {
                ad.push((SPOOL_ATTRIBUTE.to_owned(), spool(files, &blobs).to_text()));
            }
            clusters.push(SubmittedCluster {
                cluster: number,
                procs: cluster.procs,
                first_proc: 0,
                ad,
                varying: cluster.varying,
                rows,
                executable: cluster.executable,
                proxy: cluster.proxy,
                token: cluster.token,
            });
        }
        let accepted = clusters
            .iter()
            .map(|c| Accepted { cluster: c.cluster, first_proc: c.first_proc, procs: c.procs })
            .collect();
        let submitted = Submitted {
            at_s: now.seconds(),
            wall_s: now.seconds() + self.wall_offset_s,
            uid: caller.uid,
            gid: caller.gid,
            owner: caller.name.clone(),
            clusters,
            blobs: blobs.iter().map(journal_blob).collect(),
        };
        let mut entering = submitted.clone();
        for blob in &mut entering.blobs {
            blob.inline = None;
            // In use from now on: the last job that named the same bytes may end before this record is on disk.
            *self.blobs.entry(BlobId(blob.hash)).or_default() += 1;
        }
        let no = self.record(Record::Submitted(submitted));
        self.when_stored(no, Then::Enter(Box::new(entering)));
        Ok((no, Reply::Submitted { clusters: accepted, warnings: Vec::new() }))
    }

    /// Whether new jobs are taken at all.
    fn check_open(&self) -> Result<(), (Refusal, String)> {
        if self.stopping {
            return Err((Refusal::Draining, "alien_work_queue is stopping and takes no new jobs".to_owned()));
        }
        if self.draining {
            let message = "alien_work_queue is draining: no new jobs until the file drain in its work dir is removed";
            return Err((Refusal::Draining, message.to_owned()));
        }
        match &self.store_failed {
            Some(reason) => Err((Refusal::Storage, format!("the journal cannot be written: {reason}"))),
            None => Ok(()),
        }
    }

    /// Everything that can be wrong with a submission.
    fn check(
        &self,
        caller: &Caller,
        request: &Submit,
        rows: &[Vec<u8>],
        blobs: &[BlobIn],
    ) -> Result<(), (Refusal, String)> {
        let malformed = |what: &str| Err((Refusal::Malformed, format!("the submission {what}")));
        if request.clusters.is_empty() || rows.len() != request.clusters.len() {
            return malformed("has no clusters or not as many proc tables as clusters");
        }
        let mut procs = 0_u64;
        let mut next = self.next_cluster;
        for (cluster, rows) in request.clusters.iter().zip(rows) {
            procs += u64::from(cluster.procs);
            if cluster.procs == 0 {
                return malformed("has a cluster without jobs");
            }
            match cluster.number {
                Some(number) if !self.reserved.contains(&number) => {
                    return malformed(&format!("names cluster {number}, which was not reserved"));
                }
                Some(_) => {}
                None => next += 1,
            }
            for index in [cluster.executable, cluster.proxy, cluster.token].into_iter().flatten() {
                if usize::from(index) >= blobs.len() {
                    return malformed("names a file that did not come along");
                }
            }
            for file in cluster.spool.iter().flatten() {
                if file.blob.is_some_and(|index| usize::from(index) >= blobs.len()) {
                    return malformed("names a file that did not come along");
                }
                if !(file.inside.is_empty() || is_plain_relative(&file.inside)) {
                    return malformed(&format!("has a copied file with the odd name {}", file.inside.escape_debug()));
                }
            }
            for (name, _) in &cluster.ad {
                if name.to_ascii_lowercase().starts_with(crate::jobs::view::HIDDEN_PREFIX)
                    && !OWN_HIDDEN.contains(&name.as_str())
                {
                    return malformed(&format!("has the attribute {name}: names beginning with _Awq are not free"));
                }
            }
            if let Some(what) = unserved(&cluster.ad) {
                return malformed(&format!("asks for {what}: use universe = vanilla"));
            }
            if !rows_fit(rows, cluster.varying.len(), cluster.procs) {
                return malformed("has a damaged table of procs");
            }
        }
        let limit = |message: String| Err((Refusal::Limit, message));
        if next >= CLUSTER_MAX {
            return limit("all cluster numbers are used up".to_owned());
        }
        if procs > u64::from(self.config.procs_max) {
            return limit(format!(
                "Number of submitted jobs would exceed MAX_JOBS_PER_SUBMISSION ({})",
                self.config.procs_max
            ));
        }
        if let Some(owner) = self.table.find_owner(caller.uid) {
            let totals = self.table.totals(Some(owner));
            if totals.jobs + procs > self.config.owner_jobs_max {
                return limit(format!(
                    "Number of submitted jobs would exceed MAX_JOBS_PER_OWNER ({})",
                    self.config.owner_jobs_max
                ));
            }
            if totals.held >= self.config.owner_held_max {
                return limit(format!(
                    "{} has {} held jobs, the limit is {}: release or remove some first (condor_q -hold)",
                    caller.name, totals.held, self.config.owner_held_max
                ));
            }
        }
        Ok(())
    }

    /// The submission is on disk: its jobs exist, they wait for workers, and their logs hear of it.
    ///
    /// In two rounds: the entries for the logs are gone soon, and what stays must not lie scattered between them.
    pub(super) fn enter(&mut self, now: Timestamp, no: RecordNo, submitted: &Submitted) {
        self.install(submitted);
        for blob in &submitted.blobs {
            self.release_blob(BlobId(blob.hash));
        }
        for cluster in &submitted.clusters {
            for proc in cluster.first_proc..cluster.first_proc + cluster.procs {
                let Some(slot) = self.table.find(JobId::new(cluster.cluster, proc)) else { break };
                if self.table.get(slot).status() == Status::Idle {
                    self.make_ready(now, slot);
                }
            }
        }
        self.log_entered(now, no, submitted);
    }

    /// The logs hear of a submission.
    pub(super) fn log_entered(&mut self, now: Timestamp, no: RecordNo, submitted: &Submitted) {
        for cluster in &submitted.clusters {
            self.log_cluster_submitted(now, no, cluster.cluster);
            for proc in cluster.first_proc..cluster.first_proc + cluster.procs {
                let Some(slot) = self.table.find(JobId::new(cluster.cluster, proc)) else { break };
                self.log_submitted(now, no, slot);
            }
        }
    }

    /// Puts the jobs of a submission into the table.
    pub(super) fn install(&mut self, submitted: &Submitted) {
        let owner = self.table.owner(submitted.uid, submitted.gid, &submitted.owner);
        for cluster in &submitted.clusters {
            let mut ad = SortedAd::new(&cluster.ad);
            let uses =
                [("_AwqExecutable", cluster.executable), ("_AwqProxy", cluster.proxy), ("_AwqToken", cluster.token)];
            for (name, index) in uses {
                let Some(blob) = index.and_then(|at| submitted.blobs.get(usize::from(at))) else { continue };
                let used = BlobUse { id: BlobId(blob.hash), size: blob.len, mode: blob.mode };
                ad.insert(name, &used.to_text());
                *self.blobs.entry(used.id).or_default() += cluster.procs;
            }
            self.take_spool(cluster.cluster, &mut ad);
            let held_before = self.table.totals(Some(owner)).held;
            let varying: Vec<String> = cluster.varying.iter().map(|name| name.to_ascii_lowercase()).collect();
            let procs = cluster.first_proc..cluster.first_proc + cluster.procs;
            let new = NewCluster {
                cluster: cluster.cluster,
                submitted: Some(cluster.procs),
                ad,
                varying: &varying,
                rows: &cluster.rows,
                owner,
                at_s: submitted.at_s,
                wall_s: submitted.wall_s,
            };
            let entering = self.hold_back(&new, cluster.procs);
            let procs = procs.start..procs.start + entering;
            self.add_jobs(new, procs.clone());
            if self.table.totals(Some(owner)).held > held_before {
                procs.for_each(|proc| self.note_hold_at_submission(JobId::new(cluster.cluster, proc)));
            }
        }
    }

    /// Keeps the table of a cluster's copies, once for all its jobs.
    pub(super) fn take_spool(&mut self, cluster: u32, ad: &mut SortedAd) {
        let Some(text) = ad.get("_awqspool") else { return };
        if !self.spools.contains_key(&cluster) {
            let spool = Spool::from_text(text).expect("this text was written by the master");
            for id in spool.blobs() {
                *self.blobs.entry(id).or_default() += 1;
            }
            self.spools.insert(cluster, spool);
        }
        ad.insert(SPOOL_ATTRIBUTE, "true");
    }

    /// Puts jobs of one cluster into the table; their ads decide shape, order and first state.
    pub(super) fn add_jobs(&mut self, new: NewCluster<'_>, procs: impl ExactSizeIterator<Item = u32>) {
        let (cluster, varying) = (new.cluster, new.varying);
        let env = classad::Env { now_s: Some(new.wall_s), ..classad::Env::default() };
        let added = self.table.add_cluster(
            new,
            procs,
            |name| WATCHED.binary_search(&name).is_ok(),
            |ad, id, idle| {
                let text = |name: &str| ad.get(name).unwrap_or_default();
                let wishes = (text("requirements"), text("rank"));
                facts(&AdScope { ad, id }, wishes, &env, varying, (&mut idle.classes, &mut idle.limits))
            },
        );
        assert!(added.is_some(), "the rows were checked before the record was written");
        self.next_cluster = self.next_cluster.max(cluster + 1);
        self.note_policies(cluster);
    }

    /// `hold = true`: code 15 and reason stand in the submitted ad; the queue must own them.
    pub(super) fn note_hold_at_submission(&mut self, job: JobId) {
        let Some(slot) = self.table.find(job) else { return };
        if self.table.get(slot).status() == Status::Held {
            let view = self.view(slot, Timestamp(0));
            let code = view.value("holdreasoncode").as_int().unwrap_or(15) as i32;
            let reason = view.string("holdreason").unwrap_or_else(|| "submitted on hold at user's request".into());
            let hold = crate::jobs::Hold { code, subcode: 0, reason: reason.into() };
            self.table.get_mut(slot).story_mut().hold = Some(hold);
        }
    }
}

/// What a job asks for that no worker can offer: it would wait for ever, or run in another way than its owner thinks.
fn unserved(ad: &[(String, String)]) -> Option<&'static str> {
    let says = |name: &str, wanted: &str| {
        let found = ad.iter().rev().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.is_some_and(|(_, text)| text.eq_ignore_ascii_case(wanted))
    };
    match () {
        () if says("WantDocker", "true") => Some("Docker, which Work Queue workers do not run"),
        () if says("WantContainer", "true") => Some("a container, which Work Queue workers do not run"),
        () if says("JobUniverse", "8") || says("JobUniverse", "11") => {
            Some("several machines at once, and Work Queue workers do not know each other")
        }
        () if says("JobUniverse", "10") => Some("the java universe, which Work Queue workers do not offer"),
        () if says("JobUniverse", "13") => Some("a virtual machine, which Work Queue workers do not offer"),
        () => None,
    }
}

/// Hidden attributes that a client may set.
const OWN_HIDDEN: [&str; 2] = ["_AwqDiskAsked", "_AwqMemoryAsked"];

fn rows_fit(mut rows: &[u8], columns: usize, procs: u32) -> bool {
    if columns == 0 {
        return rows.is_empty();
    }
    for _ in 0..procs {
        match unpack_row(rows, columns) {
            Some((_, rest)) => rows = rest,
            None => return false,
        }
    }
    rows.is_empty()
}

/// Copies with the blobs that they name; the indices were checked.
fn spool(files: Vec<control_proto::SpooledFile>, blobs: &[BlobIn]) -> Spool {
    let used = |index: u16| {
        let blob = &blobs[usize::from(index)];
        BlobUse { id: blob.id, size: blob.size, mode: blob.mode }
    };
    let copy = |file: control_proto::SpooledFile| SpooledFile {
        input: file.input,
        inside: file.inside,
        blob: file.blob.map(used),
    };
    Spool::new(files.into_iter().map(copy).collect())
}

fn journal_blob(blob: &BlobIn) -> Blob {
    Blob { hash: blob.id.0, len: blob.size, mode: blob.mode, inline: blob.inline.as_ref().map(|bytes| bytes.to_vec()) }
}

/// A submitted ad before it is a job.
pub(super) struct AdScope<'a> {
    pub(super) ad: &'a SortedAd,
    pub(super) id: JobId,
}

impl Scope for AdScope<'_> {
    fn lookup(&self, name: &str) -> Option<Cow<'_, Expr>> {
        let folded = name.to_ascii_lowercase();
        match &*folded {
            "clusterid" => Some(Cow::Owned(Expr::from(i64::from(self.id.cluster)))),
            "procid" => Some(Cow::Owned(Expr::from(i64::from(self.id.proc_)))),
            _ => self.parsed(self.ad.get(&folded)?).map(Cow::Owned),
        }
    }
}

impl JobScope for AdScope<'_> {
    fn all(&self) -> ClassAd {
        let mut ad = ClassAd::new();
        for (name, text) in self.ad.iter() {
            if let Some(expr) = self.parsed(text) {
                ad.insert(name, expr);
            }
        }
        // As the queue will tell them.
        ad.insert("ClusterId", i64::from(self.id.cluster));
        ad.insert("ProcId", i64::from(self.id.proc_));
        ad
    }

    fn is_numbered(&self, folded: &str) -> bool {
        folded == "procid" || self.ad.get(folded).is_some_and(|text| text.contains('\u{2}'))
    }
}

impl AdScope<'_> {
    /// The expression of a text, the job's numbers filled in.
    fn parsed(&self, text: &str) -> Option<Expr> {
        if text.contains(['\u{1}', '\u{2}']) {
            let filled =
                text.replace('\u{1}', &self.id.cluster.to_string()).replace('\u{2}', &self.id.proc_.to_string());
            classad::parse_expr(&filled).ok()
        } else {
            classad::parse_expr(text).ok()
        }
    }
}

/// What an ad with these requirements and rank implies for the job's place among the waiting.
pub(super) fn facts(
    scope: &dyn JobScope,
    (requirements, rank): (&str, &str),
    env: &classad::Env,
    varying: &[String],
    (classes, limits): (&mut Classes, &mut Limits),
) -> Facts {
    let value = |name: &str| match scope.lookup(name) {
        Some(expr) => classad::eval(&expr, scope, None, env),
        None => Value::Undefined,
    };
    let prio = value("jobprio").as_int().unwrap_or(0).clamp(i32::MIN.into(), i32::MAX.into()) as i32;
    let on_hold = value("jobstatus").as_int() == Some(5);
    if matches!(value("jobuniverse").as_int(), Some(SCHEDULER | LOCAL)) {
        // The submit host is no machine that could be chosen, and nothing that workers share is taken there.
        let (class, limits) = (ClassId::default(), LimitsId::default());
        return Facts { shape: Shape::LOCAL, prio, on_hold, class, limits, class_differs: false };
    }
    let number = |name: &str| value(name).as_real().filter(|n| *n > 0.0).map(|n| n.ceil() as u64);
    // HTCondor's defaults are shown in the ad, but they reserve nothing (decision D26).
    let asked = |note: &str| value(note).truth() == Some(true);
    let shape = Shape {
        cores: number("requestcpus").unwrap_or(1).clamp(1, u32::MAX.into()) as u32,
        gpus: number("requestgpus").unwrap_or(0).min(u32::MAX.into()) as u32,
        memory_mb: if asked("_awqmemoryasked") { number("requestmemory").unwrap_or(0) } else { 0 },
        disk_mb: if asked("_awqdiskasked") { number("requestdisk").unwrap_or(0).div_ceil(1024) } else { 0 },
    };
    let limited = ["concurrencylimits", "concurrencylimitsexpr"].map(value);
    let limits = limited.iter().find_map(Value::as_str).map(|text| limits.read(text)).unwrap_or_default();
    let found = classes.classify((requirements, rank), scope, env.now_s.unwrap_or(0), view::changes);
    Facts {
        shape,
        prio,
        on_hold,
        class: found.class,
        limits,
        class_differs: found.reads.iter().any(|name| varying.contains(name) || scope.is_numbered(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn watched_names_can_be_searched() {
        assert!(WATCHED.windows(2).all(|w| w[0] < w[1]));
    }
}
