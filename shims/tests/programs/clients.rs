//! What the AliEn and JAliEn computing elements run, and what they must see, to the byte.
//!
//! Commands and submit texts are those that the clients' own classes were seen to send; the pipelines behind them are
//! done here in Rust, as the shell would.

use classad::{ClassAd, parse_expr};

use crate::bench::{Bench, text};

const WAITING: &str = "JobStatus==1";
const ACTIVE: &str = "JobStatus==1 || JobStatus==2";

/// A job with the attributes that the clients look at.
fn job(cluster: u32, status: i64, more: &[(&str, &str)]) -> ClassAd {
    let mut ad = ClassAd::new();
    ad.insert("ClusterId", i64::from(cluster));
    ad.insert("ProcId", 0);
    ad.insert("Owner", "alice");
    ad.insert("JobStatus", status);
    ad.insert("QDate", 1_795_290_066);
    ad.insert("Cmd", format!("/tmp/agent.startup.{cluster}"));
    if status == 5 {
        ad.insert("HoldReasonCode", 1);
    }
    for (name, expr) in more {
        ad.insert(name, parse_expr(expr).unwrap());
    }
    ad
}

/// Jobs 7 (idle), 8 (running), 9 (held), 10 (idle), all vanilla.
fn bench() -> Bench {
    let bench = Bench::new();
    bench.master().state().jobs = vec![job(7, 1, &[]), job(8, 2, &[]), job(9, 5, &[]), job(10, 1, &[])];
    bench
}

fn lines(text: &str) -> usize {
    text.matches('\n').count()
}

#[test]
fn alien_2013_to_2016_counts_lines_of_the_default_listing() {
    let bench = bench();
    assert_eq!(bench.answer("condor_q", &["-constraint", WAITING]), "**waiting**\n**waiting**\n");
    let active = bench.answer("condor_q", &["-constraint", ACTIVE]);
    assert_eq!(lines(&active), 3);
    assert!(active.lines().all(|line| line == "**waiting**" || line == "**running**"));
    bench.master().state().jobs.clear();
    assert_eq!(bench.answer("condor_q", &["-constraint", WAITING]), "");
    // The health check after a count of 0.
    assert!(bench.answer("condor_q", &[]).contains("Total for query: 0 jobs"));
}

#[test]
fn the_counting_mode_is_for_pipes_and_can_be_switched_off() {
    let mut bench = bench();
    bench.world.output_is_screen = true;
    assert!(bench.answer("condor_q", &["-constraint", WAITING]).contains("OWNER BATCH_NAME"));
    bench.world.output_is_screen = false;
    bench.master().state().site.alien_count_lines = false;
    assert!(bench.answer("condor_q", &["-constraint", WAITING]).contains("OWNER BATCH_NAME"));
    bench.master().state().site.alien_count_lines = true;
    assert!(bench.answer("condor_q", &["-constraint", "JobStatus==2"]).contains("OWNER BATCH_NAME"));
}

#[test]
fn alien_since_2016_counts_owners() {
    let bench = bench();
    for newline in ["%s\\n", "%s\n"] {
        let waiting = bench.answer("condor_q", &["-format", newline, "OWNER", "-constraint", WAITING]);
        assert_eq!(waiting, "alice\nalice\n");
        let active = bench.answer("condor_q", &["-format", newline, "OWNER", "-constraint", ACTIVE]);
        assert_eq!(lines(&active), 3);
    }
}

#[test]
fn alien_of_2013_looks_for_grid_states() {
    let bench = Bench::new();
    let grid = |status| [("GridJobId", "\"condor h h 1.0\""), ("GridJobStatus", status)];
    bench.master().state().jobs = vec![
        job(1, 1, &grid("\"PENDING\"")),
        job(2, 2, &grid("\"RUNNING\"")),
        job(3, 5, &grid("\"PENDING\"")),
        job(4, 1, &[]),
    ];
    let formats = [
        "-format",
        "%s ",
        "GridJobId",
        "-format",
        "HoldReason=%s ",
        "HoldReasonCode",
        "-format",
        "%s \n",
        "GridJobStatus",
    ];
    let listing = bench.answer("condor_q", &formats);
    assert_eq!(listing, "condor h h 1.0 PENDING \ncondor h h 1.0 RUNNING \ncondor h h 1.0 HoldReason=1 PENDING \n");
    let pending = listing.lines().filter(|line| line.contains("PENDING") && !line.contains("HoldReason")).count();
    let running = listing.lines().filter(|line| !line.contains("undef") && !line.contains("HoldReason")).count();
    assert_eq!((pending, running), (1, 2));
}

#[test]
fn alien_lists_and_kills() {
    let bench = bench();
    let status = ["-constraint", ACTIVE, "-format", "%d ", "ClusterId", "-format", "%s \\n", "Cmd"];
    let listing = bench.answer("condor_q", &status);
    assert_eq!(listing, "7 /tmp/agent.startup.7 \n8 /tmp/agent.startup.8 \n10 /tmp/agent.startup.10 \n");
    let older = [
        "-format",
        "%d ",
        "ClusterId",
        "-format",
        "HoldReason=%s ",
        "HoldReasonCode",
        "-format",
        "%s ",
        "GridJobId",
        "-format",
        "%s \\n",
        "Cmd",
    ];
    assert_eq!(bench.answer("condor_q", &older).lines().nth(2), Some("9 HoldReason=1 /tmp/agent.startup.9 "));
    let word = listing.split(' ').next().unwrap();
    assert_eq!(bench.answer("condor_rm", &[word]), "All jobs in cluster 7 have been marked for removal\n");
    assert_eq!(lines(&bench.answer("condor_q", &status)), 2);
    bench.master().state().jobs.clear();
    assert_eq!(bench.answer("condor_q", &status), "");
}

#[test]
fn alien_before_2013_and_arc_read_the_old_layout() {
    let mut bench = bench();
    let check = |listing: &str| {
        let fields: Vec<Vec<&str>> = listing
            .lines()
            .skip_while(|line| !line.starts_with(" ID"))
            .skip(1)
            .take_while(|line| !line.is_empty())
            .map(|line| line.split_whitespace().collect())
            .collect();
        assert_eq!(
            fields.iter().map(|f| (f[0], f[5])).collect::<Vec<_>>(),
            [("7.0", "I"), ("8.0", "R"), ("9.0", "H"), ("10.0", "I")]
        );
    };
    check(&bench.answer("condor_q", &["-nobatch"]));
    bench.world.variables = vec![("_condor_CONDOR_Q_DASH_BATCH_IS_DEFAULT".into(), "false".into())];
    check(&bench.answer("condor_q", &[]));
}

#[test]
fn alien_htcondor_reads_the_last_line_of_the_totals() {
    let bench = bench();
    for words in [["alice", "-totals"], ["alice", "-total"], ["-tot", "alice"]] {
        let listing = bench.answer("condor_q", &words);
        // tail -n 1
        let last = listing.strip_suffix('\n').unwrap().rsplit('\n').next().unwrap();
        assert_eq!(last, "Total for all users: 4 jobs; 0 completed, 0 removed, 2 idle, 1 running, 1 held, 0 suspended");
    }
}

#[test]
fn totals_as_json() {
    let bench = bench();
    let json: serde_json::Value =
        serde_json::from_str(&bench.answer("condor_q", &["-const", "true", "-totals", "-json"])).unwrap();
    assert_eq!((&json[0]["MyIdle"], &json[0]["Idle"], &json[0]["AllusersRunning"]), (&2.into(), &2.into(), &1.into()));
}

#[test]
fn alien_htcondor_asks_the_scheduler() {
    let bench = Bench::new();
    let schedd = "Name = \"submit.example.org\"\nTotalRunningJobs = 3\nTotalIdleJobs = 4\n";
    bench.master().state().schedd = ClassAd::from_old_text(schedd).unwrap();
    for (words, expected) in [
        (&["-schedd", "-af", "totalRunningJobs"][..], "3\n"),
        (&["-schedd", "-af", "totalIdleJobs"], "4\n"),
        (&["-schedd", "-af", "totalRunningJobs", "totalIdleJobs"], "3 4\n"),
        (&["-schedd", "-af", "Name"], "submit.example.org\n"),
        (&["-schedd", "-af", "TotalIdleJobs", "-af", "TotalRunningJobs"], "4 3\n"),
        (&["-schedd", "-format", "%d\\n", "totalidlejobs"], "4\n"),
        (&["-schedd", "-json", "-attributes", "TotalIdleJobs"], "[\n{\n  \"TotalIdleJobs\": 4\n}\n]\n"),
    ] {
        assert_eq!(bench.answer("condor_status", words), expected, "{words:?}");
    }
    let ping = ["-verbose", "-name", "ce_name", "-pool", "p", "WRITE"];
    assert!(bench.answer("condor_ping", &ping).starts_with("WRITE command succeeded"));
    assert_eq!(bench.answer("condor_status", &[]), "", "no worker is connected");
}

#[test]
fn jalien_counts_states_and_places() {
    let bench = Bench::new();
    let place = [("GridResource", "\"condor ce1.x.y ce1.x.y:9619\"")];
    bench.master().state().jobs = vec![job(1, 1, &place), job(2, 2, &place), job(3, 1, &[]), job(4, 5, &place)];
    let listing = bench.answer("condor_q", &["-const", "JobStatus < 3", "-af", "JobStatus", "GridResource"]);
    assert_eq!(listing, "1 condor ce1.x.y ce1.x.y:9619\n2 condor ce1.x.y ce1.x.y:9619\n1 undefined\n");
    let local = ["-const", "JobStatus < 3", "-af", "JobStatus", "-format", "local_pool", "GridResource"];
    assert_eq!(bench.answer("condor_q", &local), "1 local_pool\n2 local_pool\n1 local_pool\n");
    bench.master().state().jobs.clear();
    assert_eq!(bench.answer("condor_q", &local), "");
}

/// Exit code 1, nothing on standard output, no line on standard error that counts as a job.
#[test]
fn without_a_master_nobody_counts_a_wrong_zero() {
    let bench = Bench::without_master();
    bench.write("f.sub", "executable = /bin/true\nqueue\n");
    for (program, words) in [
        ("condor_q", &["-constraint", WAITING][..]),
        ("condor_q", &["-constraint", ACTIVE]),
        ("condor_q", &[]),
        ("condor_q", &["-format", "%s\\n", "OWNER", "-constraint", WAITING]),
        ("condor_q", &["alice", "-totals"]),
        ("condor_q", &["-const", "JobStatus < 3", "-af", "JobStatus", "GridResource"]),
        ("condor_q", &["-json"]),
        ("condor_q", &["-name", "submit.example.org"]),
        ("condor_status", &["-schedd", "-af", "totalRunningJobs", "totalIdleJobs"]),
        ("condor_status", &[]),
        ("condor_rm", &["1"]),
        ("condor_hold", &["1"]),
        ("condor_release", &["-all"]),
        ("condor_vacate_job", &["1.0"]),
        ("condor_submit", &["f.sub"]),
        ("condor_submit", &["-terse", "f.sub"]),
        ("condor_submit", &["-"]),
        ("condor_ping", &["WRITE"]),
        ("condor_reschedule", &[]),
    ] {
        let outcome = bench.run(program, words);
        assert_eq!((outcome.code, text(&outcome.out)), (1, String::new()), "{program} {words:?}");
        assert!(!outcome.err.is_empty());
        for line in text(&outcome.err).lines() {
            assert!(!line.trim_start().starts_with(|c: char| c.is_ascii_digit()), "{program} {words:?}: {line}");
        }
    }
}

#[test]
fn a_long_listing_is_printed_whole() {
    let bench = Bench::new();
    bench.master().state().jobs = (1..=2_000).map(|cluster| job(cluster, 1, &[])).collect();
    for words in [
        &["-af", "ClusterId", "JobStatus"][..],
        &["-format", "%s\\n", "OWNER", "-constraint", WAITING],
        &["-nobatch"],
        &[],
    ] {
        let begin = std::time::Instant::now();
        let listing = bench.answer("condor_q", words);
        println!(
            "condor_q {words:?}: {} bytes, {:.1?} with the scripted master's share",
            listing.len(),
            begin.elapsed()
        );
        assert!(lines(&listing) >= 2_000, "{words:?}");
    }
}
