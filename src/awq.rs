//! `awq`, the operator's program: what is done to the state of a master that does not run, how one that runs is replaced,
//! and why jobs wait.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow, bail, ensure};
use clap::{Parser, Subcommand};
use control_proto::{HistoryQuery, ReleaseHosts, Reload, Reloaded, Reply, Request, Site, client};
use journal::Tail;

use crate::history;
use crate::journal_dump::{Form, Printer};
use crate::journal_files::FileStorage;

/// Looks after alien_work_queue.
#[derive(Debug, Parser)]
#[command(name = "awq", version)]
pub struct Awq {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Says why jobs wait: `condor_q -better-analyze`.
    Why {
        /// `CLUSTER` or `CLUSTER.PROC`; without any, all jobs of the caller.
        jobs: Vec<String>,
    },
    /// The password that workers must know.
    Password {
        #[command(subcommand)]
        command: PasswordCommand,
    },
    /// Gives hosts work again that wait because they failed jobs (`condor_status` shows them as Owner, with
    /// `WorkQueueQuarantinedUntil`), and forgets their failures.
    ReleaseHost {
        /// Names as `condor_status` shows them.
        #[arg(required_unless_present = "all", conflicts_with = "all")]
        hosts: Vec<String>,
        /// All hosts.
        #[arg(long)]
        all: bool,
    },
    /// Restarts the master, with the program that is installed now, without losing a running job.
    ///
    /// What is being sent, received or recorded comes to its end first; meanwhile nothing new is sent to workers. The new
    /// program proves in a trial that it can take over before the running one is replaced: if it cannot, nothing changes
    /// and the reason is printed. Connections of workers, their tasks, and clients that wait stay.
    Reload {
        /// Another program than the one that was started.
        #[arg(long, value_name = "PATH")]
        program: Option<PathBuf>,
        /// How long what is under way may take to come to its end.
        #[arg(long, value_name = "SECONDS", default_value_t = 60)]
        wait: u32,
        /// Goes on although workers are connected through TLS, which cannot be handed over: these connections are closed,
        /// and their jobs run again.
        #[arg(long)]
        drop_tls: bool,
    },
    /// The journal: the folder `journal` of the state dir.
    Journal {
        #[command(subcommand)]
        command: JournalCommand,
    },
    /// Answers a question to a history file as a master would; `condor_history` asks it when no master runs.
    History {
        /// The question, as it stands in the control protocol.
        #[arg(long, value_name = "JSON", default_value = "{}")]
        question: String,
        /// The file, `history.db` of the state dir.
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum PasswordCommand {
    /// Writes a new password of 256 random bits to a new file, which only its owner can read.
    Generate {
        /// The file, for `alien_work_queue --password-file` and `work_queue_worker --password`.
        file: PathBuf,
    },
}

#[derive(Debug, Subcommand)]
enum JournalCommand {
    /// Reads everything and says whether a master can start from it.
    Check {
        /// The folder of the journal.
        folder: PathBuf,
    },
    /// Prints every record, one a line, oldest first, and at last what ended the reading. Without arguments,
    /// environments, proxy paths and contents of files, unless `--secrets` is given.
    Dump {
        /// One JSON object a line, for programs.
        #[arg(long)]
        json: bool,
        /// With arguments, environments, proxy paths and contents of files.
        #[arg(long)]
        secrets: bool,
        /// The folder of the journal. A master may be at work on it.
        folder: PathBuf,
    },
    /// Writes a copy of what can be read and lists what is lost; the damaged journal is left as it is.
    Salvage {
        /// The folder of the damaged journal.
        from: PathBuf,
        /// The folder of the copy: new or empty.
        to: PathBuf,
    },
}

/// Carries out one command and prints what came of it.
///
/// # Errors
/// A sentence with place and remedy.
pub fn run(awq: &Awq) -> anyhow::Result<()> {
    match &awq.command {
        Command::Why { jobs } => why(jobs),
        Command::ReleaseHost { hosts, all: _ } => release_hosts(hosts),
        Command::Reload { program, wait, drop_tls } => reload(program.as_deref(), *wait, *drop_tls),
        Command::Journal { command: JournalCommand::Check { folder } } => check(folder),
        Command::Journal { command: JournalCommand::Dump { json, secrets, folder } } => {
            dump(folder, Form { json: *json, secrets: *secrets })
        }
        Command::Journal { command: JournalCommand::Salvage { from, to } } => salvage(from, to),
        Command::Password { command: PasswordCommand::Generate { file } } => generate_password(file),
        Command::History { question, file } => answer(question, file),
    }
}

fn answer(question: &str, file: &Path) -> anyhow::Result<()> {
    let query: HistoryQuery = serde_json::from_str(question).context("the question is none")?;
    ensure!(file.is_file(), "there is no file {}", file.display());
    let host = nix::unistd::gethostname().map_or_else(|_| String::new(), |name| name.to_string_lossy().into_owned());
    let now_s = jiff::Timestamp::now().as_second();
    let site = Site { host, now_s, history: file.to_string_lossy().into_owned(), ..Site::default() };
    // Who can read the file can read it all.
    let asker = history::Asker { uid: nix::unistd::getuid().as_raw(), superuser: true, site };
    let mut out = std::io::stdout().lock();
    history::answer(file, &query, &asker, &mut |frame| out.write_all(&frame).is_ok())
        .with_context(|| format!("cannot read the history {}", file.display()))?;
    out.flush().context("cannot write the answer")
}

/// The program beside this one has the words for it.
fn why(jobs: &[String]) -> anyhow::Result<()> {
    let own = std::env::current_exe().context("cannot find the folder of this program")?;
    let program = own.with_file_name("condor_q");
    let error = std::process::Command::new(&program).arg("-better-analyze").args(jobs).exec();
    Err(error).with_context(|| format!("cannot start {}", program.display()))
}

/// One line of 64 hex digits. Its end belongs to the password, as workers and we read it, so that an editor that adds it
/// to the last line of a file changes nothing.
fn generate_password(path: &Path) -> anyhow::Result<()> {
    let mut random = [0; 32];
    getrandom::fill(&mut random).context("cannot get random bytes")?;
    let mut file = match File::options().write(true).create_new(true).mode(0o600).open(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            bail!("{} exists and is left alone: name a new file, or remove it first", path.display())
        }
        opened => opened.with_context(|| format!("cannot make {}", path.display()))?,
    };
    let written = file.write_all(format!("{}\n", hex::encode(random)).as_bytes()).and_then(|()| file.sync_all());
    if written.is_err() {
        // Half a password is none.
        let _ = std::fs::remove_file(path);
    }
    written.with_context(|| format!("cannot write {}", path.display()))?;
    let path = path.display();
    println!("{path}: a new password; start the master with --password-file {path},");
    println!("copy the file as it is to the hosts of workers (mode 0600), and start them with --password FILE");
    Ok(())
}

/// No names mean all hosts.
fn release_hosts(names: &[String]) -> anyhow::Result<()> {
    let answer = connect()?.ask(&Request::ReleaseHosts(ReleaseHosts { hosts: names.to_vec() }), &[])?;
    match answer.reply {
        Reply::HostsReleased { hosts, others } => {
            hosts.iter().for_each(|host| println!("{host} gets work again"));
            ensure!(
                others.is_empty(),
                "no such host waits for its failures: {}; `condor_status` names the hosts",
                others.join(", ")
            );
            if hosts.is_empty() {
                println!("no host waits for its failures");
            }
            Ok(())
        }
        Reply::Refused { message, .. } => bail!("{message}"),
        other => bail!("the master answered something else: {other:?}"),
    }
}

/// Time for the trial of the new program and for clients that are being answered, beside what is under way.
const TRIAL: Duration = Duration::from_secs(60);

fn reload(program: Option<&Path>, wait_s: u32, drop_tls: bool) -> anyhow::Result<()> {
    let program = program
        .map(|path| {
            let path = std::path::absolute(path).with_context(|| format!("cannot find {}", path.display()))?;
            path.to_str().map(str::to_owned).with_context(|| format!("{} is no UTF-8", path.display()))
        })
        .transpose()?;
    let client = connect()?.with_more_patience(Duration::from_secs(wait_s.into()) + TRIAL);
    match client.ask(&Request::Reload(Reload { program, wait_s, drop_tls }), &[])?.reply {
        Reply::Reloaded(done) => {
            let Reloaded { from, to, paused_ms, links, tasks, dropped } = done;
            println!("release {from} was replaced by {to} within {paused_ms} ms: {links} connections, {tasks} tasks");
            if dropped > 0 {
                println!("{dropped} connections could not be handed over and were closed");
            }
            Ok(())
        }
        Reply::Refused { message, .. } => bail!("{message}"),
        other => bail!("the master answered something else: {other:?}"),
    }
}

fn connect() -> anyhow::Result<client::Client> {
    client::Client::connect(&client::work_dir(), client::wait())
        .map_err(|error| anyhow!("{error}; start it, or let AWQ_WORKDIR name the work dir of the one that runs"))
}

fn check(folder: &Path) -> anyhow::Result<()> {
    ensure!(folder.is_dir(), "{} is no folder: name the folder `journal` of the state dir", folder.display());
    let mut records = 0_u64;
    let recovery = journal::replay(&FileStorage::new(folder), |_| records += 1)?;
    println!("{}: sound, {records} records in {} segments", folder.display(), recovery.segments.len());
    if let Tail::Torn { at, bytes_dropped, records_dropped, fault } = &recovery.tail {
        println!(
            "its end was cut by a crash in {at} ({fault}): {bytes_dropped} bytes and {records_dropped} records that nobody was told of"
        );
    }
    Ok(())
}

/// Damage is said at the end, and the program fails then: what was printed is not all.
fn dump(folder: &Path, form: Form) -> anyhow::Result<()> {
    ensure!(folder.is_dir(), "{} is no folder: name the folder `journal` of the state dir", folder.display());
    let (mut out, mut printer) = (BufWriter::new(std::io::stdout().lock()), Printer::new(form));
    let mut written = Ok(());
    let end = journal::read_through(&FileStorage::new(folder), |entry| {
        if written.is_ok() {
            written = printer.print(&entry, &mut out);
        }
    })?;
    match written.and_then(|()| out.flush()) {
        // `awq journal dump … | head`
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => return Ok(()),
        written => written.context("cannot write the records")?,
    }
    let Some((at, fault)) = end else { return Ok(()) };
    let recovery = journal::survey(&FileStorage::new(folder))?;
    if let Tail::Torn { records_dropped, .. } = &recovery.tail {
        eprintln!(
            "awq: the end was cut by a crash in {at} ({fault}), with {records_dropped} records that nobody was told of"
        );
        return Ok(());
    }
    bail!("reading ended in {at}: {fault}")
}

fn salvage(from: &Path, to: &Path) -> anyhow::Result<()> {
    ensure!(from.is_dir(), "{} is no folder: name the folder `journal` of the state dir", from.display());
    std::fs::create_dir_all(to).with_context(|| format!("cannot make {}", to.display()))?;
    let mut entries = std::fs::read_dir(to).with_context(|| format!("cannot list {}", to.display()))?;
    if entries.next().is_some() {
        bail!("{} is not empty: name a new folder", to.display());
    }
    let mut id = [0; 16];
    getrandom::fill(&mut id).context("cannot get random bytes")?;
    let salvaged = journal::salvage(&FileStorage::new(from), &mut FileStorage::new(to), id)?;
    println!("{}: {} records saved", to.display(), salvaged.records);
    for loss in &salvaged.losses {
        match loss.records {
            // At the very end nobody knows how many there were.
            0 => println!("lost: {} bytes before {}", loss.bytes, loss.before),
            n => println!("lost: {n} records from number {} on, before {}", loss.first_seq, loss.before),
        }
    }
    if salvaged.checkpoint_mended {
        println!("a checkpoint was damaged: jobs may be missing that this list does not name");
    }
    println!("to go on: move {} aside and {} into its place, then start the master", from.display(), to.display());
    Ok(())
}

#[cfg(test)]
mod tests {
    use journal::{How, JobId, LeftQueue, Record, Writer};

    use super::*;

    fn journal_of(folder: &Path, records: u32) {
        let (mut writer, mut storage) = (Writer::create([1; 16]), FileStorage::new(folder));
        for n in 1..=records {
            let left = LeftQueue { job: JobId::new(n, 0), at_s: 5, how: How::Completed };
            writer.append(&Record::from(left)).unwrap();
            let batch = writer.take_batch().unwrap();
            batch.carry_out(&mut storage).unwrap();
            writer.synced(batch.upto_seq);
        }
    }

    fn command(words: &[&str]) -> anyhow::Result<()> {
        run(&Awq::try_parse_from(["awq", "journal"].iter().chain(words)).unwrap())
    }

    #[test]
    fn a_password_is_new_each_time_and_for_its_owner_only() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let made: Vec<String> = ["a", "b"]
            .iter()
            .map(|name| {
                let path = dir.path().join(name);
                run(&Awq::try_parse_from(["awq", "password", "generate", path.to_str().unwrap()]).unwrap()).unwrap();
                assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
                std::fs::read_to_string(&path).unwrap()
            })
            .collect();
        assert_ne!(made[0], made[1]);
        for password in &made {
            assert!(password.len() == 65 && password.ends_with('\n'), "{password:?}");
            assert!(password.trim_end().bytes().all(|byte| byte.is_ascii_hexdigit()), "{password:?}");
        }
        let again = generate_password(&dir.path().join("a")).unwrap_err().to_string();
        assert!(again.contains("exists and is left alone"), "{again}");
        assert_eq!(std::fs::read_to_string(dir.path().join("a")).unwrap(), made[0]);
        assert!(generate_password(&dir.path().join("none/a")).is_err());
    }

    #[test]
    fn a_damaged_journal_is_refused_and_salvaged_into_a_sound_one() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("journal"), dir.path().join("copy"));
        std::fs::create_dir(&from).unwrap();
        journal_of(&from, 20);
        let names = [&from, &to].map(|path| path.to_str().unwrap());
        command(&["check", names[0]]).unwrap();
        command(&["dump", names[0]]).unwrap();
        let file = std::fs::read_dir(&from).unwrap().next().unwrap().unwrap().path();
        let mut bytes = std::fs::read(&file).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 0x10;
        std::fs::write(&file, &bytes).unwrap();
        for form in [&["dump"][..], &["dump", "--json"], &["dump", "--secrets"]] {
            let refused = command(&[form, &[names[0]]].concat()).unwrap_err().to_string();
            assert!(refused.contains("damaged"), "{refused}");
        }
        let refused = command(&["check", names[0]]).unwrap_err().to_string();
        assert!(refused.contains("awq journal salvage"), "{refused}");
        command(&["salvage", names[0], names[1]]).unwrap();
        let mut saved = 0;
        journal::replay(&FileStorage::new(&to), |_| saved += 1).unwrap();
        assert!((17..20).contains(&saved), "{saved}");
        assert_eq!(std::fs::read(&file).unwrap(), bytes, "the damaged one is left as it is");
        let again = command(&["salvage", names[0], names[1]]).unwrap_err().to_string();
        assert!(again.contains("is not empty"), "{again}");
    }
}
