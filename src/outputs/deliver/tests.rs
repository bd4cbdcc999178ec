use std::os::unix::fs::{PermissionsExt, symlink};

use wq_core::io::OutputPart;

use super::super::Words;
use super::*;

struct Bench {
    dir: tempfile::TempDir,
    outputs: Outputs,
}

const ID: AttemptId = AttemptId(7);

impl Bench {
    fn new() -> Bench {
        let dir = tempfile::tempdir().unwrap();
        let outputs = Outputs::new(Words::new("submit"), "n".into(), &dir.path().join("list"), true).unwrap();
        std::fs::create_dir(dir.path().join("out")).unwrap();
        Bench { dir, outputs }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join("out").join(name)
    }

    fn part(&self, output: u16, target: &str, inside: Option<&str>) -> OutputPart {
        let target = self.path(target).to_str().unwrap().trim_end_matches('/').to_owned();
        OutputPart { attempt: ID, output, target, inside: inside.map(Into::into), mode: 0o640, peek: 0 }
    }

    fn deliver(&self, output: u16, target: &str, how: DeliveryKind) -> Result<u64, (i32, i32)> {
        let target = self.path(target).to_str().unwrap().trim_end_matches('/').to_owned();
        self.outputs.deliver(ID, &[Delivery { output, target, how }]).map_err(|t| (t.code, t.subcode))
    }

    fn names(&self) -> Vec<String> {
        let mut names: Vec<_> = std::fs::read_dir(self.path(""))
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    fn large(&self, part: &OutputPart, bytes: &[u8]) {
        let slot = self.outputs.slot(part);
        let mut sink = self.outputs.create(&slot, part).unwrap();
        self.outputs.write(&mut sink, bytes).unwrap();
        self.outputs.close(&slot, part, sink, bytes.len() as u64).unwrap();
    }
}

#[test]
fn a_small_output_touches_the_disk_only_at_delivery() {
    let bench = Bench::new();
    bench.outputs.keep(&bench.part(0, "log", None), b"hello\n".to_vec());
    assert!(bench.names().is_empty());
    std::fs::write(bench.path("log"), "old").unwrap();
    assert_eq!(bench.deliver(0, "log", DeliveryKind::Rename), Ok(6));
    assert_eq!(std::fs::read(bench.path("log")).unwrap(), b"hello\n");
    assert_eq!(std::fs::metadata(bench.path("log")).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(bench.names(), ["log"]);
}

#[test]
fn a_large_output_is_whole_or_not_there() {
    let bench = Bench::new();
    let part = bench.part(3, "big", None);
    bench.large(&part, &[1; 100_000]);
    assert_eq!(bench.names(), [".awq-n-7-3.tmp"]);
    assert_eq!(bench.deliver(3, "big", DeliveryKind::Rename), Ok(100_000));
    assert_eq!(bench.names(), ["big"]);
    bench.large(&part, &[2; 10]);
    bench.outputs.abandon(ID);
    assert_eq!(bench.names(), ["big"]);
    assert_eq!(std::fs::metadata(bench.path("big")).unwrap().len(), 100_000);
}

#[test]
fn nothing_is_made_for_an_attempt_that_was_abandoned_meanwhile() {
    let bench = Bench::new();
    let part = bench.part(0, "big", None);
    let slot = bench.outputs.slot(&part);
    bench.outputs.abandon(ID);
    assert_eq!(bench.outputs.create(&slot, &part).unwrap_err().code, 12);
    assert!(bench.names().is_empty());
}

#[test]
fn what_is_no_regular_file_is_never_replaced() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("dir")).unwrap();
    nix::unistd::mkfifo(&bench.path("fifo"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    symlink("dir", bench.path("link")).unwrap();
    for (target, errno) in [("dir", 21), ("fifo", 6), ("link", 21), ("missing/log", 2)] {
        bench.outputs.keep(&bench.part(0, target, None), b"x".to_vec());
        assert_eq!(bench.deliver(0, target, DeliveryKind::Rename), Err((12, errno)), "{target}");
        bench.outputs.abandon(ID);
    }
    assert_eq!(bench.names(), ["dir", "fifo", "link"]);
}

#[test]
fn nothing_is_written_through_a_symlink() {
    let bench = Bench::new();
    std::fs::write(bench.path("victim"), "precious").unwrap();
    symlink("victim", bench.path("log")).unwrap();
    bench.outputs.keep(&bench.part(0, "log", None), b"x".to_vec());
    assert_eq!(bench.deliver(0, "log", DeliveryKind::Rename), Ok(1));
    assert_eq!(std::fs::read(bench.path("victim")).unwrap(), b"precious");
    assert_eq!(std::fs::read(bench.path("log")).unwrap(), b"x");
}

#[test]
fn a_symlink_planted_in_a_folder_that_is_arriving_leads_nowhere() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("victim")).unwrap();
    bench.outputs.make_dir(&bench.part(1, "tree", None));
    bench.outputs.make_dir(&bench.part(1, "tree", Some("sub")));
    bench.large(&bench.part(1, "tree", Some("sub/first")), &[1; 70_000]);
    let sub = bench.path(".awq-n-7-1.tmp/sub");
    std::fs::rename(&sub, bench.path("moved")).unwrap();
    symlink(bench.path("victim"), &sub).unwrap();
    let slot = bench.outputs.slot(&bench.part(1, "tree", Some("sub/large")));
    assert_eq!(bench.outputs.create(&slot, &bench.part(1, "tree", Some("sub/large"))).unwrap_err().code, 12);
    bench.outputs.keep(&bench.part(1, "tree", Some("sub/small")), b"x".to_vec());
    assert!(bench.deliver(1, "tree", DeliveryKind::Rename).is_err());
    bench.outputs.abandon(ID);
    assert_eq!(std::fs::read_dir(bench.path("victim")).unwrap().count(), 0);
    assert_eq!(bench.names(), ["moved", "victim"]);
}

#[test]
fn a_folder_comes_whole_and_merges_with_one_that_exists() {
    let bench = Bench::new();
    for round in 0..2 {
        bench.outputs.make_dir(&bench.part(1, "tree", None));
        bench.outputs.make_dir(&bench.part(1, "tree", Some("sub")));
        bench.outputs.keep(&bench.part(1, "tree", Some("sub/small")), vec![round; 3]);
        bench.large(&bench.part(1, "tree", Some("sub/large")), &vec![round; 70_000]);
        assert_eq!(bench.deliver(1, "tree", DeliveryKind::Rename), Ok(70_003));
        assert_eq!(std::fs::read(bench.path("tree/sub/small")).unwrap(), vec![round; 3]);
        std::fs::write(bench.path("tree/mine"), "kept").unwrap();
    }
    assert_eq!(bench.names(), ["tree"]);
    assert_eq!(std::fs::read_dir(bench.path("tree")).unwrap().count(), 2);
}

#[test]
fn spreading_follows_remaps() {
    let bench = Bench::new();
    bench.outputs.make_dir(&bench.part(2, "", None));
    for name in ["a", "b", "c"] {
        bench.outputs.keep(&bench.part(2, "", Some(name)), name.into());
    }
    bench.outputs.make_dir(&bench.part(2, "", Some("d")));
    bench.outputs.keep(&bench.part(2, "", Some("d/e")), b"e".to_vec());
    let remaps = vec![
        ("a".into(), bench.path("z").to_str().unwrap().to_owned()),
        ("b".into(), "/dev/null".into()),
        ("never".into(), "/nowhere".into()),
    ];
    assert_eq!(bench.deliver(2, "", DeliveryKind::Spread { remaps }), Ok(4));
    assert_eq!(bench.names(), ["c", "d", "z"]);
    assert_eq!(std::fs::read(bench.path("d/e")).unwrap(), b"e");
    assert_eq!(bench.deliver(2, "", DeliveryKind::Spread { remaps: vec![] }), Ok(0));
}

#[test]
fn empty_and_nowhere() {
    let bench = Bench::new();
    assert_eq!(bench.deliver(0, "log", DeliveryKind::Empty(0o600)), Ok(0));
    assert_eq!(std::fs::metadata(bench.path("log")).unwrap().len(), 0);
    assert_eq!(bench.deliver(0, "log", DeliveryKind::Nowhere), Ok(0));
    assert_eq!(bench.deliver(0, "other", DeliveryKind::Rename), Err((12, 2)), "nothing has arrived");
    symlink("/dev/null", bench.path("null")).unwrap();
    assert_eq!(bench.deliver(0, "null", DeliveryKind::Empty(0o600)), Ok(0));
    assert!(bench.path("null").is_symlink());
    assert_eq!(bench.names(), ["log", "null"]);
}

#[test]
fn one_bad_target_changes_none() {
    let bench = Bench::new();
    std::fs::create_dir(bench.path("dir")).unwrap();
    bench.outputs.keep(&bench.part(0, "log", None), b"x".to_vec());
    bench.outputs.keep(&bench.part(1, "dir", None), b"y".to_vec());
    let path = |name| bench.path(name).to_str().unwrap().to_owned();
    let deliveries = [
        Delivery { output: 0, target: path("log"), how: DeliveryKind::Rename },
        Delivery { output: 1, target: path("dir"), how: DeliveryKind::Rename },
    ];
    assert_eq!(bench.outputs.deliver(ID, &deliveries).unwrap_err().subcode, 21);
    assert_eq!(bench.names(), ["dir"]);
    bench.outputs.abandon(ID);
    assert!(std::fs::read_dir(bench.path("dir")).unwrap().next().is_none());
}
