//! `universe`, once for a cluster.

use crate::job::Job;
use crate::refusal::Refusal;
use crate::values;

pub(crate) const VANILLA: i64 = 5;
pub(crate) const SCHEDULER: i64 = 7;
pub(crate) const MPI: i64 = 8;
pub(crate) const GRID: i64 = 9;
pub(crate) const JAVA: i64 = 10;
pub(crate) const PARALLEL: i64 = 11;
pub(crate) const LOCAL: i64 = 12;
const VM: i64 = 13;

/// Number, name, and whether jobs can still be submitted to it. Source: the numbers of `JobUniverse`.
const UNIVERSES: [(i64, &str, bool); 13] = [
    (1, "Standard", false),
    (2, "Pipe", false),
    (3, "Linda", false),
    (4, "PVM", false),
    (VANILLA, "Vanilla", true),
    (6, "PVMD", false),
    (SCHEDULER, "Scheduler", true),
    (MPI, "MPI", true),
    (GRID, "Grid", true),
    (JAVA, "Java", true),
    (PARALLEL, "Parallel", true),
    (LOCAL, "Local", true),
    (VM, "VM", true),
];

/// What the universe decides for all jobs of a cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Universe {
    /// `JobUniverse`.
    pub(crate) number: i64,
    /// Vanilla inside Docker.
    pub(crate) docker: bool,
    /// Vanilla inside some container.
    pub(crate) container: bool,
}

/// The number of a universe by name or number.
fn number_of(text: &str) -> Option<i64> {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return Some(values::leading_integer(text)).filter(|number| *number > 0);
    }
    UNIVERSES.iter().find(|(_, name, _)| text.eq_ignore_ascii_case(name)).map(|(number, ..)| *number)
}

pub(super) fn universe(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    if !job.first {
        return Ok(());
    }
    let name = job.param("universe", "JobUniverse")?;
    let text = name.as_deref().unwrap_or("vanilla");
    let mut found = Universe { number: VANILLA, docker: false, container: false };
    match number_of(text) {
        Some(number) => found.number = number,
        None if text.eq_ignore_ascii_case("docker") => found.docker = true,
        None if text.eq_ignore_ascii_case("container") => found.container = true,
        None => return Err(Refusal::UnknownUniverse { name: text.to_owned() }),
    }
    if [VANILLA, LOCAL].contains(&found.number) {
        let container_image = job.plain("container_image", "ContainerImage")?.is_some();
        let docker_image = job.plain("docker_image", "DockerImage")?.is_some();
        if found.docker {
            if container_image {
                return Err(Refusal::ContainerImageInDocker);
            }
        } else if container_image && docker_image {
            return Err(Refusal::TwoImages);
        } else if container_image || docker_image {
            found.container = true;
            if docker_image {
                job.set_bool("WantDockerImage", true);
            }
        }
    }
    job.set_int("JobUniverse", found.number);
    for (key, attribute, shown) in [
        ("Remote_universe", "Remote_JobUniverse", "Remote_Universe"),
        ("Remote_Remote_universe", "Remote_Remote_JobUniverse", "Remote_Remote_Universe"),
    ] {
        if let Some(name) = job.param(key, attribute)? {
            let number = number_of(&name).ok_or(Refusal::UnknownRemoteUniverse { key: shown, name })?;
            job.set_int(attribute, number);
        }
    }
    if job.bool_param("WantParallelScheduling", None)? == Some(true) {
        job.set_bool("WantParallelScheduling", true);
    }
    if found.docker {
        job.set_bool("WantDocker", true);
    }
    if found.container {
        job.set_bool("WantContainer", true);
    }
    let known = UNIVERSES.iter().find(|(number, ..)| *number == found.number);
    let (_, name, supported) = known.copied().unwrap_or((0, "Unknown", false));
    if !supported {
        return Err(Refusal::UnsupportedUniverse { name });
    }
    match found.number {
        VM => return Err(Refusal::VmUniverse),
        GRID => super::grid::check(job)?,
        _ => {}
    }
    job.macros.node = if found.number == PARALLEL { "#pArAlLeLnOdE#" } else { "" };
    job.universe = found;
    Ok(())
}

/// The job's files may travel.
pub(super) fn might_transfer(universe: &Universe) -> bool {
    [VANILLA, MPI, PARALLEL, JAVA].contains(&universe.number)
}

/// What kind of image a container runs from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ImageKind {
    Docker,
    Sif,
    Sandbox,
}

/// The kind follows from the name; what is nothing else is a directory.
pub(super) fn image_kind(image: &str) -> ImageKind {
    let image = values::unquoted(image);
    if image.starts_with("docker:") {
        ImageKind::Docker
    } else if image.ends_with(".sif") {
        ImageKind::Sif
    } else {
        ImageKind::Sandbox
    }
}
