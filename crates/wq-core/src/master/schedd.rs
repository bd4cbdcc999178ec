//! The ads of the scheduler and of those who submit to it, for `condor_status -schedd` and `-submitters`.

use classad::{ClassAd, Env, Expr, Value};
use control_proto::{ListingEnd, Refusal, Reply, ScheddQuery, listing};

use super::Master;
use crate::ids::{ClientId, Timestamp};
use crate::io::Effect;

impl Master {
    pub(super) fn schedd(&mut self, now: Timestamp, client: ClientId, query: &ScheddQuery) {
        let ad = self.schedd_ad(now);
        self.list_ads(now, client, query, vec![ad]);
    }

    /// Those who had jobs since the start; a site has one user, or few.
    pub(super) fn submitters(&mut self, now: Timestamp, client: ClientId, query: &ScheddQuery) {
        let ads = self.table.owner_ids().map(|owner| {
            let totals = self.table.totals(Some(owner));
            let name = format!("{}@{}", self.table.owner_of(owner).name, self.config.domain);
            let attributes: [(&str, Value); 7] = [
                ("HeldJobs", int(totals.held)),
                ("IdleJobs", int(totals.idle)),
                ("Machine", Value::from(self.config.host.as_str())),
                ("MyType", Value::from("Submitter")),
                ("Name", Value::from(name)),
                ("RunningJobs", int(totals.running)),
                ("TargetType", Value::from("")),
            ];
            attributes.into_iter().map(|(name, value)| (name.to_owned(), Expr::from(value))).collect()
        });
        let ads = ads.collect();
        self.list_ads(now, client, query, ads);
    }

    fn list_ads(&mut self, now: Timestamp, client: ClientId, query: &ScheddQuery, ads: Vec<ClassAd>) {
        let env = Env { now_s: Some(now.seconds() + self.wall_offset_s), ..Env::default() };
        let mut constraints = Vec::new();
        for text in &query.constraints {
            match classad::parse_expr(text) {
                Ok(expr) => constraints.push(expr),
                Err(error) => {
                    return self.refuse(
                        client,
                        Refusal::Constraint,
                        format!("the constraint {text} does not parse: {error}"),
                    );
                }
            }
        }
        self.answer(client, Reply::Listing);
        let mut writer = listing::Writer::default();
        let wanted =
            |ad: &&ClassAd| constraints.iter().all(|expr| classad::eval(expr, *ad, None, &env).truth() == Some(true));
        for ad in ads.iter().filter(wanted) {
            let rows: Vec<(String, String)> =
                ad.iter().map(|(name, expr)| (name.to_owned(), expr.to_string())).collect();
            writer.push(rows.iter().map(|(name, text)| (name.as_str(), text.as_str())));
        }
        let ads = writer.ads();
        if ads > 0 {
            self.effect(Effect::Rows { client, payload: writer.take() });
        }
        let all = self.table.totals(None);
        self.effect(Effect::Finish { client, end: ListingEnd { ads, all, ..ListingEnd::default() } });
    }

    fn schedd_ad(&self, now: Timestamp) -> ClassAd {
        let totals = self.table.totals(None);
        let wall_s = now.seconds() + self.wall_offset_s;
        let address = format!(
            "<{}?addrs={}&alias={}>",
            self.config.address,
            self.config.address.replace(':', "-"),
            self.config.host
        );
        let attributes: [(&str, Value); 25] = [
            ("AddressV1", Value::from(format!("{{[ a=\"{}\"; p=\"primary\"; ]}}", self.config.address))),
            ("CondorPlatform", Value::from(self.config.condor_platform.as_str())),
            ("CondorVersion", Value::from(self.config.condor_version.as_str())),
            ("DaemonStartTime", Value::Int(self.config.started_s)),
            ("DetectedCpus", int(self.config.cpus)),
            ("DetectedMemory", int(self.config.memory_mb)),
            ("Machine", Value::from(self.config.host.as_str())),
            ("MaxJobsPerOwner", int(self.config.owner_jobs_max)),
            ("MaxJobsPerSubmission", int(self.config.procs_max.into())),
            ("MaxJobsRunning", int(u32::MAX.into())),
            ("MyAddress", Value::from(address)),
            ("MyCurrentTime", Value::Int(wall_s)),
            ("MyType", Value::from("Scheduler")),
            ("Name", Value::from(self.config.host.as_str())),
            ("NumUsers", int(self.table.owners() as u64)),
            ("TargetType", Value::from("")),
            ("TotalFlockedJobs", Value::Int(0)),
            ("TotalHeldJobs", int(totals.held)),
            ("TotalIdleJobs", int(totals.idle)),
            ("TotalJobAds", int(totals.jobs)),
            ("TotalLocalJobsIdle", int(self.table.idle.ready_local() as u64)),
            ("TotalLocalJobsRunning", int(self.running_local())),
            ("TotalRemovedJobs", int(totals.removed)),
            ("TotalRunningJobs", int(totals.running)),
            ("WorkQueuePeers", int(self.peers.ready() as u64)),
        ];
        attributes.into_iter().map(|(name, value)| (name.to_owned(), Expr::from(value))).collect()
    }
}

fn int(n: u64) -> Value {
    Value::Int(i64::try_from(n).unwrap_or(i64::MAX))
}
