//! The program, its arguments and its environment.

use crate::arguments::{self, Arguments};
use crate::environment::{DELIMITER, Environment, Filter};
use crate::job::Job;
use crate::macros::Numbers;
use crate::refusal::Refusal;
use crate::steps::universe::{ImageKind, JAVA, MPI, PARALLEL, image_kind};
use crate::submission::{CLUSTER_MARK, PROCESS_MARK};
use crate::values;

/// Images of docker and container jobs.
pub(super) fn images(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    if job.universe.docker || job.universe.container {
        match job.plain("docker_image", "DockerImage")? {
            Some(image) => {
                let name = values::unquoted(&image).to_owned();
                if name.is_empty() {
                    return Err(Refusal::DockerImage { image });
                }
                job.set_text("DockerImage", name);
            }
            None if job.universe.docker && !job.ad.has("DockerImage") => return Err(Refusal::NoDockerImage),
            None => {}
        }
    }
    if !job.universe.container {
        return Ok(());
    }
    match job.param("container_image", "ContainerImage")? {
        Some(image) => {
            let name = values::unquoted(&image).to_owned();
            let unusable = ["instance://", "library://", "shub://"].iter().any(|prefix| name.starts_with(prefix));
            if name.is_empty() || unusable {
                return Err(Refusal::ContainerImage { image: name });
            }
            let wanted = match image_kind(&name) {
                ImageKind::Docker => "WantDockerImage",
                ImageKind::Sif => "WantSIF",
                ImageKind::Sandbox => "WantSandboxImage",
            };
            job.set_text("ContainerImage", name);
            job.set_bool(wanted, true);
        }
        None if !job.ad.has("ContainerImage") && !job.ad.has("DockerImage") => return Err(Refusal::NoContainerImage),
        None => {}
    }
    Ok(())
}

/// `executable`, `shell`, `transfer_executable`.
pub(super) fn executable(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    // Keys of interactive jobs have no meaning here, but they are no typos.
    for key in ["interactive_executable", "interactive_args"] {
        let _ = job.plain(key, None)?;
    }
    if job.plain("shell", None)?.is_some() {
        // A program beside it is no typo, only not used.
        let _ = job.plain("executable", None)?;
        job.set_text("Cmd", "/bin/sh");
        job.set_bool("TransferExecutable", false);
        return Ok(());
    }
    let Some(name) = job.param("executable", "Cmd")? else {
        if job.ad.has("Cmd") {
            return Ok(());
        }
        // An image has a program of its own.
        if job.universe.docker || job.universe.container {
            job.set_bool("TransferExecutable", false);
            job.set_text("Cmd", "");
            return Ok(());
        }
        return Err(Refusal::NoExecutable);
    };
    let transfer = job.param("transfer_executable", "TransferExecutable")?;
    if transfer.is_some_and(|value| value.starts_with(['F', 'f'])) {
        job.set_bool("TransferExecutable", false);
        job.set_text("Cmd", name);
        return Ok(());
    }
    let path = values::full_path(&name, job.macros.world.cwd());
    job.set_text("Cmd", path);
    // A name that the machine completes cannot be looked at yet.
    if name.contains("$$") { Ok(()) } else { check_executable(job, &name) }
}

fn check_executable(job: &mut Job<'_, '_>, name: &str) -> Result<(), Refusal> {
    let path = name.to_owned();
    let world = job.macros.world;
    let found = match world.stat(name) {
        Err(error) => Err(Refusal::ExecutableMissing { path, problem: error.text }),
        Ok(facts) if facts.size == 0 => Err(Refusal::ExecutableEmpty { path }),
        Ok(facts) if !facts.is_dir && is_crlf_script(&world.head(name, 1024).unwrap_or_default()) => {
            Err(Refusal::ExecutableCrlf { path })
        }
        Ok(_) => Ok(()),
    };
    match found {
        Err(refusal) if job.checks_warn => {
            let text = refusal.to_string();
            let first = text.lines().next().unwrap_or_default();
            job.printed.push(format!("\nWARNING: {first}\n"));
            Ok(())
        }
        other => other,
    }
}

fn is_crlf_script(head: &[u8]) -> bool {
    head.starts_with(b"#!")
        && head.split(|byte| *byte == b'\n').next().is_some_and(|line| line.ends_with(b"\r"))
        && head.contains(&b'\n')
}

/// `arguments`, `arguments2`.
pub(super) fn arguments(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    if let Some(shell) = job.plain("shell", None)? {
        let words = ["-c", shell.as_str()];
        job.set_text("Arguments", arguments::join_raw(words));
        return Ok(());
    }
    let old = job.plain("arguments", "Args")?;
    let new = job.plain("arguments2", None)?;
    let allow = job.bool_param("allow_arguments_v1", None)?.unwrap_or(false);
    if old.is_some() && new.is_some() && !allow {
        return Err(Refusal::BothSyntaxes { old: "arguments", new: "arguments2", allow: "allow_arguments_v1" });
    }
    let parsed = match (&new, &old) {
        (Some(text), _) => arguments::parse_quoted(text),
        (None, Some(text)) => arguments::parse(text),
        (None, None) if job.ad.has("Args") || job.ad.has("Arguments") => return Ok(()),
        (None, None) => Ok(Arguments { words: Vec::new(), old: false }),
    };
    let given = new.or(old).unwrap_or_default();
    let parsed = match parsed {
        Ok(parsed) => parsed,
        Err(problem) => {
            let fill = |text: String| job.display(&text);
            return Err(Refusal::Arguments { problem: fill(problem), text: fill(given) });
        }
    };
    job.set_text(if parsed.old { "Args" } else { "Arguments" }, parsed.to_attribute());
    if job.universe.number == JAVA && parsed.words.is_empty() {
        return Err(Refusal::NoJavaClass);
    }
    Ok(())
}

impl Job<'_, '_> {
    /// A text for a message: marks become numbers as far as they are known.
    fn display(&self, text: &str) -> String {
        text.replace(PROCESS_MARK, &self.macros.place.proc.to_string()).replace(CLUSTER_MARK, "$(Cluster)")
    }
}

/// `java_vm_args` and its two newer forms.
pub(super) fn java_arguments(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    let oldest = job.plain("java_vm_args", None)?;
    let old = job.plain("java_vm_arguments", "JavaVMArgs")?;
    let new = job.plain("java_vm_arguments2", None)?;
    let allow = job.bool_param("allow_arguments_v1", None)?.unwrap_or(false);
    if oldest.is_some() && old.is_some() {
        return Err(Refusal::BothNames { one: "java_vm_args", other: "java_vm_arguments" });
    }
    let old = old.or(oldest);
    if old.is_some() && new.is_some() && !allow {
        return Err(Refusal::BothSyntaxes {
            old: "java_vm_arguments",
            new: "java_vm_arguments2",
            allow: "allow_arguments_v1",
        });
    }
    let parsed = match (&new, &old) {
        (Some(text), _) => arguments::parse_quoted(text),
        (None, Some(text)) => arguments::parse(text),
        (None, None) => return Ok(()),
    };
    let text = new.or(old).unwrap_or_default();
    let parsed = parsed.map_err(|problem| Refusal::JavaArguments { problem, text })?;
    let value = parsed.to_attribute();
    if !value.is_empty() {
        job.set_text(if parsed.old { "JavaVMArgs" } else { "JavaVMArguments" }, value);
    }
    Ok(())
}

/// The tool daemon beside the job; kept in the ad.
pub(super) fn tool_daemon(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    let Some(command) = job.plain("tool_daemon_cmd", "ToolDaemonCmd")? else { return Ok(()) };
    job.set_text("ToolDaemonCmd", command);
    for (key, attribute) in [
        ("tool_daemon_input", "ToolDaemonInput"),
        ("tool_daemon_output", "ToolDaemonOutput"),
        ("tool_daemon_error", "ToolDaemonError"),
    ] {
        if let Some(file) = job.plain(key, attribute)? {
            job.set_text(attribute, file);
        }
    }
    if let Some(suspend) = job.bool_param("suspend_job_at_exec", "SuspendJobAtExec")? {
        job.set_bool("SuspendJobAtExec", suspend);
    }
    let oldest = job.plain("tool_daemon_args", None)?;
    let old = job.plain("tool_daemon_arguments", "ToolDaemonArgs")?;
    let new = job.plain("tool_daemon_arguments2", None)?;
    if oldest.is_some() && old.is_some() {
        return Err(Refusal::ToolArgumentsTwice);
    }
    let old = old.or(oldest);
    let parsed = match (&new, &old) {
        (Some(text), _) => arguments::parse_quoted(text),
        (None, Some(text)) => arguments::parse(text),
        (None, None) => return Ok(()),
    };
    let text = new.or(old).unwrap_or_default();
    let parsed = parsed.map_err(|problem| Refusal::ToolArguments { problem, text })?;
    let value = parsed.to_attribute();
    if !value.is_empty() {
        job.set_text(if parsed.old { "ToolDaemonArgs" } else { "ToolDaemonArguments" }, value);
    }
    Ok(())
}

/// `machine_count` of parallel jobs.
pub(super) fn parallel(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    let is_parallel = job.universe.number == PARALLEL;
    if is_parallel || job.universe.number == MPI || job.ad.truth("WantParallelScheduling") == Some(true) {
        let mut count = job.param("machine_count", "MachineCount")?;
        if count.is_none() {
            count = job.param("node_count", "NodeCount")?;
        }
        match count {
            Some(count) => {
                let count = values::leading_integer(&count);
                job.set_int("MinHosts", count);
                job.set_int("MaxHosts", count);
            }
            None if !job.ad.has("MaxHosts") => return Err(Refusal::NoMachineCount),
            None => {}
        }
        job.set_int("RequestCpus", 1);
    }
    if is_parallel {
        job.set_bool("WantIOProxy", true);
        job.set_bool("JobRequiresSandbox", true);
    }
    Ok(())
}

/// `environment`, `env`, `environment2`, `getenv`.
pub(super) fn environment(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    if !environment_with(job, Numbers::Marks)? {
        // Names decide the order and what overrides what, so there the numbers must be known.
        environment_with(job, Numbers::Digits)?;
    }
    Ok(())
}

/// `Ok(false)`: a name holds a mark, nothing was assigned.
fn environment_with(job: &mut Job<'_, '_>, numbers: Numbers) -> Result<bool, Refusal> {
    let read = |job: &Job<'_, '_>, key: &str, other: Option<&'static str>| match numbers {
        Numbers::Marks => job.plain(key, other),
        Numbers::Digits => job.param(key, other),
    };
    let old = read(job, "environment", Some("env"))?;
    let new = read(job, "environment2", None)?;
    let allow = job.bool_param("allow_environment_v1", None)?.unwrap_or(false);
    if old.is_some() && new.is_some() && !allow {
        return Err(Refusal::BothSyntaxes { old: "environment", new: "environment2", allow: "allow_environment_v1" });
    }
    // The key `env` asks for the old form in the ad, unless its value is in the new syntax.
    let prefers_old =
        old.is_some() && new.is_none() && read(job, "env", None)?.is_some_and(|text| !arguments::is_quoted(&text));
    let parsed = match (&new, &old) {
        (Some(text), _) => Environment::parse_quoted(text),
        (None, Some(text)) => Environment::parse(text),
        (None, None) => Ok(Environment::default()),
    };
    let mut environment = match parsed {
        Ok(environment) => environment,
        Err(problem) => {
            let text = new.or(old).unwrap_or_default();
            return Err(Refusal::Environment { problem: job.display(&problem), text: job.display(&text) });
        }
    };
    if environment.names().any(|name| name.contains([CLUSTER_MARK, PROCESS_MARK])) {
        return Ok(false);
    }
    if let Some(list) = job.param("getenv", "get_env")? {
        let filter = match values::boolean(&list) {
            Some(false) => None,
            Some(true) => Some(Filter::default()),
            None => Some(Filter::parse(&list)),
        };
        if let Some(filter) = filter {
            let mut variables = job.macros.world.env_all();
            // The submitter's own values must not be taken for marks.
            variables.retain(|(_, value)| !value.contains([CLUSTER_MARK, PROCESS_MARK]));
            environment.import(variables, &filter, old.is_some() && new.is_none());
        }
    }
    let nothing = old.is_none() && new.is_none() && environment.is_empty();
    if nothing && (job.ad.has("Env") || job.ad.has("Environment")) {
        return Ok(true);
    }
    if prefers_old {
        let text = environment.to_old().map_err(|(name, value)| Refusal::EnvironmentV1 { name, value })?;
        job.set_text("Env", text);
        job.set_text("EnvDelim", DELIMITER.to_string());
    } else {
        job.set_text("Environment", environment.to_raw());
    }
    Ok(true)
}

/// Ports of services inside a container.
pub(super) fn container_services(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    if !(job.universe.docker || job.universe.container) {
        return Ok(());
    }
    let Some(list) = job.param("container_service_names", "ContainerServiceNames")? else { return Ok(()) };
    job.set_text("ContainerServiceNames", list.clone());
    for service in values::words(&list) {
        match job.int_param(&format!("{service}_container_port"), None)? {
            Some(port) if (0..=65535).contains(&port) => job.set_int(&format!("{service}_ContainerPort"), port),
            _ => return Err(Refusal::ServicePort { service: service.to_owned() }),
        }
    }
    Ok(())
}
