//! A job's ad, made as it is asked for: what the submitter sent, what the queue knows, what was edited.
//!
//! Look-up order: edits, then what the queue knows (`DERIVED`), then the submitted ad. Nothing is kept.

use std::borrow::Cow;
use std::sync::LazyLock;

use classad::{ClassAd, Expr, Scope, Value};
use journal::Exit;

use super::class::JobScope;
use super::table::{Job, JobTable, Status};

/// Facts about the site that show up in ads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SiteFacts {
    /// Name of the schedd.
    pub host: String,
    /// `UID_DOMAIN`.
    pub domain: String,
    /// `GridJobStatus` of an idle job (decision D64).
    pub grid_idle: String,
    /// The folder with the folders of spooled jobs.
    pub spool: String,
}

/// Attributes whose name begins so are ours alone and never shown.
pub const HIDDEN_PREFIX: &str = "_awq";

/// Attributes that only the owner and super-users may read (decision D66), lower case, sorted.
const PRIVATE: [&str; 7] =
    ["args", "arguments", "env", "environment", "scitokensfile", "x509userproxy", "x509userproxysubject"];

/// How deep expressions that refer to expressions are followed when attributes are chosen.
const REFERENCES_DEPTH: usize = 8;

/// Whether only the owner and super-users may read the attribute of this name, in lower case.
pub fn is_private(folded: &str) -> bool {
    PRIVATE.binary_search(&folded).is_ok()
}

/// A job's ad.
#[derive(Debug, Clone, Copy)]
pub struct JobView<'a> {
    /// Where the job stands.
    pub table: &'a JobTable,
    /// The job.
    pub job: &'a Job,
    /// The site.
    pub site: &'a SiteFacts,
    /// Service clock.
    pub now_s: i64,
    /// Wall clock minus service clock.
    pub wall_offset_s: i64,
}

/// Whether the queue itself makes the attribute, so that it may change while the job waits; `folded` in lower case.
pub fn changes(folded: &str) -> bool {
    derived_at(folded).is_some()
}

/// Where `DERIVED` has names with each first letter: most look-ups are of other names and end after one comparison.
static FIRST_LETTERS: LazyLock<[(usize, usize); 26]> = LazyLock::new(|| {
    std::array::from_fn(|letter| {
        let letter = b'a' + letter as u8;
        let from = DERIVED.partition_point(|(name, _, _)| name.as_bytes()[0] < letter);
        (from, DERIVED.partition_point(|(name, _, _)| name.as_bytes()[0] <= letter))
    })
});

/// Whether an attribute may be shown, private ones only to those who may see them; `folded` in lower case.
pub(crate) fn is_shown(folded: &str, private: bool) -> bool {
    !folded.starts_with(HIDDEN_PREFIX) && (private || !is_private(folded))
}

/// The name of an entry of `DERIVED` as HTCondor spells it.
pub(super) fn derived_name(at: usize) -> &'static str {
    DERIVED[at].1
}

/// Index of a name in `DERIVED`; `folded` in lower case.
pub(super) fn derived_at(folded: &str) -> Option<usize> {
    let letter = folded.as_bytes().first()?.checked_sub(b'a')?;
    let (from, to) = *FIRST_LETTERS.get(usize::from(letter))?;
    DERIVED[from..to].iter().position(|(name, _, _)| *name == folded).map(|at| from + at)
}

type Make = fn(&JobView<'_>) -> Option<Value>;

/// What the queue knows, by lower-case name, sorted. `None` means: whatever the submitter's ad says.
const DERIVED: &[(&str, &str, Make)] = &[
    ("bytesrecvd", "BytesRecvd", |v| v.job.story().ending.map(|e| Value::Real(e.sent as f64))),
    ("bytessent", "BytesSent", |v| v.job.story().ending.map(|e| Value::Real(e.received as f64))),
    ("clusterid", "ClusterId", |v| int(v.job.id.cluster)),
    ("completiondate", "CompletionDate", |v| {
        let ending = v.job.story().ending.filter(|_| v.job.status() == Status::Completed);
        ending.and_then(|e| v.wall(e.at_s))
    }),
    ("cpusprovisioned", "CpusProvisioned", |v| v.job.story().allocation.and_then(|a| int(a.0))),
    ("currenthosts", "CurrentHosts", |v| int(u8::from(v.job.status() == Status::Running))),
    ("deferraltime", "DeferralTime", |v| int(v.table.deferrals.get(&v.job.id)?.at_s)),
    ("diskprovisioned", "DiskProvisioned", |v| v.job.story().allocation.and_then(|a| int((a.2 * 1024) as i64))),
    ("enteredcurrentstatus", "EnteredCurrentStatus", |v| v.wall(v.job.entered_s().into())),
    ("exitbysignal", "ExitBySignal", |v| v.exit().map(|e| Value::Bool(matches!(e, Exit::Signal(_))))),
    ("exitcode", "ExitCode", |v| match v.exit()? {
        Exit::Code(code) => int(code),
        Exit::Signal(_) => None,
    }),
    ("exitsignal", "ExitSignal", |v| match v.exit()? {
        Exit::Signal(signal) => int(signal),
        Exit::Code(_) => None,
    }),
    ("exitstatus", "ExitStatus", |v| match v.exit()? {
        Exit::Code(code) => int(code),
        Exit::Signal(_) => None,
    }),
    ("globaljobid", "GlobalJobId", |v| {
        let wall_s = v.table.cluster(v.job.id.cluster)?.wall_s;
        text(format!("{}#{}#{wall_s}", v.site.host, v.job.id))
    }),
    ("gridjobid", "GridJobId", |v| {
        v.is_grid().then(|| Value::from(format!("condor {0} {0} {1}", v.site.host, v.job.id)))
    }),
    ("gridjobstatus", "GridJobStatus", |v| {
        v.is_grid().then(|| match v.job.status() {
            Status::Running => "RUNNING".into(),
            Status::Completed => "COMPLETED".into(),
            Status::Held => "HELD".into(),
            Status::Removed => "REMOVED".into(),
            Status::Idle => v.site.grid_idle.as_str().into(),
        })
    }),
    ("holdreason", "HoldReason", |v| v.job.story().hold.as_ref().map(|h| (*h.reason).into())),
    ("holdreasoncode", "HoldReasonCode", |v| v.job.story().hold.as_ref().and_then(|h| int(h.code))),
    ("holdreasonsubcode", "HoldReasonSubCode", |v| v.job.story().hold.as_ref().and_then(|h| int(h.subcode))),
    ("iwd", "Iwd", |v| v.spool_folder().map(Value::from)),
    ("jobcurrentstartdate", "JobCurrentStartDate", |v| v.job.story().start_s.and_then(|s| v.wall(s))),
    ("jobcurrentstartexecutingdate", "JobCurrentStartExecutingDate", |v| v.job.story().start_s.and_then(|s| v.wall(s))),
    ("jobruncount", "JobRunCount", |v| counted(v.job.story().starts)),
    ("jobstartdate", "JobStartDate", |v| v.job.story().first_start_s.and_then(|s| v.wall(s))),
    ("jobstatus", "JobStatus", |v| int(v.job.status() as u8)),
    ("lastholdreason", "LastHoldReason", |v| v.job.story().last_hold.as_ref().map(|h| (*h.reason).into())),
    ("lastholdreasoncode", "LastHoldReasonCode", |v| v.job.story().last_hold.as_ref().and_then(|h| int(h.code))),
    ("lastholdreasonsubcode", "LastHoldReasonSubCode", |v| {
        v.job.story().last_hold.as_ref().and_then(|h| int(h.subcode))
    }),
    ("lastjobstatus", "LastJobStatus", |v| counted(v.job.story().last_status.into())),
    ("lastremotehost", "LastRemoteHost", |v| v.job.story().last_host.as_ref().map(|h| (**h).into())),
    ("lastvacatetime", "LastVacateTime", |v| v.job.story().vacate.as_ref().and_then(|(_, at)| v.wall(*at))),
    ("memoryprovisioned", "MemoryProvisioned", |v| v.job.story().allocation.and_then(|a| int(a.1 as i64))),
    ("numholds", "NumHolds", |v| counted(v.job.story().holds)),
    ("numjobcompletions", "NumJobCompletions", |v| counted(v.job.story().completions)),
    ("numjobstarts", "NumJobStarts", |v| counted(v.job.story().starts)),
    ("numshadowstarts", "NumShadowStarts", |v| counted(v.job.story().attempts)),
    ("numsystemholds", "NumSystemHolds", |v| counted(v.job.story().system_holds)),
    ("numvacates", "NumVacates", |v| counted(v.job.story().vacates.iter().map(|(_, n)| n).sum())),
    ("numvacatesbyreason", "NumVacatesByReason", |v| {
        let vacates = &v.job.story().vacates;
        (!vacates.is_empty()).then(|| {
            let mut ad = classad::ClassAd::new();
            for (name, count) in vacates {
                ad.insert(name, Value::Int(i64::from(*count)));
            }
            Value::Ad(ad.into())
        })
    }),
    ("owner", "Owner", |v| text(&*v.table.owner_of(v.job.owner).name)),
    ("procid", "ProcId", |v| int(v.job.id.proc_)),
    ("qdate", "QDate", |v| v.wall(v.job.qdate_s.into())),
    ("releasereason", "ReleaseReason", |v| v.job.story().release_reason.as_ref().map(|r| (**r).into())),
    ("remotehost", "RemoteHost", |v| v.job.story().host.as_ref().map(|h| (**h).into())),
    ("remotewallclocktime", "RemoteWallClockTime", |v| {
        let past = v.job.story().wall_clock_s;
        (past > 0).then_some(Value::Real(past as f64))
    }),
    ("removereason", "RemoveReason", |v| v.job.story().remove_reason.as_ref().map(|r| (**r).into())),
    ("servertime", "ServerTime", |v| v.wall(v.now_s)),
    ("shadowbday", "ShadowBday", |v| {
        let running = v.job.status() == Status::Running;
        v.job.story().start_s.filter(|_| running).and_then(|s| v.wall(s))
    }),
    // The files came with the submission.
    ("stageinfinish", "StageInFinish", |v| v.wall(v.job.qdate_s.into()).filter(|_| v.is_spooled())),
    ("stageinstart", "StageInStart", |v| v.wall(v.job.qdate_s.into()).filter(|_| v.is_spooled())),
    ("submit_iwd", "SUBMIT_Iwd", |v| {
        let at = v.table.position(v.job, "iwd").filter(|_| v.is_spooled())?;
        classad::parse_expr(&v.submitted(at)).ok()?.literal().cloned()
    }),
    ("totalsubmitprocs", "TotalSubmitProcs", |v| int(v.table.cluster(v.job.id.cluster)?.procs)),
    ("transferringoutput", "TransferringOutput", |v| v.job.story().transferring_output.then_some(Value::Bool(true))),
    ("user", "User", |v| text(format!("{}@{}", v.table.owner_of(v.job.owner).name, v.site.domain))),
    ("vacatereason", "VacateReason", |v| v.job.story().vacate.as_ref().map(|(why, _)| (**why).into())),
];

fn int(n: impl Into<i64>) -> Option<Value> {
    Some(Value::Int(n.into()))
}

fn text(s: impl Into<Value>) -> Option<Value> {
    Some(s.into())
}

/// A counter that the bare ad lacks or has as 0.
fn counted(n: u32) -> Option<Value> {
    (n > 0).then_some(Value::Int(i64::from(n)))
}

impl<'a> JobView<'a> {
    fn wall(&self, service_s: i64) -> Option<Value> {
        int(service_s + self.wall_offset_s)
    }

    fn exit(&self) -> Option<Exit> {
        self.job.story().ending.map(|e| e.exit)
    }

    /// Grid universe or routed: such jobs have grid attributes from the start (decision D64).
    fn is_grid(&self) -> bool {
        self.table.position(self.job, "gridresource").is_some()
            || self
                .table
                .position(self.job, "wantjobrouter")
                .is_some_and(|at| self.table.text_at(self.job, at).fill_in(0, 0).eq_ignore_ascii_case("true"))
    }

    /// Its inputs came with the submission, its outputs wait to be fetched.
    pub fn is_spooled(&self) -> bool {
        self.table.position(self.job, "_awqspool").is_some()
    }

    /// The folder of a spooled job.
    pub fn spool_folder(&self) -> Option<String> {
        self.is_spooled().then(|| format!("{}/{}", self.site.spool, self.job.id))
    }

    /// The submitted text of an attribute, by its place in the template.
    fn submitted(&self, at: usize) -> String {
        self.table.text_at(self.job, at).fill_in(self.job.id.cluster, self.job.id.proc_)
    }

    fn edited(&self, folded: &str) -> Option<&'a Option<String>> {
        let edits = &self.job.story().edits;
        edits.iter().rev().find(|(name, _)| name.eq_ignore_ascii_case(folded)).map(|(_, text)| text)
    }

    /// What the queue says of an attribute, by its index in `DERIVED`.
    pub(super) fn derived_by(&self, at: usize) -> Option<Value> {
        DERIVED[at].2(self)
    }

    fn derived(&self, folded: &str) -> Option<Value> {
        DERIVED[derived_at(folded)?].2(self)
    }

    /// Expression text of an attribute, `None` if the ad has none. `folded` in lower case.
    pub fn text(&self, folded: &str) -> Option<String> {
        if let Some(edit) = self.edited(folded) {
            return edit.clone();
        }
        if let Some(value) = self.derived(folded) {
            return Some(Expr::from(value).to_string());
        }
        self.table.position(self.job, folded).map(|at| self.submitted(at))
    }

    /// The value of an attribute, evaluated against the ad alone.
    pub fn value(&self, folded: &str) -> Value {
        match self.lookup(folded) {
            Some(expr) => match expr.literal() {
                Some(value) => value.clone(),
                None => classad::eval(&expr, self, None, &self.env()),
            },
            None => Value::Undefined,
        }
    }

    /// The text of a string attribute.
    pub fn string(&self, folded: &str) -> Option<String> {
        self.value(folded).as_str().map(str::to_owned)
    }

    /// What an evaluation in this ad may know.
    pub fn env(&self) -> classad::Env {
        classad::Env { now_s: Some(self.now_s + self.wall_offset_s), ..classad::Env::default() }
    }

    /// The value of an expression in this ad.
    pub fn eval(&self, expr: &Expr) -> Value {
        classad::eval(expr, self, None, &self.env())
    }

    /// Calls `each` with name and text of every attribute that may be shown, in no particular order. Private ones
    /// are left out unless `private` is set.
    pub fn for_each(&self, private: bool, mut each: impl FnMut(&str, String)) {
        let hidden = |folded: &str| !is_shown(folded, private);
        for (folded, name, make) in DERIVED {
            if self.edited(folded).is_none()
                && let Some(value) = make(self)
            {
                each(name, Expr::from(value).to_string());
            }
        }
        for at in 0..self.table.width(self.job) {
            let name = self.table.name_at(self.job, at);
            let folded = name.to_ascii_lowercase();
            if !hidden(&folded) && self.edited(&folded).is_none() && self.derived(&folded).is_none() {
                each(name, self.submitted(at));
            }
        }
        let edits = &self.job.story().edits;
        for (at, (name, text)) in edits.iter().enumerate() {
            let last = !edits[at + 1..].iter().any(|(later, _)| later.eq_ignore_ascii_case(name));
            if let (Some(text), true, false) = (text, last, hidden(&name.to_ascii_lowercase())) {
                each(name, text.clone());
            }
        }
    }

    /// The ad as the history keeps it: all attributes but those of the moment.
    pub fn last_ad(&self) -> Vec<(String, String)> {
        let mut ad = Vec::new();
        self.for_each(true, |name, text| {
            if name != "ServerTime" {
                ad.push((name.to_owned(), text));
            }
        });
        ad
    }

    /// Name as the ad spells it and text, for one attribute that may be shown.
    pub fn entry(&self, folded: &str, private: bool) -> Option<(String, String)> {
        if !is_shown(folded, private) {
            return None;
        }
        let text = self.text(folded)?;
        let name = self
            .table
            .position(self.job, folded)
            .map(|at| self.table.name_at(self.job, at).to_owned())
            .or_else(|| Some(DERIVED[derived_at(folded)?].1.to_owned()))
            .or_else(|| {
                let edits = &self.job.story().edits;
                edits.iter().find(|(name, _)| name.eq_ignore_ascii_case(folded)).map(|(name, _)| name.clone())
            })?;
        Some((name, text))
    }
}

impl Scope for JobView<'_> {
    fn lookup(&self, name: &str) -> Option<Cow<'_, Expr>> {
        let folded: Cow<'_, str> =
            if name.bytes().any(|b| b.is_ascii_uppercase()) { name.to_ascii_lowercase().into() } else { name.into() };
        if !self.job.story().edits.is_empty()
            && let Some(edit) = self.edited(&folded)
        {
            return edit.as_ref().and_then(|text| classad::parse_expr(text).ok()).map(Cow::Owned);
        }
        if let Some(value) = self.derived(&folded) {
            return Some(Cow::Owned(Expr::from(value)));
        }
        let at = self.table.position(self.job, &folded)?;
        if let Some(expr) = self.table.shared_expr(self.job, at) {
            return Some(Cow::Borrowed(expr));
        }
        classad::parse_expr(&self.submitted(at)).ok().map(Cow::Owned)
    }
}

impl JobScope for JobView<'_> {
    fn all(&self) -> ClassAd {
        let mut ad = ClassAd::new();
        self.for_each(true, |name, text| {
            // The moment's attribute is asked for by those who need it.
            if name != "ServerTime"
                && let Ok(expr) = classad::parse_expr(&text)
            {
                ad.insert(name, expr);
            }
        });
        ad
    }
}

/// The wanted attributes and those that their expressions refer to, in lower case if the wanted ones are.
pub fn with_references(ad: &impl Scope, wanted: &[String]) -> Vec<String> {
    let mut names: Vec<String> = wanted.to_vec();
    let (mut from, mut depth) = (0, 0);
    while from < names.len() && depth < REFERENCES_DEPTH {
        let upto = names.len();
        for at in from..upto {
            let Some(expr) = ad.lookup(&names[at]) else { continue };
            if expr.literal().is_some() {
                continue;
            }
            let references = expr.references();
            for name in references.unscoped.iter().chain(&references.my) {
                if !names.iter().any(|known| **known == **name) {
                    names.push(name.to_string());
                }
            }
        }
        from = upto;
        depth += 1;
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_so_that_they_can_be_searched() {
        assert!(DERIVED.windows(2).all(|w| w[0].0 < w[1].0));
        assert!(DERIVED.iter().all(|(folded, name, _)| *folded == name.to_ascii_lowercase()));
        assert!(PRIVATE.windows(2).all(|w| w[0] < w[1]));
    }
}
