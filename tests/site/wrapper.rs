//! `etc/alien_job_wrapper.sh`: what a job sees of its environment, and when it runs in Parrot.

use testkit::Terminal;

use crate::prefix::top;

fn wrapped(terminal: &Terminal, line: &str) -> String {
    let wrapper = top().join("etc/alien_job_wrapper.sh");
    let text = std::fs::read_to_string(wrapper).expect("the wrapper");
    terminal.write("wrapper.sh", &text, 0o755);
    terminal.types(line).ok().stdout
}

#[test]
fn only_variables_of_alien_and_a_minimal_environment_reach_the_job() {
    let terminal = Terminal::open("home");
    let seen = wrapped(
        &terminal,
        "export USER=me ALIEN_A='two\nlines; $x' ALIEN_EMPTY= OTHER=1 XALIEN_A=1; ./wrapper.sh env -0 | sort -z | tr '\\0' '|'",
    );
    let home = terminal.home().display();
    assert_eq!(
        seen,
        format!(
            "ALIEN_A=two\nlines; $x|ALIEN_EMPTY=|HOME={home}|LANG=C|LANGUAGE=C|LC_ALL=C|LC_COLLATE=C|LC_CTYPE=C|\
             LC_MESSAGES=C|LC_MONETARY=C|LC_NUMERIC=C|LC_TIME=C|PATH=/bin:/usr/bin|USER=me|"
        )
    );
}

#[test]
fn the_job_keeps_process_id_arguments_and_exit_code() {
    let terminal = Terminal::open("home");
    let seen = wrapped(
        &terminal,
        "bash -c 'echo $$; exec ./wrapper.sh sh -c \"echo \\$\\$ \\\"\\$1\\\"; exit 7\" sh \"a  b\"'; [ $? = 7 ]",
    );
    let (first, rest) = seen.split_once('\n').expect("two lines");
    assert_eq!(rest, format!("{first} a  b\n"));
}

#[test]
fn parrot_is_used_where_there_is_no_cvmfs_and_asked_for() {
    let terminal = Terminal::open("home");
    assert_eq!(wrapped(&terminal, "PATH=$HOME:$PATH; ALIEN_USE_PARROT=0 ./wrapper.sh echo job"), "job\n");
    if std::path::Path::new("/cvmfs/alice.cern.ch").exists() {
        assert_eq!(wrapped(&terminal, "ALIEN_USE_PARROT=1 ./wrapper.sh echo job"), "job\n");
        return;
    }
    terminal.write("parrot_run", "#!/bin/sh\n[ \"$1\" = -v ] || { echo in parrot; exec \"$@\"; }\n", 0o755);
    assert_eq!(
        wrapped(&terminal, "ALIEN_USE_PARROT=1 ./wrapper.sh echo job"),
        "NOTE: using Parrot for CVMFS\nin parrot\njob\n"
    );
    terminal.write("parrot_run", "#!/bin/sh\nexit 1\n", 0o755);
    assert_eq!(
        wrapped(&terminal, "ALIEN_USE_PARROT=1 ./wrapper.sh echo job"),
        "NOTE: Parrot not found, not using it\njob\n"
    );
}
