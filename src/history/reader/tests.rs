//! Questions to a small history.

use control_proto::Selection;
use control_proto::frame::Splitter;
use wq_core::ids::{JobId, RecordNo};
use wq_core::io::Departed;

use super::*;
use crate::history::store::{Change, Store};

const OWN_UID: u32 = 1000;

/// Clusters 1 to 9 in this order, procs 0 and 1 each; odd ones are alice's, even ones bob's; the end of cluster C at C.
fn history() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(&dir.path().join("h")).unwrap();
    let mut changes = Vec::new();
    for (no, (cluster, proc_)) in (1..).zip((1..10).flat_map(|cluster| [(cluster, 0), (cluster, 1)])) {
        let (uid, owner) = if cluster % 2 == 1 { (OWN_UID, "alice") } else { (1001, "bob") };
        let ad = [
            ("ClusterId", cluster.to_string()),
            ("ProcId", proc_.to_string()),
            ("Owner", format!("\"{owner}\"")),
            ("JobStatus", if cluster == 3 { "3" } else { "4" }.to_owned()),
            ("Args", "\"secret\"".to_owned()),
            ("CompletionDate", if cluster == 3 { "undefined".to_owned() } else { cluster.to_string() }),
            ("Double", "2 * ClusterId".to_owned()),
        ];
        let ad = ad.into_iter().map(|(name, text)| (name.to_owned(), text)).collect();
        let job = JobId::new(cluster, proc_);
        let (no, owner) = (RecordNo(no), owner.to_owned());
        changes.push(Change::Put(Box::new(Departed { no, job, submitted_s: 1, left_s: 1, uid, owner, ad })));
    }
    store.change(changes.iter()).unwrap();
    dir
}

type Ads = Vec<Vec<(String, String)>>;

fn ask(folder: &Path, query: HistoryQuery, superuser: bool) -> (Ads, Reply) {
    let asker = Asker { uid: OWN_UID, superuser, site: Site::default() };
    let mut splitter = Splitter::default();
    answer(&folder.join("h"), &query, &asker, &mut |frame| {
        splitter.feed(&frame);
        true
    })
    .unwrap();
    let (mut ads, mut reply, mut end) = (Ads::new(), None, None);
    while let Some((kind, payload)) = splitter.next_frame().unwrap() {
        match kind {
            Kind::Reply => reply = Some(control_proto::read_head(payload).unwrap().1),
            Kind::Rows => {
                let own = |row: &[(&str, &str)]| row.iter().map(|(n, t)| ((*n).to_owned(), (*t).to_owned())).collect();
                listing::read(payload, |row| ads.push(own(row))).unwrap();
            }
            other => {
                assert_eq!(other, Kind::End);
                end = Some(payload.to_vec());
            }
        }
    }
    let end = end.expect("an end");
    if !end.is_empty() {
        assert_eq!(serde_json::from_slice::<ListingEnd>(&end).unwrap().ads, ads.len() as u64);
    }
    (ads, reply.unwrap())
}

/// `C.P` of what is found.
#[track_caller]
fn check(query: HistoryQuery, expected: &str) {
    let dir = history();
    let query = HistoryQuery { attributes: vec!["ClusterId".into(), "ProcId".into()], ..query };
    let (ads, reply) = ask(dir.path(), query, false);
    assert_eq!(reply, Reply::Listing);
    let found: Vec<String> = ads.iter().map(|ad| format!("{}.{}", ad[0].1, ad[1].1)).collect();
    assert_eq!(found.join(" "), expected);
}

fn select(select: Selection) -> HistoryQuery {
    HistoryQuery { select, ..HistoryQuery::default() }
}

#[test]
fn the_last_is_the_first_unless_asked_otherwise() {
    check(HistoryQuery { limit: Some(3), ..Default::default() }, "9.1 9.0 8.1");
    check(HistoryQuery { limit: Some(3), forwards: true, ..Default::default() }, "1.0 1.1 2.0");
    check(HistoryQuery { scan_limit: Some(1), ..Default::default() }, "9.1");
    check(HistoryQuery { limit: Some(0), ..Default::default() }, "");
}

#[test]
fn numbers_owners_and_constraints() {
    let named = Selection { jobs: vec![(7, 1), (2, 0), (7, 9)], clusters: vec![5, 77], ..Default::default() };
    check(select(named.clone()), "7.1 5.1 5.0 2.0");
    check(HistoryQuery { limit: Some(2), forwards: true, ..select(named.clone()) }, "2.0 5.0");
    check(
        HistoryQuery { limit: Some(2), ..select(Selection { owners: vec!["bob".into()], ..Default::default() }) },
        "8.1 8.0",
    );
    check(select(Selection { owners: vec!["carol".into()], ..Default::default() }), "");
    let constraints = vec!["ProcId == 1".to_owned(), "ClusterId > 6".to_owned()];
    check(select(Selection { constraints: constraints.clone(), ..Default::default() }), "9.1 8.1 7.1");
    check(select(Selection { constraints, ..named.clone() }), "7.1");
    let both = Selection { owners: vec!["bob".into()], constraints: vec!["ClusterId > 4".into()], ..named };
    check(select(both), "8.1 8.0 7.1 6.1 6.0 5.1 5.0");
}

#[test]
fn reading_ends_where_it_shall() {
    let until = |text: &str| HistoryQuery { until: vec![text.into()], ..HistoryQuery::default() };
    check(until("ClusterId == 7"), "9.1 9.0 8.1 8.0");
    check(until("ClusterId == 3 && ProcId == 0"), "9.1 9.0 8.1 8.0 7.1 7.0 6.1 6.0 5.1 5.0 4.1 4.0 3.1");
    let procs = Selection { constraints: vec!["ProcId == 0".into()], ..Default::default() };
    check(HistoryQuery { select: procs, ..until("CompletionDate < 2") }, "9.0 8.0 7.0 6.0 5.0 4.0 3.0 2.0");
    let jobs = Selection { jobs: vec![(1, 0), (8, 0)], ..Default::default() };
    check(HistoryQuery { select: jobs, ..until("ClusterId == 4") }, "8.0");
}

#[test]
fn attributes_come_with_what_they_refer_to_and_private_ones_to_their_owner_alone() {
    let dir = history();
    let query = |cluster: u32, names: &[&str]| HistoryQuery {
        attributes: names.iter().map(|name| (*name).to_owned()).collect(),
        ..select(Selection { jobs: vec![(cluster, 0)], ..Default::default() })
    };
    let names = |ads: &Ads| ads[0].iter().map(|(name, _)| name.clone()).collect::<Vec<_>>().join(" ");
    assert_eq!(names(&ask(dir.path(), query(2, &["double", "Nothing"]), false).0), "Double ClusterId");
    let all = "ClusterId ProcId Owner JobStatus Args CompletionDate Double";
    assert_eq!(names(&ask(dir.path(), query(1, &[]), false).0), all);
    assert_eq!(names(&ask(dir.path(), query(2, &[]), false).0), all.replace("Args ", ""));
    assert_eq!(names(&ask(dir.path(), query(2, &[]), true).0), all);
    assert_eq!(names(&ask(dir.path(), query(2, &["Args", "ProcId"]), false).0), "ProcId");
}

#[test]
fn what_is_no_expression_is_refused_and_no_file_is_no_history() {
    let dir = history();
    for query in [
        select(Selection { constraints: vec!["1 +".into()], ..Default::default() }),
        HistoryQuery { until: vec!["(".into()], ..Default::default() },
    ] {
        let (ads, reply) = ask(dir.path(), query, false);
        assert!(ads.is_empty() && matches!(reply, Reply::Refused { code: Refusal::Constraint, .. }));
    }
    let (ads, reply) = ask(&dir.path().join("nowhere"), HistoryQuery::default(), false);
    assert!(ads.is_empty() && reply == Reply::Listing);
}

#[test]
fn a_file_without_tables_is_one_that_is_just_being_made() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join(crate::history::FILE_NAME), "").unwrap();
    let (ads, reply) = ask(folder.path(), HistoryQuery::default(), false);
    assert!(ads.is_empty() && matches!(reply, Reply::Listing), "{reply:?}");
}

#[test]
fn a_client_that_goes_ends_the_search_and_a_damaged_row_the_answer() {
    let dir = history();
    let asker = Asker { uid: OWN_UID, superuser: false, site: Site::default() };
    let path = dir.path().join("h");
    let gone = answer(&path, &HistoryQuery::default(), &asker, &mut |_| false);
    assert!(matches!(gone, Err(ReadError::Gone)));
    Connection::open(&path).unwrap().execute("UPDATE jobs SET ad = x'ff' WHERE cluster = 4", []).unwrap();
    let mut frames = 0;
    let result = answer(&path, &HistoryQuery::default(), &asker, &mut |_| {
        frames += 1;
        true
    });
    assert!(matches!(result, Err(ReadError::Damaged { .. })), "{result:?}");
}
