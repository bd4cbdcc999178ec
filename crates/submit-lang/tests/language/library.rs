//! Cases in which we once differed from HTCondor's own reader, as the Python packages htcondor 24.12.24 (jobs) and
//! 25.13.2 (macros) answered them. Found with files made at random.

use submit_lang::{ClusterText, Options};

use super::site::{Site, value};

fn options() -> Options {
    Options { file_name: "t.sub".to_owned(), cluster: ClusterText::Number(1), ..Options::default() }
}

/// What a value becomes: the text of `SubmitEventNotes`, without its quotes.
fn expanded(text: &str) -> String {
    let file = format!("executable = job.sh\nL = a b,c\nE =\nP = /x/y.z\nsubmit_event_notes = {text}\nqueue\n");
    let submission = Site::new().submit(&file, &options()).unwrap_or_else(|error| panic!("{text}: {error}"));
    value(&submission, 0, "SubmitEventNotes").map_or(String::new(), |text| text[1..text.len() - 1].to_owned())
}

#[test]
fn file_functions_take_a_name_that_is_no_macro() {
    for (text, wanted) in [
        ("$F(T)", "T"),
        ("$F(a-b)", "a-b"),
        ("$F(/a/b c)", "/a/b c"),
        ("$Fn(x.y)", "x"),
        ("$Fx(nosuch.ext)", ".ext"),
        ("$Fnx(/a/b/c.d)", "c.d"),
        ("$BASENAME(/a/b.c)", "b.c"),
        ("$BASENAME(T)", "T"),
        ("$DIRNAME(/a/b.c)", "/a/"),
        ("$DIRNAME(T)", ""),
        ("$F(P)", "/x/y.z"),
        // A function's parenthesis ends at the first one that closes; what is left is read again.
        ("$F($(P))", "/x/y.z"),
        ("$Fnx($(P))", "/x/y.z"),
        ("$F($(E))", ""),
        ("$F(a$(L)b)", "a"),
    ] {
        assert_eq!(expanded(text), wanted, "{text}");
    }
}

#[test]
fn what_is_no_expression_evaluates_to_nothing() {
    for (text, wanted) in [("$EVAL(L)", ""), ("$EVAL(1 +)", ""), ("$EVAL(nosuch)", "undefined"), ("$EVAL(1 + 1)", "2")]
    {
        assert_eq!(expanded(text), wanted, "{text}");
    }
}

#[test]
fn requests_that_are_no_more_than_the_usual_ask_nothing() {
    let asks = |line: &str| {
        let file = format!("executable = job.sh\n{line}\nqueue\n");
        let submission = Site::new().submit(&file, &options()).unwrap_or_else(|error| panic!("{line}: {error}"));
        let name = line["request_".len()..].split(' ').next().unwrap().to_ascii_lowercase();
        value(&submission, 0, "Requirements").unwrap().to_ascii_lowercase().contains(&format!("request{name}"))
    };
    for line in [
        "request_cpus = -1",
        "request_cpus = true",
        "request_memory = false",
        "request_memory = true",
        "request_disk = false",
        "request_gpus = JobStatus == 2",
        "request_foo = JobStatus == 2",
        "request_foo = {1}",
    ] {
        assert!(!asks(line), "{line}");
    }
    for line in ["request_cpus = 2", "request_disk = true", "request_gpus = a + 1", "request_foo = 2.5"] {
        assert!(asks(line), "{line}");
    }
}

#[test]
fn seconds_are_no_truth_and_numbers_have_no_zero_in_front() {
    for (line, wanted) in [
        ("deferral_time = false", "deferral_time = false is invalid, must eval to a non-negative integer."),
        ("rank = 0007", "Rank = 0007"),
        ("request_cpus = 04", "RequestCpus = 04"),
        ("+Mine = 0x10", "Mine = 0x10"),
        ("+Mine = \"a\" \"b\"", "Mine = \"a\" \"b\""),
    ] {
        let file = format!("executable = job.sh\n{line}\nqueue\n");
        let refused = Site::new().submit(&file, &options()).expect_err(line);
        assert!(refused.message.contains(wanted), "{line}: {}", refused.message);
    }
}

#[test]
fn slices_have_no_blanks_behind_their_numbers() {
    let items = |queue: &str| {
        let file = format!("executable = job.sh\n+V = \"$(V)\"\n{queue}\n");
        let submission = Site::new().submit(&file, &options()).map_err(|error| error.message)?;
        let jobs = submission.clusters.iter().map(|cluster| cluster.procs).sum::<u32>() as usize;
        Ok((0..jobs).map(|job| value(&submission, job, "V").unwrap()).collect::<Vec<_>>().join(" "))
    };
    for (queue, wanted) in [
        ("queue V in [ 1:] (a b c)", "\"b\" \"c\""),
        ("queue V in [+1:] (a b c)", "\"b\" \"c\""),
        ("queue V in [1:2:] (a b c)", "\"b\""),
        ("queue V in [1:]", "\"[1:]\""),
        ("queue V in [a]", "\"[a]\""),
        ("queue V in [] a b", "\"a\" \"b\""),
    ] {
        assert_eq!(items(queue).as_deref(), Ok(wanted), "{queue}");
    }
    for queue in ["queue V in [1 :] (a)", "queue V in [ ] (a)", "queue V in [ :1] (a)", "queue V in [1: ] a"] {
        let refused: Result<String, String> = items(queue);
        assert!(refused.is_err_and(|message| message.contains("Invalid [::] statement")), "{queue}");
    }
}
