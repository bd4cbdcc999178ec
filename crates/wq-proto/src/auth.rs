//! The password exchange before the first message.
//!
//! Both sides prove that they know the password by answering the other's challenge with
//! `hex(SHA1(PASSWORD + " " + challenge))`. The scheme is symmetric, so a master that answered first could be used as an
//! oracle: an attacker would hand it its own challenge back, or guess the password off line from its answer. All known
//! workers send their answer before they read ours (observed with 5.4.17, 7.0.22, 7.9.2, 8.0.0), so this master verifies
//! first and answers only a peer that has proved itself. A peer that fails learns only `failure`.
//!
//! Nothing here draws randomness or watches a clock: the caller brings the challenge, and one deadline for the whole.

use crate::line::split_verb;
use bytes::{Buf, BufMut, BytesMut};
use sha1::{Digest, Sha1};
use std::fmt;
use subtle::ConstantTimeEq;

/// The line both sides open with.
pub const BANNER: &[u8] = b"auth password sha1";

/// Bytes a line of the exchange may have without its LF.
pub const HANDSHAKE_LINE_MAX: usize = 1024;

/// Bytes a peer's challenge may have.
const CHALLENGE_MAX: usize = 1000;

/// The shared password. Never printed, and compared only through its answers.
#[derive(Clone)]
pub struct Password(Box<[u8]>);

impl Password {
    /// The password in the content of a password file: every byte, **including a final newline**, up to the first NUL.
    pub fn from_file_content(content: &[u8]) -> Self {
        let end = content.iter().position(|b| *b == 0).unwrap_or(content.len());
        Self(content[..end].into())
    }

    /// Whether there is nothing in it.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What someone who knows the password answers to `challenge`: 40 lower-case hex digits.
    fn answer(&self, challenge: &[u8]) -> String {
        let mut hash = Sha1::new();
        hash.update(&self.0);
        hash.update(b" ");
        hash.update(challenge);
        hex::encode(hash.finalize())
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(…)")
    }
}

/// A fresh challenge: 64 hex digits. Not secret, but never to be used twice.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Challenge(String);

impl Challenge {
    /// From random bytes of the operating system.
    pub fn from_random(random: [u8; 32]) -> Self {
        Self(hex::encode(random))
    }

    /// The text on the wire; what a caller keeps to recognise a reflected challenge.
    pub fn as_bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// How far an exchange is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Send what was written and wait for more.
    NeedMore,
    /// Both sides know the password. What is left in the buffer are messages.
    Accepted,
    /// Send what was written and close.
    Refused(Refusal),
}

/// Why an exchange failed; for the log, the peer hears at most `failure`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// A worker or foreman that was started without a password.
    #[error("the peer uses no password")]
    NoPassword,
    /// The first line is neither the banner nor a worker's; status tools, for instance, cannot authenticate.
    #[error("the first line is not the password banner")]
    NoBanner,
    /// A line exceeds [`HANDSHAKE_LINE_MAX`] bytes.
    #[error("a line of the exchange is longer than {HANDSHAKE_LINE_MAX} bytes")]
    LineTooLong,
    /// The challenge is empty or longer than 1000 bytes.
    #[error("the peer's challenge is empty or too long")]
    BadChallenge,
    /// The challenge is ours of this or another recent connection: somebody wants us to answer it for him.
    #[error("the peer sent back one of our own challenges")]
    ReflectedChallenge,
    /// The answer is wrong: another password.
    #[error("the peer has another password")]
    WrongAnswer,
    /// The peer did not say `ok` to our answer.
    #[error("the peer refused our answer")]
    RefusedByPeer,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Banner,
    Challenge,
    Answer,
    Verdict,
    Over(Outcome),
}

/// The master's side. Feed it with [`MasterHandshake::advance`] until it is over, always sending what it wrote.
#[derive(Debug, Clone)]
pub struct MasterHandshake {
    password: Password,
    challenge: Challenge,
    /// Ours to the peer's challenge; goes out only after the peer has proved itself.
    answer: String,
    step: Step,
}

impl MasterHandshake {
    /// Starts an exchange: writes banner and challenge to `out`.
    ///
    /// `challenge` must be fresh; the caller remembers it for some time, see [`MasterHandshake::advance`].
    pub fn start(password: Password, challenge: Challenge, out: &mut BytesMut) -> Self {
        greet(&challenge, out);
        Self { password, challenge, answer: String::new(), step: Step::Banner }
    }

    /// Our challenge.
    pub fn challenge(&self) -> &Challenge {
        &self.challenge
    }

    /// Consumes what the peer sent, line by line, and writes to `out` what to send.
    ///
    /// `is_ours` tells whether a challenge is one we sent on any connection recently; the own one is checked in any case.
    /// After the end nothing is consumed and the outcome stays.
    pub fn advance(&mut self, buf: &mut BytesMut, is_ours: impl Fn(&[u8]) -> bool, out: &mut BytesMut) -> Outcome {
        loop {
            if let Step::Over(outcome) = self.step {
                return outcome;
            }
            let line = match take_line(buf) {
                Ok(Some(line)) => line,
                Ok(None) => return Outcome::NeedMore,
                Err(refusal) => return self.refuse(refusal, out),
            };
            match self.step {
                Step::Banner if line == BANNER => self.step = Step::Challenge,
                Step::Banner => return self.refuse(no_banner(&line), out),
                Step::Challenge if line.is_empty() || line.len() > CHALLENGE_MAX => {
                    return self.refuse(Refusal::BadChallenge, out);
                }
                Step::Challenge if line == self.challenge.as_bytes() || is_ours(&line) => {
                    return self.refuse(Refusal::ReflectedChallenge, out);
                }
                Step::Challenge => {
                    self.answer = self.password.answer(&line);
                    self.step = Step::Answer;
                }
                Step::Answer if same(&line, &self.password.answer(self.challenge.as_bytes())) => {
                    out.put_slice(self.answer.as_bytes());
                    out.put_slice(b"\nok\n");
                    self.step = Step::Verdict;
                }
                Step::Answer => return self.refuse(Refusal::WrongAnswer, out),
                Step::Verdict if line == b"ok"[..] => self.step = Step::Over(Outcome::Accepted),
                Step::Verdict => self.step = Step::Over(Outcome::Refused(Refusal::RefusedByPeer)),
                Step::Over(outcome) => return outcome,
            }
        }
    }

    fn refuse(&mut self, refusal: Refusal, out: &mut BytesMut) -> Outcome {
        out.put_slice(b"failure\n");
        let outcome = Outcome::Refused(refusal);
        self.step = Step::Over(outcome);
        outcome
    }
}

/// The worker's side, for simulated workers and tests. It answers at once, as C workers do.
#[derive(Debug, Clone)]
pub struct WorkerHandshake {
    password: Password,
    challenge: Challenge,
    step: Step,
}

impl WorkerHandshake {
    /// Starts an exchange: writes banner and challenge to `out`.
    pub fn start(password: Password, challenge: Challenge, out: &mut BytesMut) -> Self {
        greet(&challenge, out);
        Self { password, challenge, step: Step::Banner }
    }

    /// Consumes what the master sent, line by line, and writes to `out` what to send.
    pub fn advance(&mut self, buf: &mut BytesMut, out: &mut BytesMut) -> Outcome {
        loop {
            if let Step::Over(outcome) = self.step {
                return outcome;
            }
            let line = match take_line(buf) {
                Ok(Some(line)) => line,
                Ok(None) => return Outcome::NeedMore,
                Err(refusal) => return self.over(Outcome::Refused(refusal)),
            };
            match self.step {
                Step::Banner if line == BANNER => self.step = Step::Challenge,
                Step::Banner => return self.over(Outcome::Refused(no_banner(&line))),
                Step::Challenge => {
                    out.put_slice(self.password.answer(&line).as_bytes());
                    out.put_u8(b'\n');
                    self.step = Step::Answer;
                }
                Step::Answer if same(&line, &self.password.answer(self.challenge.as_bytes())) => {
                    out.put_slice(b"ok\n");
                    self.step = Step::Verdict;
                }
                Step::Answer => {
                    out.put_slice(b"failure\n");
                    let refusal = if line == b"failure"[..] { Refusal::RefusedByPeer } else { Refusal::WrongAnswer };
                    return self.over(Outcome::Refused(refusal));
                }
                Step::Verdict if line == b"ok"[..] => return self.over(Outcome::Accepted),
                Step::Verdict => return self.over(Outcome::Refused(Refusal::RefusedByPeer)),
                Step::Over(outcome) => return outcome,
            }
        }
    }

    fn over(&mut self, outcome: Outcome) -> Outcome {
        self.step = Step::Over(outcome);
        outcome
    }
}

fn greet(challenge: &Challenge, out: &mut BytesMut) {
    out.put_slice(BANNER);
    out.put_u8(b'\n');
    out.put_slice(challenge.as_bytes());
    out.put_u8(b'\n');
}

/// Removes a line from the front of `buf`, without its LF.
fn take_line(buf: &mut BytesMut) -> Result<Option<BytesMut>, Refusal> {
    match buf.iter().take(HANDSHAKE_LINE_MAX + 1).position(|b| *b == b'\n') {
        Some(end) => {
            let line = buf.split_to(end);
            buf.advance(1);
            Ok(Some(line))
        }
        None if buf.len() > HANDSHAKE_LINE_MAX => Err(Refusal::LineTooLong),
        None => Ok(None),
    }
}

fn no_banner(line: &[u8]) -> Refusal {
    // What workers without a password open with; `name` comes from those that found us in a catalog.
    match split_verb(line).0 {
        b"workqueue" | b"name" | b"ready" => Refusal::NoPassword,
        _ => Refusal::NoBanner,
    }
}

/// Compares without telling by its time how much agrees.
fn same(got: &[u8], wanted: &str) -> bool {
    got.ct_eq(wanted.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn password() -> Password {
        Password::from_file_content(b"s3cret pass\n")
    }

    fn ours() -> Challenge {
        Challenge::from_random([7; 32])
    }

    /// A handshake that was started and whose opening lines are dropped.
    fn master() -> MasterHandshake {
        MasterHandshake::start(password(), ours(), &mut BytesMut::new())
    }

    /// Feeds `said` to a master; what it answers and how it stands.
    fn feed(master: &mut MasterHandshake, said: &[u8]) -> (String, Outcome) {
        let mut out = BytesMut::new();
        let outcome = master.advance(&mut BytesMut::from(said), |c| c == b"an older one", &mut out);
        (String::from_utf8(out.to_vec()).unwrap(), outcome)
    }

    fn failed(refusal: Refusal) -> (String, Outcome) {
        ("failure\n".into(), Outcome::Refused(refusal))
    }

    #[test]
    fn hashes_are_the_recorded_ones() {
        // Recorded with a Debian worker; the password file ends in a newline, which belongs to the password.
        let worker = br"Jl[tomNOWuggcl_d\olquytJl]]bwfzRKipMWYQ\wykiazsmyM\e]maMIeyrOqo";
        assert_eq!(password().answer(worker), "a7156c20092e80aa51d564f5b3b84289e11f22ba");
        let master = b"a927dbc33337b40ef25fc9ce79ad093b1692300874564bdf550f0c11e5ba5cce";
        assert_eq!(password().answer(master), "fd78920f7228df4f14531e7c455e2c4252893fc6");
    }

    #[test]
    fn the_master_answers_only_who_has_proved_himself() {
        let mut master = master();
        assert_eq!(feed(&mut master, b"auth password sha1\nworker's\n"), (String::new(), Outcome::NeedMore));
        let proof = password().answer(ours().as_bytes());
        let (said, outcome) = feed(&mut master, format!("{proof}\n").as_bytes());
        assert_eq!(said, format!("{}\nok\n", password().answer(b"worker's")));
        assert_eq!(outcome, Outcome::NeedMore);
        assert_eq!(feed(&mut master, b"ok\n"), (String::new(), Outcome::Accepted));
    }

    #[test]
    fn both_sides_agree_and_the_first_message_stays() {
        let (mut to_worker, mut to_master) = (BytesMut::new(), BytesMut::new());
        let mut master = MasterHandshake::start(password(), ours(), &mut to_worker);
        let mut worker = WorkerHandshake::start(password(), Challenge::from_random([9; 32]), &mut to_master);
        assert_eq!(master.challenge(), &ours());
        assert_eq!(worker.advance(&mut to_worker, &mut to_master), Outcome::NeedMore);
        assert_eq!(master.advance(&mut to_master, |_| false, &mut to_worker), Outcome::NeedMore);
        assert_eq!(worker.advance(&mut to_worker, &mut to_master), Outcome::Accepted);
        to_master.put_slice(b"workqueue 9 vm");
        assert_eq!(master.advance(&mut to_master, |_| false, &mut to_worker), Outcome::Accepted);
        assert_eq!(to_master, &b"workqueue 9 vm"[..]);
        assert!(to_worker.is_empty());
    }

    #[test]
    fn a_wrong_password_is_refused_on_both_sides() {
        let (mut to_worker, mut to_master) = (BytesMut::new(), BytesMut::new());
        let mut master = MasterHandshake::start(password(), ours(), &mut to_worker);
        let other = Password::from_file_content(b"s3cret pass");
        let mut worker = WorkerHandshake::start(other, Challenge::from_random([9; 32]), &mut to_master);
        worker.advance(&mut to_worker, &mut to_master);
        assert_eq!(master.advance(&mut to_master, |_| false, &mut to_worker), Outcome::Refused(Refusal::WrongAnswer));
        assert_eq!(to_worker, &b"failure\n"[..]);
        assert_eq!(worker.advance(&mut to_worker, &mut to_master), Outcome::Refused(Refusal::RefusedByPeer));
    }

    #[test]
    fn reflection_on_one_or_two_connections() {
        let same_connection = [BANNER, b"\n", ours().as_bytes(), b"\n"].concat();
        assert_eq!(feed(&mut master(), &same_connection), failed(Refusal::ReflectedChallenge));
        assert_eq!(feed(&mut master(), b"auth password sha1\nan older one\n"), failed(Refusal::ReflectedChallenge));
    }

    #[test]
    fn replay_of_another_exchange_fails() {
        let recorded = b"auth password sha1\nx\nfd78920f7228df4f14531e7c455e2c4252893fc6\n";
        assert_eq!(feed(&mut master(), recorded), failed(Refusal::WrongAnswer));
    }

    #[test]
    fn peers_that_do_not_authenticate() {
        let first = |line: &[u8]| feed(&mut master(), line);
        assert_eq!(first(b"workqueue 9 vm Linux x86_64 8.0.0\n"), failed(Refusal::NoPassword));
        assert_eq!(first(b"name\n"), failed(Refusal::NoPassword));
        assert_eq!(first(b"queue_status\n"), failed(Refusal::NoBanner));
        assert_eq!(first(b"auth kerberos\n"), failed(Refusal::NoBanner));
        assert_eq!(first(b"\n"), failed(Refusal::NoBanner));
    }

    #[test]
    fn lines_have_limits() {
        let line = |len| [BANNER, b"\n", &vec![b'x'; len], b"\n"].concat();
        assert_eq!(feed(&mut master(), &line(1000)).1, Outcome::NeedMore);
        assert_eq!(feed(&mut master(), &line(0)), failed(Refusal::BadChallenge));
        assert_eq!(feed(&mut master(), &line(1001)), failed(Refusal::BadChallenge));
        assert_eq!(feed(&mut master(), &line(1025)), failed(Refusal::LineTooLong));
        assert_eq!(feed(&mut master(), &[b'x'; 1025]), failed(Refusal::LineTooLong));
        assert_eq!(feed(&mut master(), &[b'x'; 1024]), (String::new(), Outcome::NeedMore));
    }

    #[test]
    fn answers_that_are_nearly_right() {
        let right = password().answer(ours().as_bytes());
        for wrong in [right.to_uppercase(), right[..39].into(), format!("{right} "), String::new(), format!("{right}0")]
        {
            let said = format!("auth password sha1\nx\n{wrong}\n");
            assert_eq!(feed(&mut master(), said.as_bytes()), failed(Refusal::WrongAnswer), "{wrong:?}");
        }
    }

    #[test]
    fn a_peer_that_refuses_us() {
        let proof = password().answer(ours().as_bytes());
        let mut master = master();
        feed(&mut master, format!("auth password sha1\nx\n{proof}\n").as_bytes());
        let refused = (String::new(), Outcome::Refused(Refusal::RefusedByPeer));
        assert_eq!(feed(&mut master, b"failure\n"), refused);
        assert_eq!(feed(&mut master, b"ok\n"), refused, "the outcome stays");
    }

    #[test]
    fn the_password_is_not_printed() {
        assert!(!format!("{:?}", master()).contains("s3cret"));
        let [cut, whole] = [&b"a\0b"[..], b"a"].map(|content| Password::from_file_content(content).answer(b"x"));
        assert_eq!(cut, whole);
        assert!(Password::from_file_content(b"\0").is_empty());
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_outcome(cut in 0usize..130) {
            let said = format!("auth password sha1\nworker's\n{}\nok\nrest", password().answer(ours().as_bytes()));
            let cut = cut.min(said.len());
            let mut master = master();
            let (mut buf, mut out) = (BytesMut::from(&said.as_bytes()[..cut]), BytesMut::new());
            master.advance(&mut buf, |_| false, &mut out);
            buf.extend_from_slice(&said.as_bytes()[cut..]);
            prop_assert_eq!(master.advance(&mut buf, |_| false, &mut out), Outcome::Accepted);
            prop_assert_eq!(&buf[..], b"rest");
        }

        #[test]
        fn nobody_gets_in_without_the_password(said in proptest::collection::vec(any::<u8>(), 0..2000), banner: bool) {
            let said = if banner { [BANNER, b"\n", &said].concat() } else { said };
            let (written, outcome) = feed(&mut master(), &said);
            prop_assert_ne!(outcome, Outcome::Accepted);
            prop_assert!(written.is_empty() || written == "failure\n");
        }
    }
}
