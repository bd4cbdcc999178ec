//! Which files a job takes along and which it brings back, read from its ad (decisions D19, D23, D26-D28, D35).

use classad::{ClassAd, Scope, Value};
use control_proto::job_files::{absolute, input_path, local_input, split_list};

use super::command::SandboxNames;
use super::spool::Spool;
use super::words::{base_name, split_env_v1, split_remaps, split_v1, split_v2};
use crate::ids::BlobId;
use crate::io::{Plan, PlannedCopy, PlannedInput, Trouble};
use crate::jobs::view::JobView;

/// Attribute of jobs that came through the spool folder, lower case; `master::doors` makes it.
const TAKEN: &str = "_awqtaken";

/// Files up to this size are sent for each attempt, in bytes; larger ones that repeat stay in the worker's cache.
pub const KEPT_ABOVE: u64 = 64 << 10;

/// `should_transfer_files`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TransferMode {
    /// `YES`: declared outputs, or all new files.
    Yes,
    /// `IF_NEEDED`: declared outputs.
    IfNeeded,
    /// `NO`: only stdout and stderr.
    No,
}

/// A stored blob of the job: executable, proxy or token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BlobUse {
    /// Its hash.
    pub id: BlobId,
    /// Bytes.
    pub size: u64,
    /// Permission bits.
    pub mode: u32,
}

impl BlobUse {
    /// As it stands, in quotes, in the hidden attributes `_AwqExecutable`, `_AwqProxy` and `_AwqToken`.
    pub fn to_text(self) -> String {
        format!("\"{}\"", self.words())
    }

    /// Hash, bytes and permission bits.
    pub(super) fn words(self) -> String {
        format!("{} {} {:o}", self.id, self.size, self.mode)
    }

    /// Reads what [`BlobUse::to_text`] wrote, without its quotes.
    pub fn from_text(text: &str) -> Option<BlobUse> {
        let mut parts = text.split(' ');
        Some(BlobUse {
            id: BlobId::from_text(parts.next()?)?,
            size: parts.next()?.parse().ok()?,
            mode: u32::from_str_radix(parts.next()?, 8).ok()?,
        })
    }
}

/// Where stdout or stderr goes on this side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stream {
    /// Nobody wants it.
    Null,
    /// An absolute path.
    File(String),
}

/// Everything about the files of one job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JobFiles {
    /// Initial directory, as the submitter knows it.
    pub iwd: String,
    /// The folder of a spooled job, where its outputs wait to be fetched.
    pub spool: Option<String>,
    /// `Cmd`.
    pub cmd: String,
    /// The executable that travels; `None`: `cmd` is run as written.
    pub executable: Option<BlobUse>,
    /// X.509 proxy.
    pub proxy: Option<BlobUse>,
    /// Bearer token.
    pub token: Option<BlobUse>,
    /// Arguments, one word each.
    pub arguments: Vec<String>,
    /// Variables.
    pub environment: Vec<(String, String)>,
    /// Mode.
    pub mode: TransferMode,
    /// stdin on this side.
    pub stdin: Option<String>,
    /// stdout.
    pub stdout: Stream,
    /// stderr.
    pub stderr: Stream,
    /// stdout grows in its place while the job runs.
    pub stream_stdout: bool,
    /// stderr does.
    pub stream_stderr: bool,
    /// Inputs: path on this side as written, name in the sandbox, "content only".
    pub inputs: Vec<PlannedInput>,
    /// Declared outputs: path in the sandbox, absolute target.
    pub outputs: Vec<(String, String)>,
    /// `transfer_output_remaps` with absolute targets.
    pub remaps: Vec<(String, String)>,
    /// All new files come back (mode `YES` and nothing declared).
    pub everything: bool,
    /// The job came through the spool folder: it gets the original's command line.
    pub bare: bool,
    /// Mode of new output files.
    pub output_mode: u32,
    /// `MaxTransferInputMB`.
    pub max_input_mb: Option<u64>,
    /// `MaxTransferOutputMB`.
    pub max_output_mb: Option<u64>,
}

impl JobFiles {
    /// Reads the ad; `machine` is what `$$(…)` may name. Fails with the hold that the job deserves.
    pub fn read(view: &JobView<'_>, machine: &ClassAd) -> Result<JobFiles, Trouble> {
        let expand = |text: String| expand_machine(&text, machine, view);
        let spool = view.spool_folder();
        let iwd = submit_iwd(view);
        let flag = |name: &str| match view.value(name) {
            Value::Bool(b) => Some(b),
            _ => None,
        };
        let mode = match view.string("shouldtransferfiles").unwrap_or_default().to_ascii_uppercase().as_str() {
            "YES" => TransferMode::Yes,
            "NO" => TransferMode::No,
            _ => TransferMode::IfNeeded,
        };
        let blob = |name: &str| view.string(name).and_then(|text| BlobUse::from_text(&text));
        let cmd = view.string("cmd").unwrap_or_default();
        // In the spool outputs stand side by side under their own names; what they become is decided when they are
        // fetched.
        let remaps = if spool.is_some() { Vec::new() } else { output_remaps(view, &iwd) };
        let outputs_to = spool.as_deref().unwrap_or(&iwd);
        let named = |name: &str, transfer: &str| {
            let given = |path: &String| !path.is_empty() && path != "/dev/null" && flag(transfer) != Some(false);
            view.string(name).filter(given)
        };
        let stream = |name: &str, transfer: &str| match named(name, transfer) {
            Some(path) if spool.is_some() => Stream::File(absolute(outputs_to, base_name(&path))),
            Some(path) => Stream::File(absolute(outputs_to, &path)),
            None => Stream::Null,
        };
        let declared = view.string("transferoutput");
        let everything = mode == TransferMode::Yes && declared.is_none();
        let outputs = match (&declared, mode) {
            (_, TransferMode::No) | (None, _) => Vec::new(),
            (Some(list), _) => {
                split_list(list).into_iter().map(|name| declared_output(outputs_to, &remaps, name)).collect()
            }
        };
        let keep_paths = flag("preserverelativepaths") == Some(true);
        let inputs = if mode == TransferMode::No {
            Vec::new()
        } else {
            let list = split_list(&view.string("transferinput").unwrap_or_default());
            list.iter().map(|path| planned_input(&iwd, path, keep_paths)).collect::<Result<_, _>>()?
        };
        let umask = view.value("_awqumask").as_int().unwrap_or(0o022);
        let megabytes = |name: &str| view.value(name).as_int().and_then(|n| u64::try_from(n).ok());
        Ok(JobFiles {
            executable: blob("_awqexecutable").filter(|_| mode != TransferMode::No),
            proxy: blob("_awqproxy"),
            token: blob("_awqtoken"),
            arguments: arguments(view).into_iter().map(expand).collect::<Result<_, _>>()?,
            environment: environment(view)
                .into_iter()
                .map(|(name, value)| Ok((name, expand(value)?)))
                .collect::<Result<_, Trouble>>()?,
            stdin: named("in", "transferin").map(|path| absolute(&iwd, &path)),
            stream_stdout: flag("streamout") == Some(true),
            stream_stderr: flag("streamerr") == Some(true),
            stdout: stream("out", "transferout"),
            stderr: stream("err", "transfererr"),
            bare: view.string(TAKEN).is_some(),
            output_mode: 0o666 & !(umask as u32),
            max_input_mb: megabytes("maxtransferinputmb"),
            max_output_mb: megabytes("maxtransferoutputmb"),
            spool,
            iwd,
            cmd,
            mode,
            inputs,
            outputs,
            remaps,
            everything,
        })
    }

    /// Where outputs go that have no path of their own.
    pub fn outputs_to(&self) -> &str {
        self.spool.as_deref().unwrap_or(&self.iwd)
    }

    /// What the shell checks and looks up before the job is sent; `copies` are those of its cluster. Fails with the
    /// hold that the job deserves.
    pub fn plan(&self, names: &SandboxNames, copies: Option<&Spool>) -> Result<Plan, Trouble> {
        let mut inputs = self.inputs.clone();
        if let Some(path) = &self.stdin {
            inputs.push(PlannedInput { path: path.clone(), sandbox: names.stdin.clone(), contents_only: false });
        }
        if let (Some(folder), Some(copies)) = (&self.spool, copies) {
            let copies = inputs.iter().map(|input| copied(copies, input)).collect::<Result<Vec<_>, _>>()?;
            return Ok(Plan {
                copies: copies.concat(),
                iwd: folder.clone(),
                make_iwd: true,
                max_input_mb: self.max_input_mb,
                ..Plan::default()
            });
        }
        let streams = [&self.stdout, &self.stderr];
        let outputs = streams
            .into_iter()
            .filter_map(|stream| match stream {
                Stream::File(path) => Some(path.clone()),
                Stream::Null => None,
            })
            .collect();
        Ok(Plan { inputs, outputs, iwd: self.iwd.clone(), max_input_mb: self.max_input_mb, ..Plan::default() })
    }

    /// Names that the job's own files have in the sandbox's top.
    pub fn top_names(&self) -> impl Iterator<Item = &str> {
        let first = |path: &'_ str| -> usize { path.find('/').unwrap_or(path.len()) };
        let inputs = self.inputs.iter().map(move |i| &i.sandbox[..first(&i.sandbox)]);
        inputs.chain(self.outputs.iter().map(move |(name, _)| &name[..first(name)]))
    }
}

/// The initial directory as the submitter knows it; a spooled job's own is its folder in the spool.
fn submit_iwd(view: &JobView<'_>) -> String {
    let name = if view.is_spooled() { "submit_iwd" } else { "iwd" };
    view.string(name).unwrap_or_else(|| "/".to_owned())
}

fn output_remaps(view: &JobView<'_>, iwd: &str) -> Vec<(String, String)> {
    let remaps = split_remaps(&view.string("transferoutputremaps").unwrap_or_default());
    remaps.into_iter().map(|(name, path)| (name, absolute(iwd, &path))).collect()
}

/// Where the outputs of a spooled job belong: the folder for all that have no other place, and names in the spool with
/// the absolute path of each that has.
pub fn fetch_remaps(view: &JobView<'_>) -> (String, Vec<(String, String)>) {
    let iwd = submit_iwd(view);
    let remaps = output_remaps(view, &iwd);
    let mut places: Vec<(String, String)> =
        remaps.into_iter().map(|(name, path)| (base_name(&name).to_owned(), path)).collect();
    // Streams with a path get a plain name and a remap at submission, unless they are to grow while the job runs.
    for path in ["out", "err"].into_iter().filter_map(|name| view.string(name)) {
        let name = base_name(&path);
        if !name.is_empty() && path != "/dev/null" && !places.iter().any(|(known, _)| known == name) {
            places.push((name.to_owned(), absolute(&iwd, &path)));
        }
    }
    (iwd, places)
}

fn copied(copies: &Spool, input: &PlannedInput) -> Result<Vec<PlannedCopy>, Trouble> {
    let found: Vec<PlannedCopy> = copies.find(input).collect();
    if found.is_empty() {
        let reason = format!("Transfer input files failure: {} was not copied at submission", input.path);
        return Err(Trouble { code: 13, subcode: 2, reason });
    }
    Ok(found)
}

fn declared_output(iwd: &str, remaps: &[(String, String)], name: String) -> (String, String) {
    let name = name.trim_start_matches("./").trim_end_matches('/').to_owned();
    let target = remaps
        .iter()
        .find(|(from, _)| *from == name || from == base_name(&name))
        .map(|(_, to)| to.clone())
        .unwrap_or_else(|| absolute(iwd, base_name(&name)));
    (name, target)
}

fn planned_input(iwd: &str, path: &str, keep_paths: bool) -> Result<PlannedInput, Trouble> {
    let local = local_input(path).map_err(|scheme| Trouble {
        code: 13,
        subcode: 0,
        reason: format!("Transfer input files failure: no plugin for URLs of type {scheme} ({path})"),
    })?;
    let contents_only = local.ends_with('/');
    let full = input_path(iwd, local);
    let sandbox = match (contents_only, keep_paths && !local.starts_with('/')) {
        (true, false) => String::new(),
        (false, false) => base_name(local).to_owned(),
        (_, true) => local.trim_start_matches("./").trim_end_matches('/').to_owned(),
    };
    Ok(PlannedInput { path: full, sandbox, contents_only })
}

fn arguments(view: &JobView<'_>) -> Vec<String> {
    match view.string("arguments") {
        Some(raw) => split_v2(&raw),
        None => split_v1(&view.string("args").unwrap_or_default()),
    }
}

/// Name and value of each entry; one without `=` is not sent (decision D25).
fn environment(view: &JobView<'_>) -> Vec<(String, String)> {
    let entries = match view.string("environment") {
        Some(raw) => split_v2(&raw),
        None => {
            let delimiter = view.string("envdelim").and_then(|d| d.chars().next()).unwrap_or(';');
            split_env_v1(&view.string("env").unwrap_or_default(), delimiter)
        }
    };
    let pairs = entries.iter().filter_map(|entry| entry.split_once('='));
    pairs.filter(|(name, _)| !name.is_empty()).map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Replaces `$$(Attr)`, `$$(Attr:default)` and `$$([expression])` by values of the machine.
fn expand_machine(text: &str, machine: &ClassAd, view: &JobView<'_>) -> Result<String, Trouble> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("$$(") {
        out.push_str(&rest[..at]);
        let inside = &rest[at + 3..];
        let bracketed = inside.strip_prefix('[').and_then(|e| e.split_once("])"));
        let Some((name, tail)) = bracketed.or_else(|| inside.split_once(')')) else {
            rest = &rest[at..];
            break;
        };
        let (wanted, default) = match name.split_once(':') {
            Some((wanted, default)) if bracketed.is_none() => (wanted, Some(default)),
            _ => (name, None),
        };
        // A plain name means the machine's attribute first, as HTCondor reads it.
        let value = match machine.lookup(wanted) {
            Some(expr) => expr.literal().cloned(),
            None => classad::parse_expr(wanted).ok().map(|e| classad::eval(&e, view, Some(machine), &view.env())),
        };
        match (value, default) {
            (Some(Value::Str(text)), _) => out.push_str(&text),
            (Some(value @ (Value::Int(_) | Value::Real(_) | Value::Bool(_))), _) => {
                out.push_str(&classad::Expr::from(value).to_string());
            }
            (_, Some(default)) => out.push_str(default),
            (_, None) => {
                let reason = format!("Cannot expand $$ expression ({name}).");
                return Err(Trouble { code: 5, subcode: 0, reason });
            }
        }
        rest = tail;
    }
    out.push_str(rest);
    Ok(out)
}
