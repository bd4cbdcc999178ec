//! Texts before the cluster number is known, and which jobs differ.

use submit_lang::{CLUSTER_MARK, ClusterText, Options, PROCESS_MARK, Submission, dry_run_ads};

use crate::site::{Site, value};

fn submit(body: &str) -> Submission {
    let text = format!("executable = job.sh\n{body}\n");
    Site::new().submit(&text, &Options { file_name: "t.sub".to_owned(), ..Options::default() }).unwrap()
}

/// With and without marks the complete ads are the same.
fn check_same(body: &str) -> Submission {
    let marked = submit(body);
    assert!(!marked.needs_cluster_number, "{body}");
    let text = format!("executable = job.sh\n{body}\n");
    let options = Options { file_name: "t.sub".to_owned(), cluster: ClusterText::Number(41), ..Options::default() };
    let numbered = Site::new().submit(&text, &options).unwrap();
    let [marked_ads, numbered_ads] =
        [&marked, &numbered].map(|submission| dry_run_ads(submission, 41, 0).collect::<Vec<_>>());
    assert_eq!(marked_ads, numbered_ads, "{body}");
    for (_, text) in numbered.clusters.iter().flat_map(|cluster| &cluster.ad) {
        assert!(!text.contains([CLUSTER_MARK, PROCESS_MARK]), "{text}");
    }
    marked
}

#[test]
fn plain_texts_are_carried_with_marks() {
    for body in [
        "environment = CONDOR_ID=$(Cluster).$(Process);A=1\nqueue 3",
        "environment = \"ID='$(ClusterId) $(ProcId)'\"\nqueue 3",
        "arguments = $(Cluster) $(Process)\nqueue 3",
        "arguments = \"$(JobId) 'x $(Process)'\"\nqueue 3",
        "output = o.$(JobId)\nerror = e.$(Process)\nlog = l.$(Cluster)\nqueue 3",
        "+Name = \"n$(Process)\"\nbatch_name = b$(Cluster)\nqueue 3",
        "name = run-$(Process)\noutput = $(name).txt\nqueue 3",
        "transfer_output_remaps = \"a = out/$(Process)\"\nqueue 3",
    ] {
        let submission = check_same(body);
        let cluster = &submission.clusters[0];
        assert_eq!((cluster.procs, cluster.varying.len(), cluster.rows.len()), (3, 0, 0), "{body}");
    }
}

#[test]
fn computed_texts_differ_between_jobs() {
    for (body, varying) in [
        ("arguments = $INT(Process,%03d)\nqueue 3", "Args"),
        ("arguments = $CHOICE(Process,a,b,c)\nqueue 3", "Args"),
        ("+Number = $(Process)\nqueue 3", "Number"),
        ("+Number = $(Process) * 2\nqueue 3", "Number"),
        ("arguments = $(Step)\nqueue 3", "Args"),
        ("priority = $(Process)\nqueue 3", "JobPrio"),
        ("request_memory = 100 + $(Process)\nqueue 3", "RequestMemory"),
        ("arguments = $(x)\nqueue x in (a b c)", "Args"),
        ("environment = \"V$(Process)=1\"\nqueue 3", "Environment"),
    ] {
        let submission = check_same(body);
        assert_eq!(submission.clusters[0].varying, [varying], "{body}");
    }
}

#[test]
fn a_number_that_is_computed_with_is_asked_for() {
    for body in [
        "arguments = $INT(Cluster,%05d)\nqueue",
        "+Id = $(Cluster)\nqueue",
        "input = in.$(Cluster)\nqueue",
        "environment = V$(Cluster)=1\nqueue",
        "if $(Cluster)\npriority = 1\nendif\nqueue",
    ] {
        assert!(submit(body).needs_cluster_number, "{body}");
    }
}

#[test]
fn marks_in_the_text_itself_are_refused() {
    for mark in ['\u{1}', '\u{2}'] {
        let text = format!("executable = job.sh\narguments = {mark}\nqueue\n");
        let error = Site::new().submit(&text, &Options::default()).unwrap_err();
        assert!(!error.stdout_started);
        assert!(error.message.starts_with("ERROR: the submit description contains the control character U+000"));
    }
}

#[test]
fn later_jobs_fall_back_on_the_first() {
    // As in HTCondor: what the first job of a cluster set stays unless it is set again.
    let submission = submit("arguments = a\n+X = 1\nqueue\narguments =\nqueue\n+X = 2\nqueue");
    assert_eq!(submission.clusters[0].procs, 3);
    assert_eq!(value(&submission, 1, "Args").as_deref(), Some("\"a\""));
    assert_eq!(value(&submission, 2, "X").as_deref(), Some("2"));
    assert_eq!(submission.clusters[0].varying, ["X"]);
}

#[test]
fn what_follows_from_a_varying_value_varies_too() {
    let mut site = Site::new();
    for n in 0..3 {
        site.add(&format!("in.{n}"), &vec![0; 2048 * (n + 1)]);
    }
    let text = "executable = job.sh\ninput = in.$(Process)\nrequest_memory = $(Process)\nqueue 3\n";
    let submission = site.submit(text, &Options::default()).unwrap();
    assert_eq!(submission.clusters[0].varying, ["DiskUsage", "In", "RequestMemory", "Requirements"]);
    assert_eq!(value(&submission, 2, "DiskUsage").as_deref(), Some("7"));
    // A request of at most 1 MB is no clause; the third job asks for 2.
    let has_memory = |proc| value(&submission, proc, "Requirements").unwrap().contains("TARGET.Memory");
    assert_eq!([0, 1, 2].map(has_memory), [false, false, true]);
}

#[test]
fn later_clusters_have_their_own_number() {
    let text = "executable = job.sh\noutput = $(Cluster).$(Process)\nqueue 2\nexecutable = /bin/sleep\nqueue\n";
    let options = Options { cluster: ClusterText::Number(5), ..Options::default() };
    let submission = Site::new().submit(text, &options).unwrap();
    let outs: Vec<String> =
        dry_run_ads(&submission, 5, 0).map(|ad| ad.into_iter().find(|(name, _)| name == "Out").unwrap().1).collect();
    assert_eq!(outs, ["\"5.0\"", "\"5.1\"", "\"6.0\""]);
    let ids: Vec<(String, String)> = dry_run_ads(&submission, 5, 0)
        .map(|ad| {
            let find = |name: &str| ad.iter().find(|(other, _)| other == name).unwrap().1.clone();
            (find("ClusterId"), find("ProcId"))
        })
        .collect();
    assert_eq!(ids[2], ("6".to_owned(), "0".to_owned()));
}
