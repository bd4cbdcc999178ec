//! Lines around the tables: the head and the totals.

use classad::ClassAd;
use control_proto::{ListingEnd, Site, Totals};

use crate::clock::Clock;

/// `-- Schedd: HOST : <ADDRESS?... @ TIME`, with the two empty lines before it.
pub fn head(site: &Site, clock: &Clock) -> String {
    format!("\n\n-- Schedd: {} : <{}?... @ {}\n", site.host, site.address, clock.head(site.now_s))
}

/// The head of a table whose jobs come from a file.
pub fn file_head(label: &str, site: &Site, clock: &Clock) -> String {
    format!("\n\n-- {label} @ {}\n", clock.head(site.now_s))
}

/// What stands behind the totals of a query where HTCondor knows none of the whole queue: its empty columns.
pub const UNKNOWN_TOTALS: &str = "                                                   ";

/// The head of `-submitter`.
pub fn submitter_head(submitter: &str, site: &Site, clock: &Clock) -> String {
    format!("\n\n-- Submitter: {submitter} : <{}?... : {} @ {}\n", site.address, site.host, clock.head(site.now_s))
}

/// The whole address, as in HTCondor's error texts.
pub fn wire_address(site: &Site) -> String {
    format!("<{0}?addrs={1}&alias={2}>", site.address, site.address.replace(':', "-"), site.host)
}

/// One line of totals without its line end. All but the last one end in a blank, as in HTCondor.
pub fn totals_line(of: &str, totals: &Totals, last: bool) -> String {
    format!(
        "Total for {of}: {} jobs; {} completed, {} removed, {} idle, {} running, {} held, {} suspended{}",
        totals.jobs,
        totals.completed,
        totals.removed,
        totals.idle,
        totals.running,
        totals.held,
        totals.suspended,
        if last { "" } else { " " }
    )
}

/// The numbers of jobs by name: of what was selected, of one's own, of the whole queue.
fn totals_by_name(end: &ListingEnd) -> Vec<(String, u64)> {
    let mut named = Vec::new();
    for (prefix, totals) in [("", &end.selected), ("My", &end.mine), ("Allusers", &end.all)] {
        for (name, number) in [
            ("Jobs", totals.jobs),
            ("Idle", totals.idle),
            ("Running", totals.running),
            ("Held", totals.held),
            ("Completed", totals.completed),
            ("Removed", totals.removed),
            ("Suspended", totals.suspended),
        ] {
            named.push((format!("{prefix}{name}"), number));
        }
    }
    named
}

/// The summary as an ad, for print-format files.
pub fn totals_ad(end: &ListingEnd) -> ClassAd {
    let mut ad = ClassAd::new();
    ad.insert("MyType", "Summary");
    for (name, number) in totals_by_name(end) {
        ad.insert(&name, i64::try_from(number).unwrap_or(i64::MAX));
    }
    ad
}

/// `-totals -json`: one object, also when there is no job.
pub fn totals_json(end: &ListingEnd) -> String {
    let fields: Vec<String> =
        totals_by_name(end).into_iter().map(|(name, number)| format!("\"{name}\":{number}")).collect();
    format!("[\n{{ {} }}\n]\n", fields.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_totals() {
        let site = Site { host: "h.x".into(), address: "127.0.0.1:9094".into(), ..Site::default() };
        assert_eq!(wire_address(&site), "<127.0.0.1:9094?addrs=127.0.0.1-9094&alias=h.x>");
        let totals = Totals { jobs: 3, idle: 2, held: 1, ..Totals::default() };
        assert_eq!(
            totals_line("all users", &totals, true),
            "Total for all users: 3 jobs; 0 completed, 0 removed, 2 idle, 0 running, 1 held, 0 suspended"
        );
        let end = ListingEnd { all: totals, ..ListingEnd::default() };
        let json: serde_json::Value = serde_json::from_str(&totals_json(&end)).unwrap();
        assert_eq!((&json[0]["AllusersIdle"], &json[0]["MyIdle"]), (&2.into(), &0.into()));
    }
}
