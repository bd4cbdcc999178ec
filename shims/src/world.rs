//! What a program knows of the process that it runs in, so that tests run it within their own.

use std::io::{IsTerminal, Read, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use control_proto::client;

use crate::clock::Clock;
use crate::screen::Screen;

/// The caller's surroundings, taken once.
#[derive(Debug, Clone)]
pub struct World {
    /// Name of the program: `condor_q`.
    pub program: &'static str,
    /// Where the master's socket is.
    pub work_dir: PathBuf,
    /// How long a missing master is waited for.
    pub patience: Duration,
    /// Working directory, absolute.
    pub cwd: String,
    /// Environment, each name once.
    pub variables: Vec<(String, String)>,
    /// Host name of this machine.
    pub host: String,
    /// The user's number.
    pub uid: u32,
    /// The file mode creation mask.
    pub umask: u32,
    /// Wall clock, seconds since 1970.
    pub now_s: i64,
    /// The caller's time zone.
    pub clock: Clock,
    /// Standard output is a screen.
    pub output_is_screen: bool,
    /// Width of the screen, from `$COLUMNS`; tables are cut to it. Asking the terminal itself takes a call that the
    /// safe interfaces do not have, so without the variable nothing is cut.
    pub screen_columns: Option<usize>,
    /// Standard input is a screen: nobody's pipe.
    pub input_is_screen: bool,
    /// Standard error is a screen: a person may read it.
    pub errors_are_read: bool,
}

/// What a program did. All output is collected and written at the end, in one go.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// Exit code.
    pub code: i32,
    /// Standard output.
    pub out: Vec<u8>,
    /// Standard error.
    pub err: Vec<u8>,
}

impl Outcome {
    /// Success with this output.
    pub fn answer(out: impl Into<Vec<u8>>) -> Outcome {
        Outcome { code: 0, out: out.into(), err: Vec::new() }
    }

    /// Failure: exit code 1, nothing on standard output.
    pub fn failure(err: impl Into<Vec<u8>>) -> Outcome {
        Outcome { code: 1, out: Vec::new(), err: err.into() }
    }
}

/// A program: arguments behind its name, standard input, surroundings.
pub type Program = fn(&[String], &mut dyn Read, &World) -> Outcome;

impl World {
    /// The surroundings of this process.
    pub fn of_process(program: &'static str) -> World {
        let output_is_screen = std::io::stdout().is_terminal();
        let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
        let screen_columns = columns.filter(|columns| output_is_screen && *columns > 0);
        // The mask can only be read by setting it; nothing else runs in this process yet.
        let umask = nix::sys::stat::umask(nix::sys::stat::Mode::empty());
        nix::sys::stat::umask(umask);
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        World {
            program,
            work_dir: client::work_dir(),
            patience: client::wait(),
            cwd: std::env::current_dir().map_or_else(|_| "/".to_owned(), |dir| dir.to_string_lossy().into_owned()),
            variables: std::env::vars_os()
                .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
                .collect(),
            host: nix::unistd::gethostname()
                .map_or_else(|_| "localhost".to_owned(), |name| name.to_string_lossy().into_owned()),
            uid: nix::unistd::getuid().as_raw(),
            umask: umask.bits(),
            now_s: now.map_or(0, |since| i64::try_from(since.as_secs()).unwrap_or(i64::MAX)),
            clock: Clock::system(),
            output_is_screen,
            screen_columns,
            input_is_screen: std::io::stdin().is_terminal(),
            errors_are_read: std::io::stderr().is_terminal(),
        }
    }

    /// One variable of the environment.
    pub fn variable(&self, name: &str) -> Option<&str> {
        self.variables.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    /// The host name without its first label, or all of it if it has only one.
    pub fn domain(&self) -> &str {
        match self.host.split_once('.') {
            Some((_, domain)) if !domain.is_empty() => domain,
            _ => &self.host,
        }
    }
}

/// A program that tells something on the way: arguments behind its name, where to tell it, surroundings.
pub type Telling = fn(&[String], &mut dyn Write, &World) -> Outcome;

/// `main` of every program: runs it and writes what it collected.
///
/// A reader that has gone away (`condor_q | head -1`) is no error; any other failure to write is exit code 1.
pub fn main(name: &'static str, program: Program) -> ExitCode {
    run(name, |arguments, world| program(arguments, &mut std::io::stdin().lock(), world))
}

/// `main` of a program that tells something on the way.
pub fn main_telling(name: &'static str, program: Telling) -> ExitCode {
    run(name, |arguments, world| match world.output_is_screen {
        true => program(arguments, &mut Screen::new(std::io::stdout()), world),
        false => program(arguments, &mut std::io::stdout(), world),
    })
}

fn run(name: &'static str, program: impl FnOnce(&[String], &World) -> Outcome) -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned()).collect();
    let world = World::of_process(name);
    let outcome = match missing_configuration(&world) {
        Some(outcome) => outcome,
        None => program(&arguments, &world),
    };
    let mut code = outcome.code;
    let written = match world.output_is_screen {
        true => write_all(&mut Screen::new(std::io::stdout().lock()), &outcome.out),
        false => write_all(&mut std::io::stdout().lock(), &outcome.out),
    };
    let mut err = outcome.err;
    if let Err(error) = written
        && error.kind() != std::io::ErrorKind::BrokenPipe
    {
        code = 1;
        err.extend_from_slice(format!("{name}: cannot write the output: {error}\n").as_bytes());
    }
    // Nobody is left to hear of a failure to write errors.
    let _ = match world.errors_are_read {
        true => write_all(&mut Screen::new(std::io::stderr().lock()), &err),
        false => write_all(&mut std::io::stderr().lock(), &err),
    };
    ExitCode::from(u8::try_from(code).unwrap_or(1))
}

fn write_all(to: &mut dyn Write, bytes: &[u8]) -> std::io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    to.write_all(bytes)?;
    to.flush()
}

/// HTCondor's programs end at once when `CONDOR_CONFIG` names a file that is not there. We read no configuration,
/// but a client that tests for a broken installation this way gets the answer that it knows.
pub fn missing_configuration(world: &World) -> Option<Outcome> {
    let file = world.variable("CONDOR_CONFIG")?;
    if file.is_empty() || file.eq_ignore_ascii_case("ONLY_ENV") || std::path::Path::new(file).exists() {
        return None;
    }
    Some(Outcome::failure(format!(
        "File specified in CONDOR_CONFIG environment variable:\n\"{file}\" does not exist.\n"
    )))
}
