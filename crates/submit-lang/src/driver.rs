//! The run over a submit text: statements, then for each `queue` its jobs.

use crate::expand::{check_marks, expand};
use crate::job::Job;
use crate::lines::Lines;
use crate::macros::{Causes, Macros, Numbers, Place};
use crate::options::{ClusterText, Options};
use crate::queue::{self, Queue};
use crate::reader::{Fault, Reader, Stop, queue_arguments};
use crate::refusal::{Refusal, frame};
use crate::rows::{Packed, Rows};
use crate::submission::{Cluster, ExecutableUse, Submission, SubmitError};
use crate::world::World;

/// Most jobs of one submission.
pub const PROCS_MAX: u32 = 1_000_000;

/// Most bytes of what differs between the jobs of a cluster.
const CHANGES_MAX: usize = 1 << 30;

/// Expands a submit text into job ads.
///
/// The work grows with what differs between jobs: `queue 1000000` of equal jobs costs no more than `queue 2`.
///
/// # Errors
/// The text, or a file it needs, is refused; nothing of it may be submitted.
pub fn submit(text: &str, options: &Options, world: &dyn World) -> Result<Submission, SubmitError> {
    let given = options.before.iter().flat_map(|(key, value)| [key, value]).chain(&options.append);
    let given = given.chain(&options.queue_args).chain(&options.batch_name).map(String::as_str);
    for outside in given.chain([text, world.cwd()]) {
        if let Err(refusal) = check_marks(outside) {
            return Err(SubmitError { stdout_started: false, dots: 0, message: frame(&refusal), refusal });
        }
    }
    let mut macros = Macros::new(world, &options.file_name, options.cluster);
    for (key, value) in &options.before {
        let key = key.strip_prefix('+').map_or_else(|| key.clone(), |name| format!("MY.{name}"));
        macros.set(&key, value.clone());
    }
    let mut run = Run {
        job: Job::new(macros, options),
        options,
        clusters: Vec::new(),
        rows: None,
        procs_total: 0,
        statements: 0,
        any_items: false,
        parse_warnings: Vec::new(),
    };
    match run.text(text) {
        Ok(()) => Ok(run.finish()),
        Err(refusal) => Err(run.refused(refusal)),
    }
}

struct Run<'a, 'w> {
    job: Job<'a, 'w>,
    options: &'a Options,
    clusters: Vec<Cluster>,
    /// Of the cluster being made.
    rows: Option<Rows>,
    procs_total: u32,
    /// `queue` statements so far.
    statements: u32,
    /// Some statement had an item.
    any_items: bool,
    parse_warnings: Vec<String>,
}

impl Run<'_, '_> {
    fn text(&mut self, text: &str) -> Result<(), Refusal> {
        let mut lines = Lines::new(text);
        let mut reader = Reader::new(&self.options.file_name);
        // `-append 'queue …'` is another way to write `-queue …`.
        let mut appended = Vec::new();
        let mut on_command_line = self.options.queue_args.clone();
        for line in &self.options.append {
            match queue_arguments(line.trim()) {
                Some(arguments) => on_command_line = Some(arguments.to_owned()),
                None => appended.push(line.clone()),
            }
        }
        if let Some(name) = &self.options.batch_name {
            let quoted = if name.starts_with('"') { name.clone() } else { classad::quote_old(name) };
            appended.push(format!("MY.JobBatchName = {quoted}"));
        }
        loop {
            let read = reader.read(&mut lines, &mut self.job.macros);
            self.parse_warnings.append(&mut reader.take_warnings());
            let arguments = read.map_err(|stop| self.place(stop, &lines))?;
            if arguments.is_none() && self.statements > 0 {
                return Ok(());
            }
            for (number, line) in (1..).zip(&appended) {
                reader.append(line, &mut self.job.macros).map_err(|stop| match stop {
                    Stop::Refusal(refusal) => refusal,
                    Stop::Fault(_) => {
                        let file = self.options.file_name.clone();
                        Refusal::AppendedLine { line: lines.line, file, number }
                    }
                })?;
            }
            self.statements += 1;
            let detail = match (arguments, &on_command_line) {
                (Some(_), Some(_)) => Err("-queue argument conflicts with queue statement in submit file".to_owned()),
                (Some(arguments), None) => Ok(arguments),
                (None, Some(arguments)) => Ok(arguments.clone()),
                // Without any such statement there is one job.
                (None, None) => Ok(String::new()),
            };
            self.job.queue_line = lines.line;
            let statement = match detail {
                Ok(arguments) => {
                    let expanded = expand(&arguments, &self.job.macros, Numbers::Digits).map_err(|refusal| {
                        let place = format!("at Queue statement on Line {}", lines.line);
                        match refusal {
                            Refusal::Macro { problem } => Refusal::MacroAt { problem, place },
                            other => other,
                        }
                    })?;
                    queue::parse(&expanded, &mut lines, &self.job.macros)
                }
                Err(detail) => Err(detail),
            };
            let statement = statement.map_err(|detail| self.line_fault(&lines, detail, String::new()))?;
            self.queue(&statement)?;
            if lines.at_end() {
                return Ok(());
            }
        }
    }

    fn line_fault(&self, lines: &Lines<'_>, detail: String, trace: String) -> Refusal {
        Refusal::Line { line: lines.line, file: self.options.file_name.clone(), detail, trace }
    }

    fn place(&self, stop: Stop, lines: &Lines<'_>) -> Refusal {
        match stop {
            Stop::Refusal(Refusal::Macro { problem }) => {
                Refusal::MacroAt { problem, place: format!("on Line {} of submit file", lines.line) }
            }
            Stop::Refusal(refusal) => refusal,
            Stop::Fault(Fault { dag: true, .. }) => {
                Refusal::DagFile { line: lines.line, file: self.options.file_name.clone() }
            }
            Stop::Fault(fault) => {
                let trace = fault.trace_text();
                self.line_fault(lines, fault.detail, trace)
            }
        }
    }

    /// The jobs of one statement.
    fn queue(&mut self, queue: &Queue) -> Result<(), Refusal> {
        match &queue.items {
            None => {
                self.begin_cluster();
                // A plain statement has an item without a value.
                if self.job.macros.raw("Item").is_some() {
                    self.job.macros.set_loop_variable("Item", "");
                }
                self.item(queue.count, 0, true)?;
            }
            Some(items) if items.is_empty() => return Ok(()),
            Some(items) => {
                self.begin_cluster();
                for name in &queue.variables {
                    self.job.macros.set_loop_variable(name, "");
                }
                for (index, (row, item)) in items.iter().enumerate() {
                    for (name, value) in queue.variables.iter().zip(queue::split_item(item, queue.variables.len())) {
                        self.job.macros.set_loop_variable(name, value);
                    }
                    self.item(queue.count, *row, index == 0)?;
                }
                for name in &queue.variables {
                    self.job.macros.set_loop_variable(name, "<Queue_item>");
                }
            }
        }
        self.any_items = true;
        Ok(())
    }

    /// Jobs of one item; `fresh`: the first item of its statement.
    fn item(&mut self, count: u32, row: u32, fresh: bool) -> Result<(), Refusal> {
        for step in 0..count {
            let proc = self.rows.as_ref().map_or(0, Rows::procs);
            self.check_count()?;
            self.job.macros.place = Place { proc, step, row };
            self.job.first = proc == 0;
            if self.job.first || (fresh && step == 0) || proc == 1 {
                self.job.make()?;
            } else {
                let changed = Causes::PROC.union(Causes::STEP).union(Causes::CHANCE);
                self.job.remake(if step == 0 { Causes::ALL } else { changed })?;
            }
            let rows = self.rows.get_or_insert_default();
            if self.job.first || (fresh && step == 0) || proc == 1 {
                rows.push_whole(&self.job.ad);
            } else {
                rows.push_changes(&self.job.ad);
            }
            if rows.bytes() > CHANGES_MAX {
                return Err(Refusal::TooLong { limit: CHANGES_MAX });
            }
            self.procs_total += 1;
            if self.job.first {
                self.job.ad.make_base();
                continue;
            }
            let varies = self.job.depends_on(Causes::PROC.union(Causes::STEP).union(Causes::CHANCE));
            if !varies && step + 1 < count {
                self.repeat(count - step - 1)?;
                break;
            }
        }
        Ok(())
    }

    /// More jobs equal to the last one.
    fn repeat(&mut self, count: u32) -> Result<(), Refusal> {
        let limit = self.limit();
        let room = limit.saturating_sub(u64::from(self.procs_total));
        let taken = u32::try_from(u64::from(count).min(room)).expect("not more than `count`");
        self.rows.as_mut().expect("a job was made before").repeat(taken);
        self.procs_total += taken;
        if taken < count { self.check_count() } else { Ok(()) }
    }

    fn limit(&self) -> u64 {
        self.options.max_jobs.filter(|limit| *limit > 0).unwrap_or(u64::MAX).min(PROCS_MAX.into())
    }

    fn check_count(&self) -> Result<(), Refusal> {
        match self.options.max_jobs.filter(|limit| *limit > 0) {
            Some(limit) if u64::from(self.procs_total) >= limit => Err(Refusal::TooManyJobs { limit }),
            _ if self.procs_total >= PROCS_MAX => Err(Refusal::TooManyProcs),
            _ => Ok(()),
        }
    }

    /// Begins a new cluster when program or universe were set anew.
    fn begin_cluster(&mut self) {
        let anew = self.job.macros.take_anew(&["executable", "cmd", "shell", "universe", "jobuniverse"]);
        if self.rows.is_some() && anew && !self.options.single_cluster {
            self.end_cluster();
            if let ClusterText::Number(number) = self.job.macros.cluster {
                self.job.macros.cluster = ClusterText::Number(number.saturating_add(1));
            }
        }
    }

    fn end_cluster(&mut self) {
        let Some(rows) = self.rows.take() else { return };
        let Packed { ad, procs, varying, rows } = rows.finish();
        self.job.ad.clear();
        let find = |name: &str| -> Option<String> {
            let (_, text) = ad.iter().find(|(other, _)| other.eq_ignore_ascii_case(name))?;
            match crate::values::constant(text)? {
                classad::Value::Str(text) => Some(text.to_string()),
                _ => None,
            }
        };
        let transferred = !ad.iter().any(|(name, text)| name == "TransferExecutable" && text == "false");
        let one = transferred && !varying.iter().any(|name| name == "Cmd");
        let executable = find("Cmd").filter(|path| one && path.starts_with('/')).map(|path| {
            let size = self.job.macros.world.stat(&path).map_or(0, |facts| facts.size);
            ExecutableUse { path, size }
        });
        let (proxy, token) = (find("x509userproxy"), find("ScitokensFile"));
        self.clusters.push(Cluster { ad, procs, varying, rows, executable, proxy, token });
    }

    fn finish(mut self) -> Submission {
        self.end_cluster();
        let mut warnings = std::mem::take(&mut self.job.printed);
        if self.statements > 1 {
            warnings.push(MULTIPLE_QUEUES.to_owned());
        }
        if self.any_items {
            warnings.append(&mut self.parse_warnings);
            warnings.extend(self.job.warnings.iter().map(|text| format!("WARNING: {text}")));
            warnings.extend(self.job.macros.unused());
        } else {
            let file = if self.options.file_name == "<stdin>" { "(stdin)" } else { &self.options.file_name };
            warnings.push(format!("\nWARNING: \"{file}\" has only empty \"queue\" commands -- no jobs queued\n"));
            warnings.append(&mut self.parse_warnings);
        }
        let needs_cluster_number = self.job.macros.needs_cluster();
        Submission { clusters: self.clusters, warnings, needs_cluster_number }
    }

    fn refused(self, refusal: Refusal) -> SubmitError {
        let mut message: String = self.job.printed.concat();
        // Faults of lines end the loop over the statements, all else ends the program at once.
        let ends_loop =
            matches!(refusal, Refusal::Line { .. } | Refusal::AppendedLine { .. } | Refusal::DagFile { .. });
        if ends_loop && self.statements > 1 {
            message.push_str(MULTIPLE_QUEUES);
        }
        message.push_str(&frame(&refusal));
        let silent = matches!(
            refusal,
            Refusal::TooManyJobs { .. } | Refusal::TooManyProcs | Refusal::MacroAt { .. } | Refusal::MacroIn { .. }
        );
        if !ends_loop && !silent {
            for text in self.job.warnings.iter().rev() {
                message.push_str("WARNING: ");
                message.push_str(text);
                // Only here the line end is made up for; HTCondor prints some warnings without one otherwise.
                if !text.ends_with('\n') {
                    message.push('\n');
                }
            }
            message.extend(self.parse_warnings.iter().rev().map(String::as_str));
        }
        SubmitError { stdout_started: true, dots: self.procs_total, message, refusal }
    }
}

const MULTIPLE_QUEUES: &str = "\nWarning: Use of multiple queue statements in a single submit file is deprecated.
         This functionality will be removed in the 25.x feature series. To see
         how multiple queue statements can be converted into one visit:
https://htcondor.readthedocs.io/en/latest/auto-redirect.html?category=example&tag=convert-multi-queue-statements\n";
