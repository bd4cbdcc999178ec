//! The proof that a program reads the state: a child of it, started as the new master would be, reads options, journal and
//! state and puts them together, touches nothing, and says so.

use std::ffi::OsString;
use std::fs::File;
use std::io::{Read, Seek};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use nix::sys::memfd::{MFdFlags, memfd_create};
use serde::{Deserialize, Serialize};

/// How long the child may take; clients wait meanwhile, half a minute at most.
const CHILD_MAX: Duration = Duration::from_secs(15);

/// Between two looks at it.
const LOOK_EVERY: Duration = Duration::from_millis(1);

/// The option that makes a program the child.
const OPTION: &str = "--check-handover";

/// Most of the child's words that are looked at, bytes.
const WORDS_MAX: u64 = 64 << 10;

/// The child's last line on stdout.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Proof {
    /// The state is good for this release.
    pub(crate) reads_handover: String,
}

/// Says that this program reads the state.
pub(crate) fn prove() {
    let proof = Proof { reads_handover: env!("CARGO_PKG_VERSION").into() };
    println!("{}", serde_json::to_string(&proof).expect("a proof is plain data"));
}

/// Has the program prove that it reads the state. Blocks.
///
/// # Errors
/// Why it does not, in a sentence.
pub(super) fn rehearse(program: &Path, args: &[OsString], state: &File) -> anyhow::Result<()> {
    let shown = program.display();
    let memory = || memfd_create("words", MFdFlags::MFD_CLOEXEC).map(File::from).context("there is no memory");
    let (mut said, mut complained) = (memory()?, memory()?);
    let mut input = state.try_clone().context("the state cannot be read")?;
    input.rewind().context("the state cannot be read")?;
    let mut child = Command::new(program)
        .args(args)
        .arg(OPTION)
        // It is not the service and has nothing to say for it.
        .env_remove("NOTIFY_SOCKET")
        .stdin(Stdio::from(input))
        .stdout(Stdio::from(said.try_clone()?))
        .stderr(Stdio::from(complained.try_clone()?))
        .spawn()
        .with_context(|| format!("cannot start {shown}"))?;
    let begin = Instant::now();
    let status = loop {
        if let Some(status) = child.try_wait().context("the new program got lost")? {
            break status;
        }
        if begin.elapsed() > CHILD_MAX {
            // It may have ended in this very moment.
            let _ = child.kill();
            let _ = child.wait();
            bail!("{shown} did not read the state within {} s", CHILD_MAX.as_secs());
        }
        std::thread::sleep(LOOK_EVERY);
    };
    let (said, complained) = (words(&mut said)?, words(&mut complained)?);
    let proof = said.lines().next_back().and_then(|line| serde_json::from_str::<Proof>(line).ok());
    match (status.success(), proof) {
        (true, Some(proof)) => {
            tracing::info!(program = %shown, release = proof.reads_handover, "the new program reads the state");
            Ok(())
        }
        (true, None) => bail!("{shown} is no alien_work_queue that can be handed over to"),
        (false, _) => {
            let last = complained.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
            bail!("{shown} does not take over ({status}): {}", last.trim())
        }
    }
}

fn words(file: &mut File) -> anyhow::Result<String> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(WORDS_MAX).read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn refusal(script: &str) -> Result<(), String> {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("program");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let mut state = tempfile::tempfile().unwrap();
        state.write_all(b"the state").unwrap();
        let text = |error: anyhow::Error| format!("{error:#}").replace(dir.path().to_str().unwrap(), "");
        rehearse(&program, &["--port".into(), "7".into()], &state).map_err(text)
    }

    #[test]
    fn only_a_program_that_says_so_reads_the_state() {
        assert_eq!(refusal("exit 0").unwrap_err(), "/program is no alien_work_queue that can be handed over to");
        let complaint = refusal("echo first >&2; echo second >&2; exit 3").unwrap_err();
        assert_eq!(complaint, "/program does not take over (exit status: 3): second");
        let reads = "[ \"$*\" = '--port 7 --check-handover' ] && [ \"$(cat)\" = 'the state' ] || exit 4\n";
        assert_eq!(refusal(&format!("{reads}echo 'listening'; echo '{{\"reads_handover\":\"9\"}}'")), Ok(()));
        let state = tempfile::tempfile().unwrap();
        let missing = rehearse(Path::new("/no/such/program"), &[], &state).unwrap_err();
        assert_eq!(missing.to_string(), "cannot start /no/such/program");
    }
}
