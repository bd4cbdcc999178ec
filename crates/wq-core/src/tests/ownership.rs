//! Whose jobs are whose (requirement R-35): random operations by three users and root, held against a model.

use std::collections::BTreeMap;

use control_proto::{Act, Action, Edit, JobOutcome, Query, Reply, Request, Targets};

use crate::bench::Bench;
use crate::ids::ClientId;
use crate::io::{Ask, Caller};
use crate::{Effect, Input};

/// Operations of one walk.
const STEPS: u32 = 1_000;

/// Bytes that stand in the environment of each user's jobs, with the user's number behind.
const SECRET: &str = "SECRET-OF-";

/// A job of the model.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Known {
    owner: u32,
    held: bool,
    mark: u32,
}

struct Walk {
    bench: Bench,
    jobs: BTreeMap<u32, Known>,
    clusters: u32,
    clients: u64,
    random: u64,
}

fn caller(user: u32) -> Caller {
    Caller { uid: user, gid: user, name: format!("user{user}"), superuser: user == 0 }
}

/// The three users, and root.
const USERS: [u32; 4] = [1001, 1002, 1003, 0];

impl Walk {
    /// Any number below `end`.
    fn any(&mut self, end: u32) -> u32 {
        // Knuth's constants; the upper bits are the good ones.
        self.random = self.random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.random >> 33) % u64::from(end)) as u32
    }

    fn ask(&mut self, user: u32, ask: Ask) -> ClientId {
        self.clients += 1;
        let client = ClientId(1_000_000 + self.clients);
        self.bench.seen.clear();
        self.bench.input(Input::Asked { client, caller: caller(user), ask });
        client
    }

    fn may(&self, user: u32, cluster: u32) -> bool {
        user == 0 || self.jobs.get(&cluster).is_some_and(|job| job.owner == user)
    }

    fn submit(&mut self, user: u32) {
        let environment = format!("\"{SECRET}{user}=1\"");
        let client = self.ask(user, Bench::submission(&[("Environment", &environment), ("Mark", "0")], 1));
        match self.bench.reply(client) {
            Some(Reply::Submitted { clusters, .. }) => {
                self.clusters += 1;
                assert_eq!(clusters[0].cluster, self.clusters);
                self.jobs.insert(self.clusters, Known { owner: user, held: false, mark: 0 });
            }
            other => panic!("{other:?}"),
        }
    }

    /// One job by its number, which may be gone or never have been.
    fn act(&mut self, user: u32, action: Action) {
        let cluster = self.any(self.clusters + 2);
        let act = Act { action, targets: Targets::Jobs(vec![(cluster, 0)]), reason: None, subcode: None };
        let client = self.ask(user, Ask::Other(Request::Act(act)));
        let Some(Reply::Acted(acted)) = self.bench.reply(client) else { panic!("no answer") };
        let allowed = self.may(user, cluster);
        let wanted = match (self.jobs.get_mut(&cluster), action) {
            (None, _) => JobOutcome::NotFound,
            (Some(_), _) if !allowed => JobOutcome::PermissionDenied,
            (Some(job), Action::Hold) if job.held => JobOutcome::AlreadyDone,
            (Some(job), Action::Release) if !job.held => JobOutcome::BadStatus,
            (Some(job), Action::Hold | Action::Release) => {
                job.held = action == Action::Hold;
                JobOutcome::Success
            }
            (Some(_), _) => {
                self.jobs.remove(&cluster);
                JobOutcome::Success
            }
        };
        assert_eq!(acted.jobs, [((cluster, 0), wanted)], "{action:?} of {cluster} by {user}");
    }

    /// All jobs for which an expression is true: those of others are left alone.
    fn act_on_all(&mut self, user: u32, action: Action) {
        let half = self.any(2);
        let constraint = format!("ClusterId % 7 == {half}");
        let targets = if self.any(4) == 0 { Targets::All } else { Targets::Constraint(constraint) };
        let all = targets == Targets::All;
        let act = Act { action, targets, reason: None, subcode: None };
        let client = self.ask(user, Ask::Other(Request::Act(act)));
        assert!(matches!(self.bench.reply(client), Some(Reply::Acted(_))));
        let mine = |cluster: &u32, job: &Known| (user == 0 || job.owner == user) && (all || cluster % 7 == half);
        match action {
            Action::Remove => self.jobs.retain(|cluster, job| !mine(cluster, job)),
            _ => {
                for (cluster, job) in &mut self.jobs {
                    if mine(cluster, job) {
                        job.held = action == Action::Hold;
                    }
                }
            }
        }
    }

    fn edit(&mut self, user: u32) {
        let (cluster, mark) = (self.any(self.clusters + 2), self.any(1000));
        let attributes = vec![("Mark".to_owned(), mark.to_string())];
        let targets = Targets::Jobs(vec![(cluster, 0)]);
        let client =
            self.ask(user, Ask::Other(Request::Edit(Edit { targets, attributes, evaluate: false, dry_run: false })));
        assert!(self.bench.reply(client).is_some());
        if self.may(user, cluster)
            && let Some(job) = self.jobs.get_mut(&cluster)
        {
            job.mark = mark;
        }
    }

    /// What a user sees: every job's state, and of the environments only the own.
    fn look(&mut self, user: u32) {
        let attributes = ["ClusterId", "Owner", "JobStatus", "Mark", "Environment", "Env"].map(str::to_owned).to_vec();
        let query = Query { attributes, ..Query::default() };
        let client = self.ask(user, Ask::Other(Request::Query(query)));
        let mut seen = BTreeMap::new();
        for row in self.bench.rows(client) {
            let text = |name: &str| row.iter().find(|(known, _)| known == name).map(|(_, text)| text.clone());
            let number = |name: &str| text(name).and_then(|text| text.parse::<u32>().ok()).expect("a number");
            let owner = text("Owner").expect("jobs have owners").trim_matches('"').replace("user", "");
            let owner = owner.parse().expect("one of ours");
            let shows = row.iter().any(|(_, text)| text.contains(SECRET));
            assert_eq!(shows, user == 0 || owner == user, "the environment of a job of {owner}, shown to {user}");
            seen.insert(number("ClusterId"), Known { owner, held: number("JobStatus") == 5, mark: number("Mark") });
        }
        assert_eq!(seen, self.jobs, "as {user} sees it");
        let leaks = self.bench.seen.iter().any(|effect| match effect {
            Effect::Rows { payload, .. } => USERS.iter().any(|other| {
                let secret = format!("{SECRET}{other}");
                user != 0 && *other != user && payload.windows(secret.len()).any(|window| window == secret.as_bytes())
            }),
            _ => false,
        });
        assert!(!leaks, "not even where nobody looks");
    }
}

#[test]
fn a_thousand_random_operations_by_three_users_do_what_each_may_do() {
    for seed in 0..3 {
        let mut walk = Walk { bench: Bench::new(), jobs: BTreeMap::new(), clusters: 0, clients: 0, random: seed };
        for _ in 0..STEPS {
            let user = USERS[walk.any(4) as usize];
            match walk.any(14) {
                0..=3 => walk.submit(user),
                4 => walk.act(user, Action::Remove),
                5..=6 => walk.act(user, Action::Hold),
                7..=8 => walk.act(user, Action::Release),
                9..=10 => walk.edit(user),
                11 if walk.any(4) == 0 => walk.act_on_all(user, Action::Remove),
                11 => walk.act_on_all(user, Action::Hold),
                12 => walk.act_on_all(user, Action::Release),
                _ => walk.look(user),
            }
        }
        USERS.into_iter().for_each(|user| walk.look(user));
    }
}
