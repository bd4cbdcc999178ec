//! What a master that crashed has left running: it is ended before its jobs run again.
//!
//! The leader of each group dies with its master, as the kernel was asked for. Its children do not, and a leader that
//! has changed its user does not either. They are found by the group's number, which is nobody else's as long as one of
//! them lives, and told from a later group of that number by the leader's start or by the folder in their environment.

use std::io;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::program::{SCRATCH, remove_folder};
use super::record::{self, Identity};

/// How long the kernel may take to end them. One that hangs in a file server's call stays, and the log says so.
const PATIENCE: Duration = Duration::from_secs(10);

/// Pause between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Ends what runs for the folders below this one, and removes them.
pub(super) fn end(folder: &Path) -> io::Result<()> {
    let boot = record::boot()?;
    for entry in std::fs::read_dir(folder)? {
        let folder = entry?.path();
        if let Some(leader) = record::read(&folder).filter(|leader| leader.boot == boot) {
            end_one(&folder, &leader)?;
        }
        remove_folder(&folder);
    }
    Ok(())
}

fn end_one(folder: &Path, leader: &Identity) -> io::Result<()> {
    let began = Instant::now();
    let mut told = false;
    loop {
        let members = members(folder, leader)?;
        if members.is_empty() {
            return Ok(());
        }
        if !std::mem::replace(&mut told, true) {
            tracing::warn!(folder = %folder.display(), processes = members.len(),
                "ending what an earlier master has left running");
        }
        if began.elapsed() > PATIENCE {
            tracing::error!(?members, "these processes of a local job do not end; it runs again all the same");
            return Ok(());
        }
        for pid in members {
            // It may have ended by itself.
            let _ = kill(Pid::from_raw(pid), Signal::SIGKILL);
        }
        std::thread::sleep(PAUSE);
    }
}

/// The living processes of the leader's group.
fn members(folder: &Path, leader: &Identity) -> io::Result<Vec<i32>> {
    let is_leader_there = record::stat(leader.pid).is_some_and(|stat| stat.start == leader.start);
    let mut members = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let Some(pid) = entry?.file_name().to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        let Some(stat) = record::stat(pid).filter(|stat| stat.group == leader.pid && !stat.zombie) else { continue };
        // Nobody of the group is older than its leader.
        if stat.start >= leader.start && (is_leader_there || was_here(pid, folder)) {
            members.push(pid);
        }
    }
    Ok(members)
}

/// Whether the process was started with this folder as its scratch folder.
fn was_here(pid: i32, folder: &Path) -> bool {
    let mark = [SCRATCH.as_bytes(), b"=", folder.as_os_str().as_encoded_bytes()].concat();
    std::fs::read(format!("/proc/{pid}/environ"))
        .is_ok_and(|environment| environment.split(|byte| *byte == 0).any(|entry| entry == mark))
}
