//! The README's "A site, step by step", typed word for word by an ordinary user with a generous umask, whose home folder
//! has blanks and a long name.
//!
//! Of the README only the code is read; what it must lead to stands here. A `screen` is a shell that runs on, and the
//! computing element is one that submits a job as AliEn's does.

use std::time::Duration;

use testkit::{Terminal, run_command};

use crate::prefix::{cctools, install, top};

const SOON: Duration = Duration::from_secs(120);

/// The code blocks below a heading, without their indentation.
fn blocks(heading: &str) -> Vec<String> {
    let readme = std::fs::read_to_string(top().join("README.md")).expect("the README");
    let (_, rest) =
        readme.split_once(&format!("\n### {heading}\n")).unwrap_or_else(|| panic!("no heading {heading:?}"));
    let part = rest.split("\n##").next().expect("a text has a first part");
    let mut blocks = vec![String::new()];
    for line in part.lines() {
        match line.strip_prefix("    ") {
            Some(code) => *blocks.last_mut().expect("one block at least") += &format!("{code}\n"),
            None if blocks.last().is_some_and(|block| !block.is_empty()) => blocks.push(String::new()),
            None => {}
        }
    }
    blocks.retain(|block| !block.is_empty());
    blocks
}

/// The blocks below a heading, of which there must be this many.
#[track_caller]
fn code<const COUNT: usize>(heading: &str) -> [String; COUNT] {
    let found = blocks(heading);
    found.try_into().unwrap_or_else(|found| panic!("{COUNT} blocks were expected below {heading:?}: {found:?}"))
}

/// Types the lines of a block; the last one runs on, as in a screen.
fn in_a_screen(terminal: &Terminal, name: &str, block: &str) {
    let (before, last) = block.trim_end().rsplit_once('\n').expect("two lines at least");
    terminal.types(before).ok();
    terminal.leaves_running(name, &format!("echo $BASHPID > \"$HOME/{name}.pid\"; exec {last}"));
    terminal.waits_for(SOON, "condor_q -af ClusterId JobStatus HoldReason", "");
}

/// Submits as many jobs as there shall be, and waits for their outputs.
fn jobs_run(terminal: &Terminal, name: &str, jobs: usize) {
    terminal.types(&format!("for i in $(seq {jobs}); do alien StartCE {name}.$i; done")).ok();
    terminal.waits_for(SOON, "condor_q -af ClusterId JobStatus HoldReason", "");
    let outputs = terminal.types(&format!("cat {name}.*.out")).ok().stdout;
    assert_eq!(outputs, "the agent runs for host:8084\n".repeat(jobs));
}

/// Home with everything that the README takes for granted, and what `make install` has put there.
fn newcomer() -> Terminal {
    let terminal = Terminal::open(&format!("home {}", "of a newcomer ".repeat(8).trim_end()));
    assert!(terminal.home().as_os_str().len() > 120);
    terminal.types("umask 002").ok();
    // Installed by the test's own user, who has a toolchain; what the README says of it is checked below.
    let build = tempfile::tempdir().unwrap();
    install(build.path(), &terminal.home().join("awq"));
    terminal.write("agent.startup", "#!/bin/bash -e\necho the agent runs for $ALIEN_CM_AS_LDAP_PROXY\n", 0o755);
    let submit = "executable = $HOME/agent.startup\\narguments = \\noutput = $HOME/${2:-ce}.out\\nlog = $HOME/${2:-ce}.log\\n\
                  environment=CONDOR_ID=$(Cluster).$(Process);ALIEN_CM_AS_LDAP_PROXY=host:8084\\nqueue\\n";
    let submit = submit.replace("$(", "\\$(");
    terminal.types(&format!("alien() {{ [[ $1 = StartCE ]] && printf \"{submit}\" | condor_submit; }}")).ok();
    terminal
}

#[test]
fn the_recipe_is_the_one_that_is_tested() {
    let [recipe] = code("Install");
    let prefix = cctools();
    assert_eq!(
        recipe,
        format!(
            "mkdir build\ncd build\ncmake .. -DCMAKE_INSTALL_PREFIX=\"$HOME/awq\" -DCCTOOLS={}\nmake install\n",
            if prefix.starts_with("/usr") { "/usr" } else { "PREFIX" }
        )
    );
}

#[test]
fn a_site_with_foremen() {
    let terminal = newcomer();
    let [start_foremen, stop_foremen] = code("Start the foremen on the head node");
    terminal.types(&start_foremen).ok();
    let [screen, master] = code("Start the master on the head node");
    assert_eq!(screen, "screen -S awq_screen\n");
    in_a_screen(&terminal, "master", &master);
    let [element] = code("Start the computing element on the head node");
    terminal.types(&element).ok();
    let [start_workers, stop_workers] = code("Start workers");
    // An execute node with more processors than this one may have.
    terminal.types("export WQ_NUM_WORKERS=4").ok();
    terminal.types(&start_workers).ok();
    terminal.waits_for(SOON, "condor_q -af ClusterId JobStatus HoldReason", "");
    assert_eq!(terminal.read("ce.out"), "the agent runs for host:8084\n");
    jobs_run(&terminal, "more", 8);
    let (count, stop) = stop_workers.split_once("alien_wq_worker.sh drain\n").expect("the README drains");
    terminal.waits_for(SOON, count, "4");
    terminal.types("alien_wq_worker.sh drain").ok();
    terminal.waits_for(SOON, count, "0");
    terminal.types(stop).ok();
    terminal.types(&start_foremen).ok();
    assert_eq!(terminal.types(&stop_foremen).ok().stdout, "12\n");
    terminal.types("test ! -e .alien_wq_tmp; kill -INT $(cat master.pid)").ok();
    terminal.waits_for(SOON, "kill -0 $(cat master.pid) 2> /dev/null || echo ended", "ended");
    assert_eq!(terminal.running(), Vec::<String>::new());
}

#[test]
fn a_site_without_foremen() {
    let terminal = newcomer();
    let [master, workers] = code("Start workers without foremen");
    terminal.types("source \"$HOME/awq/etc/env.sh\"").ok();
    in_a_screen(&terminal, "master", &master);
    assert_eq!(terminal.types("stat -c %a .awq_password").stdout, "600\n");
    terminal.types("export WQ_NUM_WORKERS=2").ok();
    terminal.types(&workers).ok();
    jobs_run(&terminal, "job", 4);
    terminal.types("alien_wq_worker.sh stop-workers; test ! -e .alien_wq_tmp").ok();
}

#[test]
fn the_tables_have_every_variable_and_option() {
    let readme = std::fs::read_to_string(top().join("README.md")).expect("the README");
    let script = std::fs::read_to_string(top().join("scripts/alien_wq_worker.sh")).expect("the script");
    let mut variables: Vec<&str> = script
        .split(|c: char| !(c.is_ascii_uppercase() || c == '_'))
        .filter(|word| word.starts_with("WQ_") && *word != "WQ_IN_BACKGROUND")
        .collect();
    variables.sort_unstable();
    variables.dedup();
    assert_eq!(variables.len(), 13, "{variables:?}");
    for variable in variables {
        assert!(readme.contains(&format!("\n| `{variable}` | ")), "{variable} is not in the README");
        assert!(script.contains(&format!("\n  {variable} ")), "{variable} is not in the script's help");
    }
    let mut help = std::process::Command::new(testkit::bin("alien_work_queue"));
    let help = run_command(help.arg("--help"), b"", SOON).ok().stdout;
    for option in ["--job-wrapper", "--work-dir", "--catalog-host", "--catalog-port", "--project-name"] {
        assert!(help.contains(option) && readme.contains(&format!("`{option} ")), "{option}");
    }
}
