//! Who is at the other end of the socket, and what they may do (decision D59).

use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use control_proto::{Refusal, Reply, Request, Site};
use nix::unistd::{Uid, User};
use wq_core::io::Caller;

/// How long a looked-up name is good: accounts change rarely.
const NAME_GOOD_FOR: Duration = Duration::from_secs(600);

/// Names remembered.
const NAMES_MAX: usize = 10_000;

/// Facts about this site for every answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct SiteFacts {
    /// The host name.
    pub(crate) host: String,
    /// The host name without its first label.
    pub(crate) domain: String,
    /// `ip:port` of the worker port.
    pub(crate) address: String,
    /// `$CondorVersion: … $`.
    pub(crate) condor_version: String,
    /// Path of the history's file; empty if none is kept.
    pub(crate) history: String,
    /// Decision D61.
    pub(crate) alien_count_lines: bool,
    /// Decision D63.
    pub(crate) submit_hint: bool,
}

/// Decides who may do what.
#[derive(Debug)]
pub(crate) struct Callers {
    site: RefCell<SiteFacts>,
    own_uid: u32,
    group: Option<String>,
    superusers: RefCell<Vec<String>>,
    names: RefCell<HashMap<u32, (Instant, Rc<str>)>>,
}

impl Callers {
    /// For a master that runs as `own_uid`; members of `group` may look.
    pub(crate) fn new(site: SiteFacts, own_uid: u32, group: Option<String>, superusers: Vec<String>) -> Callers {
        let superusers = RefCell::new(superusers);
        Callers { site: RefCell::new(site), own_uid, group, superusers, names: RefCell::default() }
    }

    /// Takes what may change while the service runs.
    pub(crate) fn change(&self, superusers: Vec<String>, alien_count_lines: bool, submit_hint: bool) {
        *self.superusers.borrow_mut() = superusers;
        let mut site = self.site.borrow_mut();
        (site.alien_count_lines, site.submit_hint) = (alien_count_lines, submit_hint);
    }

    /// The name of a user if it is known already.
    pub(crate) fn known_name(&self, uid: u32) -> Option<Rc<str>> {
        let names = self.names.borrow();
        let (since, name) = names.get(&uid)?;
        (since.elapsed() < NAME_GOOD_FOR).then(|| Rc::clone(name))
    }

    /// Remembers what [`look_up`] found.
    pub(crate) fn learn_name(&self, uid: u32, name: &str) {
        let mut names = self.names.borrow_mut();
        if names.len() >= NAMES_MAX {
            names.clear();
        }
        names.insert(uid, (Instant::now(), name.into()));
    }

    /// The caller as the core sees it.
    pub(crate) fn caller(&self, uid: u32, gid: u32, name: &str) -> Caller {
        let superuser = uid == 0 || self.superusers.borrow().iter().any(|listed| listed == name);
        Caller { uid, gid, name: name.to_owned(), superuser }
    }

    /// The refusal for a caller who may not ask this.
    pub(crate) fn refusal(&self, caller: &Caller, request: &Request) -> Option<Reply> {
        let looks = matches!(
            request,
            Request::Query(_)
                | Request::History(_)
                | Request::Schedd(_)
                | Request::Submitters(_)
                | Request::Machines(_)
                | Request::Why(_)
                | Request::Ping
        );
        let submits = matches!(request, Request::Submit(_) | Request::ReserveCluster);
        let restarts = matches!(request, Request::Reload(_));
        let message = match caller.uid {
            uid if uid == self.own_uid => return None,
            // The new program runs with our rights: only who has them, or more, may name it.
            0 if restarts => return None,
            _ if restarts => format!(
                "only user id {} and root may restart this alien_work_queue, not user {}",
                self.own_uid, caller.name
            ),
            _ if submits => format!(
                "this alien_work_queue runs jobs of user id {} only; user {} cannot submit to it",
                self.own_uid, caller.name
            ),
            _ if caller.superuser => return None,
            _ if looks && self.group.is_some() => return None,
            _ => {
                format!("user {} may not ask this alien_work_queue, which serves user id {}", caller.name, self.own_uid)
            }
        };
        Some(Reply::Refused { code: Refusal::Permission, message, speaks: None })
    }

    /// The facts that come with an answer.
    pub(crate) fn site(&self, caller: &Caller) -> Site {
        let site = self.site.borrow();
        let now_s = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        Site {
            host: site.host.clone(),
            domain: site.domain.clone(),
            address: site.address.clone(),
            condor_version: site.condor_version.clone(),
            now_s: i64::try_from(now_s).unwrap_or(i64::MAX),
            user: caller.name.clone(),
            superuser: caller.superuser,
            history: site.history.clone(),
            alien_count_lines: site.alien_count_lines,
            submit_hint: site.submit_hint,
        }
    }
}

/// The name of a user; may block on a name service. Somebody without a name is shown as `uid7`.
pub(crate) fn look_up(uid: u32) -> String {
    match User::from_uid(Uid::from_raw(uid)) {
        Ok(Some(user)) => user.name,
        _ => format!("uid{uid}"),
    }
}

#[cfg(test)]
mod tests {
    use control_proto::{Act, Action, Query, ReleaseHosts, Reload, Submit, Targets};

    use super::*;

    fn refused(uid: u32, group: Option<&str>, request: &Request) -> bool {
        let callers = Callers::new(SiteFacts::default(), 1000, group.map(Into::into), vec!["boss".into()]);
        let name = if uid == 7 { "boss" } else { "somebody" };
        callers.refusal(&callers.caller(uid, 1, name), request).is_some()
    }

    #[test]
    fn one_user_submits_root_acts_a_group_looks() {
        let submit = Request::Submit(Submit::default());
        let look = Request::Query(Query::default());
        let act = Request::Act(Act { action: Action::Remove, targets: Targets::All, reason: None, subcode: None });
        let release = Request::ReleaseHosts(ReleaseHosts::default());
        let table = [
            // uid, group, submits, looks, acts
            (1000, None, true, true, true),
            (0, None, false, true, true),
            (7, None, false, true, true),
            (8, None, false, false, false),
            (8, Some("grid"), false, true, false),
        ];
        for (uid, group, submits, looks, acts) in table {
            let got = [&submit, &look, &act].map(|request| !refused(uid, group, request));
            assert_eq!(got, [submits, looks, acts], "uid {uid}, group {group:?}");
            assert_eq!(!refused(uid, group, &release), acts, "uid {uid}, group {group:?}");
            let restarts = !refused(uid, group, &Request::Reload(Reload::default()));
            assert_eq!(restarts, uid == 1000 || uid == 0, "uid {uid}: a program of one's choice runs as the master");
        }
    }

    #[test]
    fn names_are_looked_up_once() {
        let callers = Callers::new(SiteFacts::default(), 0, None, vec![]);
        assert_eq!(callers.known_name(0), None);
        callers.learn_name(0, &look_up(0));
        assert_eq!(callers.known_name(0).as_deref(), Some("root"));
        assert_eq!(look_up(4_000_000_000), "uid4000000000");
        assert!(callers.caller(0, 0, "root").superuser);
    }
}
