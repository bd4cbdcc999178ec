//! Peers and hosts that fail jobs through their own fault get none for a while (decision D41), until an operator forgives
//! them.

use std::collections::BTreeSet;

use control_proto::{ReleaseHosts, Reply};

use super::Master;
use super::timers::Timer;
use crate::ids::{ClientId, LinkId, Timestamp};
use crate::io::{Effect, Notice};
use crate::workers::{HostKey, Peer, Shape};

impl Master {
    /// A peer failed a job through its own fault: after five in a row it gets none for a while (decision D41).
    pub(super) fn peer_failed(&mut self, now: Timestamp, link: LinkId) {
        let Some(peer) = self.peers.get_mut(link) else { return };
        let host = peer.host_key();
        if let Some(minutes) = peer.strikes.add(now) {
            let until = now.plus_s(60 * minutes);
            self.effect(Effect::Notice(Notice::Quarantined { who: host.to_string(), worker: Some(link), minutes }));
            self.quarantine(link, until);
        }
        self.host_failed(now, host);
    }

    pub(super) fn host_failed(&mut self, now: Timestamp, host: HostKey) {
        let who = host.to_string();
        if let Some(minutes) = self.health.failed(now, host) {
            self.effect(Effect::Notice(Notice::Quarantined { who, worker: None, minutes }));
        }
    }

    /// A peer ran a job.
    pub(super) fn peer_succeeded(&mut self, link: LinkId, shape: Shape) {
        let Some(peer) = self.peers.get_mut(link) else { return };
        peer.accepted(shape);
        if !self.health.is_spotless() {
            let host = peer.host_key();
            self.health.ran(&host);
        }
    }

    /// Whether the peer's host has no work now. Found out when a job would go there, so that a host's failure costs no
    /// walk over its workers.
    pub(super) fn is_hosts_quarantine(&mut self, now: Timestamp, link: LinkId) -> bool {
        if self.health.is_spotless() {
            return false;
        }
        let host = self.peers.get(link).map(Peer::host_key);
        let until = host.and_then(|host| self.health.quarantined_until(now, &host));
        until.inspect(|until| self.quarantine(link, *until)).is_some()
    }

    fn quarantine(&mut self, link: LinkId, until: Timestamp) {
        let peer = self.peers.get_mut(link).expect("the caller has it");
        peer.quarantined_until = Some(until);
        self.peers.changed(link);
        self.timers.set(until, Timer::Quarantine(link));
    }

    pub(super) fn quarantine_over(&mut self, now: Timestamp, link: LinkId) {
        if let Some(peer) = self.peers.get_mut(link)
            && peer.quarantined_until.is_some_and(|until| until <= now)
        {
            peer.quarantined_until = None;
            self.peers.changed(link);
            self.dirty.peer(link);
        }
    }

    /// `awq release-host`: all failures of these hosts are forgotten.
    pub(super) fn release_hosts(&mut self, now: Timestamp, client: ClientId, wanted: &ReleaseHosts) {
        let is_meant = |host: &HostKey| wanted.hosts.is_empty() || wanted.hosts.iter().any(|name| host.is_called(name));
        let mut hosts: BTreeSet<HostKey> = self.health.forgive(now, is_meant).into_iter().collect();
        let links: Vec<LinkId> = self.peers.iter().filter(|peer| is_meant(&peer.host_key())).map(|p| p.link).collect();
        for link in links {
            let peer = self.peers.get_mut(link).expect("just listed");
            peer.strikes = Default::default();
            if peer.quarantined_until.take().is_some() {
                hosts.insert(peer.host_key());
                self.peers.changed(link);
                self.dirty.peer(link);
            }
        }
        let others =
            wanted.hosts.iter().filter(|name| !hosts.iter().any(|host| host.is_called(name))).cloned().collect();
        let hosts = hosts.iter().map(ToString::to_string).collect();
        self.answer(client, Reply::HostsReleased { hosts, others });
    }
}
