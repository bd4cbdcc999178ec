//! Peers and the health of hosts to what a planned restart hands over, and back.

use wq_proto::TaskId;

use super::foreman::{Foreman, Leftover};
use super::health::{Health, HostKey, Strikes};
use super::peer::{Expect, Peer, Phase, Staged};
use super::shape::{Amount, Shape};
use crate::ids::{AttemptId, BlobId, JobId, LinkId, Timestamp};

impl From<LinkId> for handover::LinkId {
    fn from(link: LinkId) -> handover::LinkId {
        handover::LinkId { slot: link.slot, turn: link.turn }
    }
}

impl From<handover::LinkId> for LinkId {
    fn from(link: handover::LinkId) -> LinkId {
        LinkId { slot: link.slot, turn: link.turn }
    }
}

impl From<Amount> for handover::Amount {
    fn from(Amount { cores, gpus, memory_mb, disk_mb }: Amount) -> handover::Amount {
        handover::Amount { cores, gpus, memory_mb, disk_mb }
    }
}

impl From<handover::Amount> for Amount {
    fn from(handover::Amount { cores, gpus, memory_mb, disk_mb }: handover::Amount) -> Amount {
        Amount { cores, gpus, memory_mb, disk_mb }
    }
}

impl From<Shape> for handover::Amount {
    fn from(shape: Shape) -> handover::Amount {
        Amount::from(shape).into()
    }
}

impl From<handover::Amount> for Shape {
    fn from(handover::Amount { cores, gpus, memory_mb, disk_mb }: handover::Amount) -> Shape {
        Shape { cores, gpus, memory_mb, disk_mb }
    }
}

impl From<Strikes> for handover::Strikes {
    fn from(Strikes { failures, until }: Strikes) -> handover::Strikes {
        handover::Strikes { failures, until: until.map(|until| until.0) }
    }
}

impl From<handover::Strikes> for Strikes {
    fn from(handover::Strikes { failures, until }: handover::Strikes) -> Strikes {
        Strikes { failures, until: until.map(Timestamp) }
    }
}

impl From<Expect> for handover::Expect {
    fn from(expect: Expect) -> handover::Expect {
        match expect {
            Expect::Results { ahead } => handover::Expect::Results(ahead.map(|id| id.0)),
            Expect::Output { attempt, output } => handover::Expect::Output(attempt.0, output),
        }
    }
}

impl From<handover::Expect> for Expect {
    fn from(expect: handover::Expect) -> Expect {
        match expect {
            handover::Expect::Results(ahead) => Expect::Results { ahead: ahead.map(AttemptId) },
            handover::Expect::Output(attempt, output) => Expect::Output { attempt: AttemptId(attempt), output },
        }
    }
}

impl Peer {
    /// What is known of the peer, without its tasks; `None` for one that we hang up on.
    ///
    /// Each field is named, so that whoever adds one has to say here what becomes of it.
    pub fn hand_over(&self) -> Option<handover::Peer> {
        let Peer {
            link,
            address,
            phase,
            protocol,
            foreman,
            below,
            host,
            arch,
            op_sys,
            total,
            largest,
            staged,
            workers,
            // These go with the attempts, which book their shares again, and with what is left at foremen.
            used: _,
            booked: _,
            tasks: _,
            preparing: _,
            completed,
            next_task,
            expects,
            more_results,
            put_off,
            kept,
            // No body is being read.
            body_of: _,
            result_of: _,
            checks,
            checked_at,
            look_at,
            heard_at,
            active,
            leaving,
            forsaken,
            strikes,
            quarantined_until,
            reserved,
            verdicts: _, // Asked again.
        } = self;
        let phase = match phase {
            Phase::Greeting => handover::Phase::Greeting,
            Phase::Ready => handover::Phase::Ready,
            Phase::Closing => return None,
        };
        let stage = staged.as_ref().map(|staged| {
            let Staged { total, largest, workers } = **staged;
            handover::Stage { total: total.into(), largest: largest.into(), workers }
        });
        let numbers = |attempts: &Vec<AttemptId>| attempts.iter().map(|id| id.0).collect();
        let contents = kept.contents().into_iter();
        let refused = forsaken.iter();
        Some(handover::Peer {
            link: (*link).into(),
            address: address.to_string(),
            phase,
            protocol: protocol.number(),
            foreman: *foreman,
            below: below.as_deref().map(Foreman::hand_over),
            host: host.to_string(),
            arch: arch.to_string(),
            op_sys: op_sys.to_string(),
            total: (*total).into(),
            largest: (*largest).into(),
            workers: *workers,
            stage,
            completed: *completed,
            next_task: *next_task,
            expects: expects.iter().map(|expect| (*expect).into()).collect(),
            more_results: *more_results,
            put_off: *put_off,
            kept: contents.map(|(id, size)| handover::Kept { content: id.to_string(), size }).collect(),
            checks: checks.iter().map(numbers).collect(),
            checked_at: checked_at.map(|at| at.0),
            look_at: look_at.map(|at| at.0),
            heard_at: heard_at.0,
            active: (active.0, active.1.0),
            leaving: *leaving,
            refused: refused
                .map(|(shape, times)| handover::Refused { shape: (*shape).into(), times: *times })
                .collect(),
            strikes: (*strikes).into(),
            quarantined_until: quarantined_until.map(|until| until.0),
            reserved: reserved.map(|job| (job.cluster, job.proc_)),
        })
    }

    /// The peer that was handed over, without its tasks and still greeting: whoever adds it makes it ready.
    ///
    /// # Errors
    /// What cannot be understood.
    pub fn take_over(from: &handover::Peer) -> Result<Peer, String> {
        let handover::Peer {
            link,
            address,
            phase: _,
            protocol,
            foreman,
            below,
            host,
            arch,
            op_sys,
            total,
            largest,
            workers,
            stage,
            completed,
            next_task,
            expects,
            more_results,
            put_off,
            kept,
            checks,
            checked_at,
            look_at,
            heard_at,
            active,
            leaving,
            refused,
            strikes,
            quarantined_until,
            reserved,
        } = from;
        let mut peer = Peer::new((*link).into(), address, Timestamp(*heard_at));
        peer.protocol =
            (*protocol).try_into().map_err(|_| format!("the peer {address} speaks the unknown protocol {protocol}"))?;
        peer.foreman = *foreman;
        if let Some(below) = below {
            let below = Foreman::take_over(below);
            below.leftovers.values().for_each(|leftover| peer.book(leftover.shape));
            peer.below = Some(Box::new(below));
        } else if *foreman {
            return Err(format!("the foreman {address} has no state of a foreman"));
        }
        peer.host = host.as_str().into();
        peer.arch = arch.as_str().into();
        peer.op_sys = op_sys.as_str().into();
        (peer.total, peer.largest, peer.workers) = ((*total).into(), (*largest).into(), *workers);
        peer.staged = stage.map(|handover::Stage { total, largest, workers }| {
            Box::new(Staged { total: total.into(), largest: largest.into(), workers })
        });
        peer.completed = *completed;
        peer.next_task = (*next_task).max(1);
        peer.expects = expects.iter().map(|expect| (*expect).into()).collect();
        (peer.more_results, peer.put_off) = (*more_results, *put_off);
        for handover::Kept { content, size } in kept {
            let id = BlobId::from_text(content).ok_or_else(|| format!("{content} is no hash"))?;
            // Attempts that need it take it once more.
            peer.kept.take(id, *size);
            peer.kept.leave(id);
        }
        peer.checks = checks.iter().map(|attempts| attempts.iter().copied().map(AttemptId).collect()).collect();
        peer.checked_at = checked_at.map(Timestamp);
        peer.look_at = look_at.map(Timestamp);
        peer.active = (active.0, Timestamp(active.1));
        peer.leaving = *leaving;
        peer.forsaken = refused.iter().map(|handover::Refused { shape, times }| ((*shape).into(), *times)).collect();
        peer.strikes = (*strikes).into();
        peer.quarantined_until = quarantined_until.map(Timestamp);
        peer.reserved = reserved.map(|(cluster, proc_)| JobId::new(cluster, proc_));
        Ok(peer)
    }
}

impl Foreman {
    fn hand_over(&self) -> handover::Below {
        let Foreman { tag, second, waiting_since, kills, leftovers } = self;
        let leftovers = leftovers.iter().map(|(task, Leftover { shape, names })| handover::Leftover {
            task: task.0,
            shape: (*shape).into(),
            names: names.clone(),
        });
        handover::Below {
            tag: *tag,
            second: *second,
            waiting_since: waiting_since.map(|at| at.0),
            kills: kills.iter().map(|(id, task)| (id.0, task.0)).collect(),
            leftovers: leftovers.collect(),
        }
    }

    fn take_over(from: &handover::Below) -> Foreman {
        let handover::Below { tag, second, waiting_since, kills, leftovers } = from;
        let leftovers = leftovers.iter().map(|handover::Leftover { task, shape, names }| {
            (TaskId(*task), Leftover { shape: (*shape).into(), names: names.clone() })
        });
        Foreman {
            tag: *tag,
            second: *second,
            waiting_since: waiting_since.map(Timestamp),
            kills: kills.iter().map(|(id, task)| (AttemptId(*id), TaskId(*task))).collect(),
            leftovers: leftovers.collect(),
        }
    }
}

impl Health {
    /// All hosts with failures.
    pub fn hand_over(&self) -> Vec<handover::Host> {
        let Health { hosts } = self;
        hosts
            .iter()
            .map(|(HostKey(key), (strikes, last))| handover::Host {
                key: key.to_string(),
                strikes: (*strikes).into(),
                last: last.0,
            })
            .collect()
    }

    /// The same, back.
    pub fn take_over(hosts: &[handover::Host]) -> Health {
        let hosts = hosts
            .iter()
            .map(|host| (HostKey(host.key.as_str().into()), (host.strikes.into(), Timestamp(host.last))))
            .collect();
        Health { hosts }
    }
}
