//! From a command line to queued jobs.

use std::io::Read;
use std::time::{Duration, Instant};

use control_proto::client::{Answer, Client, ClientError};
use control_proto::{Reply, Request};
use submit_lang::{ClusterText, Options, Refusal, Submission, SubmitError};

use crate::master;
use crate::version;
use crate::world::{Outcome, World};

use super::command_line::{Asked, DryRun, Order, Source, read};
use super::print;
use super::send::{Manner, PackError, Parcel, Unreadable, pack};
use super::spool;
use super::system::{System, file_error};

const USAGE: &str = include_str!("../usage/condor_submit.txt");

/// A connection that waited longer for a slow submit text is made anew: the master cuts off silent clients.
const CONNECTION_KEPT: Duration = Duration::from_secs(2);

/// What the slowest disk that we wait for writes.
const DISK_BYTES_PER_S: u64 = 4 << 20;

/// `condor_submit ARGUMENTS…`
pub fn run(arguments: &[String], stdin: &mut dyn Read, world: &World) -> Outcome {
    match read(arguments) {
        Asked::Order(order) => match submit(&order, stdin, world) {
            Ok(outcome) => outcome,
            Err(failure) => {
                // A client whose pipe breaks takes that for another failure than ours.
                if order.reads_standard_input() && !world.input_is_screen {
                    let _ = std::io::copy(stdin, &mut std::io::sink());
                }
                failure.outcome(&order, world)
            }
        },
        Asked::Help => Outcome::answer(USAGE),
        Asked::Version => version::answer(),
        Asked::Mistake => Outcome::failure(USAGE),
        Asked::Refused(line) => Outcome::failure(format!("{line}\n")),
    }
}

/// Why nothing was submitted.
#[derive(Debug)]
enum Failure {
    Master(ClientError),
    UnknownName,
    /// The submit file cannot be opened.
    File {
        name: String,
        why: String,
    },
    Text(SubmitError),
    Executable(Unreadable),
    /// `-spool` or `-remote`: an input cannot be copied.
    Input(Unreadable),
    /// A file was there and cannot be read to its end.
    Sending(Unreadable),
    DryRunFile {
        name: String,
        why: String,
    },
    Refused(String),
    Unexpected,
}

impl Failure {
    fn outcome(self, order: &Order, world: &World) -> Outcome {
        let address_of = match &order.name {
            Some(name) => format!("schedd {name}"),
            None => "local schedd".to_owned(),
        };
        let cannot_find = format!("\nERROR: Can't find address of {address_of}\n");
        match self {
            Failure::Master(error @ ClientError::Down { .. }) => master::down(world, &error, &cannot_find),
            Failure::Master(error) => Outcome::failure(format!("\nERROR: {error}\n")),
            Failure::UnknownName => Outcome::failure(cannot_find),
            Failure::File { name, why } => {
                Outcome::failure(format!("\nERROR: Failed to open command file ({name}) ({why})\n"))
            }
            Failure::Text(error) => {
                let started = error.stdout_started && order.announces();
                let word = if order.dry_run.is_some() { "Dry-Run" } else { "Submitting" };
                let dots = ".".repeat(if order.verbose() { 0 } else { error.dots as usize });
                Outcome {
                    code: SubmitError::EXIT_CODE,
                    out: if started { format!("{word} job(s){dots}").into() } else { Vec::new() },
                    err: error.message.into(),
                }
            }
            Failure::Executable(Unreadable { path, error }) => {
                Outcome::failure(format!("\nERROR: Can't access executable file {path}: {}\n", file_error(&error).text))
            }
            Failure::Input(Unreadable { path, error }) => Outcome::failure(format!(
                "\nERROR: Can't copy input file {path}: {}\nERROR: Failed to spool job files.\n",
                file_error(&error).text
            )),
            Failure::Sending(Unreadable { path, error }) => Outcome::failure(format!(
                "\nERROR: Can't send {path}: {}; nothing was submitted, try again\n",
                file_error(&error).text
            )),
            Failure::DryRunFile { name, why } => {
                Outcome::failure(format!("\nERROR: Failed to open file -dry-run output file ({why}): {name}\n"))
            }
            Failure::Refused(sentence) => Outcome::failure(format!("\nERROR: {sentence}\n")),
            Failure::Unexpected => master::unexpected(world),
        }
    }
}

/// The way to the master, opened before the text is read (decision D4).
struct Line<'a> {
    world: &'a World,
    client: Option<(Client, Instant)>,
}

impl<'a> Line<'a> {
    fn open(world: &'a World, name: Option<&str>) -> Result<Line<'a>, Failure> {
        if let Some(name) = name
            && !master::name_is_known(world, name).map_err(Failure::Master)?
        {
            return Err(Failure::UnknownName);
        }
        let client = master::connect(world).map_err(Failure::Master)?;
        Ok(Line { world, client: Some((client, Instant::now())) })
    }

    /// The first one is the open connection if that is still fresh.
    fn client(&mut self) -> Result<Client, Failure> {
        match self.client.take() {
            Some((client, since)) if since.elapsed() < CONNECTION_KEPT => Ok(client),
            _ => master::connect(self.world).map_err(Failure::Master),
        }
    }

    fn submit(&mut self, parcel: &Parcel) -> Result<Answer, Failure> {
        // The master answers when the files are on its disk.
        let client = self.client()?.with_more_patience(Duration::from_secs(parcel.bytes() / DISK_BYTES_PER_S));
        let answer = client.ask_with(&parcel.request, |out| parcel.attach(out)).map_err(Failure::Sending)?;
        answer.map_err(Failure::Master)
    }

    fn reserve_cluster(&mut self) -> Result<u32, Failure> {
        match self.client()?.ask(&Request::ReserveCluster, &[]).map_err(Failure::Master)?.reply {
            Reply::Reserved { cluster } => Ok(cluster),
            Reply::Refused { code, message, speaks } => Err(Failure::Refused(master::sentence(code, &message, speaks))),
            _ => Err(Failure::Unexpected),
        }
    }

    /// The first of `count` numbers in a row. Others may reserve in between; numbers that do not fit stay unused.
    fn reserve_clusters(&mut self, count: usize) -> Result<u32, Failure> {
        const TRIES_MAX: usize = 1000;
        let (mut first, mut last) = (0, 0);
        for _ in 0..TRIES_MAX.max(count.saturating_mul(4)) {
            let number = self.reserve_cluster()?;
            if last == 0 || number != last + 1 {
                first = number;
            }
            last = number;
            if (last - first) as usize + 1 >= count {
                return Ok(first);
            }
        }
        Err(Failure::Refused(format!("{count} cluster numbers in a row could not be reserved")))
    }
}

fn submit(order: &Order, stdin: &mut dyn Read, world: &World) -> Result<Outcome, Failure> {
    if let Some(dry_run) = &order.dry_run {
        let texts = texts(order, stdin, world)?;
        let system = System::new(world, stdin);
        let submission = ads(&texts, &options(order, ClusterText::Number(1)), &system)?;
        return write_dry_run(order, dry_run, &submission, world);
    }
    let mut line = Line::open(world, order.name.as_deref())?;
    let texts = texts(order, stdin, world)?;
    let system = System::new(world, stdin);
    let expanded = expand(order, &texts, &system, &mut line);
    let (submission, number) = match expanded {
        Ok(done) => done,
        Err(failure) => {
            // HTCondor takes a cluster number before it looks at values, so a refused text uses one up; a text that
            // cannot be read does not. The refusal stands whether or not the master hears of it.
            if let Failure::Text(SubmitError { refusal, .. }) = &failure
                && !matches!(refusal, Refusal::Line { .. } | Refusal::AppendedLine { .. } | Refusal::DagFile { .. })
            {
                let _ = line.reserve_cluster();
            }
            return Err(failure);
        }
    };
    if submission.clusters.is_empty() {
        let out = if order.announces() { "Submitting job(s)\n" } else { "" };
        return Ok(Outcome { code: 0, out: out.into(), err: print::warnings(order, &submission, "").into() });
    }
    let manner = Manner { first_number: number, umask: world.umask, spool: order.spools() };
    let packed = pack(&submission, &manner, &|path| system.path(path));
    let parcel = packed.map_err(|error| match error {
        PackError::Executable(unreadable) => Failure::Executable(unreadable),
        PackError::Input(unreadable) => Failure::Input(unreadable),
    })?;
    let answer = line.submit(&parcel)?;
    match &answer.reply {
        Reply::Submitted { clusters, warnings } => {
            let (out, hint) = print::success(order, &submission, clusters, &answer.site, world.now_s);
            let mut err = print::warnings(order, &submission, &hint);
            err.extend(parcel.warnings);
            err.extend(warnings.iter().map(|sentence| format!("WARNING: {sentence}\n")));
            Ok(Outcome { code: 0, out: out.into(), err: err.into() })
        }
        Reply::Refused { code, message, speaks } => Err(Failure::Refused(master::sentence(*code, message, *speaks))),
        _ => Err(Failure::Unexpected),
    }
}

/// A submit text and what it is called.
struct Text {
    /// `None`: it comes from no file.
    file: Option<String>,
    text: String,
}

/// The submit texts. Standard input is read to its end, so that no client's pipe breaks.
fn texts(order: &Order, stdin: &mut dyn Read, world: &World) -> Result<Vec<Text>, Failure> {
    let failed =
        |name: &str, error: &std::io::Error| Failure::File { name: name.to_owned(), why: file_error(error).text };
    let mut texts = Vec::new();
    for source in order.sources() {
        let (file, bytes) = match source {
            Source::Nothing => (None, Vec::new()),
            Source::StandardInput => {
                let mut bytes = Vec::new();
                stdin.read_to_end(&mut bytes).map_err(|error| failed("<stdin>", &error))?;
                (None, bytes)
            }
            Source::File(name) => {
                let bytes = std::fs::read(std::path::Path::new(&world.cwd).join(&name));
                let bytes = bytes.map_err(|error| failed(&name, &error))?;
                (Some(name), bytes)
            }
        };
        let text =
            String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned());
        texts.push(Text { file, text });
    }
    Ok(texts)
}

fn options(order: &Order, cluster: ClusterText) -> Options {
    Options {
        file_name: "<stdin>".to_owned(),
        before: order.before.clone(),
        append: order.append.clone(),
        queue_args: order.queue.clone(),
        batch_name: order.batch_name.clone(),
        single_cluster: order.single_cluster,
        max_jobs: order.max_jobs,
        disable_file_checks: order.disable_file_checks,
        spool: order.spool,
        remote: order.remote,
        cluster,
    }
}

/// Expands the texts; a second time with real numbers where they compute with them.
fn expand(
    order: &Order,
    texts: &[Text],
    system: &System<'_>,
    line: &mut Line<'_>,
) -> Result<(Submission, Option<u32>), Failure> {
    let mut wanted = options(order, ClusterText::Placeholder);
    let submission = ads(texts, &wanted, system)?;
    // Inputs that are read now must have their full names now.
    let inputs_need_number = order.spools() && submission.clusters.iter().any(spool::names_the_cluster);
    if !submission.needs_cluster_number && !inputs_need_number {
        return Ok((submission, None));
    }
    let first = line.reserve_clusters(submission.clusters.len())?;
    wanted.cluster = ClusterText::Number(first);
    Ok((ads(texts, &wanted, system)?, Some(first)))
}

/// The ads of all texts together; a later text's clusters count on from those before it.
fn ads(texts: &[Text], options: &Options, system: &System<'_>) -> Result<Submission, Failure> {
    let mut all = Submission { clusters: Vec::new(), warnings: Vec::new(), needs_cluster_number: false };
    for Text { file, text } in texts {
        let mut options = options.clone();
        if let Some(file) = file {
            options.file_name.clone_from(file);
        }
        if let ClusterText::Number(number) = &mut options.cluster {
            *number += u32::try_from(all.clusters.len()).unwrap_or(u32::MAX);
        }
        let mut submission = submit_lang::submit(text, &options, system).map_err(Failure::Text)?;
        // Only jobs of a file name it.
        if file.is_none() {
            for cluster in &mut submission.clusters {
                cluster.ad.retain(|(name, _)| name != "JobSubmitFile");
            }
        }
        all.clusters.append(&mut submission.clusters);
        all.warnings.append(&mut submission.warnings);
        all.needs_cluster_number |= submission.needs_cluster_number;
    }
    Ok(all)
}

fn write_dry_run(order: &Order, dry_run: &DryRun, submission: &Submission, world: &World) -> Result<Outcome, Failure> {
    let to_stdout = dry_run.file == "-";
    let (out, file) = print::dry_run(order, submission, world.now_s, dry_run.full, to_stdout);
    if !to_stdout {
        std::fs::write(std::path::Path::new(&world.cwd).join(&dry_run.file), file)
            .map_err(|error| Failure::DryRunFile { name: dry_run.file.clone(), why: file_error(&error).text })?;
    }
    let mut err = print::warnings(order, submission, "");
    if !(order.spool || order.remote) {
        return Ok(Outcome { code: 0, out: out.into(), err: err.into() });
    }
    // As recorded: a dry run has no schedd that the files could go to.
    err +=
        "\nDCSchedd::spoolJobFiles:7002:File transfer failed for target job 1.0: \nERROR: Failed to spool job files.\n";
    Ok(Outcome { code: 1, out: out.into(), err: err.into() })
}
