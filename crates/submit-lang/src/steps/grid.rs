//! The grid universe. Jobs run here all the same; `GridResource` is kept as written for those who count by it.

use crate::job::Job;
use crate::keys::GRID_KEYS;
use crate::refusal::Refusal;
use crate::steps::simple;
use crate::steps::universe::GRID;

/// Grids that HTCondor 25.13 knows.
const TYPES: [&str; 12] =
    ["blah", "batch", "pbs", "sge", "lsf", "nqs", "naregi", "condor", "arc", "ec2", "gce", "azure"];

/// The first word of `GridResource`.
pub(super) fn grid_type(resource: &str) -> &str {
    resource.split(' ').next().unwrap_or_default()
}

/// A grid job must say which grid.
pub(super) fn check(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    let resource = match job.plain("grid_resource", "GridResource")? {
        Some(resource) => resource,
        None => job.ad.string("GridResource").ok_or(Refusal::NoGridResource)?,
    };
    let name = grid_type(&resource);
    if name.is_empty() || TYPES.iter().any(|known| known.eq_ignore_ascii_case(name)) {
        Ok(())
    } else {
        Err(Refusal::GridType { name: name.to_owned() })
    }
}

/// `grid_resource` and its companions.
pub(super) fn grid(job: &mut Job<'_, '_>) -> Result<(), Refusal> {
    if job.universe.number != GRID {
        return Ok(());
    }
    if let Some(resource) = job.plain("grid_resource", "GridResource")? {
        if resource.eq_ignore_ascii_case("ec2") {
            return Err(Refusal::Ec2Url);
        }
        job.set_text("GridResource", resource);
    }
    for key in GRID_KEYS {
        simple::assign(job, key)?;
    }
    Ok(())
}

/// The job goes to a batch system behind the grid, where defaults of this side do not count.
pub(super) fn is_batch(job: &mut Job<'_, '_>) -> bool {
    job.universe.number == GRID
        && job.ad.string("GridResource").is_some_and(|resource| grid_type(&resource).eq_ignore_ascii_case("batch"))
}
