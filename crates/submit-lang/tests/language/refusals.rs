//! The words for standard error: refusals and warnings, and what stands before what.

use submit_lang::Options;

use crate::site::{Site, value};

fn site() -> Site {
    let mut site = Site::new();
    site.add("crlf.sh", b"#!/bin/sh\r\nexit 0\r\n");
    site.add("empty.sh", b"");
    site.add("junk.inc", b"arguments = 1\nthis is junk\n");
    site.add("queue.inc", b"queue 2\n");
    site.add("outer.inc", b"\ninclude : junk.inc\n");
    site.add("marked.txt", b"a\n\x01b\n");
    site
}

fn options() -> Options {
    Options { file_name: "t.sub".to_owned(), ..Options::default() }
}

/// `executable = job.sh` stands before unless the text begins with `!`.
fn check(text: &str, want: &str) {
    let text =
        text.strip_prefix('!').map_or_else(|| format!("executable = job.sh\n{text}\n"), |text| format!("{text}\n"));
    let error = site().submit(&text, &options()).expect_err(&text);
    assert_eq!(error.message, want, "{text}");
    assert!(error.stdout_started);
}

fn check_line(text: &str, line: u32, said: &str) {
    let said = said.trim_end_matches('\n');
    check(
        text,
        &format!("\nERROR: on Line {line} of t.sub: {said}\n\nERROR: Failed to parse command file (line {line}).\n"),
    );
}

#[test]
fn lines_that_cannot_be_read() {
    check_line("junk", 2, "");
    check_line("foo bar = 3", 2, "");
    check_line("queue 1 # one", 2, "Invalid Queue count expression");
    check_line("queue 1e99", 2, "Queue count out of range");
    check_line(
        "queue x in (a b",
        2,
        "Reached end of file without finding closing brace ')' for Queue command on line 2",
    );
    check_line("a = \\\n 1\nqueue -1", 4, "Queue count out of range");
    check_line("queue x in [a] (b)", 2, "Invalid [::] statement");
    check_line("queue x from dirs (b)", 2, "Queue keyword conflict");
    check_line("queue x from nosuch |", 2, "not a valid command, errno=2 : No such file or directory");
    check_line("if x > 1", 2, "x > 1 is not a valid if condition because complex conditionals are not supported");
    check_line("if foo", 2, "foo is not a valid if condition because expression is not a conditional");
    check_line(
        "if false\nelif version 8\nendif",
        3,
        "version 8 is not a valid elif condition because complex conditionals are not supported",
    );
    check_line(
        "if version >= x.y",
        2,
        "version >= x.y is not a valid if condition because the version literal is invalid",
    );
    check_line("endif", 2, "endif without matching if");
    check_line("elif true", 2, "elif without matching if");
    check_line("if true\nelse\nelse", 4, "else is not allowed after else");
    check_line("a : b", 2, "invalid queue statement.\nSubmit:-1:Error \"t.sub\", Line 2: cannot parse: a : b\n");
    check_line("a-b = c", 2, "\nSubmit:-1:Error \"t.sub\", Line 2: Illegal Identifier: <a-b>\n");
    check_line("error : no more", 2, "\nSubmit:-1:Error \"t.sub\", Line 2: no more\n");
    check_line(
        "queue x from marked.txt",
        2,
        "the submit description contains the control character U+0001, which cannot be used here",
    );
}

#[test]
fn included_files_are_named() {
    check_line("include : junk.inc", 2, "\nSubmit:-1:Error \"junk.inc\", Line 2, Include Depth 1: \n");
    check_line(
        "include : queue.inc",
        2,
        "\nSubmit:-5:Error \"queue.inc\", Line 1, Include Depth 1: Queue statement not allowed in include file or command\n",
    );
    check_line(
        "include : outer.inc",
        2,
        "\nSubmit:-1:Error \"outer.inc\", Line 2, Include Depth 1: \n|Submit:-1:Error \"junk.inc\", Line 2, Include Depth 2: \n",
    );
}

#[test]
fn a_description_of_a_dag_is_none_of_jobs() {
    check(
        "!JOB a a.sub",
        "\nERROR: on Line 1 of t.sub: \n\nERROR: A DAG file was provided. Please provide a submit file or use condor_submit_dag.\n",
    );
}

#[test]
fn programs_that_cannot_run() {
    check("!executable = empty.sh\nqueue", "\nERROR: Executable file empty.sh has zero length\n");
    check(
        "!executable = crlf.sh\nqueue",
        "\nERROR: Executable file crlf.sh is a script with CRLF (DOS/Windows) line endings.\nThis generally doesn't work, \
         and you should probably run 'dos2unix crlf.sh' -- or a similar tool -- before you resubmit.\n",
    );
    let submission = site().submit("executable = nosuch\nskip_filechecks = warn\nqueue\n", &options()).unwrap();
    assert_eq!(submission.warnings, ["\nWARNING: Can't access executable file nosuch: No such file or directory\n"]);
    assert_eq!(value(&submission, 0, "ExecutableSize").as_deref(), Some("0"));
}

#[test]
fn values_that_do_not_fit() {
    for (text, want) in [
        ("nice_user = yes", "nice_user=yes is invalid, must eval to a boolean."),
        ("core_size = x", "core_size=x is invalid, must eval to an integer."),
        ("dagman_job_id = -1", "dagman_job_id=-1 is invalid, must eval to a non-negative integer."),
        ("deferral_time = -5", "deferral_time = -5 is invalid, must eval to a non-negative integer."),
        (
            "deferral_time = a b",
            "deferral_time = a b is invalid, must eval to a non-negative integer.\nERROR: Parse error in expression: \n\tDeferralTime = a b\n\t",
        ),
        ("universe = standard", "'Standard' is not a supported universe."),
        ("universe = 99", "'Unknown' is not a supported universe."),
        ("universe = parallel", "No machine_count specified!"),
        ("universe = grid", "grid_resource attribute not defined for grid universe job"),
        (
            "universe = grid\ngrid_resource = cream x",
            "Invalid value 'cream' for grid type\nMust be one of: condor, batch, arc, ec2, gce, or azure",
        ),
        ("universe = docker", "docker jobs require a docker_image"),
        ("universe = container", "container jobs require a container_image or docker_image"),
        ("container_image = library://x", "'library://x' is not a valid container image"),
        (
            "universe = java",
            "In Java universe, you must specify the class name to run.\nExample:\n\narguments = MyClass\n",
        ),
        ("kill_sig = SIGFOO", "invalid signal SIGFOO"),
        ("kill_sig = 99", "invalid signal 99"),
        (
            "retry_until = 99999999999",
            "retry_until=99999999999 is invalid, it must be an integer or boolean expression.",
        ),
        ("image_size = 0", "Image Size must be positive"),
        ("image_size = x", "Image Size must be positive\nERROR: 'x' is not valid for Image Size"),
        ("disk_usage = x", "'x' is not valid for disk_usage. It must be >= 1"),
        ("concurrency_limits = a-b", "Invalid concurrency limit 'a-b'"),
        ("accounting_group = a b", "Invalid accounting_group: a b"),
        (
            "requirements = Requirements",
            "Requirements = (Requirements)\nIs Circular. Did you intend to use $(Requirements) ?",
        ),
        ("cuda_version = x", "cuda_version must be of the form 'x' or 'x.y', where x and y are positive integers."),
        (
            "job_machine_attrs_history_length = -1",
            "job_machine_attrs_history_length=-1 is out of bounds 0 to 2147483647",
        ),
        (
            "arguments = a\narguments2 = \"b\"",
            "If you wish to specify both 'arguments' and\n'arguments2' for maximal compatibility with different\nversions of \
             Condor, then you must also specify\nallow_arguments_v1=true.",
        ),
        (
            "env = |A=x;y",
            "failed to insert environment into job ad: Environment entry is not compatible with V1 syntax: A=x;y",
        ),
        (
            "transfer_input_files = s3://a/b",
            "[s3|gs]:// URLS require [s3|aws|gs]_secret_access_key_file to be set.\nERROR: [s3|gs]:// URLs require \
             [s3|aws|gs]_access_key_id_file to be set.",
        ),
        (
            "request_memory = 2G, 1G, 1G",
            "request_memory must have an increasing sequence of values, but 1024 is not greater than 1024",
        ),
    ] {
        check(&format!("{text}\nqueue"), &format!("ERROR: {want}\n"));
    }
}

#[test]
fn a_macro_function_says_where_it_failed() {
    check(
        "arguments = $CHOICE(Process,a,b)\nqueue 3",
        "ERROR at Queue statement on Line 3: $CHOICE() error: index 2 is out of range\n\t at Step 2, ItemIndex 0 while \
         expanding arguments=$CHOICE(Process,a,b)\n",
    );
    check(
        "queue $INT(nothing)",
        "ERROR at Queue statement on Line 2: $INT() error: nothing does not evaluate to an integer\n",
    );
}

#[test]
fn later_messages_stand_first() {
    check(
        "warning : mind this\nrequest_cpu = 2\nnotification = x\npriority = 1\nqueue",
        "ERROR: Notification must be 'Never', 'Always', 'Complete', 'Start', or 'Error'\nWARNING: Warning \"t.sub\", Line 2: mind this\n",
    );
    let text = "executable = job.sh\nzeta = 1\nAlpha = 2\nwarning : mind this\nrequest_cpu = 2\nqueue\n";
    assert_eq!(
        site().submit(text, &options()).unwrap().warnings.concat(),
        "WARNING: Warning \"t.sub\", Line 4: mind this\n\
         WARNING: request_cpu is not a valid submit keyword, did you mean request_cpus?\n\
         WARNING: the line 'zeta = 1' was unused by condor_submit. Is it a typo?\n\
         WARNING: the line 'Alpha = 2' was unused by condor_submit. Is it a typo?\n"
    );
}

#[test]
fn unused_loop_variables_are_named() {
    let submission = site().submit("executable = job.sh\narguments = $(a)\nqueue a, b in (1 2)\n", &options()).unwrap();
    assert_eq!(
        submission.warnings.concat(),
        "WARNING: the Queue variable 'b' was unused by condor_submit. Is it a typo?\n"
    );
}

#[test]
fn the_command_line_conflicts_with_the_text() {
    let queue = Options { queue_args: Some("3".to_owned()), ..options() };
    let error = site().submit("executable = job.sh\n\nqueue\n", &queue).unwrap_err();
    assert_eq!(
        error.message,
        "\nERROR: on Line 3 of t.sub: -queue argument conflicts with queue statement in submit file\n\nERROR: Failed to \
         parse command file (line 3).\n"
    );
    let append = Options { append: vec!["queue 2".to_owned()], ..options() };
    assert_eq!(site().submit("executable = job.sh\n", &append).unwrap().clusters[0].procs, 2);
    let append = Options { append: vec!["priority = 1".to_owned(), "junk".to_owned()], ..options() };
    let error = site().submit("executable = job.sh\nqueue\n", &append).unwrap_err();
    assert!(error.message.ends_with("\nERROR: Failed to parse -a argument line (#2).\n"), "{}", error.message);
}

#[test]
fn spooled_jobs_wait_for_their_files() {
    let spool = Options { spool: true, ..options() };
    let error = site().submit("executable = job.sh\nhold = true\nqueue\n", &spool).unwrap_err();
    assert_eq!(error.message, "ERROR: Cannot set hold to 'true' when using -remote or -spool\n");
    let submission = site().submit("executable = job.sh\noutput = d/o\nerror = e\nqueue\n", &spool).unwrap();
    for (name, want) in [
        ("JobStatus", "5"),
        ("HoldReasonCode", "16"),
        ("HoldReason", "\"Spooling input data files\""),
        ("Out", "\"_condor_stdout\""),
        ("Err", "\"e\""),
        ("TransferOutputRemaps", "\"_condor_stdout=d/o\""),
        (
            "LeaveJobInQueue",
            "JobStatus == 4 && (time() - (CompletionDate ?: time())) < 864000 && (StageOutFinish ?: 0) < EnteredCurrentStatus",
        ),
    ] {
        assert_eq!(value(&submission, 0, name).as_deref(), Some(want), "{name}");
    }
}

#[test]
fn values_over_several_lines_and_extensions() {
    let text = "executable = job.sh\nA @=end\n one\n two\n@end\nB = 1\nB += 2\nB +,= 3\narguments = $(B) $(A)\nqueue\n";
    let submission = site().submit(text, &options()).unwrap();
    assert_eq!(value(&submission, 0, "Args").as_deref(), Some("\"1 2,3 one two\""));
}

#[test]
fn references_may_build_names() {
    let text = "executable = job.sh\nx_1 = one\nn = 1\narguments = $(x_$(n)) $(y:$(x_$(n)))\nqueue\n";
    let submission = site().submit(text, &options()).unwrap();
    assert_eq!(value(&submission, 0, "Args").as_deref(), Some("\"one one\""));
}
