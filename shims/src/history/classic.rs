//! HTCondor's own history files: ads as text, each with a line `*** ...` behind it.

use classad::{ClassAd, Env, Expr, parse_expr};
use control_proto::HistoryQuery;

use crate::job::Job;

/// The ads of a file, the first one first. A stretch that is no ad is passed over, as after a crash of whoever wrote it.
fn ads(text: &str) -> Vec<ClassAd> {
    let mut ads = Vec::new();
    let mut lines = String::new();
    for line in text.lines() {
        if !line.starts_with("***") {
            lines += line;
            lines += "\n";
            continue;
        }
        if let Ok(ad) = ClassAd::from_old_text(&lines)
            && !ad.is_empty()
        {
            ads.push(ad);
        }
        lines.clear();
    }
    ads
}

/// The answer that a master with this history would give.
pub(super) fn select(text: &str, query: &HistoryQuery, env: &Env) -> Vec<Job> {
    let mut ads = ads(text);
    if !query.forwards {
        ads.reverse();
    }
    let parse = |texts: &[String]| -> Vec<Expr> { texts.iter().filter_map(|text| parse_expr(text).ok()).collect() };
    let (constraints, until) = (parse(&query.select.constraints), parse(&query.until));
    let count = |limit: Option<u64>| limit.map_or(usize::MAX, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    let is_true = |job: &Job, expr: &Expr| job.eval(expr, env).truth() == Some(true);
    ads.into_iter()
        .take(count(query.scan_limit))
        .map(Job::from)
        .take_while(|job| !until.iter().any(|expr| is_true(job, expr)))
        .filter(|job| is_named(job, query, env) && constraints.iter().all(|expr| is_true(job, expr)))
        .take(count(query.limit))
        .collect()
}

fn is_named(job: &Job, query: &HistoryQuery, env: &Env) -> bool {
    let select = &query.select;
    let (cluster, proc) = job.id(env);
    let owner = job.text("owner", env).unwrap_or_default();
    (select.jobs.is_empty() && select.clusters.is_empty() && select.owners.is_empty())
        || select.jobs.iter().any(|(c, p)| (i64::from(*c), i64::from(*p)) == (cluster, proc))
        || select.clusters.iter().any(|c| i64::from(*c) == cluster)
        || select.owners.contains(&owner)
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = "ClusterId = 1\nProcId = 0\nOwner = \"alice\"\n\
        *** Offset = 0 ClusterId = 1 ProcId = 0 Owner = \"alice\" CompletionDate = 7\n\
        ClusterId = 2\nProcId = \n*** a torn one\n\
        ClusterId = 3\nProcId = 0\nOwner = \"bob\"\n*** Offset = 99\n\
        ClusterId = 4\nProcId = 0\n";

    #[test]
    fn whole_ads_count_and_the_last_is_the_first() {
        let env = Env::default();
        let found =
            |query: HistoryQuery| -> Vec<i64> { select(FILE, &query, &env).iter().map(|j| j.id(&env).0).collect() };
        assert_eq!(found(HistoryQuery::default()), [3, 1]);
        assert_eq!(found(HistoryQuery { forwards: true, ..Default::default() }), [1, 3]);
        assert_eq!(found(HistoryQuery { until: vec!["ClusterId == 1".into()], ..Default::default() }), [3]);
        let mut query = HistoryQuery { limit: Some(1), ..Default::default() };
        query.select.owners = vec!["alice".into()];
        assert_eq!(found(query.clone()), [1]);
        query.scan_limit = Some(1);
        assert_eq!(found(query), [0; 0]);
    }
}
