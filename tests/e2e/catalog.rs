//! CCTools' catalog server, status tool and factory, as they are, with our master.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use testkit::{Answer, ForemanOptions, Guard, Site, SiteOptions, WorkerOptions, require, run_command, wait_until};

use crate::support::{Gate, SOON, log_of, run, started};

/// The factory looks at the catalog every 30 s, and the catalog hears of changes within seconds.
const FACTORY_SOON: Duration = Duration::from_secs(150);

/// The project name under which foremen are found.
const FOREMEN: &str = "alien_foremen";

/// A catalog server on loopback that tells nobody else of itself.
struct Catalog {
    port: u16,
    _guard: Guard,
    _folder: tempfile::TempDir,
}

impl Catalog {
    /// It takes any free port and, for TCP, the one behind it; where that is another test's, it ends, and the next one
    /// takes others.
    fn start() -> Catalog {
        (0..10).find_map(|_| Catalog::try_start()).expect("one of ten catalog servers finds two ports in a row")
    }

    /// `None` if the server has ended, or does not hear TCP.
    fn try_start() -> Option<Catalog> {
        let folder = tempfile::tempdir().unwrap();
        let port_file = folder.path().join("port");
        let log = File::create(folder.path().join("log")).unwrap();
        let mut command = Command::new(require("catalog_server"));
        command
            .current_dir(&folder)
            .args(["-I", "127.0.0.1", "-H", "history", "-u", "127.0.0.1:9", "-U", "1d", "-Z"])
            .arg(&port_file)
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        let mut guard = Guard::start("catalog", &mut command).unwrap();
        let mut port = None;
        wait_until(SOON, "port of the catalog", || {
            let text = std::fs::read_to_string(&port_file).unwrap_or_default();
            // Half a number is one too, so an answer is waited for.
            port = text.trim().parse().ok().filter(|port| get(*port, "/query.text").is_some());
            port.is_some() || guard.ended().is_some()
        })
        .unwrap();
        let catalog = Catalog { port: port?, _guard: guard, _folder: folder };
        let probe = || {
            let mut stream = TcpStream::connect(("127.0.0.1", catalog.port + 1)).ok()?;
            stream.write_all(br#"{"type":"probe","project":"probe","name":"probe","port":1}"#).ok()
        };
        let heard = || probe().is_some() && catalog.entry("probe").is_some();
        wait_until(Duration::from_secs(10), "the catalog's second port", heard).is_ok().then_some(catalog)
    }

    /// The options of a master that reports here.
    fn options(&self) -> SiteOptions {
        // The first host does not exist: that must not keep the second from being told.
        let hosts = format!("no-such-host.invalid,127.0.0.1:{}", self.port);
        SiteOptions { master_args: vec!["--catalog-host".into(), hosts.into()], ..SiteOptions::default() }
    }

    /// The entry of a project in `query.text`, which has blank lines between entries.
    fn entry(&self, project: &str) -> Option<String> {
        let text = get(self.port, "/query.text")?;
        let line = format!("project {project}\n");
        text.split("\n\n").map(|entry| format!("{entry}\n")).find(|entry| entry.contains(&line))
    }

    /// Waits until the master's entry has this line.
    #[track_caller]
    fn wait_for(&self, site: &Site, line: &str) -> String {
        let mut entry = String::new();
        site.wait_until(SOON, &format!("{line:?} in the catalog"), || {
            entry = self.entry("alien_jobs").unwrap_or_default();
            entry.lines().any(|found| found == line)
        });
        entry
    }

    /// An option's value that names this catalog.
    fn word(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }
}

/// The body of a web page.
fn get(port: u16, path: &str) -> Option<String> {
    let answer = say(port, &format!("GET {path} HTTP/1.0\r\n\r\n"))?;
    answer.split_once("\r\n\r\n").or(answer.split_once("\n\n")).map(|(_, body)| body.to_owned())
}

/// Says something and hears everything until the other side hangs up.
fn say(port: u16, text: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream.set_read_timeout(Some(SOON)).ok()?;
    stream.write_all(text.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).ok()?;
    Some(String::from_utf8_lossy(&answer).into_owned())
}

/// A number that the master tells status tools.
fn number(site: &Site, name: &str) -> u64 {
    let answer = say(site.port(), "queue_status\n").unwrap();
    let (_, rest) = answer.split_once(&format!("\"{name}\":")).expect(name);
    rest[..rest.find([',', '}']).unwrap()].parse().unwrap()
}

fn status_tool(args: &[&str]) -> Answer {
    run_command(Command::new(require("work_queue_status")).args(args), b"", SOON)
}

/// The rows of a table that the tool prints, below its head, as words.
fn rows(answer: &Answer) -> Vec<Vec<&str>> {
    answer.stdout.lines().skip(1).map(|line| line.split_whitespace().collect()).collect()
}

/// A factory of one-core workers; its log is `factory.log` in the site's logs.
struct Factory {
    _guard: Guard,
    log: PathBuf,
}

impl Factory {
    fn start(site: &Site, catalog: &Catalog, workers_max: u32, extra: &[&str]) -> Factory {
        let path = site.folder().join("logs/factory.log");
        let log = File::options().append(true).create(true).open(&path).unwrap();
        let mut command = Command::new(require("work_queue_factory"));
        command
            .current_dir(site.folder())
            // Where its workers have their folders.
            .env("TMPDIR", site.folder())
            .args(["-T", "local", "-M", "alien_jobs", "--catalog", &catalog.word(), "-w", "0"])
            .args(["-W", &workers_max.to_string(), "--workers-per-cycle", &workers_max.to_string(), "-t", "15"])
            .args(["--cores", "1", "--memory", "200", "--disk", "200", "-d", "wq"])
            .args(extra)
            .arg("-S")
            .arg(site.folder().join("factory"))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log);
        Factory { _guard: Guard::start("factory", &mut command).unwrap(), log: path }
    }

    /// How many workers each look at the catalog called for, before the limit is applied.
    fn needed(&self) -> Vec<u32> {
        let text = read(&self.log);
        text.lines().filter_map(|line| line.split("raw workers needed: ").nth(1)?.parse().ok()).collect()
    }
}

fn read(path: &Path) -> String {
    String::from_utf8_lossy(&std::fs::read(path).unwrap_or_default()).into_owned()
}

#[test]
fn the_catalog_lists_us_and_workers_find_us_there() {
    let catalog = Catalog::start();
    let site = Site::with(catalog.options());
    let entry = catalog.wait_for(&site, "type wq_master");
    for line in [&format!("port {}", site.port()), "address 127.0.0.1", "tasks_waiting 0", "tasks_left 0"] {
        assert!(entry.lines().any(|found| found == line), "{line} in\n{entry}");
    }
    site.submit("executable = /bin/echo\narguments = a secret\noutput = out\nlog = other\nqueue\n");
    let entry = catalog.wait_for(&site, "tasks_waiting 1");
    assert!(!entry.contains("secret"));
    let _worker = site.worker(WorkerOptions { catalog_port: Some(catalog.port), ..WorkerOptions::default() });
    site.wait_for_end(1, SOON);
    assert_eq!(site.read("out"), "a secret\n");
    // The work is done, and the catalog hears of it before the minute is over.
    catalog.wait_for(&site, "tasks_complete 1");
    let listed = status_tool(&["-C", &catalog.word(), "-M", "alien_jobs"]).ok();
    assert_eq!(rows(&listed)[0][0], "alien_jobs", "{listed}");
    assert_eq!(rows(&listed)[0][2], site.port().to_string(), "{listed}");
    let log = log_of(&site, "master");
    assert_eq!(log.matches("the name no-such-host.invalid cannot be looked up").count(), 1, "{log}");
}

#[test]
fn updates_by_tcp_arrive_too() {
    let catalog = Catalog::start();
    let mut options = catalog.options();
    options.master_env = vec![("CATALOG_UPDATE_PROTOCOL".into(), "tcp".into())];
    let site = Site::with(options);
    catalog.wait_for(&site, "project alien_jobs");
}

#[test]
fn the_status_tool_asks_the_master_itself() {
    for password in [None, Some(b"secret".to_vec())] {
        let site = Site::with(SiteOptions { password, ..SiteOptions::default() });
        let port = site.port().to_string();
        let _worker = site.worker(WorkerOptions { memory_mb: 3000, ..WorkerOptions::cores(2) });
        let gate = Gate::closed(&site);
        let script = gate.script(&site);
        let text = format!("executable = {}\narguments = $(Process) token=secret\nqueue 3\n", script.display());
        let cluster = site.submit(&text);
        started(&site, "0");
        started(&site, "1");
        let ask = |option: &str| status_tool(&[option, "127.0.0.1", &port]).ok();

        let queue = ask("-Q");
        assert_eq!(rows(&queue)[0][3..], ["1", "2", "0", "1"], "{queue}");
        assert_eq!(rows(&queue)[0][..1], ["alien_jobs"], "{queue}");
        let tasks = ask("-T");
        let told: Vec<(&str, &str)> = rows(&tasks).iter().map(|row| (row[0], row[1])).collect();
        let id = |proc: u32| format!("{cluster}.{proc}");
        assert_eq!(told, [(&*id(0), "RUNNING"), (&*id(1), "RUNNING"), (&*id(2), "WAITING")], "{tasks}");
        assert!(tasks.stdout.contains("gated.sh") && !tasks.stdout.contains("secret"), "{tasks}");
        let workers = ask("-W");
        assert_eq!(rows(&workers)[0][2..7], ["0", "2", "2", "2", "0"], "{workers}");
        let categories = ask("-A");
        assert_eq!(rows(&categories)[0][..4], ["default", "2", "1", "1"], "{categories}");
        let resources = ask("-R");
        assert_eq!(rows(&resources)[0][..3], ["alien_jobs", "2", "2"], "{resources}");

        gate.open();
        site.wait_for_end(cluster, SOON);
        assert_eq!(number(&site, "tasks_complete"), 3);
        assert_eq!(number(&site, "workers"), 1, "those who asked were no workers");
    }
}

#[test]
fn a_status_request_does_not_wait_for_a_transfer() {
    let site = Site::start();
    // Larger than all buffers on the way: a stopped worker holds it up for good.
    let big = site.write("big", "");
    File::create(&big).unwrap().set_len(200 << 20).unwrap();
    let worker = site.worker(WorkerOptions::default());
    site.wait_until(SOON, "a worker", || number(&site, "workers") == 1);
    nix::sys::signal::kill(pid(&worker.guard), nix::sys::signal::Signal::SIGSTOP).unwrap();
    site.submit("executable = /bin/true\ntransfer_input_files = big\nlog = other\nqueue\n");
    site.wait_until(SOON, "a task on its way", || number(&site, "tasks_on_workers") == 1);
    let answer = status_tool(&["-T", "-t", "5", "127.0.0.1", &site.port().to_string()]).ok();
    assert_eq!(rows(&answer)[0][..2], ["1.0", "WAITING"], "{answer}");
    nix::sys::signal::kill(pid(&worker.guard), nix::sys::signal::Signal::SIGCONT).unwrap();
    site.wait_for_end(1, SOON);
}

fn pid(guard: &Guard) -> nix::unistd::Pid {
    nix::unistd::Pid::from_raw(guard.pid().cast_signed())
}

#[test]
fn the_factory_brings_and_takes_workers() {
    let catalog = Catalog::start();
    let site = Site::with(catalog.options());
    with_a_factory(&site, &catalog, &[]);
}

#[test]
fn the_factory_brings_and_takes_workers_behind_a_foreman() {
    let catalog = Catalog::start();
    let site = Site::with(catalog.options());
    let extra = ["--foreman-name", FOREMEN].map(Into::into).into();
    // As a foreman, this program does not look at its option `--catalog`.
    let port = catalog.port.to_string();
    let env = [("CATALOG_HOST", "127.0.0.1"), ("CATALOG_PORT", &port)].map(|(k, v)| (k.into(), v.into())).into();
    let _foreman = site.foreman(ForemanOptions { extra, env, ..ForemanOptions::default() });
    site.wait_until(SOON, "the foreman in the catalog", || catalog.entry(FOREMEN).is_some());
    assert_eq!(number(&site, "workers"), 0, "a foreman without workers is none");
    with_a_factory(&site, &catalog, &["--foremen-name", FOREMEN]);
}

/// Forty jobs bring the eight workers that are allowed, and no task is counted twice; without work all go again.
#[track_caller]
fn with_a_factory(site: &Site, catalog: &Catalog, extra: &[&str]) {
    catalog.wait_for(site, "tasks_waiting 0");
    let factory = Factory::start(site, catalog, 8, extra);
    site.wait_until(FACTORY_SOON, "a first look of the factory", || !factory.needed().is_empty());
    assert_eq!((factory.needed(), number(site, "workers_total")), (vec![0], 0));
    let gate = Gate::closed(site);
    let script = gate.script(site);
    let cluster = site.submit(&format!("executable = {}\narguments = $(Process)\nqueue 40\n", script.display()));
    site.wait_until(FACTORY_SOON, "eight busy workers", || number(site, "tasks_running") == 8);
    // The factory looks again while they run. Foremen tell of themselves once a minute; until then it counts less.
    let looks = factory.needed().len();
    site.wait_until(FACTORY_SOON, "a look of the factory that sees them run", || {
        factory.needed()[looks..].last() == Some(&40)
    });
    assert!(factory.needed().iter().all(|needed| *needed <= 40), "{:?}", factory.needed());
    assert_eq!((number(site, "workers_total"), number(site, "tasks_waiting")), (8, 32));
    gate.open();
    site.wait_for_end(cluster, SOON);
    site.wait_until(FACTORY_SOON, "the end of all workers", || {
        number(site, "workers_total") == 0 && factory.needed().last() == Some(&0)
    });
    assert_eq!(number(site, "tasks_complete"), 40);
}

#[test]
fn a_wrong_catalog_is_refused_with_a_sentence() {
    let check = |args: &[&str], protocol: &str| {
        let site = Site::with(SiteOptions { without_master: true, ..SiteOptions::default() });
        let status = site.master_command().args(args).env("CATALOG_UPDATE_PROTOCOL", protocol).status().unwrap();
        assert_eq!(status.code(), Some(1));
        log_of(&site, "master")
    };
    let log = check(&["--catalog-host", "a,,b"], "");
    assert!(log.contains("--catalog-host \"a,,b\": an entry names no host; give HOST or HOST:PORT"), "{log}");
    let log = check(&["--catalog-host", "a:http"], "");
    assert!(log.contains("--catalog-host a:http: \"http\" is no port"), "{log}");
    let log = check(&["--catalog-host", "a"], "smoke");
    assert!(log.contains("CATALOG_UPDATE_PROTOCOL=smoke: give udp or tcp, or unset it"), "{log}");
}

#[test]
fn a_catalog_that_is_not_there_is_told_once_and_work_goes_on() {
    let site = Site::with(SiteOptions {
        master_args: ["--catalog-host", "127.0.0.1", "--catalog-port", "9"].map(Into::into).into(),
        ..SiteOptions::default()
    });
    let _worker = site.worker(WorkerOptions::default());
    // The work that comes and goes makes the master try again.
    run(&site, "executable = /bin/echo\narguments = hello\noutput = out\nqueue\n");
    assert_eq!(site.read("out"), "hello\n");
    site.wait_until(SOON, "a warning", || log_of(&site, "master").contains("no report to the catalog server"));
    let log = log_of(&site, "master");
    assert_eq!(log.matches("no report to the catalog server").count(), 1, "{log}");
    assert!(log.contains("127.0.0.1:9: Connection refused"), "{log}");
}
