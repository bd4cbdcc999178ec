//! Hostile and huge input: no panic, no endless loop, no blow-up.

use proptest::prelude::*;
use submit_lang::{Options, Refusal};

use crate::site::Site;

fn refusal(text: &str) -> Refusal {
    Site::new().submit(text, &Options::default()).unwrap_err().refusal
}

#[test]
fn definitions_that_lead_back_to_themselves_are_refused() {
    for text in [
        "executable = job.sh\nA = $(B)\nB = $(A)\narguments = $(A)\nqueue\n",
        "executable = job.sh\nA = x$(B)\nB = $(C)y\nC = $(A)\narguments = $(A)\nqueue\n",
        "executable = job.sh\nA = $INT(B)\nB = $INT(A)\narguments = $(A)\nqueue\n",
    ] {
        let found = refusal(text);
        assert!(matches!(found, Refusal::Recursion { .. } | Refusal::TooLong { .. }), "{found:?}");
    }
}

#[test]
fn doubling_definitions_end_at_the_limit() {
    let mut text = "executable = job.sh\nA0 = xxxxxxxx\n".to_owned();
    for n in 1..40 {
        text.push_str(&format!("A{n} = $(A{})$(A{})\n", n - 1, n - 1));
    }
    text.push_str("arguments = $(A39)\nqueue\n");
    assert!(matches!(refusal(&text), Refusal::TooLong { .. }));
}

#[test]
fn self_references_grow_no_faster_than_the_text() {
    let mut text = "executable = job.sh\nA = x\n".to_owned();
    for _ in 0..40 {
        text.push_str("A = $(A)$(A)\n");
    }
    text.push_str("arguments = $(A)\nqueue\n");
    assert!(matches!(refusal(&text), Refusal::TooLong { .. }));
}

/// Each level has all the others in its argument: some seconds before there was a limit.
#[test]
fn nests_of_functions_end_by_their_length() {
    let nest = |levels: usize| {
        let (open, close) = ("$SUBSTR(".repeat(levels), ",1)".repeat(levels));
        format!("executable = job.sh\narguments = {open}A{close}\nqueue\n")
    };
    assert!(matches!(refusal(&nest(5_000)), Refusal::TooLong { .. }));
    assert!(Site::new().submit(&nest(20), &Options::default()).is_ok());
}

#[test]
fn includes_of_themselves_end() {
    let mut site = Site::new();
    site.add("self.inc", b"include : self.inc\n");
    let error = site.submit("executable = job.sh\ninclude : self.inc\nqueue\n", &Options::default()).unwrap_err();
    assert!(error.message.contains("includes nested too deep"), "{}", error.message);
}

#[test]
fn equal_jobs_cost_nothing_each() {
    let site = Site::new();
    let text = "executable = job.sh\noutput = o.$(Process)\narguments = $(Cluster)\nqueue 1000000\n";
    let submission = site.submit(text, &Options::default()).unwrap();
    assert_eq!(submission.clusters[0].procs, 1_000_000);
    assert!(submission.clusters[0].rows.is_empty());
    assert!(site.stats.get() < 20, "files are looked at once");
}

#[test]
fn more_jobs_than_allowed_are_refused() {
    assert_eq!(refusal("executable = job.sh\nqueue 1000001\n"), Refusal::TooManyProcs);
    let options = Options { max_jobs: Some(5), ..Options::default() };
    let error = Site::new().submit("executable = job.sh\nqueue 9\n", &options).unwrap_err();
    assert_eq!((error.refusal, error.dots), (Refusal::TooManyJobs { limit: 5 }, 5));
}

#[test]
fn only_what_varies_is_computed_again() {
    let site = Site::new();
    let text = "executable = job.sh\narguments = $INT(Process,%07d)\n+N = $(Process)\nqueue 20000\n";
    let submission = site.submit(text, &Options::default()).unwrap();
    assert_eq!(submission.clusters[0].varying, ["Args", "N"]);
    assert!(site.stats.get() < 20, "files are looked at once");
    let mut rows = submission.clusters[0].rows.as_slice();
    for proc in 0..20_000 {
        let (row, rest) = classad::unpack_row(rows, 2).unwrap();
        assert_eq!(row, [Some(format!("\"{proc:07}\"").as_str()), Some(proc.to_string().as_str())]);
        rows = rest;
    }
    assert!(rows.is_empty());
}

/// Words the language is made of, so that random texts reach its corners.
fn fragment() -> impl Strategy<Value = String> {
    let words = [
        "executable = job.sh",
        "arguments = ",
        "environment = ",
        "queue",
        " in (",
        " from (",
        ")",
        " matching *",
        "[1:2]",
        "if ",
        "elif ",
        "else",
        "endif",
        "defined ",
        "version >= ",
        "include : ",
        "+X = ",
        "MY.Y = ",
        "requirements = ",
        "request_memory = ",
        "$(A)",
        "$(A:$(B))",
        "$INT(A,%05d)",
        "$REAL(A)",
        "$SUBSTR(A,1,2)",
        "$CHOICE(A,x,y)",
        "$Fpnxq(A)",
        "$EVAL(A)",
        "$$(Cpus)",
        "$ENV(HOME)",
        "$(Process)",
        "$(Cluster)",
        "A = ",
        "B = ",
        "@=end",
        "@end",
        "\\",
        "\n",
        "\n",
        "\n",
        "\"",
        "''",
        "#",
        "x",
        "1",
        "-3",
        "a b",
        "getenv = *",
        "universe = ",
        "container",
        "grid",
        "hold = true",
        "max_retries = 2",
        "log = ",
        "\u{e9}",
        "\t",
        ":",
        "=",
    ];
    prop_oneof![
        4 => proptest::sample::select(words.to_vec()).prop_map(str::to_owned),
        1 => "[ -~]{0,6}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn random_texts_never_panic(parts in proptest::collection::vec(fragment(), 0..40)) {
        let text = parts.concat();
        let _ = Site::new().submit(&text, &Options { max_jobs: Some(2000), ..Options::default() });
        let with_begin = format!("executable = job.sh\n{text}\nqueue 2\n");
        if let Ok(submission) = Site::new().submit(&with_begin, &Options { max_jobs: Some(2000), ..Options::default() }) {
            for cluster in &submission.clusters {
                let mut rows = cluster.rows.as_slice();
                if !cluster.varying.is_empty() {
                    for _ in 0..cluster.procs {
                        rows = classad::unpack_row(rows, cluster.varying.len()).unwrap().1;
                    }
                }
                prop_assert!(rows.is_empty());
            }
        }
    }

    #[test]
    fn any_characters_never_panic(text in "\\PC{0,200}") {
        let _ = Site::new().submit(&text, &Options::default());
    }
}
