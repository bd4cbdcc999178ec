//! The old program's part: rest, write down, rehearse, `execve`.

use std::ffi::{CString, OsString};
use std::fs::File;
use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::time::{Duration, Instant};

use control_proto::Refusal;
use handover::{Descriptors, State};
use nix::sys::memfd::{MFdFlags, memfd_create};
use tokio::time::sleep;
use wq_core::Input;

use super::desk::Order;
use super::{keep_open, rehearsal};
use crate::clock;
use crate::control;
use crate::driver::Shell;
use crate::signals;
use crate::systemd::Manager;

/// Between two looks whether all is at rest, and so many times what a look takes: it goes over all links.
const LOOK_EVERY: Duration = Duration::from_millis(1);
const LOOK_SHARE: u32 = 5;

/// How long clients may take to get their answers; others wait meanwhile, half a minute at most.
const CLIENTS_MAX: Duration = Duration::from_secs(10);

/// The option that names the state to the new program.
pub(super) const OPTION: &str = "--handover=";

/// What the next program gets beside the state of shell and core.
#[derive(Debug)]
pub(crate) struct Heritage {
    /// The program, as it was started: what stands under this path now is the next one.
    pub(crate) program: PathBuf,
    /// Its arguments, the same again.
    pub(crate) args: Vec<OsString>,
    /// Absolute.
    pub(crate) work_dir: PathBuf,
    /// Absolute.
    pub(crate) state_dir: PathBuf,
    /// The open lock file.
    pub(crate) work_lock: OwnedFd,
    /// The open lock file.
    pub(crate) state_lock: OwnedFd,
    /// The socket of the clients.
    pub(crate) control: OwnedFd,
    /// The sockets of the workers.
    pub(crate) workers: Vec<OwnedFd>,
}

impl Heritage {
    /// The program that was started under this name, by a path that leads to its successor once that is installed.
    pub(crate) fn program(name: Option<OsString>) -> std::io::Result<PathBuf> {
        // The kernel's own link leads to this very file, which an upgrade may have removed.
        let Some(name) = name.map(PathBuf::from) else { return std::env::current_exe() };
        if name.as_os_str().as_bytes().contains(&b'/') {
            return std::path::absolute(name);
        }
        let path = std::env::var_os("PATH").unwrap_or_default();
        let found = std::env::split_paths(&path).map(|folder| folder.join(&name)).find(|program| program.is_file());
        found.map_or_else(std::env::current_exe, std::path::absolute)
    }

    /// Arguments without what an earlier restart has added.
    pub(crate) fn args(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
        args.filter(|arg| !arg.as_bytes().starts_with(OPTION.as_bytes())).collect()
    }
}

/// Carries out orders for ever, or until one succeeds.
pub(crate) async fn serve(shell: Rc<Shell>, heritage: Heritage, manager: Rc<Manager>) {
    loop {
        let mut order = shell.desk.next().await;
        let reason = depart(&shell, &heritage, &order, &manager).await;
        tracing::error!(reason, "the planned restart was given up; the service goes on");
        let message = format!("nothing was restarted, the running master goes on: {reason}");
        control::refuse_late(&mut order.asker, Refusal::NotNow, message, &shell).await;
        shell.desk.free();
    }
}

/// Returns only if it comes to nothing, with the reason.
async fn depart(shell: &Shell, heritage: &Heritage, order: &Order, manager: &Manager) -> String {
    let program = order.program.as_deref().unwrap_or(&heritage.program);
    tracing::info!(program = %program.display(), "a planned restart is prepared");
    if let Some(reason) = hopeless(shell, order) {
        return reason;
    }
    let paused_us = clock::boottime_us();
    manager.reloading();
    shell.input(Input::Pause { on: true });
    let reason = match come_to_rest(shell, order.wait).await {
        // From here to the end nothing else runs on this thread: what is written down stays true.
        Ok(()) => hopeless(shell, order).unwrap_or_else(|| change(shell, heritage, order, program, paused_us)),
        Err(reason) => reason,
    };
    shell.door.open();
    shell.input(Input::Pause { on: false });
    manager.goes_on();
    reason
}

/// What no waiting would change: runs that would be lost.
fn hopeless(shell: &Shell, order: &Order) -> Option<String> {
    let local = shell.look(|core, _| core.local_jobs());
    if local > 0 {
        return Some(format!(
            "{local} {} of the local or scheduler universe {} here and would be lost; wait for {}, or hold {} \
             (condor_hold -constraint 'JobUniverse == 12 || JobUniverse == 7')",
            if local == 1 { "job" } else { "jobs" },
            if local == 1 { "runs" } else { "run" },
            if local == 1 { "its end" } else { "their end" },
            if local == 1 { "it" } else { "them" },
        ));
    }
    let sealed = if order.drop_tls { Vec::new() } else { shell.links.sealed() };
    if !sealed.is_empty() {
        let tasks: usize = shell.look(|core, _| sealed.iter().map(|link| core.tasks_on(*link)).sum());
        return Some(format!(
            "{} connections with {tasks} tasks use TLS and cannot be handed over; with --drop-tls they are closed and \
             their jobs run again",
            sealed.len()
        ));
    }
    None
}

async fn come_to_rest(shell: &Shell, wait: Duration) -> Result<(), String> {
    let peers = || shell.look(|core, _| core.unrest()).or_else(|| shell.links.unrest().map(str::to_owned));
    quiet(wait, peers).await?;
    shell.door.close();
    let clients = || {
        let (speaking, asking) = (shell.door.conversations(), shell.askers_busy());
        if speaking + asking > 0 {
            return Some(format!("{} clients are being answered", speaking + asking));
        }
        shell.clients.any_inside().then(|| "a file of the spool folder is being taken".to_owned())
    };
    quiet(CLIENTS_MAX, || clients().or_else(peers)).await?;
    shell.sync_records();
    quiet(CLIENTS_MAX, || clients().or_else(peers).or_else(|| shell.unwritten().map(str::to_owned))).await
}

/// Waits until nothing is said any more.
async fn quiet(most: Duration, mut unrest: impl FnMut() -> Option<String>) -> Result<(), String> {
    let begin = Instant::now();
    loop {
        let look = Instant::now();
        let Some(what) = unrest() else { return Ok(()) };
        if begin.elapsed() >= most {
            return Err(format!("after {} s {what}; try again, or give more time with --wait", most.as_secs()));
        }
        sleep(LOOK_EVERY.max(look.elapsed() * LOOK_SHARE)).await;
    }
}

/// Becomes the new program, or says why not.
fn change(shell: &Shell, heritage: &Heritage, order: &Order, program: &Path, paused_us: u64) -> String {
    // A signal that comes from now on waits for the new program.
    let held = signals::hold();
    let reason = match try_change(shell, heritage, order, program, paused_us) {
        Ok(never) => match never {},
        Err(error) => format!("{error:#}"),
    };
    let _ = keep_all_open(shell, heritage, order, false);
    drop(held);
    reason
}

fn try_change(
    shell: &Shell,
    heritage: &Heritage,
    order: &Order,
    program: &Path,
    paused_us: u64,
) -> anyhow::Result<std::convert::Infallible> {
    use anyhow::Context;
    let (links, dropped) = shell.links.hand_over();
    let carried = links.iter().map(|link| (link.slot, link.turn)).collect::<std::collections::HashSet<_>>();
    let core = shell.look(|core, _| core.handed_over(|link| carried.contains(&(link.slot, link.turn))));
    let state = State {
        version: handover::VERSION,
        release: env!("CARGO_PKG_VERSION").into(),
        work_dir: heritage.work_dir.clone(),
        state_dir: heritage.state_dir.clone(),
        paused_us,
        descriptors: Descriptors {
            work_lock: heritage.work_lock.as_raw_fd(),
            state_lock: heritage.state_lock.as_raw_fd(),
            control: heritage.control.as_raw_fd(),
            workers: heritage.workers.iter().map(AsRawFd::as_raw_fd).collect(),
            asker: Some(order.asker.as_raw_fd()),
            clients: shell.door.waiting().iter().map(AsRawFd::as_raw_fd).collect(),
        },
        links,
        dropped,
        core,
    };
    let text = state.write().context("the state cannot be written down")?;
    let mut memory =
        File::from(memfd_create("handover", MFdFlags::MFD_CLOEXEC).context("there is no memory for the state")?);
    memory.write_all(&text).context("there is no memory for the state")?;
    rehearsal::rehearse(program, &heritage.args, &memory)?;
    let mut args = vec![program.as_os_str().to_owned()];
    args.extend(heritage.args.iter().cloned());
    args.push(format!("{OPTION}{}", memory.as_raw_fd()).into());
    let args: Vec<CString> = args.into_iter().map(c_string).collect::<Result<_, _>>()?;
    let pairs = std::env::vars_os().map(|(name, value)| {
        let mut pair = name;
        pair.push("=");
        pair.push(value);
        c_string(pair)
    });
    let environment: Vec<CString> = pairs.collect::<Result<_, _>>()?;
    keep_all_open(shell, heritage, order, true).context("the sockets cannot be handed over")?;
    keep_open(&memory, true).context("the state cannot be handed over")?;
    nix::unistd::execve(&c_string(program.as_os_str().to_owned())?, &args, &environment)
        .with_context(|| format!("cannot start {}", program.display()))
}

fn keep_all_open(shell: &Shell, heritage: &Heritage, order: &Order, on: bool) -> std::io::Result<()> {
    for file in [&heritage.work_lock, &heritage.state_lock, &heritage.control].into_iter().chain(&heritage.workers) {
        keep_open(file, on)?;
    }
    for client in shell.door.waiting().iter().chain([&order.asker]) {
        keep_open(client, on)?;
    }
    shell.links.keep_open(on)
}

fn c_string(text: OsString) -> anyhow::Result<CString> {
    Ok(CString::new(text.into_vec())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_program_is_found_again_by_the_name_it_was_started_with() {
        let program = |name: &str| Heritage::program(Some(name.into())).unwrap();
        assert_eq!(program("/opt/awq/bin/alien_work_queue"), Path::new("/opt/awq/bin/alien_work_queue"));
        assert!(program("./here").is_absolute() && program("./here").ends_with("here"));
        assert!(program("sh").is_absolute() && program("sh").ends_with("sh"));
        assert_eq!(program("no such program"), std::env::current_exe().unwrap());
        let args = ["--port", "1", "--handover=9"].map(OsString::from);
        assert_eq!(Heritage::args(args.into_iter()), ["--port", "1"]);
    }
}
