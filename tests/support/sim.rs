//! A simulated worker: the wire protocol without processes and files.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use bytes::BytesMut;
use wq_proto::FromWorker;

/// Longest wait for a word of the master.
const DEADLINE: Duration = Duration::from_secs(30);

/// A worker of protocol 9 with one core.
#[derive(Debug)]
pub(crate) struct SimWorker {
    /// The connection, for tests that go on by hand.
    pub(crate) stream: TcpStream,
}

impl SimWorker {
    /// Connects, introduces itself, and returns when the master has read all of it.
    pub(crate) fn join(port: u16) -> SimWorker {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("the master listens");
        stream.set_read_timeout(Some(DEADLINE)).expect("a time-out of some length");
        stream.set_nodelay(true).expect("a socket of TCP");
        let mut words = greeting(1);
        // The answer to the last word says that all words before it were read.
        FromWorker::Name.print(&mut words);
        stream.write_all(&words).expect("the master reads");
        let mut worker = SimWorker { stream };
        worker.line();
        worker
    }

    /// One line of the master, without its end.
    pub(crate) fn line(&mut self) -> String {
        let mut line = Vec::new();
        let mut byte = [0];
        loop {
            assert_eq!(self.stream.read(&mut byte).expect("the master answers in time"), 1, "the master hung up");
            if byte == *b"\n" {
                return String::from_utf8_lossy(&line).into_owned();
            }
            line.push(byte[0]);
        }
    }
}

/// What a worker of protocol 9 says first, up to the end of its resources.
pub(crate) fn greeting(cores: u64) -> BytesMut {
    testkit::simulated::greeting("sim.example.org", "Linux", cores)
}

/// A worker of many cores whose tasks end at once; returns when the master is gone.
pub(crate) fn end_tasks_at_once(port: u16) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(("127.0.0.1", port))?;
    stream.set_nodelay(true)?;
    stream.write_all(&greeting(200))?;
    let mut lines = BufReader::new(stream.try_clone()?);
    let (mut line, mut ended) = (String::new(), Vec::new());
    loop {
        line.clear();
        if lines.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        match words[..] {
            ["task", id] => {
                ended.push(id.to_owned());
                loop {
                    line.clear();
                    lines.read_line(&mut line)?;
                    let words: Vec<&str> = line.split_whitespace().collect();
                    match words[..] {
                        ["cmd", len] => {
                            let len: u64 = len.parse().expect("a length");
                            std::io::copy(&mut lines.by_ref().take(len), &mut std::io::sink())?;
                        }
                        ["end"] => break,
                        _ => {}
                    }
                }
                stream.write_all(b"available_results\n")?;
            }
            ["send_results", _] => {
                let results: String = ended.drain(..).map(|id| format!("result 0 0 0 1000 {id}\n")).collect();
                stream.write_all(format!("{results}end\n").as_bytes())?;
            }
            ["check"] => stream.write_all(b"alive\n")?,
            _ => {}
        }
    }
}
