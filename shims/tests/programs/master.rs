//! A master made of a list of ads.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};

use classad::{ClassAd, Env, Expr, Value, eval, parse_expr};
use control_proto::client::SOCKET_NAME;
use control_proto::frame::{self, Splitter};
use control_proto::{
    Act, Acted, Action, Edit, Explanation, HistoryQuery, JobOutcome, Kind, ListingEnd, Machines, Query, Refusal, Reply,
    Request, Selection, Site, Submit, SubmittedCluster, Targets, Totals, listing, write_head,
};

/// 2026-11-21 19:41:06 UTC, when the first recorded session began.
pub(crate) const BEGIN_S: i64 = 1_795_290_066;

/// What the master knows; tests change it between commands.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) site: Site,
    /// Sorted by number.
    pub(crate) jobs: Vec<ClassAd>,
    /// Clusters whose jobs enter one after another.
    pub(crate) factories: Vec<ClassAd>,
    /// The last one that left first.
    pub(crate) past: Vec<ClassAd>,
    pub(crate) next_cluster: u32,
    pub(crate) schedd: ClassAd,
    /// Users who had jobs.
    pub(crate) users: Vec<&'static str>,
    /// Workers and foremen.
    pub(crate) machines: Vec<ClassAd>,
    /// Why jobs wait.
    pub(crate) explanations: Vec<Explanation>,
    /// Every request in order.
    pub(crate) requests: Vec<Request>,
    /// Blobs of the last submission.
    pub(crate) blobs: BTreeMap<u16, Vec<u8>>,
    /// Every request is refused with this.
    pub(crate) refusal: Option<(Refusal, String)>,
    /// Jobs whose outputs cannot be put in place.
    pub(crate) undeliverable: Vec<((u32, u32), String)>,
    /// Listings break off before their end.
    pub(crate) cut_listings: bool,
}

pub(crate) struct Master {
    state: Arc<Mutex<State>>,
    socket: std::path::PathBuf,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Master {
    pub(crate) fn start(work_dir: &Path) -> Master {
        let socket = work_dir.join(SOCKET_NAME);
        let listener = UnixListener::bind(&socket).unwrap();
        let site = Site {
            host: "submit.example.org".into(),
            domain: "example.org".into(),
            address: "127.0.0.1:34327".into(),
            condor_version: shims::version::CONDOR_VERSION.into(),
            now_s: BEGIN_S,
            user: "alice".into(),
            superuser: false,
            alien_count_lines: true,
            submit_hint: true,
            history: String::new(),
        };
        let state = State {
            site,
            jobs: Vec::new(),
            factories: Vec::new(),
            past: Vec::new(),
            next_cluster: 1,
            schedd: ClassAd::new(),
            users: Vec::new(),
            machines: Vec::new(),
            explanations: Vec::new(),
            requests: Vec::new(),
            blobs: BTreeMap::new(),
            refusal: None,
            undeliverable: Vec::new(),
            cut_listings: false,
        };
        let state = Arc::new(Mutex::new(state));
        let shared = Arc::clone(&state);
        let thread = std::thread::spawn(move || {
            while let Ok((peer, _)) = listener.accept() {
                if !serve(peer, &shared) {
                    break;
                }
            }
        });
        Master { state, socket, thread: Some(thread) }
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        // A conversation of one zero byte ends the thread.
        if let Ok(mut stream) = UnixStream::connect(&self.socket) {
            let _ = stream.write_all(&[0]);
        }
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// One conversation; false ends the master.
fn serve(mut peer: UnixStream, state: &Mutex<State>) -> bool {
    let mut bytes = Vec::new();
    let mut chunk = [0; 1 << 16];
    let mut splitter = Splitter::default();
    let mut begun = false;
    let (mut request, mut blobs, mut procs) = (None, BTreeMap::<u16, Vec<u8>>::new(), BTreeMap::<u16, Vec<u8>>::new());
    'reading: loop {
        let got = peer.read(&mut chunk).unwrap_or(0);
        if got == 0 {
            return true;
        }
        if begun {
            splitter.feed(&chunk[..got]);
        } else {
            bytes.extend_from_slice(&chunk[..got]);
            if bytes[0] == 0 {
                return false;
            }
            if frame::read_preamble(&bytes).unwrap().is_none() {
                continue;
            }
            begun = true;
            splitter.feed(&bytes[6..]);
        }
        while let Some((kind, payload)) = splitter.next_frame().unwrap() {
            let piece = |into: &mut BTreeMap<u16, Vec<u8>>| {
                let number = u16::from_le_bytes([payload[0], payload[1]]);
                into.entry(number).or_default().extend_from_slice(&payload[2..]);
            };
            match kind {
                Kind::Request => request = Some(serde_json::from_slice::<Request>(payload).unwrap()),
                Kind::Blob => piece(&mut blobs),
                Kind::Procs => piece(&mut procs),
                Kind::End => break 'reading,
                other => panic!("a client sent {other:?}"),
            }
        }
    }
    let mut state = state.lock().unwrap();
    let answer = state.answer(request.expect("a request before the end"), blobs, &procs);
    let _ = peer.write_all(&answer);
    true
}

impl State {
    pub(crate) fn env(&self) -> Env {
        Env::at_utc(self.site.now_s)
    }

    fn answer(&mut self, request: Request, blobs: BTreeMap<u16, Vec<u8>>, procs: &BTreeMap<u16, Vec<u8>>) -> Vec<u8> {
        self.requests.push(request.clone());
        if let Some((code, message)) = self.refusal.clone() {
            return self.head(&Reply::Refused { code, message, speaks: None }, true);
        }
        match request {
            Request::Ping => self.head(&Reply::Pong, true),
            Request::ReserveCluster => {
                let cluster = self.take_cluster();
                self.head(&Reply::Reserved { cluster }, true)
            }
            Request::Submit(submit) => {
                self.blobs = blobs;
                let reply = self.submit(&submit, procs);
                self.head(&reply, true)
            }
            Request::Query(query) => self.query(&query),
            Request::History(query) => self.history(&query),
            Request::Act(act) => {
                let reply = self.act(&act);
                self.head(&reply, true)
            }
            Request::Edit(edit) => {
                let reply = self.edit(&edit);
                self.head(&reply, true)
            }
            Request::Why(why) => {
                let jobs = why.jobs.iter().filter_map(|job| self.explain(*job)).collect();
                self.head(&Reply::Explained { jobs }, true)
            }
            Request::Submitters(query) => self.ads(&self.submitters(), &query.constraints),
            Request::Machines(query) => self.ads(&self.machines, &query.constraints),
            Request::TransferData(wanted) => {
                let reply = match parse_expr(&wanted.constraint) {
                    Ok(expr) => {
                        let meant = |ad: &&ClassAd| eval(&expr, *ad, None, &self.env()).truth() == Some(true);
                        let jobs = self.jobs.iter().filter(meant).count() as u64;
                        Reply::DataTransferred { jobs, failures: self.undeliverable.clone() }
                    }
                    Err(_) => constraint_refusal(),
                };
                self.head(&reply, true)
            }
            Request::Schedd(query) => self.ads(std::slice::from_ref(&self.schedd), &query.constraints),
            Request::ReleaseHosts(_) | Request::Reload(_) => panic!("no condor_* program asks for this"),
        }
    }

    /// What a test wants said of a job, else what its requirements and the machines' own say: these are all free.
    fn explain(&self, number: (u32, u32)) -> Option<Explanation> {
        if let Some(told) = self.explanations.iter().find(|told| told.job == number) {
            return Some(told.clone());
        }
        let env = self.env();
        let is = |ad: &ClassAd, name: &str, value: u32| ad.get(name) == Some(&Expr::from(i64::from(value)));
        let job = self.jobs.iter().find(|ad| is(ad, "ClusterId", number.0) && is(ad, "ProcId", number.1))?;
        let true_of = |ad: &ClassAd, other: &ClassAd| {
            ad.get("Requirements").is_none_or(|expr| eval(expr, ad, Some(other), &env).truth() == Some(true))
        };
        let mut machines = Machines { all: self.machines.len() as u64, ..Machines::default() };
        let hosts: BTreeSet<String> =
            self.machines.iter().filter_map(|ad| Some(ad.get("Machine")?.to_string())).collect();
        machines.hosts = hosts.len() as u64;
        for machine in &self.machines {
            let of = match (true_of(job, machine), true_of(machine, job)) {
                (false, _) => &mut machines.unfit,
                (true, false) => &mut machines.unusable,
                (true, true) => &mut machines.free,
            };
            *of += 1;
        }
        Some(Explanation { job: number, status: 1, machines, ..Explanation::default() })
    }

    fn submitters(&self) -> Vec<ClassAd> {
        let ad = |user: &&str| {
            let is_his = |ad: &&ClassAd| ad.get("Owner") == Some(&Expr::from(*user));
            let totals = totals(self.jobs.iter().filter(is_his));
            let mut ad = ClassAd::new();
            ad.insert("MyType", "Submitter");
            ad.insert("Name", format!("{user}@{}", self.site.domain));
            ad.insert("Machine", self.site.host.as_str());
            for (name, jobs) in [("RunningJobs", totals.running), ("IdleJobs", totals.idle), ("HeldJobs", totals.held)]
            {
                ad.insert(name, i64::try_from(jobs).unwrap());
            }
            ad
        };
        self.users.iter().map(ad).collect()
    }

    /// Ads of daemons.
    fn ads(&self, ads: &[ClassAd], constraints: &[String]) -> Vec<u8> {
        let Some(constraints) = parse_all(constraints) else { return self.bad_constraint() };
        let all_true =
            |ad: &&ClassAd| constraints.iter().all(|expr| eval(expr, *ad, None, &self.env()).truth() == Some(true));
        let ads: Vec<ClassAd> = ads.iter().filter(all_true).cloned().collect();
        self.listing(&ads, &[], ListingEnd { ads: ads.len() as u64, ..ListingEnd::default() })
    }

    fn head(&self, reply: &Reply, whole: bool) -> Vec<u8> {
        let mut out = Vec::new();
        frame::put(&mut out, Kind::Reply, &[&write_head(&self.site, reply)]);
        if whole {
            frame::put(&mut out, Kind::End, &[]);
        }
        out
    }

    fn take_cluster(&mut self) -> u32 {
        self.next_cluster += 1;
        self.next_cluster - 1
    }

    fn submit(&mut self, submit: &Submit, procs: &BTreeMap<u16, Vec<u8>>) -> Reply {
        assert_eq!(submit.blob_sizes.len(), self.blobs.len());
        for (size, bytes) in submit.blob_sizes.iter().zip(self.blobs.values()) {
            assert_eq!(*size, bytes.len() as u64);
        }
        let mut clusters = Vec::new();
        for (index, wanted) in (0u16..).zip(&submit.clusters) {
            let cluster = wanted.number.unwrap_or_else(|| self.take_cluster());
            let mut rows = procs.get(&index).map_or(&[][..], Vec::as_slice);
            for proc in 0..wanted.procs {
                let (values, rest) = classad::unpack_row(rows, wanted.varying.len()).expect("a row for each proc");
                rows = rest;
                let varying = wanted.varying.iter().map(String::as_str).zip(values);
                let common = wanted.ad.iter().map(|(name, text)| (name.as_str(), Some(text.as_str())));
                let mut ad = ClassAd::new();
                for (name, text) in common.chain(varying) {
                    match text {
                        Some(text) => {
                            let text = submit_lang::fill_in(text, cluster, proc);
                            ad.insert(name, parse_expr(&text).unwrap());
                        }
                        None => drop(ad.remove(name)),
                    }
                }
                let (host, user, now_s) = (&self.site.host, &self.site.user, self.site.now_s);
                ad.insert("ClusterId", i64::from(cluster));
                ad.insert("ProcId", i64::from(proc));
                ad.insert("QDate", now_s);
                ad.insert("EnteredCurrentStatus", now_s);
                ad.insert("Owner", user.as_str());
                ad.insert("User", format!("{user}@{}", self.site.domain));
                ad.insert("TotalSubmitProcs", i64::from(wanted.procs));
                ad.insert("GlobalJobId", format!("{host}#{cluster}.{proc}#{now_s}"));
                self.jobs.push(ad);
            }
            assert!(rows.is_empty(), "rows behind the last proc");
            clusters.push(SubmittedCluster { cluster, first_proc: 0, procs: wanted.procs });
        }
        Reply::Submitted { clusters, warnings: Vec::new() }
    }

    fn query(&self, query: &Query) -> Vec<u8> {
        let Some(constraints) = parse_all(&query.select.constraints) else { return self.bad_constraint() };
        let select = |ad: &ClassAd| self.selected(&query.select, &constraints, ad);
        let listed = if query.factories { &self.factories } else { &self.jobs };
        let mut ads: Vec<ClassAd> = listed.iter().filter(|ad| select(ad)).cloned().collect();
        let own = |ad: &&ClassAd| ad.get("Owner") == Some(&Expr::from(self.site.user.as_str()));
        let mut end = ListingEnd {
            ads: 0,
            selected: totals(ads.iter()),
            mine: totals(self.jobs.iter().filter(own)),
            all: totals(self.jobs.iter()),
        };
        if query.totals_only {
            ads.clear();
        }
        if let Some(limit) = query.limit {
            // Which jobs a limit leaves is the master's choice; in the recorded sessions it was the newest clusters'.
            let number = |ad: &ClassAd, name| eval(&Expr::attribute(name), ad, None, &self.env()).as_int();
            ads.sort_by_key(|ad| (std::cmp::Reverse(number(ad, "ClusterId")), number(ad, "ProcId")));
            let mut clusters_first = Vec::new();
            for proc in 0..ads.len() as i64 {
                clusters_first.extend(ads.iter().filter(|ad| number(ad, "ProcId") == Some(proc)).cloned());
            }
            ads = clusters_first;
            ads.truncate(limit as usize);
            ads.sort_by_key(|ad| (number(ad, "ClusterId"), number(ad, "ProcId")));
        }
        for ad in &mut ads {
            ad.insert("ServerTime", self.site.now_s);
        }
        end.ads = ads.len() as u64;
        self.listing(&ads, &query.attributes, end)
    }

    fn history(&self, query: &HistoryQuery) -> Vec<u8> {
        let (Some(constraints), Some(until)) = (parse_all(&query.select.constraints), parse_all(&query.until)) else {
            return self.bad_constraint();
        };
        let is_true = |ad: &ClassAd, expr: &Expr| eval(expr, ad, None, &self.env()).truth() == Some(true);
        let mut ads: Vec<&ClassAd> = self.past.iter().collect();
        if query.forwards {
            ads.reverse();
        }
        let count = |limit: Option<u64>| limit.map_or(usize::MAX, |limit| limit as usize);
        let ads: Vec<ClassAd> = ads
            .into_iter()
            .take(count(query.scan_limit))
            .take_while(|ad| !until.iter().any(|expr| is_true(ad, expr)))
            .filter(|ad| self.selected(&query.select, &constraints, ad))
            .take(count(query.limit))
            .cloned()
            .collect();
        let end = ListingEnd { ads: ads.len() as u64, ..ListingEnd::default() };
        self.listing(&ads, &query.attributes, end)
    }

    /// Only the attributes that are asked for, with those that they refer to.
    fn listing(&self, ads: &[ClassAd], attributes: &[String], end: ListingEnd) -> Vec<u8> {
        let mut writer = listing::Writer::default();
        for ad in ads {
            let mut names: BTreeSet<String> = BTreeSet::new();
            let mut open: Vec<String> = attributes.iter().map(|name| name.to_lowercase()).collect();
            if open.is_empty() {
                open = ad.iter().map(|(name, _)| name.to_lowercase()).collect();
            }
            while let Some(name) = open.pop() {
                if let Some(expr) = ad.get(&name)
                    && names.insert(name)
                {
                    let references = expr.references();
                    open.extend(references.unscoped.iter().chain(&references.my).map(|name| name.to_string()));
                }
            }
            let row: Vec<(String, String)> = names
                .iter()
                .map(|name| (ad.spelling(name).unwrap().to_owned(), ad.get(name).unwrap().to_string()))
                .collect();
            writer.push(row.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect::<Vec<_>>().into_iter());
        }
        let mut out = self.head(&Reply::Listing, false);
        frame::put(&mut out, Kind::Rows, &[&writer.take()]);
        if !self.cut_listings {
            frame::put(&mut out, Kind::End, &[&serde_json::to_vec(&end).unwrap()]);
        }
        out
    }

    fn bad_constraint(&self) -> Vec<u8> {
        self.head(&constraint_refusal(), true)
    }

    fn selected(&self, select: &Selection, constraints: &[Expr], ad: &ClassAd) -> bool {
        let env = self.env();
        let number = |name: &str| eval(&Expr::attribute(name), ad, None, &env).as_int().unwrap_or(-1);
        let (cluster, proc) = (number("ClusterId"), number("ProcId"));
        let owner = eval(&Expr::attribute("Owner"), ad, None, &env);
        let owner = owner.as_str().unwrap_or_default();
        let nobody = select.jobs.is_empty() && select.clusters.is_empty() && select.owners.is_empty();
        (nobody
            || select.jobs.iter().any(|&(c, p)| (i64::from(c), i64::from(p)) == (cluster, proc))
            || select.clusters.iter().any(|&c| i64::from(c) == cluster)
            || select.owners.iter().any(|name| name == owner))
            && (!select.mine || self.site.superuser || owner == self.site.user)
            && constraints.iter().all(|expr| eval(expr, ad, None, &env).truth() == Some(true))
    }

    fn act(&mut self, act: &Act) -> Reply {
        let env = self.env();
        let mut acted = Acted { queue_empty: self.jobs.is_empty(), ..Acted::default() };
        let chosen: Vec<usize> = match &act.targets {
            Targets::Jobs(numbers) => {
                for &(cluster, proc) in numbers {
                    let wanted = |ad: &ClassAd| {
                        ad.get("ClusterId") == Some(&Expr::from(i64::from(cluster)))
                            && ad.get("ProcId") == Some(&Expr::from(i64::from(proc)))
                    };
                    let outcome = match self.jobs.iter().position(wanted) {
                        None => JobOutcome::NotFound,
                        Some(index) => self.act_on(index, act),
                    };
                    acted.jobs.push(((cluster, proc), outcome));
                    acted.counts.add(outcome);
                }
                Vec::new()
            }
            Targets::Constraint(text) => {
                let Ok(expr) = parse_expr(text) else { return constraint_refusal() };
                let matching = |ad: &ClassAd| eval(&expr, ad, None, &env).truth() == Some(true);
                (0..self.jobs.len()).filter(|&index| matching(&self.jobs[index])).collect()
            }
            Targets::All => (0..self.jobs.len()).collect(),
        };
        for index in chosen {
            if self.may_change(index) && self.act_on(index, act) == JobOutcome::Success {
                acted.counts.add(JobOutcome::Success);
            }
        }
        let leaves = |ad: &ClassAd| {
            ad.get("JobStatus") == Some(&Expr::from(3)) && ad.get("LeaveJobInQueue") != Some(&Expr::from(true))
        };
        self.jobs.retain(|ad| !leaves(ad));
        Reply::Acted(acted)
    }

    fn may_change(&self, index: usize) -> bool {
        self.site.superuser || self.jobs[index].get("Owner") == Some(&Expr::from(self.site.user.as_str()))
    }

    fn edit(&mut self, edit: &Edit) -> Reply {
        let env = self.env();
        let mut acted = Acted { queue_empty: self.jobs.is_empty(), ..Acted::default() };
        let constraint = match &edit.targets {
            Targets::Constraint(text) => match parse_expr(text) {
                Ok(constraint) => constraint,
                Err(_) => return constraint_refusal(),
            },
            Targets::Jobs(jobs) => {
                for (cluster, proc) in jobs {
                    let is_it = |ad: &ClassAd| {
                        ad.get("ClusterId") == Some(&Expr::from(i64::from(*cluster)))
                            && ad.get("ProcId") == Some(&Expr::from(i64::from(*proc)))
                    };
                    let found = self.jobs.iter().any(is_it);
                    acted
                        .jobs
                        .push(((*cluster, *proc), if found { JobOutcome::Success } else { JobOutcome::NotFound }));
                }
                let one = |(cluster, proc): &(u32, u32)| format!("(ClusterId == {cluster} && ProcId == {proc})");
                parse_expr(&jobs.iter().map(one).collect::<Vec<_>>().join(" || ")).unwrap()
            }
            Targets::All => parse_expr("true").unwrap(),
        };
        for index in 0..self.jobs.len() {
            if !self.may_change(index) || eval(&constraint, &self.jobs[index], None, &env).truth() != Some(true) {
                continue;
            }
            for (name, text) in &edit.attributes {
                let Ok(expr) = parse_expr(text) else {
                    let message = format!("the value of {name} is no ClassAd expression: {text}");
                    return Reply::Refused { code: Refusal::Malformed, message, speaks: None };
                };
                if edit.dry_run {
                    continue;
                }
                let ad = &mut self.jobs[index];
                let expr = if edit.evaluate { Expr::from(eval(&expr, ad, None, &env)) } else { expr };
                ad.insert(name, expr);
            }
            acted.counts.add(JobOutcome::Success);
        }
        Reply::Acted(acted)
    }

    fn act_on(&mut self, index: usize, act: &Act) -> JobOutcome {
        if !self.may_change(index) {
            return JobOutcome::PermissionDenied;
        }
        let by = |what: &str| format!("{what} (by user {})", self.site.user);
        let reason = |program: &str| by(act.reason.as_deref().unwrap_or(&format!("via {program}")));
        let now_s = self.site.now_s;
        let (removed, held) = (reason("condor_rm"), reason("condor_hold"));
        let ad = &mut self.jobs[index];
        let status = ad.get("JobStatus").and_then(Expr::literal).and_then(Value::as_int).unwrap();
        let to = match (act.action, status) {
            (Action::Remove, 3) => return JobOutcome::AlreadyDone,
            (Action::Remove, _) => 3,
            (Action::RemoveForce, 3) => {
                ad.insert("LeaveJobInQueue", false);
                3
            }
            (Action::Hold, 5) => return JobOutcome::AlreadyDone,
            (Action::Hold, 3 | 4) => return JobOutcome::PermissionDenied,
            (Action::Hold, _) => 5,
            (Action::Release, 5) => 1,
            (Action::Vacate, 2) => 1,
            (Action::RemoveForce | Action::Release | Action::Vacate, _) => return JobOutcome::BadStatus,
        };
        ad.insert("JobStatus", to);
        ad.insert("EnteredCurrentStatus", now_s);
        if to == 3 {
            ad.insert("RemoveReason", removed);
        }
        if to == 5 {
            ad.insert("HoldReason", held);
            ad.insert("HoldReasonCode", 1);
            ad.insert("HoldReasonSubCode", i64::from(act.subcode.unwrap_or(0)));
        } else {
            for name in ["HoldReason", "HoldReasonCode", "HoldReasonSubCode"] {
                if let Some(expr) = ad.remove(name) {
                    ad.insert(&format!("Last{name}"), expr);
                }
            }
        }
        JobOutcome::Success
    }
}

fn constraint_refusal() -> Reply {
    Reply::Refused { code: Refusal::Constraint, message: "the constraint cannot be parsed".into(), speaks: None }
}

fn parse_all(texts: &[String]) -> Option<Vec<Expr>> {
    texts.iter().map(|text| parse_expr(text).ok()).collect()
}

fn totals<'a>(ads: impl Iterator<Item = &'a ClassAd>) -> Totals {
    let mut totals = Totals::default();
    for ad in ads {
        totals.jobs += 1;
        let field = match ad.get("JobStatus").and_then(Expr::literal).and_then(Value::as_int) {
            Some(1) => &mut totals.idle,
            Some(2 | 6) => &mut totals.running,
            Some(3) => &mut totals.removed,
            Some(4) => &mut totals.completed,
            Some(5) => &mut totals.held,
            _ => &mut totals.suspended,
        };
        *field += 1;
    }
    totals
}
