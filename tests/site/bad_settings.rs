//! Settings of `alien_wq_worker.sh` that cannot work: each is refused with a sentence and a remedy, and nothing is started.

use testkit::Terminal;

use crate::prefix::operator;

/// A line, and what its message must say; `remedy:` is looked for in all.
const BAD: &[(&str, &[&str])] = &[
    ("WQ_MASTER=host alien_wq_worker.sh start-foremen", &["WQ_MASTER is 'host'", "WQ_MASTER=host:9094"]),
    ("WQ_MASTER=host: alien_wq_worker.sh start-foremen", &["WQ_MASTER is 'host:'", "HOST:PORT"]),
    ("WQ_MASTER=:9094 alien_wq_worker.sh start-foremen", &["WQ_MASTER is ':9094'", "HOST:PORT"]),
    ("WQ_MASTER=host:99999 alien_wq_worker.sh start-foremen", &["WQ_MASTER is 'host:99999'"]),
    ("WQ_MASTER=::1:9094 alien_wq_worker.sh start-foremen", &["brackets", "WQ_MASTER=[ADDRESS]:PORT"]),
    ("WQ_MASTER=host alien_wq_worker.sh foremen 0", &["WQ_MASTER is 'host'"]),
    ("alien_wq_worker.sh foremen", &["which foreman?", "foremen 0"]),
    ("alien_wq_worker.sh foremen x", &["which foreman?"]),
    ("WQ_NUM_FOREMEN=many alien_wq_worker.sh start-foremen", &["WQ_NUM_FOREMEN is 'many'"]),
    ("WQ_NUM_FOREMEN=0 alien_wq_worker.sh start-workers", &["WQ_NUM_FOREMEN is '0'"]),
    ("WQ_MASTER_BASEPORT=65530 WQ_NUM_FOREMEN=12 alien_wq_worker.sh start-foremen", &["beyond 65535"]),
    ("WQ_NUM_WORKERS=-1 alien_wq_worker.sh start-workers", &["WQ_NUM_WORKERS is '-1'"]),
    ("WQ_CORES=few alien_wq_worker.sh start-workers", &["WQ_CORES is 'few'"]),
    ("WQ_IDLETIMEOUT=1s alien_wq_worker.sh start-workers", &["WQ_IDLETIMEOUT is '1s'"]),
    ("WQ_SINGLETASK=yes alien_wq_worker.sh start-workers", &["WQ_SINGLETASK is 'yes'"]),
    ("WQ_PASSWORD_FILE=none alien_wq_worker.sh start-workers", &["home/none (WQ_PASSWORD_FILE) cannot be read"]),
    ("WQ_WORKDIR=/proc/x alien_wq_worker.sh start-workers", &["/proc/x (WQ_WORKDIR) cannot be written"]),
    ("WQ_WORKDIR=closed/x alien_wq_worker.sh start-workers", &["closed/x (WQ_WORKDIR) cannot be written"]),
    ("WQ_WORKDIR=/etc alien_wq_worker.sh start-workers", &["belongs to another user"]),
    ("env -u HOME alien_wq_worker.sh start-workers", &["neither WQ_WORKDIR nor HOME is set"]),
    ("PATH=$HOME/broken:$PATH alien_wq_worker.sh start-workers", &["does not start: no such library"]),
    ("PATH=$HOME/few alien_wq_worker.sh start-workers", &["work_queue_worker is not on PATH", "env.sh"]),
];

fn refused(terminal: &Terminal, line: &str, parts: &[&str]) {
    let answer = terminal.types(line).exits(1);
    assert_eq!(answer.stdout, "", "{answer}");
    for part in parts.iter().chain(&["alien_wq_worker.sh: ", "\nremedy: "]) {
        assert!(answer.stderr.contains(part), "no {part:?} in\n{answer}");
    }
}

#[test]
fn each_names_the_remedy_and_starts_nothing() {
    let terminal = operator();
    terminal.types("mkdir broken few closed; chmod 555 closed; export WQ_NUM_WORKERS=1 WQ_NUM_FOREMEN=1").ok();
    terminal.write("broken/work_queue_worker", "#!/bin/sh\necho no such library >&2\nexit 127\n", 0o755);
    // All that the script needs but for CCTools.
    let needs = "alien_wq_worker.sh awk find flock getconf getent grep mkdir ps readlink setsid";
    terminal.types(&format!("for p in {needs}; do ln -s \"$(type -P $p)\" few; done")).ok();
    for (line, parts) in BAD {
        refused(&terminal, line, parts);
    }
    assert_eq!(terminal.running(), Vec::<String>::new());
    assert_eq!(terminal.types("find .alien_wq_tmp -type f").stdout, "");
}

#[test]
fn a_taken_port_of_a_foreman_is_named_before_any_is_started() {
    let terminal = operator();
    terminal.types("WQ_NUM_FOREMEN=1 WQ_MASTER_BASEPORT=9082 alien_wq_worker.sh start-foremen").ok();
    terminal.types("export WQ_WORKDIR=$HOME/other WQ_NUM_FOREMEN=3").ok();
    refused(
        &terminal,
        "alien_wq_worker.sh start-foremen",
        &["foreman 2 is to listen on port 9082", "WQ_MASTER_BASEPORT"],
    );
    refused(&terminal, "alien_wq_worker.sh foremen 2", &["foreman 2 is to listen on port 9082"]);
    assert_eq!(terminal.types("alien_wq_worker.sh count-foremen").stdout, "0\n");
}

#[test]
fn a_release_without_single_task_is_not_asked_for_it() {
    let terminal = operator();
    if terminal.types("work_queue_worker --help 2>&1 | grep -e --single-task").code == Some(0) {
        terminal.types("WQ_SINGLETASK=1 WQ_NUM_WORKERS=0 alien_wq_worker.sh start-workers").ok();
    } else {
        refused(&terminal, "WQ_SINGLETASK=1 alien_wq_worker.sh start-workers", &["no --single-task", "WQ_NORESPAWN"]);
    }
}

#[test]
fn unknown_commands_get_the_usage() {
    let terminal = operator();
    let answer = terminal.types("alien_wq_worker.sh start-everything").exits(1);
    assert!(answer.stderr.starts_with("alien_wq_worker.sh: 'start-everything' is no command\nusage: "), "{answer}");
    assert!(terminal.types("alien_wq_worker.sh --help").ok().stdout.starts_with("usage: alien_wq_worker.sh COMMAND\n"));
}
