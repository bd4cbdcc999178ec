//! Who fails jobs through his own fault, and how long he gets none (decision D41).
//!
//! Counted for each connection, since one worker of a good host may be broken, and for each host, since a worker that
//! breaks down comes back as a new connection. A host is the address of the connection together with the name that the
//! peer gives, so that neither a shared address (NAT) nor a borrowed name alone brings others into disrepute. Only hosts
//! with failures cost memory.

use std::collections::BTreeMap;

use crate::ids::Timestamp;

/// So many failures in a row are no accident.
const FAILURES_MAX: u32 = 5;

/// Longest time without work, in minutes.
const MINUTES_MAX: u64 = 60;

/// Bad hosts remembered; beyond, the one whose last failure is oldest is forgotten.
const HOSTS_MAX: usize = 10_000;

/// Whose failures are counted together.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct HostKey(pub(super) Box<str>);

impl HostKey {
    /// The host of a peer: `ip:port` of its connection, and what it calls itself.
    pub fn of(address: &str, host: &str) -> HostKey {
        let ip = address.rsplit_once(':').map_or(address, |(ip, _)| ip);
        HostKey(format!("{host} ({ip})").into())
    }

    /// Whether the peer gives this name, or the key as a whole is meant.
    pub fn is_called(&self, name: &str) -> bool {
        &*self.0 == name || self.0.rsplit_once(" (").is_some_and(|(host, _)| host == name)
    }
}

impl std::fmt::Display for HostKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// Failures in a row, and what follows from them.
#[derive(Debug, Clone, Copy, Default)]
pub struct Strikes {
    pub(super) failures: u32,
    pub(super) until: Option<Timestamp>,
}

impl Strikes {
    /// One more. Gives the minutes without work that begin now, if any do.
    pub fn add(&mut self, now: Timestamp) -> Option<u64> {
        if self.quarantined_until(now).is_some() {
            // Several jobs fail together: that is one reason to wait, not many.
            return None;
        }
        self.failures = self.failures.saturating_add(1);
        let beyond = self.failures.checked_sub(FAILURES_MAX)?;
        let minutes = (1 << beyond.min(6)).min(MINUTES_MAX);
        self.until = Some(now.plus_s(60 * minutes));
        Some(minutes)
    }

    /// Until when there is no work.
    pub fn quarantined_until(&self, now: Timestamp) -> Option<Timestamp> {
        self.until.filter(|until| *until > now)
    }
}

/// All hosts with failures, and when the last one was.
#[derive(Debug, Default)]
pub struct Health {
    pub(super) hosts: BTreeMap<HostKey, (Strikes, Timestamp)>,
}

impl Health {
    /// The host failed a job. Gives the minutes without work that begin now, if any do.
    pub fn failed(&mut self, now: Timestamp, host: HostKey) -> Option<u64> {
        if self.hosts.len() >= HOSTS_MAX && !self.hosts.contains_key(&host) {
            let oldest = self.hosts.iter().min_by_key(|(_, (_, last))| *last).map(|(host, _)| host.clone());
            self.hosts.remove(&oldest.expect("there are many"));
        }
        let (strikes, last) = self.hosts.entry(host).or_default();
        *last = now;
        strikes.add(now)
    }

    /// The host ran a job: all is forgiven.
    pub fn ran(&mut self, host: &HostKey) {
        self.hosts.remove(host);
    }

    /// Forgets all failures of these hosts; gives those that had to wait.
    pub fn forgive(&mut self, now: Timestamp, is_meant: impl Fn(&HostKey) -> bool) -> Vec<HostKey> {
        let mut waited = Vec::new();
        self.hosts.retain(|host, (strikes, _)| {
            let meant = is_meant(host);
            if meant && strikes.quarantined_until(now).is_some() {
                waited.push(host.clone());
            }
            !meant
        });
        waited
    }

    /// Whether any host has failures: the common case is that none has, and costs nothing.
    pub fn is_spotless(&self) -> bool {
        self.hosts.is_empty()
    }

    /// Until when the host gets no work.
    pub fn quarantined_until(&self, now: Timestamp, host: &HostKey) -> Option<Timestamp> {
        self.hosts.get(host)?.0.quarantined_until(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn host(n: u32) -> HostKey {
        HostKey::of(&format!("10.0.0.{n}:4711"), "node")
    }

    #[test]
    fn five_in_a_row_wait_and_each_further_one_waits_twice_as_long() {
        let mut health = Health::default();
        let mut now = Timestamp(0);
        let mut waits = Vec::new();
        for _ in 0..14 {
            if let Some(minutes) = health.failed(now, host(1)) {
                waits.push(minutes);
                assert_eq!(health.failed(now, host(1)), None, "failures together are one");
                now = health.quarantined_until(now, &host(1)).unwrap();
                assert_eq!(health.quarantined_until(now, &host(1)), None);
            }
        }
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60, 60, 60]);
        assert_eq!(health.quarantined_until(now, &host(2)), None);
    }

    #[test]
    fn success_forgives_everything() {
        let mut health = Health::default();
        for _ in 0..4 {
            assert_eq!(health.failed(Timestamp(0), host(1)), None);
        }
        health.ran(&host(1));
        assert!(health.is_spotless());
        assert_eq!(health.failed(Timestamp(0), host(1)), None);
    }

    #[test]
    fn a_host_is_its_address_and_its_name() {
        assert_eq!(HostKey::of("10.0.0.1:1", "a"), HostKey::of("10.0.0.1:2", "a"));
        assert_ne!(HostKey::of("10.0.0.1:1", "a"), HostKey::of("10.0.0.1:1", "b"));
        assert_ne!(HostKey::of("10.0.0.1:1", "a"), HostKey::of("10.0.0.2:1", "a"));
        assert_eq!(HostKey::of("[::1]:1", "a").to_string(), "a ([::1])");
    }

    #[test]
    fn memory_is_bounded() {
        let mut health = Health::default();
        for n in 0..HOSTS_MAX as u64 + 10 {
            health.failed(Timestamp(n), HostKey::of("1.2.3.4:5", &n.to_string()));
        }
        assert_eq!(health.hosts.len(), HOSTS_MAX);
        assert!(!health.hosts.contains_key(&HostKey::of("1.2.3.4:5", "0")));
    }
}
