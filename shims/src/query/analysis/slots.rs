//! `-reverse-analyze`: which jobs a machine would take.

use classad::ClassAd;
use classad::analysis::Analysis;

use super::{Detail, Scene, Slot, Slots, parts};
use crate::job::Job;

/// Attributes of a machine that its requirements are made of, and that stand in their place in the clauses.
const INLINE: &[&str] = &["start", "withinresourcelimits"];

/// Jobs by how they and one machine like each other.
#[derive(Debug, Default)]
struct Liking {
    /// The machine would take the job.
    slot: usize,
    /// The machine does what the job requires.
    job: usize,
    both: usize,
}

pub(super) fn print(jobs: &[Job], slots: &Slots, detail: Detail, scene: &Scene<'_>) -> String {
    let one = slots.slots.len() == 1 && !detail.summary;
    if one || (detail.better && !detail.summary) {
        return slots.slots.iter().map(|slot| whole(jobs, slot, detail, scene)).collect();
    }
    if slots.slots.is_empty() {
        return String::new();
    }
    let mut out = match jobs {
        [] => String::new(),
        [job] => {
            let (cluster, proc) = job.id(scene.env);
            format!("{cluster}.{proc}: Analyzing matches for 1 job\n")
        }
        _ => format!("Analyzing matches for {} jobs\n", jobs.len()),
    };
    let text = |slot: &Slot, name: &str| Job::from(slot.ad.clone()).text(name, scene.env).unwrap_or_default();
    let widest = |name, more| slots.slots.iter().map(|slot| text(slot, name).chars().count() + more).max().unwrap_or(0);
    let width = widest("machine", 7).max(widest("name", 0)).max(16);
    for [name, kind, by_slot, by_job, both] in [
        ["", "Slot", "Slot's Req ", "  Job's Req ", "Both   "],
        ["Name", "Type", "Matches Job", "Matches Slot", "Match %"],
        ["------------------------", "----", "------------", "------------", "----------"],
    ] {
        out += &format!("{name:<width$.width$} {kind:>4} {by_slot:>12} {by_job:>12} {both:>10}\n");
    }
    for slot in &slots.slots {
        let liking = liking(jobs, slot, scene);
        let name = text(slot, "name");
        let kind = kind(slot);
        let percent = percent(liking.both, jobs.len());
        out += &format!("{name:<width$.width$} {kind:<4} {:>12} {:>12} {percent:>10.2}\n", liking.slot, liking.job);
    }
    out
}

fn kind(slot: &Slot) -> &'static str {
    let is = |name: &str| slot.ad.get(name).and_then(|expr| expr.literal()?.truth()) == Some(true);
    match () {
        () if is("DynamicSlot") => "Dyn",
        () if is("PartitionableSlot") => "Part",
        () => "Stat",
    }
}

fn percent(part: usize, of: usize) -> f64 {
    100.0 * part as f64 / of.max(1) as f64
}

fn liking(jobs: &[Job], slot: &Slot, scene: &Scene<'_>) -> Liking {
    let mut liking = Liking::default();
    for job in jobs {
        let (by_slot, by_job) = (slot.takes(job, scene.env), slot.fulfils(job, scene.env));
        liking.slot += usize::from(by_slot);
        liking.job += usize::from(by_job);
        liking.both += usize::from(by_slot && by_job);
    }
    liking
}

/// One machine's requirements and what they make of the jobs.
fn whole(jobs: &[Job], slot: &Slot, detail: Detail, scene: &Scene<'_>) -> String {
    let name = Job::from(slot.ad.clone()).text("name", scene.env).unwrap_or_default();
    let count = jobs.len();
    let mut out = format!("\n-- Slot: {name} : Analyzing matches for {count} Jobs in {count} autoclusters\n");
    let targets: Vec<&ClassAd> = jobs.iter().map(Job::ad).collect();
    if let Some(expr) = slot.ad.get("Requirements") {
        out += "\nThe Requirements expression for this slot is\n\n    ";
        out += &parts::wrapped(expr, 4, scene.width);
        let mut hidden = vec!["requirements"];
        for (inner, title) in INLINE.iter().zip(["START", "WithinResourceLimits"]) {
            if let Some(expr) = slot.ad.get(inner) {
                out += &format!("\n\n  {title} is\n    {}", parts::wrapped(expr, 4, scene.width));
                hidden.push(inner);
            }
        }
        let analysis = Analysis::new(expr, &slot.ad, INLINE, detail.branches);
        out += &format!("\n\n{}\n", parts::numbered(&analysis));
        out += "This slot defines the following attributes:\n\n";
        out += &parts::own_attributes(expr, &slot.ad, &hidden);
        if let [job] = jobs {
            let values = parts::target_attributes(expr, &slot.ad, job.ad(), scene.env);
            if !values.is_empty() {
                let (cluster, proc) = job.id(scene.env);
                out += &format!("\nJob {cluster}.{proc} has the following attributes:\n\n{values}");
            }
        }
        out += "\nThe Requirements expression for this slot reduces to these conditions:\n\n";
        let targets = parts::alike(expr, &slot.ad, &targets);
        out += &parts::conditions(&analysis.reduce(&targets, scene.env, detail.all_clauses), "Cluster", detail);
    }
    let liking = liking(jobs, slot, scene);
    out += &format!(
        "\n{name}: Run analysis summary of {count} jobs.\n{:>5} ({:.2} %) match both slot and job requirements.\n",
        liking.both,
        percent(liking.both, count)
    );
    out += &format!("{:>5} match the requirements of this slot.\n", liking.slot);
    out + &format!("{:>5} have job requirements that match this slot.\n", liking.job)
}
