//! A user's surroundings: a work dir with or without a master, a home, a clock.

use std::io::Read;
use std::path::PathBuf;
use std::time::Duration;

use jiff::tz::TimeZone;
use shims::clock::Clock;
use shims::world::{Outcome, Program, World};

use crate::master::{BEGIN_S, Master};

/// All programs by name.
pub(crate) const PROGRAMS: &[(&str, Program)] = &[
    ("classad_eval", shims::classad_eval::run),
    ("condor_config_val", shims::config_val::run),
    ("condor_continue", shims::act::continue_job),
    ("condor_history", shims::history::run),
    ("condor_hold", shims::act::hold),
    ("condor_ping", shims::contact::ping),
    ("condor_prio", shims::prio::run),
    ("condor_q", shims::query::run),
    ("condor_qedit", shims::qedit::run),
    ("condor_release", shims::act::release),
    ("condor_reschedule", shims::contact::reschedule),
    ("condor_rm", shims::act::rm),
    ("condor_status", shims::status::run),
    ("condor_submit", shims::submit::run),
    ("condor_suspend", shims::act::suspend),
    ("condor_vacate_job", shims::act::vacate_job),
    ("condor_transfer_data", shims::transfer_data::run),
    ("condor_ssh_to_job", shims::unsupported::run),
    ("condor_tail", shims::tail::run),
    ("condor_version", shims::version::run),
    ("condor_wait", shims::wait::run),
    ("condor_watch_q", shims::watch_q::run),
];

pub(crate) struct Bench {
    pub(crate) master: Option<Master>,
    pub(crate) world: World,
    folder: tempfile::TempDir,
}

impl Bench {
    /// With a master whose queue is empty.
    pub(crate) fn new() -> Bench {
        let mut bench = Bench::without_master();
        bench.master = Some(Master::start(&bench.world.work_dir));
        bench
    }

    pub(crate) fn without_master() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let (work_dir, home) = (folder.path().join("awq"), folder.path().join("jobs"));
        std::fs::create_dir(&work_dir).unwrap();
        std::fs::create_dir(&home).unwrap();
        let world = World {
            program: "condor_q",
            work_dir,
            patience: Duration::ZERO,
            cwd: home.to_str().unwrap().to_owned(),
            variables: Vec::new(),
            host: "submit.example.org".into(),
            uid: nix::unistd::getuid().as_raw(),
            umask: 0o022,
            now_s: BEGIN_S,
            clock: Clock::new(TimeZone::UTC),
            output_is_screen: false,
            screen_columns: None,
            input_is_screen: false,
            errors_are_read: false,
        };
        Bench { master: None, world, folder }
    }

    pub(crate) fn master(&self) -> &Master {
        self.master.as_ref().expect("this bench has a master")
    }

    /// A path in the user's working directory.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join("jobs").join(name)
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path(name), text).unwrap();
    }

    pub(crate) fn run(&self, program: &str, arguments: &[&str]) -> Outcome {
        self.run_with(program, arguments, &mut std::io::empty())
    }

    pub(crate) fn run_with(&self, program: &str, arguments: &[&str], stdin: &mut dyn Read) -> Outcome {
        let &(name, function) = PROGRAMS.iter().find(|(name, _)| *name == program).expect("a program of ours");
        let world = World { program: name, ..self.world.clone() };
        let arguments: Vec<String> = arguments.iter().map(|&word| word.to_owned()).collect();
        shims::world::missing_configuration(&world).unwrap_or_else(|| function(&arguments, stdin, &world))
    }

    /// Exit code 0, nothing on standard error; gives standard output.
    #[track_caller]
    pub(crate) fn answer(&self, program: &str, arguments: &[&str]) -> String {
        let outcome = self.run(program, arguments);
        assert_eq!((outcome.code, text(&outcome.err)), (0, String::new()), "{program} {arguments:?}");
        text(&outcome.out)
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}
