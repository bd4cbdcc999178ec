//! `condor_hold` and `condor_release` of a cluster whose jobs enter one after another.

use journal::{Edited, Held, Record};
use userlog::{FactoryPaused, Kind};

use super::{Meant, PAUSED, REASON, RESUMED};
use crate::ids::{JobId, RecordNo, Timestamp};
use crate::io::Caller;
use crate::jobs::Hold;
use crate::master::Master;
use crate::master::promises::Then;

/// `condor_hold`: `JobMaterializePaused`, and the only hold code that there is for it.
const BY_USER: i32 = 1;

impl Master {
    /// `condor_hold` of clusters: nothing more of them enters, and what is on its way is held when it is there. Says how many
    /// clusters that is news for.
    pub(in crate::master) fn pause_factories(
        &mut self,
        now: Timestamp,
        caller: &Caller,
        which: &Meant<'_>,
        (code, subcode): (i32, i32),
        reason: &str,
    ) -> u64 {
        let mut paused = 0;
        for cluster in self.factories_of(now, caller, which) {
            let factory = self.factories.by_cluster.get_mut(&cluster).expect("just listed");
            if factory.paused || factory.next == factory.end {
                continue;
            }
            factory.paused = true;
            factory.released = None;
            let (on_their_way, first) = (factory.next..factory.recorded, JobId::new(cluster, factory.recorded));
            paused += 1;
            self.note_told(now, first, PAUSED, reason);
            for proc in on_their_way {
                let job = JobId::new(cluster, proc);
                let reason = userlog::one_line(reason);
                let held = Held { job, at_s: now.seconds(), code, subcode, reason, attempt: None, exit: None };
                // Written behind the record that brings the job: a restart finds it.
                let no = self.record(Record::Held(held.clone()));
                self.when_stored(no, Then::Held(no, job, Box::new(Hold::of(&held))));
                self.factories.by_cluster.get_mut(&cluster).expect("just seen").holding.insert(proc, held);
            }
        }
        paused
    }

    /// `condor_release` of clusters: jobs enter again.
    pub(in crate::master) fn resume_factories(
        &mut self,
        now: Timestamp,
        caller: &Caller,
        which: &Meant<'_>,
        reason: &str,
    ) -> u64 {
        let mut resumed = 0;
        for cluster in self.factories_of(now, caller, which) {
            let factory = self.factories.by_cluster.get_mut(&cluster).expect("just listed");
            if !std::mem::replace(&mut factory.paused, false) {
                continue;
            }
            factory.released = Some(reason.to_owned());
            let first = JobId::new(cluster, factory.recorded);
            resumed += 1;
            self.note_told(now, first, RESUMED, reason);
            self.factories.due.insert(cluster);
        }
        resumed
    }

    /// A record that the event log of the cluster hears of.
    fn note_told(&mut self, now: Timestamp, job: JobId, what: &'static str, reason: &str) {
        let reason = userlog::one_line(reason);
        let quoted = classad::Expr::from(reason.as_str()).to_string();
        let attributes = vec![(what.to_owned(), Some("true".to_owned())), (REASON.to_owned(), Some(quoted))];
        let no = self.record(Record::Edited(Edited { job, at_s: now.seconds(), attributes }));
        self.when_stored(no, Then::TellCluster(job.cluster, Box::new(event(what == PAUSED, reason))));
    }

    /// The same after a crash.
    pub(super) fn tell_recovered(&mut self, now: Timestamp, no: RecordNo, edited: &Edited) {
        let text = |what: &str| edited.attributes.iter().find(|(name, _)| name == what).map(|(_, text)| text.clone());
        let Some(quoted) = text(REASON).flatten() else { return };
        let reason = classad::parse_expr(&quoted).ok();
        let reason = reason.as_ref().and_then(|expr| expr.literal()?.as_str()).unwrap_or_default();
        let kind = event(text(PAUSED).is_some(), reason.to_owned());
        self.tell_cluster(now, no, edited.job.cluster, kind);
    }
}

fn event(paused: bool, reason: String) -> Kind {
    let reason = Some(reason).filter(|reason| !reason.is_empty());
    if paused {
        Kind::FactoryPaused(FactoryPaused { reason, pause_code: BY_USER, hold_code: BY_USER })
    } else {
        Kind::FactoryResumed(reason)
    }
}
