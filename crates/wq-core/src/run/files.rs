//! Which files a job takes along and which it brings back, read from its ad (decisions D19, D23, D26-D28, D35).

use classad::{ClassAd, Scope, Value};

use super::command::SandboxNames;
use super::words::{absolute, base_name, split_env_v1, split_list, split_remaps, split_v1, split_v2};
use crate::ids::BlobId;
use crate::io::{Plan, PlannedInput, Trouble};
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
        format!("\"{} {} {:o}\"", self.id, self.size, self.mode)
    }

    /// Reads what [`BlobUse::to_text`] wrote, without its quotes.
    pub fn from_text(text: &str) -> Option<BlobUse> {
        let mut parts = text.split(' ');
        let hash = parts.next()?;
        if hash.len() != 64 || !hash.is_ascii() {
            return None;
        }
        let mut id = [0; 32];
        for (byte, pair) in id.iter_mut().zip(hash.as_bytes().chunks(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(BlobUse {
            id: BlobId(id),
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
    /// Initial directory.
    pub iwd: String,
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
        let iwd = view.string("iwd").unwrap_or_else(|| "/".to_owned());
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
        let remaps: Vec<(String, String)> = split_remaps(&view.string("transferoutputremaps").unwrap_or_default())
            .into_iter()
            .map(|(name, path)| (name, absolute(&iwd, &path)))
            .collect();
        let stream = |name: &str, transfer: &str| match view.string(name) {
            Some(path) if !path.is_empty() && path != "/dev/null" && flag(transfer) != Some(false) => {
                Stream::File(absolute(&iwd, &path))
            }
            _ => Stream::Null,
        };
        let declared = view.string("transferoutput");
        let everything = mode == TransferMode::Yes && declared.is_none();
        let outputs = match (&declared, mode) {
            (_, TransferMode::No) | (None, _) => Vec::new(),
            (Some(list), _) => split_list(list).into_iter().map(|name| declared_output(&iwd, &remaps, name)).collect(),
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
            stdin: match stream("in", "transferin") {
                Stream::File(path) => Some(path),
                Stream::Null => None,
            },
            stream_stdout: flag("streamout") == Some(true),
            stream_stderr: flag("streamerr") == Some(true),
            stdout: stream("out", "transferout"),
            stderr: stream("err", "transfererr"),
            bare: view.string(TAKEN).is_some(),
            output_mode: 0o666 & !(umask as u32),
            max_input_mb: megabytes("maxtransferinputmb"),
            max_output_mb: megabytes("maxtransferoutputmb"),
            iwd,
            cmd,
            mode,
            inputs,
            outputs,
            remaps,
            everything,
        })
    }

    /// What the shell checks and looks up before the job is sent.
    pub fn plan(&self, names: &SandboxNames) -> Plan {
        let mut inputs = self.inputs.clone();
        if let Some(path) = &self.stdin {
            inputs.push(PlannedInput { path: path.clone(), sandbox: names.stdin.clone(), contents_only: false });
        }
        let streams = [&self.stdout, &self.stderr];
        let outputs = streams
            .into_iter()
            .filter_map(|stream| match stream {
                Stream::File(path) => Some(path.clone()),
                Stream::Null => None,
            })
            .collect();
        Plan { inputs, outputs, iwd: self.iwd.clone(), max_input_mb: self.max_input_mb, repeats: false }
    }

    /// Names that the job's own files have in the sandbox's top.
    pub fn top_names(&self) -> impl Iterator<Item = &str> {
        let first = |path: &'_ str| -> usize { path.find('/').unwrap_or(path.len()) };
        let inputs = self.inputs.iter().map(move |i| &i.sandbox[..first(&i.sandbox)]);
        inputs.chain(self.outputs.iter().map(move |(name, _)| &name[..first(name)]))
    }
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
    let local = path.strip_prefix("file://").unwrap_or(path);
    if let Some((scheme, _)) = local.split_once("://") {
        let reason = format!("Transfer input files failure: no plugin for URLs of type {scheme} ({path})");
        return Err(Trouble { code: 13, subcode: 0, reason });
    }
    let contents_only = local.ends_with('/');
    let full = absolute(iwd, local.trim_end_matches('/'));
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
