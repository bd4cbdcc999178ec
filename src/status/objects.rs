//! Facts of the core as the JSON objects of Work Queue; the names are those that CCTools' programs read.
//!
//! Source: wire specification 5.2 and 6.2, from `work_queue_status`, `work_queue_factory` and `work_queue_worker -M`
//! of 5.4 to 7.9; complete objects of a C master: `tests/data/transcripts/status-*.json`.

use serde_json::{Value, json};
use wq_core::ids::Timestamp;
use wq_core::master::{PeerFacts, Summary, TaskFacts};
use wq_core::workers::Sum;

/// One category for everything, as on the wire.
const CATEGORY: &str = "default";

/// What does not change while the master runs.
#[derive(Debug, Clone, Default)]
pub(crate) struct About {
    /// `--project-name`.
    pub(crate) project: String,
    /// Name of this machine.
    pub(crate) host: String,
    /// Name of the user whose master it is.
    pub(crate) owner: String,
    /// The worker port.
    pub(crate) port: u16,
    /// Start of this process, seconds since 1970.
    pub(crate) started_s: i64,
    /// Others can connect without a password.
    pub(crate) insecure: bool,
    /// The port speaks TLS with those who begin with it.
    pub(crate) tls: bool,
    /// Most workers at once.
    pub(crate) links_max: usize,
}

/// The queue: the object of `queue_status` and, with its time to live, of the catalog.
pub(crate) fn queue(about: &About, summary: &Summary) -> Value {
    // What limits this master is the number of its connections, whatever a worker holds: the other capacities are 0,
    // which the factory takes as no limit.
    let capacity = about.links_max;
    let blocked = &summary.blocked;
    let mut object = json!({
        // All releases look for this word; only late ones know `wq_manager`.
        "type": "wq_master",
        "project": about.project,
        "name": about.host,
        "owner": about.owner,
        "port": about.port,
        "version": env!("CARGO_PKG_VERSION"),
        "starttime": about.started_s,
        "time_when_started": about.started_s.saturating_mul(1_000_000),
        "priority": 0,
        "ssl": about.tls,
        // Ours: shown to operators (decision D7).
        "insecure": about.insecure,
        // Read by releases 6 to 8, and by 9 and later.
        "master_preferred_connection": "by_ip",
        "manager_preferred_connection": "by_ip",
        "tasks_waiting": summary.waiting,
        "tasks_running": summary.running,
        "tasks_on_workers": summary.on_workers,
        "tasks_complete": summary.complete,
        "tasks_done": summary.complete,
        // Tasks that the application has not handed over yet, as the C library means it; here all are handed over.
        "tasks_left": 0,
        "workers": summary.workers,
        "workers_total": summary.workers_total,
        "workers_connected": summary.workers,
        "foremen_connected": summary.foremen,
        "workers_blocked": blocked,
        "capacity": capacity,
        "capacity_tasks": capacity,
        "capacity_instantaneous": capacity,
        "capacity_weighted": capacity,
    });
    put(&mut object, |kind| format!("tasks_total_{kind}"), &summary.needs);
    put(&mut object, |kind| format!("{kind}_total"), &summary.total);
    put(&mut object, |kind| format!("{kind}_inuse"), &summary.used);
    put(&mut object, |kind| format!("capacity_{kind}"), &Sum::default());
    if !blocked.is_empty() {
        // The word of 5.4.
        object["workers-blacklisted"] = blocked.join(" ").into();
    }
    object
}

/// An element of `task_status`. Times are µs since 1970.
pub(crate) fn task(facts: &TaskFacts, wall_us: impl Fn(Timestamp) -> u64) -> Value {
    let mut object = json!({
        // Text, since our numbers have two parts; the tools print what they get.
        "taskid": facts.job.to_string(),
        "state": if facts.place.is_some() { "RUNNING" } else { "WAITING" },
        "priority": facts.priority.to_string(),
        "category": CATEGORY,
        "command": facts.program,
        "cores": facts.shape.cores,
        "memory": facts.shape.memory_mb,
        "disk": facts.shape.disk_mb,
        "gpus": facts.shape.gpus,
        "time_when_submitted": wall_us(facts.submitted),
        // Without it the tool prints `???`.
        "host": "",
    });
    if let Some(place) = &facts.place {
        object["host"] = place.host.as_str().into();
        object["address_port"] = place.address.as_str().into();
        object["time_when_commit_end"] = wall_us(place.started).into();
    }
    object
}

/// An element of `worker_status`.
pub(crate) fn worker(facts: &PeerFacts) -> Value {
    let (total, used) = (facts.total, facts.used);
    json!({
        "hostname": facts.host,
        "address_port": facts.address,
        "foreman": facts.foreman,
        "workers_total": facts.workers,
        "total_tasks_running": facts.running,
        "total_tasks_complete": facts.completed,
        "cores_total": total.cores,
        "cores_inuse": used.cores,
        "memory_total": total.memory_mb,
        "memory_inuse": used.memory_mb,
        "disk_total": total.disk_mb,
        "disk_inuse": used.disk_mb,
        "gpus_total": total.gpus,
        "gpus_inuse": used.gpus,
    })
}

/// The one element of `wable_status`.
pub(crate) fn category(summary: &Summary) -> Value {
    json!({
        "category": CATEGORY,
        "tasks_waiting": summary.waiting,
        "tasks_running": summary.running,
        "tasks_on_workers": summary.running,
        "tasks_dispatched": summary.running,
        "tasks_done": summary.complete,
        "workers_able": summary.workers_total,
        // Jobs of all sizes share the category, so none is the largest.
        "max_cores": "na",
        "max_memory": "na",
        "max_disk": "na",
        "max_gpus": "na",
    })
}

fn put(object: &mut Value, name: impl Fn(&str) -> String, sum: &Sum) {
    for (kind, value) in [("cores", sum.cores), ("memory", sum.memory_mb), ("disk", sum.disk_mb), ("gpus", sum.gpus)] {
        // The tools read signed numbers of 64 bits.
        object[name(kind)] = i64::try_from(value).unwrap_or(i64::MAX).into();
    }
}
