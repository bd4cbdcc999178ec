//! The order in which things come up (decisions D1 to D8).
//!
//! Options, then what can be checked without touching anything, then the locks, then the socket of the clients, whose
//! requests wait until replay is over, then the worker port, replay, and service.

use std::convert::Infallible;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use anyhow::{Context, bail};
use bytes::Bytes;
use journal::keeper::Compaction;
use nix::unistd::{Gid, Group, geteuid, getuid};
use tokio::sync::Notify;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use wq_core::ids::BlobId;
use wq_core::io::BlobIn;
use wq_core::{Config, Master, Zone};
use wq_proto::Password;

use crate::blobs::{self, Blobs, INLINE_MAX, Store};
use crate::clock::{Clock, Reading};
use crate::control::{Callers, SiteFacts};
use crate::driver::{Parts, Shell};
use crate::event_logs::{self, EventLogs};
use crate::handover::{self, Arrival, Heritage};
use crate::history;
use crate::journal_files::FileStorage;
use crate::links::{self, Credentials, Links, Listening};
use crate::local_jobs::LocalJobs;
use crate::options::{Options, Settings};
use crate::outputs::{self, Outputs, Words};
use crate::places::{self, StateDir, WorkDir};
use crate::pool::Pool;
use crate::prepare::Preparer;
use crate::record_keeper::RecordKeeper;
use crate::report::Report;
use crate::rereading::Rereading;
use crate::status::About;
use crate::systemd::Manager;
use crate::{catalog, control, legacy, limits, logging, recovery, secrecy, signals, stop};

/// Largest password file that is read, bytes.
const PASSWORD_MAX: u64 = 64 << 10;

/// Runs the master until it ends, and with it the process: 0 in good order, 130 or 143 after a second signal, 1 if a
/// stop took too long.
///
/// # Errors
/// What keeps it from serving, as sentences for the operator.
pub fn run(options: &Options, role: Role) -> anyhow::Result<Infallible> {
    logging::start(&options.log_level, options.log_format)?;
    let manager = Rc::new(Manager::from_environment());
    if !options.core_dumps {
        secrecy::forbid_core_dumps();
    }
    let arrival = role.handover.map(Arrival::inherited).transpose()?;
    let password = options.password_file.as_deref().map(read_password).transpose()?;
    let credentials = options.tls.clone().map(Credentials::load).transpose().context("TLS")?;
    let listening = links::addresses(&options.bind, password.is_some(), options.insecure)?;
    let group = options.group.as_deref().map(find_group).transpose()?;
    let host = host_name()?;
    let descriptors = limits::raise();

    let held = arrival.as_ref().map(Arrival::locks).transpose()?;
    let (work_dir, state_dir) = places::take(&options.work_dir, &options.state_dir, group, &host, held)?;
    let (clients, workers) = match &arrival {
        None => {
            warn(&listening, &state_dir);
            (work_dir.bind()?, links::listen(&listening, options.port)?)
        }
        Some(arrival) => (arrival.control()?, links::listen_on(&listening, options.port, arrival.workers()?)?),
    };
    let heritage = heritage(&work_dir, &state_dir, &clients, &workers)?;
    let addresses = workers
        .iter()
        .map(std::net::TcpListener::local_addr)
        .collect::<Result<Vec<_>, _>>()
        .context("a bound socket")?;

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("cannot start tokio")?;
    let site = site_facts(options, &host, &addresses, &state_dir.history());
    work_dir.add_door(history::FILE_NAME, &state_dir.history());
    let about = About {
        project: options.project_name.clone(),
        host,
        owner: control::look_up(geteuid().as_raw()),
        port: addresses.first().map_or(options.port, SocketAddr::port),
        started_s: Reading::now().context("cannot read the clocks")?.wall_s,
        insecure: listening.open,
        tls: credentials.is_some(),
        links_max: descriptors.links,
    };
    let links = Links::new(descriptors.links, options.strangers_max, credentials);
    let submitter = submitter(&site, options)?;
    let core = arrival.as_ref().map(|arrival| arrival.state.core.clone());
    let (shell, reports) = build(options, &state_dir, site, about, links, work_dir.drain(), core)?;
    tracing::info!(
        work_dir = %work_dir.path().display(),
        state_dir = %state_dir.path().display(),
        descriptors = descriptors.limit,
        links_max = descriptors.links,
        "alien_work_queue {} begins",
        env!("CARGO_PKG_VERSION")
    );
    let local = tokio::task::LocalSet::new();
    let end = local.block_on(&runtime, async {
        let clients = tokio::net::UnixListener::from_std(clients).context("cannot serve the socket")?;
        let password = password.map(Rc::new);
        for listener in workers {
            let listener = tokio::net::TcpListener::from_std(listener).context("cannot serve the worker port")?;
            tokio::task::spawn_local(links::accept(listener, password.clone(), Rc::clone(&shell)));
        }
        if let Some(credentials) = &shell.links.credentials {
            tokio::task::spawn_local(Rc::clone(credentials).keep_fresh());
        }
        tokio::task::spawn_local(control::accept(clients, options.submission_max, Rc::clone(&shell)));
        tokio::task::spawn_local(Rc::clone(&shell).take_reports(reports));
        let taken = match &arrival {
            None => Vec::new(),
            Some(arrival) => {
                arrival.clients()?.into_iter().for_each(|client| shell.door.wait(client));
                shell.links.take_over(&arrival.state.links, password.as_deref(), &shell).context("cannot take over")?
            }
        };
        shell.start();
        for (link, peer) in taken {
            tokio::task::spawn_local(link.serve(Rc::clone(&shell), peer));
        }
        if let Some(arrival) = &arrival {
            arrived(arrival, &shell)?;
        }
        tokio::task::spawn_local(handover::serve(Rc::clone(&shell), heritage, Rc::clone(&manager)));
        tokio::task::spawn_local(Rc::clone(&shell).keep_time());
        tokio::task::spawn_local(Rc::clone(&shell).end_turns());
        tokio::task::spawn_local(Rc::clone(&shell).settle_blobs());
        tokio::task::spawn_local(Rc::clone(&shell).watch());
        tokio::task::spawn_local(legacy::watch(work_dir.queue(), submitter, Rc::clone(&shell)));
        tokio::task::spawn_local(legacy::tell(work_dir.stat(), Rc::clone(&shell)));
        let own: Rc<[SocketAddr]> = addresses.as_slice().into();
        for server in &options.catalog_servers {
            let (server, transport) = (server.clone(), options.catalog_transport);
            tokio::task::spawn_local(catalog::inform(Rc::clone(&shell), server, transport, Rc::clone(&own)));
        }
        // After a planned restart nobody waits for it, and stdout may be gone.
        for address in addresses.iter().filter(|_| arrival.is_none()) {
            println!("alien_work_queue: listening on {address}");
        }
        let served: Vec<String> = addresses.iter().map(ToString::to_string).collect();
        manager.ready(&format!("workers are served on {}", served.join(", ")));
        let rereading = Rereading::new(role.settings);
        let ended = async { stop::wait(Rc::clone(&shell), &manager, rereading).await.context("cannot hear signals") };
        tokio::select! {
            end = ended => end,
            () = manager.feed_watchdog() => unreachable!("it is fed for ever"),
        }
    })?;
    match end {
        // The locks go with the process, after the last write.
        stop::End::InOrder => stop::leave(&runtime, &shell),
        stop::End::AtOnce(_) | stop::End::TooLate => {
            shell.local_jobs.end_all();
            std::process::exit(end.code().into())
        }
    }
}

/// Replays the journal and puts everything together.
fn build(
    options: &Options,
    state_dir: &StateDir,
    site: SiteFacts,
    about: About,
    links: Links,
    drain_file: PathBuf,
    handed: Option<::handover::Core>,
) -> anyhow::Result<(Rc<Shell>, UnboundedReceiver<Report>)> {
    // Threads leave signals to this one.
    let _held = signals::hold();
    let uid = geteuid().as_raw();
    let store = Arc::new(Store::open(&state_dir.spool(), uid).context("cannot open the spool")?);
    let wrapper = options.job_wrapper.as_deref().map(|path| take_wrapper(path, &store)).transpose()?;
    let mut storage = FileStorage::new(&state_dir.journal());
    let jobs = std::path::absolute(state_dir.spool().join("jobs")).context("cannot find the working directory")?;
    let now = Reading::now().context("cannot read the clocks")?;
    let mut core = Master::new(config(options, &site, &jobs, wrapper, now)?);
    if let Some(handed) = handed {
        core.take_over(handed);
    }
    let recovered = recovery::recover(&storage, &store, &mut core)?;
    recovery::tell_tail(&recovered.journal);
    recovered.journal.settle(&mut storage).context("cannot sync the journal")?;
    recovery::tidy(&store, core.blobs().into_iter()).context("cannot tidy the spool")?;
    recovery::tidy_jobs(&jobs, |job| core.is_spooled(job)).context("cannot tidy the spool")?;
    let clock = Clock::new(&recovered.past, now);
    tracing::info!(records = recovered.records, next = recovered.journal.next_seq, "the journal is read");

    let (results, reports) = unbounded_channel();
    let turn = Rc::new(Notify::new());
    let words = Words::new(&site.host);
    let spool = state_dir.spool();
    let absolute = |path: &Path| std::path::absolute(path).context("cannot find the working directory");
    let local_folder = absolute(&spool.join("local"))?;
    let local_jobs = LocalJobs::open(local_folder, absolute(&options.work_dir)?, words.clone(), results.clone())
        .context("cannot open the folder of local jobs")?;
    let outputs = Outputs::new(words.clone(), random_name(), &spool.join("unfinished"), options.outputs_fsync)
        .context("cannot open the list of unfinished outputs")?;
    let writer = recovered.journal.writer(random());
    let live = recovered.journal.checkpoint.map_or(0, |checkpoint| checkpoint.bytes);
    let compaction = Compaction::new(options.journal_floor_kb << 10, live);
    let contents = {
        let store = Arc::clone(&store);
        move |hash: &journal::BlobHash| store.read_small(BlobId(*hash))
    };
    let shell = Shell::new(Parts {
        core,
        clock,
        links,
        callers: Callers::new(site, uid, options.group.clone(), options.superusers.clone()),
        pool: Pool::start(results.clone(), Rc::clone(&turn)).context("cannot start threads")?,
        outputs: Arc::new(outputs),
        blobs: Blobs::new(store),
        preparer: Preparer::new(words),
        local_jobs,
        about,
        turn: Rc::clone(&turn),
        records: RecordKeeper::start(writer, storage, compaction, contents, results.clone(), Rc::clone(&turn))
            .context("cannot start a thread")?,
        logs: EventLogs::start(results.clone()).context("cannot start a thread")?,
        history: (options.history.jobs > 0)
            .then(|| history::Keeper::start(state_dir.history(), options.history, results))
            .transpose()
            .context("cannot start a thread")?,
        histories: history::Readers::new(state_dir.history()),
        drain_file,
    });
    Ok((shell, reports))
}

/// What the core is told of site and options; `jobs` is the folder of spooled jobs.
fn config(
    options: &Options,
    site: &SiteFacts,
    jobs: &Path,
    job_wrapper: Option<BlobIn>,
    now: Reading,
) -> anyhow::Result<Config> {
    let spool = jobs.to_str().with_context(|| format!("the state dir {} is no UTF-8", jobs.display()))?;
    Ok(Config {
        host: site.host.clone(),
        domain: site.domain.clone(),
        address: site.address.clone(),
        condor_version: site.condor_version.clone(),
        cpus: std::thread::available_parallelism().map_or(1, |count| count.get() as u64),
        memory_mb: nix::sys::sysinfo::sysinfo().map_or(0, |info| info.ram_total() >> 20),
        started_s: now.wall_s,
        project: options.project_name.clone(),
        job_wrapper,
        one_write: options.one_write,
        match_requirements: options.match_requirements,
        local_jobs_max: options.local_jobs_max,
        check_busy_s: options.keepalive_interval_s,
        check_answer_s: options.keepalive_timeout_s,
        concurrency_limits: options.concurrency_limits.clone(),
        outputs_fsync: options.outputs_fsync,
        history: options.history.jobs > 0,
        boot_id: now.boot_id,
        zone: Zone(Some(Arc::new(event_logs::local_offset))),
        spool: spool.to_owned(),
        ..Config::default()
    })
}

/// How the program was started.
#[derive(Debug)]
pub struct Role {
    /// The number of an inherited file with the state of the program before this one.
    pub handover: Option<i32>,
    /// Only prove that such a state can be taken over.
    pub check: bool,
    /// What options, environment and file said.
    pub settings: Settings,
}

/// Proves that the state on standard input can be taken over: everything is read and put together, nothing is touched.
///
/// # Errors
/// Why it cannot.
pub fn check_handover(options: &Options) -> anyhow::Result<()> {
    logging::start(&options.log_level, options.log_format)?;
    let arrival = Arrival::read(&mut std::io::stdin().lock())?;
    arrival.check_places(&options.work_dir, &options.state_dir)?;
    let password = options.password_file.as_deref().map(read_password).transpose()?;
    links::addresses(&options.bind, password.is_some(), options.insecure)?;
    options.group.as_deref().map(find_group).transpose()?;
    let site = site_facts(options, &host_name()?, &[], &options.state_dir.join(history::FILE_NAME));
    let wrapper = options.job_wrapper.as_deref().map(read_wrapper).transpose()?;
    let jobs =
        std::path::absolute(options.state_dir.join("spool/jobs")).context("cannot find the working directory")?;
    let now = Reading::now().context("cannot read the clocks")?;
    let mut core = Master::new(config(options, &site, &jobs, wrapper.map(|(blob, _)| blob), now)?);
    core.take_over(arrival.state.core);
    let past = recovery::rehearse(&FileStorage::new(&options.state_dir.join("journal")), &mut core)?;
    core.start(Clock::new(&past, now).now());
    if let Some(misfit) = core.misfits().first() {
        bail!("{misfit}, and {} more do not fit to the journal", core.misfits().len() - 1);
    }
    core.check_invariants();
    handover::prove();
    Ok(())
}

/// What the program after this one will get.
fn heritage(
    work_dir: &WorkDir,
    state_dir: &StateDir,
    clients: &UnixListener,
    workers: &[TcpListener],
) -> anyhow::Result<Heritage> {
    let copy = |file: BorrowedFd<'_>| file.try_clone_to_owned().context("too few open files are allowed");
    let absolute = |path: &Path| std::path::absolute(path).context("cannot find the working directory");
    let mut args = std::env::args_os();
    Ok(Heritage {
        program: Heritage::program(args.next()).context("cannot find this program")?,
        args: Heritage::args(args),
        work_dir: absolute(work_dir.path())?,
        state_dir: absolute(state_dir.path())?,
        work_lock: copy(work_dir.lock_file().as_fd())?,
        state_lock: copy(state_dir.lock_file().as_fd())?,
        control: copy(clients.as_fd())?,
        workers: workers.iter().map(|listener| copy(listener.as_fd())).collect::<Result<_, _>>()?,
    })
}

/// Work is sent again: tells the operator, and the one who asked for the restart.
fn arrived(arrival: &Arrival, shell: &Rc<Shell>) -> anyhow::Result<()> {
    let misfits = shell.look(|core, _| core.misfits().to_vec());
    for misfit in &misfits {
        tracing::error!(misfit, "a run was lost in the planned restart");
    }
    let told = arrival.told(misfits.len());
    tracing::info!(
        from = told.from,
        to = told.to,
        paused_ms = told.paused_ms,
        links = told.links,
        tasks = told.tasks,
        "the planned restart is done"
    );
    if let Some(asker) = arrival.asker()? {
        tokio::task::spawn_local(handover::answer(asker, told, Rc::clone(shell)));
    }
    Ok(())
}

/// What an operator should know before anything goes wrong.
fn warn(listening: &Listening, state_dir: &StateDir) {
    let say = |text: String| {
        eprintln!("alien_work_queue: warning: {text}");
    };
    if listening.open {
        say("other hosts can connect without a password (--insecure)".into());
    }
    if state_dir.on_tmpfs() {
        say(format!("the state dir {} is in memory (tmpfs): a reboot empties it", state_dir.path().display()));
    }
    if getuid().is_root() {
        say("running as root: only root's jobs are taken, and they run with the rights of the workers".into());
    }
}

fn read_password(path: &Path) -> anyhow::Result<Password> {
    let attempt = || format!("cannot read the password file {}", path.display());
    let facts = std::fs::metadata(path).with_context(attempt)?;
    if facts.len() > PASSWORD_MAX {
        bail!("the password file {} is larger than {PASSWORD_MAX} bytes", path.display());
    }
    let password = Password::from_file_content(&std::fs::read(path).with_context(attempt)?);
    if password.is_empty() {
        bail!("the password file {} is empty", path.display());
    }
    if facts.permissions().mode() & 0o077 != 0 {
        eprintln!("alien_work_queue: warning: the password file {} can be read by others", path.display());
    }
    Ok(password)
}

fn find_group(name: &str) -> anyhow::Result<Gid> {
    if let Ok(number) = name.parse() {
        return Ok(Gid::from_raw(number));
    }
    match Group::from_name(name).with_context(|| format!("cannot look up the group {name}"))? {
        Some(group) => Ok(group.gid),
        None => bail!("--group {name}: no such group"),
    }
}

/// The wrapper travels like any executable, so it is stored like one.
fn take_wrapper(path: &Path, store: &Store) -> anyhow::Result<BlobIn> {
    let (blob, bytes) = read_wrapper(path)?;
    store.write_small(blob.id, &bytes).context("cannot store the job wrapper")?;
    Ok(blob)
}

fn read_wrapper(path: &Path) -> anyhow::Result<(BlobIn, Bytes)> {
    let attempt = || format!("cannot read the job wrapper {}", path.display());
    let bytes = Bytes::from(std::fs::read(path).with_context(attempt)?);
    let (id, size) = (blobs::hash(&bytes), bytes.len() as u64);
    let inline = (bytes.len() <= INLINE_MAX).then(|| bytes.clone());
    Ok((BlobIn { id, size, mode: 0o755, inline }, bytes))
}

fn site_facts(options: &Options, host: &str, addresses: &[SocketAddr], history: &Path) -> SiteFacts {
    let domain = host.split_once('.').map_or(host, |(_, domain)| domain);
    SiteFacts {
        host: host.to_owned(),
        domain: domain.to_owned(),
        address: shown_address(addresses),
        condor_version: format!(
            "$CondorVersion: 25.13.2 2026-08-20 BuildID: alien-workqueue-{} $",
            env!("CARGO_PKG_VERSION")
        ),
        history: match options.history.jobs {
            0 => String::new(),
            _ => history.to_string_lossy().into_owned(),
        },
        alien_count_lines: options.alien_count_lines,
        submit_hint: options.submit_hint,
    }
}

/// In whose name files of the spool folder become jobs: ours.
fn submitter(site: &SiteFacts, options: &Options) -> anyhow::Result<legacy::Submitter> {
    // It may have been removed; only relative paths need it.
    let cwd = std::env::current_dir().unwrap_or_else(|_| "/".into());
    let uid = geteuid().as_raw();
    Ok(legacy::Submitter {
        uid,
        name: control::look_up(uid),
        umask: outputs::own_umask().context("cannot read our umask")?.unwrap_or(0o022),
        cwd: cwd.to_string_lossy().into_owned(),
        host: submit_lang::HostFacts {
            arch: std::env::consts::ARCH.to_ascii_uppercase(),
            opsys: std::env::consts::OS.to_ascii_uppercase(),
            opsys_and_ver: String::new(),
            opsys_major_ver: String::new(),
            filesystem_domain: site.domain.clone(),
            uid_domain: site.domain.clone(),
            condor_version: site.condor_version.clone(),
            condor_platform: Config::default().condor_platform,
        },
        submission_max: options.submission_max,
    })
}

/// What is shown where HTCondor shows the schedd's address: IPv4 if there is one, and no wildcard.
fn shown_address(addresses: &[SocketAddr]) -> String {
    let shown = addresses.iter().find(|address| address.is_ipv4()).or(addresses.first());
    match shown {
        Some(address) if address.ip().is_unspecified() => format!("127.0.0.1:{}", address.port()),
        Some(address) => address.to_string(),
        None => String::new(),
    }
}

fn host_name() -> anyhow::Result<String> {
    let name = nix::unistd::gethostname().context("cannot read the host name")?;
    name.into_string().ok().context("the host name is no text")
}

fn random() -> [u8; 16] {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("Linux has had getrandom since 3.17");
    bytes
}

/// Part of the temporary names of this run.
fn random_name() -> String {
    hex::encode(&random()[..6])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shown_address_can_be_connected_to() {
        let address = |text: &str| text.parse::<SocketAddr>().unwrap();
        assert_eq!(shown_address(&[address("[::1]:9"), address("127.0.0.1:9")]), "127.0.0.1:9");
        assert_eq!(shown_address(&[address("[::]:9"), address("0.0.0.0:9")]), "127.0.0.1:9");
        assert_eq!(shown_address(&[address("10.0.0.7:9")]), "10.0.0.7:9");
    }

    #[test]
    fn a_password_file_must_hold_something() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert!(read_password(file.path()).unwrap_err().to_string().ends_with("is empty"));
        std::fs::write(file.path(), "x\n").unwrap();
        assert!(read_password(file.path()).is_ok());
        assert!(read_password(Path::new("/no/such")).is_err());
    }

    #[test]
    fn an_unknown_group_is_named() {
        assert_eq!(find_group("no-such-group").unwrap_err().to_string(), "--group no-such-group: no such group");
        assert_eq!(find_group("12345").unwrap(), Gid::from_raw(12_345));
    }
}
