//! From a log of a conversation back to the bytes of both directions.

/// Both directions of one connection.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Recording {
    pub(crate) from_peer: Vec<u8>,
    pub(crate) from_master: Vec<u8>,
    /// Log lines that say the connection ended.
    pub(crate) ends: usize,
}

/// Reads a log: `TIME [CONNECTION] DIRECTION TEXT` on each line.
pub(crate) fn read(log: &str) -> Recording {
    let mut recording = Recording::default();
    for line in log.lines() {
        let (head, text) = match (line.split_once(" P->M "), line.split_once(" M->P ")) {
            (Some(peer), Some(master)) if peer.0.len() < master.0.len() => peer,
            (Some(peer), None) => peer,
            (_, Some(master)) => master,
            (None, None) => panic!("no direction: {line}"),
        };
        let stream = if line[head.len()..].starts_with(" P->M ") {
            &mut recording.from_peer
        } else {
            &mut recording.from_master
        };
        let mut fields = head.split_whitespace();
        fields.next().and_then(|time| time.parse::<f64>().ok()).unwrap_or_else(|| panic!("no time: {line}"));
        assert!(fields.next().is_none_or(|connection| connection == "c1"), "more than one connection: {line}");
        if text == "[EOF]" {
            recording.ends += 1;
        } else if let Some((len, body)) = text.strip_prefix("<body ").and_then(|rest| rest.split_once("> ")) {
            stream.extend(body_of(len.parse().unwrap(), body));
        } else {
            stream.extend(unescape(text));
        }
    }
    recording
}

/// A body of `len` bytes of which the log may hold only the beginning; the rest is made up.
fn body_of(len: usize, text: &str) -> Vec<u8> {
    let mut body = match text.rsplit_once("...(") {
        Some((shown, note)) if len > 280 => {
            assert!(note.ends_with(" bytes)"), "{note}");
            unescape(shown)
        }
        _ => {
            let body = unescape(text);
            assert_eq!(body.len(), len);
            body
        }
    };
    assert!(body.len() <= len);
    body.resize(len, b'.');
    body
}

/// `\n`, `\\` and `\xNN` to bytes.
pub(crate) fn unescape(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            bytes.push(byte);
            continue;
        }
        bytes.push(match rest.next() {
            Some(b'n') => b'\n',
            Some(b'r') => b'\r',
            Some(b't') => b'\t',
            Some(b'x') => {
                let digits = [rest.next().unwrap(), rest.next().unwrap()];
                u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()
            }
            Some(quoted @ (b'\\' | b'\'' | b'"')) => quoted,
            other => panic!("unknown escape {other:?} in {text}"),
        });
    }
    bytes
}

#[test]
fn bytes_come_back() {
    assert_eq!(unescape(r"a\nb\\n\x00'"), b"a\nb\\n\0'");
    assert_eq!(body_of(3, r"\x01\xffz"), [1, 255, b'z']);
    assert_eq!(body_of(300, r"abc...(311 bytes)").len(), 300);
    let log = "   0.491 c1 P->M alive\\n\n   0.500 M->P <body 3> a\\nb\n   0.6 M->P ell\n 1.0 P->M [EOF]\n";
    let recording = read(log);
    assert_eq!(recording.from_peer, b"alive\n");
    assert_eq!(recording.from_master, b"a\nbell");
    assert_eq!(recording.ends, 1);
}
