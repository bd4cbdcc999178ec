//! Peers that are cut off without a word: their network namespace loses its link, so no packet says that they are gone.
//!
//! Only where the tests run as root and may make namespaces; elsewhere the test says so and looks at nothing.

use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use testkit::{ForemanOptions, Guard, Site, SiteOptions, WorkerOptions, wait_until};

const SOON: Duration = Duration::from_secs(60);

/// What the master is told: so long a silence, and so long for the answer, in seconds.
const KEEPALIVE: [&str; 2] = ["1", "2"];

/// A network of its own, with one wire to ours.
struct Away {
    holder: Guard,
    /// Our end of the wire.
    near: String,
    /// Our address on it.
    address: String,
}

impl Away {
    /// `None` where that is not allowed.
    fn new() -> Option<Away> {
        let mut command = Command::new("unshare");
        command.args(["--net", "sh", "-c", "ip link set lo up && echo up && exec sleep 600"]);
        command.stdin(Stdio::null()).stderr(Stdio::null());
        let folder = tempfile::tempdir().expect("a temporary folder");
        let told = folder.path().join("told");
        command.stdout(std::fs::File::create(&told).expect("a file in a new folder"));
        let mut holder = Guard::start("namespace", &mut command).ok()?;
        wait_until(SOON, "a network namespace", || {
            std::fs::read_to_string(&told).is_ok_and(|text| text == "up\n") || holder.ended().is_some()
        })
        .expect("unshare works or fails");
        if holder.ended().is_some() {
            return None;
        }
        // Four addresses for each process that may be: tests that run at the same time do not meet.
        let (pid, id) = (holder.pid(), std::process::id());
        let net = format!("10.{}.{}.{}", 64 + id % 64, pid >> 6 & 255, (pid & 63) << 2);
        let end = |more: u32| {
            let (front, last) = net.rsplit_once('.').expect("an address");
            format!("{front}.{}", last.parse::<u32>().expect("a number") + more)
        };
        let (near, far) = (format!("awq{pid}a"), format!("awq{pid}b"));
        let away = Away { holder, near: near.clone(), address: end(1) };
        let ours = [
            format!("link add {near} type veth peer name {far} netns {pid}"),
            format!("address add {}/30 dev {near}", end(1)),
            format!("link set {near} up"),
        ];
        let theirs = [format!("address add {}/30 dev {far}", end(2)), format!("link set {far} up")];
        let made = ours.iter().all(|words| ip(&[], words)) && theirs.iter().all(|words| ip(&away.enter(), words));
        made.then_some(away)
    }

    /// The begin of a command line that runs a program there.
    fn enter(&self) -> Vec<String> {
        ["nsenter", "--net", "--target"].map(str::to_owned).into_iter().chain([self.holder.pid().to_string()]).collect()
    }

    /// Pulls the plug, or puts it in again. Nobody's socket hears of either.
    fn wire(&self, state: &str) {
        assert!(ip(&[], &format!("link set {} {state}", self.near)), "the wire goes {state}");
    }

    /// A script that starts a worker or foreman there, which is told our address instead of 127.0.0.1 for this port.
    fn program(&self, site: &Site, name: &str) -> PathBuf {
        let (enter, address, port) = (self.enter().join(" "), &self.address, site.port());
        let worker = testkit::require("work_queue_worker");
        let text = format!(
            "#!/bin/bash\nargs=(\"$@\")\nlast=$((${{#args[@]}} - 1))\n\
             [ \"${{args[last]}}\" != {port} ] || args[last - 1]={address}\n\
             exec {enter} {} \"${{args[@]}}\"\n",
            worker.display()
        );
        let path = site.folder().join(name);
        std::fs::write(&path, text).expect("a file of the site");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("our own file");
        path
    }
}

/// Runs `ip`, behind these words; whether it did what was asked.
fn ip(before: &[String], words: &str) -> bool {
    let line: Vec<&str> = before.iter().map(String::as_str).chain(["ip"]).chain(words.split(' ')).collect();
    let done = Command::new(line[0]).args(&line[1..]).stdin(Stdio::null()).stderr(Stdio::null()).status();
    done.is_ok_and(|status| status.success())
}

/// Lines of a file that may not be there yet.
fn lines(site: &Site, name: &str) -> Vec<String> {
    let text = std::fs::read_to_string(site.home().join(name)).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[test]
fn a_worker_and_a_foreman_that_are_cut_off_are_noticed_and_come_back() {
    let Some(away) = Away::new() else {
        eprintln!("not tested: no network namespace can be made here (it needs root, unshare, nsenter, ip)");
        return;
    };
    let mut master_args = ["--bind", &away.address, "--insecure"].map(Into::into).to_vec();
    master_args.extend(["--keepalive-interval-s", KEEPALIVE[0], "--keepalive-timeout-s", KEEPALIVE[1]].map(Into::into));
    let site = Site::with(SiteOptions { master_args, ..SiteOptions::default() });
    let program = Some(away.program(&site, "far"));
    let _worker = site.worker(WorkerOptions { program: program.clone(), ..WorkerOptions::default() });
    let foreman = site.foreman(ForemanOptions { program: program.clone(), ..ForemanOptions::default() });
    let behind = WorkerOptions { program, port: Some(foreman.port()), ..WorkerOptions::default() };
    let _behind = site.worker(behind);

    // Each job tells where it runs, and goes on until it is told to end, or until its worker kills it.
    let home = site.home();
    site.write_script(
        "job.sh",
        &format!(
            "#!/bin/sh\ncd {}\nnet=$(readlink /proc/self/ns/net)\necho \"$1 $net $$\" >> starts\n\
             while [ ! -e go ]; do sleep 0.05; done\necho $1 $net\n",
            home.display()
        ),
    );
    let text = "executable = job.sh\narguments = $(Process)\noutput = out.$(Process)\nlog = log.$(Process)\nqueue 2\n";
    let cluster = site.submit(text);
    site.wait_until(SOON, "both jobs in the other network", || lines(&site, "starts").len() == 2);
    let here = std::fs::read_link("/proc/self/ns/net").expect("the system says").display().to_string();
    let first = lines(&site, "starts");
    assert!(first.iter().all(|line| !line.contains(&here)), "{first:?}");
    let pids: Vec<String> = first.iter().map(|line| line.rsplit(' ').next().expect("a pid").to_owned()).collect();

    let _near = site.worker(WorkerOptions::cores(2));
    away.wire("down");
    let begin = Instant::now();
    site.wait_until(SOON, "both jobs at the worker here", || {
        lines(&site, "starts").iter().filter(|line| line.contains(&here)).count() == 2
    });
    println!("noticed, and both jobs run elsewhere, after {:?}", begin.elapsed());
    assert!(pids.iter().all(|pid| is_job(pid)), "those that were cut off know of nothing and work on");
    assert_eq!(site.statuses(cluster), [2, 2]);

    away.wire("up");
    site.wait_until(SOON, "the end of what runs twice", || !pids.iter().any(|pid| is_job(pid)));
    site.wait_until(SOON, "both peers again", || {
        let answer = site.condor("condor_status", &["-af", "Machine"], "").ok();
        answer.stdout.lines().count() >= 3
    });
    println!("healed: those that came back after {:?} have dropped their tasks", begin.elapsed());
    site.write("go", "");
    site.wait_for_end(cluster, SOON);
    for process in 0..2 {
        assert_eq!(site.read(&format!("out.{process}")), format!("{process} {here}\n"));
        let log = site.read(&format!("log.{process}"));
        let events: Vec<&str> = log.lines().filter(|line| line.starts_with("0")).map(|line| &line[..3]).collect();
        assert_eq!(events, ["000", "001", "004", "001", "005"], "{log}");
        assert!(log.contains("did not answer in time"), "{log}");
    }
    // Those that came back get work again: more jobs at once than the worker here has room for.
    site.write("starts", "");
    std::fs::remove_file(home.join("go")).expect("our own file");
    let cluster = site.submit(&text.replace("queue 2", "queue 4"));
    site.wait_until(SOON, "four jobs at once", || lines(&site, "starts").len() == 4);
    site.write("go", "");
    site.wait_for_end(cluster, SOON);
}

/// Whether the process of a job that told this number is still there.
fn is_job(pid: &str) -> bool {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    String::from_utf8_lossy(&line).contains("agent.sh")
}
