//! A peer as an ad, for `requirements`, `rank` and listings (decision D44).

use classad::{ClassAd, Value};

use super::Peer;

/// What all our machines have alike.
pub fn common(condor_version: &str, domain: &str) -> ClassAd {
    let mut ad = ClassAd::new();
    ad.insert("CondorVersion", Value::from(condor_version));
    ad.insert("FileSystemDomain", Value::from(domain));
    ad.insert("HasFileTransfer", Value::Bool(true));
    ad.insert("HasJobDeferral", Value::Bool(true));
    ad
}

/// What tells this peer from others, with `common` below it. A foreman speaks for its largest worker, as far as it knows it.
pub fn machine(peer: &Peer, common: &ClassAd) -> ClassAd {
    let int = |n: u64| Value::Int(i64::try_from(n).unwrap_or(i64::MAX));
    let most = peer.largest;
    let mut ad = common.clone();
    ad.insert("Arch", Value::from(&*peer.arch));
    ad.insert("OpSys", Value::from(&*peer.op_sys));
    ad.insert("Machine", Value::from(&*peer.host));
    ad.insert("Name", Value::from(format!("slot1@{}", peer.host)));
    ad.insert("Cpus", int(most.cores.into()));
    ad.insert("TotalCpus", int(peer.total.cores.into()));
    ad.insert("GPUs", int(most.gpus.into()));
    ad.insert("Memory", int(most.memory_mb));
    ad.insert("TotalMemory", int(peer.total.memory_mb));
    ad.insert("Disk", int(most.disk_mb.saturating_mul(1024)));
    ad
}

/// HTCondor's name of a processor that a peer names as `uname -m` does.
pub fn arch(machine: &str) -> String {
    match machine {
        "x86_64" | "amd64" => "X86_64".into(),
        "i386" | "i486" | "i586" | "i686" => "INTEL".into(),
        other => other.chars().filter(|c| !c.is_control()).take(32).collect(),
    }
}

/// HTCondor's name of an operating system that a peer names as `uname -s` does; foremen stand for Linux workers.
pub fn op_sys(system: &str, foreman: bool) -> String {
    match system {
        _ if foreman => "LINUX".into(),
        "Darwin" => "macOS".into(),
        other => other.chars().filter(|c| !c.is_control()).take(32).collect::<String>().to_ascii_uppercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_htcondors() {
        assert_eq!([arch("x86_64"), arch("i686"), arch("aarch64")], ["X86_64", "INTEL", "aarch64"]);
        assert_eq!([op_sys("Linux", false), op_sys("Darwin", false)], ["LINUX", "macOS"]);
        assert_eq!(op_sys("foreman", true), "LINUX");
    }
}
