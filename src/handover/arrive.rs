//! The new program's part: it finds the state, the locks and the sockets.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Seek};
use std::os::fd::{OwnedFd, RawFd};
use std::path::Path;
use std::rc::Rc;

use anyhow::{Context, bail};
use control_proto::{Reloaded, Reply};
use handover::State;
use tokio::net::UnixStream;

use super::adopt;
use crate::clock;
use crate::control;
use crate::driver::Shell;

/// What was handed over.
#[derive(Debug)]
pub(crate) struct Arrival {
    /// All of it.
    pub(crate) state: State,
}

impl Arrival {
    /// Reads the state from the inherited file of this number.
    ///
    /// # Errors
    /// There is none, or it cannot be read.
    pub(crate) fn inherited(number: RawFd) -> anyhow::Result<Arrival> {
        let file = adopt(number).context("--handover is for the master's own use")?;
        let mut file = File::from(file);
        file.rewind().context("the state cannot be read")?;
        Arrival::read(&mut file)
    }

    /// Reads the state.
    ///
    /// # Errors
    /// It cannot be read, or makes no sense.
    pub(crate) fn read(from: &mut impl Read) -> anyhow::Result<Arrival> {
        let mut text = Vec::new();
        from.read_to_end(&mut text).context("the state cannot be read")?;
        let state = State::read(&text)?;
        let mut numbers = HashSet::new();
        let all = state.descriptors.all().chain(state.links.iter().map(|link| link.descriptor));
        if all.into_iter().any(|number| number <= 2 || !numbers.insert(number)) {
            bail!("the state names an open file twice, or one that is none");
        }
        let links: HashSet<_> = state.links.iter().map(|link| (link.slot, link.turn)).collect();
        if let Some(peer) = state.core.peers.iter().find(|peer| !links.contains(&(peer.link.slot, peer.link.turn))) {
            bail!("the peer {} has no connection", peer.address);
        }
        Ok(Arrival { state })
    }

    /// Whether the folders are still the same.
    ///
    /// # Errors
    /// They are not: such a change needs a stop and a start.
    pub(crate) fn check_places(&self, work_dir: &Path, state_dir: &Path) -> anyhow::Result<()> {
        for (name, now, before) in
            [("work", work_dir, &self.state.work_dir), ("state", state_dir, &self.state.state_dir)]
        {
            let now = std::path::absolute(now).context("cannot find the working directory")?;
            if now != *before {
                bail!(
                    "the {name} dir was {} and would be {}: stop and start the service for that",
                    before.display(),
                    now.display()
                );
            }
        }
        Ok(())
    }

    /// The open lock files of work dir and state dir.
    ///
    /// # Errors
    /// They are not open.
    pub(crate) fn locks(&self) -> anyhow::Result<(OwnedFd, OwnedFd)> {
        let descriptors = &self.state.descriptors;
        Ok((adopt(descriptors.work_lock)?, adopt(descriptors.state_lock)?))
    }

    /// The listening socket of the clients.
    ///
    /// # Errors
    /// It is not open.
    pub(crate) fn control(&self) -> anyhow::Result<std::os::unix::net::UnixListener> {
        Ok(adopt(self.state.descriptors.control)?.into())
    }

    /// The listening sockets of the workers.
    ///
    /// # Errors
    /// They are not open.
    pub(crate) fn workers(&self) -> anyhow::Result<Vec<std::net::TcpListener>> {
        let numbers = self.state.descriptors.workers.iter();
        numbers.map(|number| Ok(adopt(*number)?.into())).collect()
    }

    /// Clients that have not been read from.
    ///
    /// # Errors
    /// They are not open.
    pub(crate) fn clients(&self) -> anyhow::Result<Vec<UnixStream>> {
        self.state.descriptors.clients.iter().map(|number| client(*number)).collect()
    }

    /// Who waits to hear that it is done.
    ///
    /// # Errors
    /// His connection is not open.
    pub(crate) fn asker(&self) -> anyhow::Result<Option<UnixStream>> {
        self.state.descriptors.asker.map(client).transpose()
    }

    /// What is told of it. To be called when work is sent again.
    pub(crate) fn told(&self, misfits: usize) -> Reloaded {
        let paused_us = clock::boottime_us().saturating_sub(self.state.paused_us);
        Reloaded {
            from: self.state.release.clone(),
            to: env!("CARGO_PKG_VERSION").into(),
            paused_ms: paused_us.div_ceil(1000),
            links: self.state.links.len() as u64,
            tasks: (self.state.core.attempts.len() - misfits.min(self.state.core.attempts.len())) as u64,
            dropped: self.state.dropped,
        }
    }
}

fn client(number: RawFd) -> anyhow::Result<UnixStream> {
    let stream = std::os::unix::net::UnixStream::from(adopt(number)?);
    UnixStream::from_std(stream).context("cannot serve a client")
}

/// Tells the one who asked.
pub(crate) async fn answer(mut asker: UnixStream, told: Reloaded, shell: Rc<Shell>) {
    control::reply_late(&mut asker, &Reply::Reloaded(told), &shell).await;
}

#[cfg(test)]
mod tests {
    use handover::{Core, Descriptors, Link, Peer};

    use super::*;

    fn read(state: &State) -> Result<Arrival, String> {
        Arrival::read(&mut &state.write().unwrap()[..]).map_err(|error| error.to_string())
    }

    #[test]
    fn a_state_that_makes_no_sense_is_refused() {
        let descriptors =
            Descriptors { work_lock: 3, state_lock: 4, control: 5, workers: vec![6], ..Descriptors::default() };
        let links = vec![Link { slot: 1, descriptor: 7, ..Link::default() }];
        let good = State {
            version: handover::VERSION,
            work_dir: "/w".into(),
            state_dir: "/s".into(),
            descriptors,
            links,
            ..State::default()
        };
        let arrival = read(&good).unwrap();
        arrival.check_places(Path::new("/w"), Path::new("/s")).unwrap();
        let moved = arrival.check_places(Path::new("/w"), Path::new("/t")).unwrap_err().to_string();
        assert_eq!(moved, "the state dir was /s and would be /t: stop and start the service for that");
        let twice = State { links: vec![Link { descriptor: 6, ..Link::default() }], ..good.clone() };
        assert!(read(&twice).unwrap_err().contains("twice"));
        let peer = Peer { address: "10.0.0.1:5".into(), ..Peer::default() };
        let alone = State { core: Core { peers: vec![peer], ..Core::default() }, ..good };
        assert_eq!(read(&alone).unwrap_err(), "the peer 10.0.0.1:5 has no connection");
    }
}
