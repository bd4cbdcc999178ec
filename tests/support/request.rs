//! The request that a real `condor_submit` sends, caught on its way, to be sent many times with small changes.

use std::io::Read;
use std::os::unix::net::UnixListener;
use std::time::Duration;

use control_proto::client::SOCKET_NAME;
use control_proto::frame::{self, Kind, Splitter};
use control_proto::{Request, Submit};
use testkit::{Guard, Site};

/// Bytes of magic and version before the first frame.
const PREAMBLE: usize = 6;

/// Has `condor_submit` send this text to a socket of the test's own; the request and the frames behind it, ready to be
/// sent with [`control_proto::client::Client::ask`].
pub(crate) fn recorded_submission(site: &Site, text: &str) -> (Submit, Vec<u8>) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let listener = UnixListener::bind(folder.path().join(SOCKET_NAME)).expect("a socket of our own");
    site.write("recorded.sub", text);
    let mut command = site.condor_command("condor_submit", &["recorded.sub"]);
    command.env("AWQ_WORKDIR", folder.path()).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    // It gets no answer, complains, and ends.
    let mut guard = Guard::start("condor_submit", &mut command).expect("condor_submit was built");
    let (mut stream, _) = listener.accept().expect("condor_submit connects");
    stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a time-out of some length");
    let (mut heard, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let got = stream.read(&mut chunk).expect("condor_submit sends its request at once");
        assert!(got > 0, "condor_submit hung up");
        heard.extend_from_slice(&chunk[..got]);
        let (mut request, mut attachments) = (None, Vec::new());
        let mut all = Splitter::default();
        all.feed(heard.get(PREAMBLE..).unwrap_or_default());
        while let Some((kind, payload)) = all.next_frame().expect("condor_submit sends frames") {
            match kind {
                Kind::Request => request = Some(serde_json::from_slice(payload).expect("a request is JSON")),
                Kind::End => {
                    drop(stream);
                    guard.end();
                    match request {
                        Some(Request::Submit(submit)) => return (submit, attachments),
                        other => panic!("condor_submit asked for {other:?}"),
                    }
                }
                kind => frame::put(&mut attachments, kind, &[payload]),
            }
        }
    }
}
