//! What the constraints of a listing ask, taken apart: a job's state and owner decide the commonest ones, and of those
//! two the table keeps the counts (decision D55).

use classad::{ClassAd, Env, Expr, Value, eval};
use control_proto::Totals;

use crate::jobs::view::JobView;
use crate::jobs::{JobTable, OwnerId, Status};

const STATUSES: [Status; 5] = [Status::Idle, Status::Running, Status::Removed, Status::Completed, Status::Held];

/// All constraints of a listing together.
#[derive(Debug)]
pub(super) struct Condition {
    /// Whether a job in this state may fulfil them, by `JobStatus`.
    by_status: [bool; 8],
    /// What is asked of the owner's name alone.
    of_owner: Vec<Expr>,
    /// The answers, as far as they have been looked for; by index of the owner.
    by_owner: Vec<Option<bool>>,
    /// What each job has to be asked.
    rest: Vec<Expr>,
}

impl Condition {
    pub(super) fn new(constraints: &[Expr]) -> Condition {
        let mut condition = Condition { by_status: [true; 8], of_owner: vec![], by_owner: vec![], rest: vec![] };
        // The whole is true when all parts are.
        for part in constraints.iter().flat_map(Expr::conjuncts) {
            if part.depends_on_nothing_but("jobstatus") {
                for status in STATUSES {
                    condition.by_status[status as usize] &= holds(&part, "JobStatus", i64::from(status as u8).into());
                }
            } else if part.depends_on_nothing_but("owner") {
                condition.of_owner.push(part);
            } else {
                condition.rest.push(part);
            }
        }
        condition
    }

    /// Whether a job fulfils them.
    pub(super) fn is_met(&mut self, view: &JobView<'_>) -> bool {
        self.by_status[view.job.status() as usize]
            && (self.of_owner.is_empty() || self.admits(view.table, view.job.owner))
            && self.rest.iter().all(|part| view.eval(part).truth() == Some(true))
    }

    fn admits(&mut self, table: &JobTable, owner: OwnerId) -> bool {
        let at = usize::from(owner.0);
        if self.by_owner.len() <= at {
            self.by_owner.resize(at + 1, None);
        }
        let Condition { of_owner, by_owner, .. } = self;
        *by_owner[at].get_or_insert_with(|| {
            let name = || Value::from(&*table.owner_of(owner).name);
            of_owner.iter().all(|part| holds(part, "Owner", name()))
        })
    }

    /// How many jobs of these owners fulfil them, if that can be told without looking at any.
    pub(super) fn count(&mut self, table: &JobTable, owners: impl Iterator<Item = OwnerId>) -> Option<Totals> {
        if !self.rest.is_empty() {
            return None;
        }
        let mut sum = Totals::default();
        for owner in owners {
            if !self.admits(table, owner) {
                continue;
            }
            let all = table.totals(Some(owner));
            let of = |status: Status, count: u64| if self.by_status[status as usize] { count } else { 0 };
            let counts = [
                (&mut sum.idle, of(Status::Idle, all.idle)),
                (&mut sum.running, of(Status::Running, all.running)),
                (&mut sum.removed, of(Status::Removed, all.removed)),
                (&mut sum.completed, of(Status::Completed, all.completed)),
                (&mut sum.held, of(Status::Held, all.held)),
            ];
            for (field, count) in counts {
                *field += count;
                sum.jobs += count;
            }
        }
        Some(sum)
    }
}

/// Whether an expression is true in an ad with this one attribute.
fn holds(part: &Expr, name: &str, value: Value) -> bool {
    let mut ad = ClassAd::new();
    ad.insert(name, value);
    eval(part, &ad, None, &Env::default()).truth() == Some(true)
}
