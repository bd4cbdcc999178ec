//! Talking to the master, and HTCondor's words when there is none.

use control_proto::client::{Answer, Client, ClientError};
use control_proto::{Refusal, Request, Site};

use crate::world::{Outcome, World};

/// Shown where HTCondor names the address that did not answer. Ours is a socket in a folder, but tools that read
/// these texts know an address.
const NO_ADDRESS: &str = "<127.0.0.1:0>";

/// Connects, trying again while the world's patience lasts.
pub fn connect(world: &World) -> Result<Client, ClientError> {
    Client::connect(&world.work_dir, world.patience)
}

/// One request without attachments.
pub fn ask(world: &World, request: &Request) -> Result<Answer, ClientError> {
    connect(world)?.ask(request, &[])
}

/// A refusal as a sentence for the user.
pub fn sentence(code: Refusal, message: &str, speaks: Option<u16>) -> String {
    match (code, speaks) {
        (Refusal::Version, Some(newest)) => format!(
            "{message} (the master speaks version {newest}, this program of release {} version {})",
            env!("CARGO_PKG_VERSION"),
            control_proto::VERSION
        ),
        _ => message.to_owned(),
    }
}

/// Why there is no answer, in HTCondor's words for a daemon that is down.
///
/// A person at a screen gets one more line that says what was really tried.
pub fn down(world: &World, error: &ClientError, in_their_words: &str) -> Outcome {
    let mut outcome = match error {
        ClientError::Down { .. } => Outcome::failure(in_their_words.replace("@ADDRESS@", NO_ADDRESS)),
        other => return Outcome::failure(format!("{}: {other}\n", world.program)),
    };
    if world.errors_are_read {
        outcome.err.extend_from_slice(format!("{}: {error}\n", world.program).as_bytes());
    }
    outcome
}

/// Whether `-name` means this site: its host name, the first label of it, or either behind an `@`.
pub fn is_this_site(name: &str, host: &str) -> bool {
    let name = name.rsplit_once('@').map_or(name, |(_, host)| host);
    let short = |host: &str| host.split('.').next().unwrap_or_default().to_ascii_lowercase();
    name.eq_ignore_ascii_case(host)
        || name.eq_ignore_ascii_case("localhost")
        || (!name.contains('.') && short(name) == short(host))
        || (!host.contains('.') && short(name) == short(host))
}

/// An answer of a kind that this request cannot have.
pub fn unexpected(world: &World) -> Outcome {
    Outcome::failure(format!("{}: alien_work_queue answered something else than was asked\n", world.program))
}

/// `-name` before anything is changed: asks the master for its name unless this machine's own name settles it.
pub fn name_is_known(world: &World, name: &str) -> Result<bool, ClientError> {
    if is_this_site(name, &world.host) {
        return Ok(true);
    }
    let site: Site = ask(world, &Request::Ping)?.site;
    Ok(is_this_site(name, &site.host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_a_site() {
        for name in ["submit.example.org", "SUBMIT.example.org", "submit", "schedd@submit.example.org", "localhost"] {
            assert!(is_this_site(name, "submit.example.org"), "{name}");
        }
        for name in ["nosuch.example.org", "submit.example.com", "", "other"] {
            assert!(!is_this_site(name, "submit.example.org"), "{name}");
        }
    }
}
