//! What goes to which peer, and that a worker reads it back.

use super::*;
use crate::{Amount, LINE_MAX, MasterDecoder, MasterEvent, MasterLimits, Protocol};
use bytes::{Bytes, BytesMut};
use proptest::prelude::*;

fn encode(message: &ToWorker, protocol: Protocol) -> Result<String, EncodeError> {
    let mut out = BytesMut::from("before");
    let outcome = message.encode(protocol, &mut out);
    let written = String::from_utf8(out.to_vec()).unwrap();
    let written = written.strip_prefix("before").expect("what was there stays").to_owned();
    if outcome.is_err() {
        assert_eq!(written, "", "nothing is written on error");
    }
    outcome.map(|()| written)
}

/// Checks the text in every protocol of `range`, and that the others refuse.
fn check(message: &ToWorker, range: std::ops::RangeInclusive<u32>, text: &str) {
    for protocol in Protocol::ALL {
        if range.contains(&protocol.number()) {
            assert_eq!(encode(message, protocol).as_deref(), Ok(text), "protocol {protocol}");
        } else {
            assert!(encode(message, protocol).is_err(), "protocol {protocol}: {text}");
        }
    }
}

fn name(text: &'static str) -> Bytes {
    Bytes::from_static(text.as_bytes())
}

fn put(text: &'static str) -> ToWorker {
    ToWorker::Put { name: name(text), len: 6, mode: FileMode::new(0o755), flags: Some(FileFlags::CACHE) }
}

#[test]
fn every_message_in_its_dialects() {
    let mode = FileMode::new(0o644);
    let infile = Infile { cached: name("f-1"), sandbox: name("with space.txt"), flags: FileFlags::CACHE };
    let outfile = Outfile { cached: name("o-1"), sandbox: name("out/é"), flags: FileFlags::WATCH };
    check(&put("f-1-in"), 6..=11, "put f-1-in 6 0755 1\n");
    check(&ToWorker::Dir { name: name("d") }, 9..=11, "dir d\n");
    check(&ToWorker::symlink(name("link"), b"a.txt"), 9..=11, "symlink link 6\na.txt\0");
    check(&ToWorker::EndDir, 9..=11, "end\n");
    check(&ToWorker::Unlink { name: name("o-1") }, 6..=11, "unlink o-1\n");
    check(&ToWorker::InvalidateFile { name: name("o-1") }, 6..=11, "invalidate-file o-1\n");
    check(&ToWorker::url(name("u"), mode, b"file:///x"), 6..=10, "url u 10 0644\nfile:///x\0");
    let (kind, path) = (ThirdPartyKind::Command, name("cat a b"));
    check(&ToWorker::Thirdget { kind, name: name("c"), path: path.clone() }, 6..=10, "thirdget 1 c cat a b\n");
    let kind = ThirdPartyKind::Copy;
    check(&ToWorker::Thirdput { kind, name: name("c"), path }, 6..=10, "thirdput 2 c cat a b\n");
    let source = name("a b");
    check(
        &ToWorker::Puturl { source: source.clone(), name: name("u"), size: 11, mode },
        11..=11,
        "puturl a%20b u 11 0644\n",
    );
    check(&ToWorker::Putcmd { source, name: name("u"), size: 0, mode }, 11..=11, "putcmd a%20b u 0 0644\n");
    check(&ToWorker::Task { id: TaskId(7) }, 6..=11, "task 7\n");
    check(&ToWorker::Cmd(name("exit 7")), 6..=11, "cmd 6\nexit 7");
    check(&ToWorker::Coprocess(name("f")), 10..=11, "coprocess 1\nf");
    check(&ToWorker::Cores(Amount::new(2)), 6..=11, "cores 2\n");
    check(&ToWorker::Memory(Amount::new(0)), 6..=11, "memory 0\n");
    check(&ToWorker::Disk(Amount::UNSET), 6..=11, "disk -1\n");
    check(&ToWorker::Gpus(Amount::new(1).with_decimals(3)), 6..=11, "gpus 1.000\n");
    check(&ToWorker::Env(name("A=two\nlines=")), 6..=11, "env 12\nA=two\nlines=\n");
    check(&ToWorker::Infile(infile), 6..=11, "infile f-1 with%20space.txt 1\n");
    check(&ToWorker::Outfile(outfile), 6..=11, "outfile o-1 out/%C3%A9 16\n");
    check(&ToWorker::TaskDir { name: name("a/b") }, 6..=11, "dir a/b\n");
    check(&ToWorker::EndTask, 6..=11, "end\n");
    check(&ToWorker::Kill(Some(TaskId(3))), 6..=11, "kill 3\n");
    check(&ToWorker::Kill(None), 6..=11, "kill -1\n");
    check(&ToWorker::SendResults, 6..=11, "send_results -1\n");
    check(&ToWorker::Get { name: name("o-1") }, 6..=11, "get o-1 1\n");
    check(&ToWorker::Check, 6..=11, "check\n");
    check(&ToWorker::Tlq(name("http://x")), 9..=11, "tlq http://x\n");
    check(&ToWorker::Release, 6..=11, "release\n");
    check(&ToWorker::Exit, 6..=11, "exit\n");
    check(&ToWorker::ProjectName(name("my project")), 6..=11, "my project\n");
    check(&ToWorker::ProjectName(Bytes::new()), 6..=11, "\n");
}

#[test]
fn a_category_is_left_out_where_it_would_disconnect() {
    let category = ToWorker::Category(name("default"));
    assert!(!category.supports(Protocol::V6));
    assert_eq!(encode(&category, Protocol::V6).as_deref(), Ok(""));
    assert_eq!(encode(&category, Protocol::V7).as_deref(), Ok("category default\n"));
}

#[test]
fn put_always_has_its_fourth_field() {
    let message = ToWorker::Put { name: name("a"), len: 0, mode: FileMode::new(0o600), flags: None };
    check(&message, 6..=11, "put a 0 0600 0\n");
    let mut out = BytesMut::new();
    message.print(Protocol::V9, &mut out);
    assert_eq!(out, "put a 0 0600\n", "printing shows what was said");
}

#[test]
fn cache_names_follow_the_dialect() {
    check(&put("a/b"), 6..=8, "put a/b 6 0755 1\n");
    for protocol in [Protocol::V6, Protocol::V7] {
        assert_eq!(
            encode(&put("a b"), protocol),
            Err(EncodeError::BadName { verb: "put", name: "a b".into(), fault: NameFault::Blank })
        );
    }
    assert_eq!(encode(&put("a b"), Protocol::V8).as_deref(), Ok("put a b 6 0755 1\n"));
    assert_eq!(encode(&put("a b"), Protocol::V9).as_deref(), Ok("put a%20b 6 0755 1\n"));
    assert_eq!(encode(&put("a%20b"), Protocol::V8).as_deref(), Ok("put a%20b 6 0755 1\n"));
    assert_eq!(encode(&put("a%20b"), Protocol::V11).as_deref(), Ok("put a%2520b 6 0755 1\n"));
}

#[test]
fn names_that_would_disconnect_are_refused() {
    let infile = |cached, sandbox| {
        ToWorker::Infile(Infile { cached: name(cached), sandbox: name(sandbox), flags: FileFlags::NONE })
    };
    for protocol in Protocol::ALL {
        for (message, wanted) in [
            (put(""), NameFault::Empty),
            (put("../b"), NameFault::Parent),
            (put("/etc/passwd"), NameFault::Absolute),
            (put("a\0b"), NameFault::Nul),
            (infile("a b", "c"), NameFault::Blank),
            (infile("a\nexit", "c"), NameFault::Blank),
            (infile("", "c"), NameFault::Empty),
            (infile("a", ""), NameFault::Empty),
            (infile("a", "/tmp/x"), NameFault::Absolute),
            (infile("a", "b/../../x"), NameFault::Parent),
            (infile("a", "b/.."), NameFault::Parent),
            (ToWorker::TaskDir { name: name("a b") }, NameFault::Blank),
            (ToWorker::TaskDir { name: name("..") }, NameFault::Parent),
            (ToWorker::ProjectName(name("a\nexit")), NameFault::Blank),
        ] {
            match encode(&message, protocol) {
                Err(EncodeError::BadName { fault, .. }) => assert_eq!(fault, wanted, "{message:?}"),
                other => panic!("{message:?}: {other:?}"),
            }
        }
        assert!(encode(&infile("a", "..b/c..d/..."), protocol).is_ok());
    }
    for protocol in [Protocol::V6, Protocol::V8] {
        for verb in ["unlink", "get"] {
            let name = name("x\nexit");
            let message = if verb == "get" { ToWorker::Get { name } } else { ToWorker::Unlink { name } };
            assert!(matches!(encode(&message, protocol), Err(EncodeError::BadName { .. })));
        }
    }
    assert_eq!(
        encode(&ToWorker::Category(name("two words")), Protocol::V9),
        Err(EncodeError::BadName { verb: "category", name: "two words".into(), fault: NameFault::Blank })
    );
}

#[test]
fn texts_that_a_peer_would_cut_or_misread_are_refused() {
    let refused = |message: &ToWorker| encode(message, Protocol::V9).unwrap_err();
    assert_eq!(refused(&ToWorker::Cmd(name("a\0b"))), EncodeError::NulByte { verb: "cmd" });
    assert_eq!(refused(&ToWorker::Env(name("A=\0"))), EncodeError::NulByte { verb: "env" });
    assert_eq!(refused(&ToWorker::Env(name("NAME"))), EncodeError::BadVariable { entry: "NAME".into() });
    assert_eq!(refused(&ToWorker::Env(name("=x"))), EncodeError::BadVariable { entry: String::new() });
    let symlink = |target| ToWorker::Symlink { name: name("l"), target: name(target) };
    assert_eq!(refused(&symlink("a.txt")), EncodeError::NotTerminated { verb: "symlink" });
    assert_eq!(refused(&symlink("")), EncodeError::NotTerminated { verb: "symlink" });
    assert_eq!(refused(&symlink("a\0b\0")), EncodeError::NulByte { verb: "symlink" });
    assert_eq!(refused(&ToWorker::WallTime(0)), EncodeError::NeverSent { verb: "wall_time" });
    assert_eq!(refused(&ToWorker::EndTime(0)), EncodeError::NeverSent { verb: "end_time" });
    assert_eq!(refused(&ToWorker::Task { id: TaskId(0) }), EncodeError::BadTaskId { verb: "task", id: 0 });
    let id = 1 << 31;
    assert_eq!(refused(&ToWorker::Kill(Some(TaskId(id)))), EncodeError::BadTaskId { verb: "kill", id });
}

#[test]
fn no_line_exceeds_what_peers_read() {
    // `get NAME 1`: 6 bytes besides the name.
    let get = |len| ToWorker::Get { name: Bytes::from(vec![b'x'; len]) };
    for protocol in Protocol::ALL {
        assert_eq!(encode(&get(LINE_MAX - 6), protocol).map(|text| text.len()), Ok(LINE_MAX + 1));
        let error = Err(EncodeError::LineTooLong { verb: "get", len: LINE_MAX + 1 });
        assert_eq!(encode(&get(LINE_MAX - 5), protocol), error);
    }
    let symlink = ToWorker::symlink(Bytes::from(vec![b' '; 2000]), b"x\ny");
    let error = EncodeError::LineTooLong { verb: "symlink", len: 8 + 6000 + 2 };
    assert_eq!(encode(&symlink, Protocol::V9), Err(error), "the encoding trebles blanks");
    let long_body = ToWorker::Cmd(Bytes::from(vec![b'x'; 100_000]));
    assert_eq!(encode(&long_body, Protocol::V6).map(|text| text.len()), Ok(11 + 100_000));
}

fn simple_task(env: &[(String, String)]) -> TaskMessage<'_> {
    TaskMessage {
        id: TaskId(1),
        command: b"cat in.txt > out.txt; echo \"$GREETING\"; echo err >&2",
        category: "default",
        cores: 1,
        memory_mb: 100,
        disk_mb: 0,
        gpus: 0,
        env,
        inputs: &[],
        outputs: &[],
        dirs: &[],
    }
}

#[test]
fn a_whole_task() {
    let env = [("GREETING".to_owned(), "good day".to_owned())];
    let inputs = [Infile { cached: name("f-1-in"), sandbox: name("in.txt"), flags: FileFlags::CACHE }];
    let outputs = [Outfile { cached: name("o-1"), sandbox: name("out 1"), flags: FileFlags::NONE }];
    let task = TaskMessage { inputs: &inputs, outputs: &outputs, dirs: &[name("empty")], ..simple_task(&env) };
    let text = |category: &str| {
        format!(
            "task 1\ncmd 52\ncat in.txt > out.txt; echo \"$GREETING\"; echo err >&2{category}cores 1\nmemory 100\n\
             disk 0\ngpus 0\nenv 17\nGREETING=good day\ninfile f-1-in in.txt 1\ndir empty\noutfile o-1 out%201 0\nend\n"
        )
    };
    for protocol in Protocol::ALL {
        let mut out = BytesMut::new();
        task.encode(protocol, &mut out).unwrap();
        assert_eq!(out, text(if protocol == Protocol::V6 { "" } else { "category default\n" }));
    }
}

#[test]
fn a_task_is_written_whole_or_not_at_all() {
    let refused = |task: TaskMessage<'_>| {
        let mut out = BytesMut::from("before");
        let error = task.encode(Protocol::V9, &mut out).unwrap_err();
        assert_eq!(out, "before");
        error
    };
    let outputs = [Outfile { cached: name("o"), sandbox: name("/abs"), flags: FileFlags::NONE }];
    let fault = |verb, name: &str, fault| EncodeError::BadName { verb, name: name.into(), fault };
    let task = simple_task(&[]);
    assert_eq!(refused(TaskMessage { outputs: &outputs, ..task }), fault("outfile", "/abs", NameFault::Absolute));
    assert_eq!(refused(TaskMessage { dirs: &[name("a b")], ..task }), fault("dir", "a b", NameFault::Blank));
    assert_eq!(refused(TaskMessage { category: "", ..task }), fault("category", "", NameFault::Empty));
    assert_eq!(refused(TaskMessage { command: b"\0", ..task }), EncodeError::NulByte { verb: "cmd" });
    assert_eq!(refused(TaskMessage { id: TaskId(0), ..task }), EncodeError::BadTaskId { verb: "task", id: 0 });
    let env = [("A=B".to_owned(), "secret".to_owned())];
    assert_eq!(refused(simple_task(&env)), EncodeError::BadVariable { entry: "A=B".into() });
    let inputs = [Infile { cached: name("f"), sandbox: Bytes::from(vec![b'x'; LINE_MAX]), flags: FileFlags::NONE }];
    assert!(matches!(
        refused(TaskMessage { inputs: &inputs, ..task }),
        EncodeError::LineTooLong { verb: "infile", .. }
    ));
}

/// What a worker of `protocol` reads from `stream`, handed over in two pieces.
fn read_by_worker(protocol: Protocol, stream: &[u8], cut: usize) -> Vec<ToWorker> {
    let mut decoder = MasterDecoder::new(protocol, MasterLimits::default());
    let mut buf = BytesMut::new();
    let mut messages = Vec::new();
    let cut = cut.min(stream.len());
    for piece in [&stream[..cut], &stream[cut..]] {
        buf.extend_from_slice(piece);
        while let Some(event) = decoder.decode(&mut buf).expect("a worker understands what was encoded") {
            match event {
                MasterEvent::Message(message) => messages.push(message),
                event => panic!("unexpected {event:?}"),
            }
        }
    }
    assert!(buf.is_empty());
    messages
}

fn protocol() -> impl Strategy<Value = Protocol> {
    proptest::sample::select(&Protocol::ALL[..])
}

/// Any bytes but NUL.
fn text(max: usize) -> impl Strategy<Value = Bytes> {
    proptest::collection::vec(1u8.., 0..max).prop_map(Bytes::from)
}

fn cached() -> impl Strategy<Value = Bytes> {
    "[A-Za-z0-9_][A-Za-z0-9._-]{0,30}".prop_map(Bytes::from)
}

/// A path in the sandbox of any bytes that a path can have, except that it stays inside.
fn sandbox() -> impl Strategy<Value = Bytes> {
    text(40).prop_filter("relative and inside", |path| {
        !path.is_empty() && path[0] != b'/' && path.split(|b| *b == b'/').all(|part| part != b"..")
    })
}

fn top_message() -> impl Strategy<Value = ToWorker> {
    prop_oneof![
        cached().prop_map(|name| ToWorker::Unlink { name }),
        cached().prop_map(|name| ToWorker::InvalidateFile { name }),
        cached().prop_map(|name| ToWorker::Get { name }),
        (1..=TaskId::MAX.0).prop_map(|id| ToWorker::Kill(Some(TaskId(id)))),
        Just(ToWorker::Kill(None)),
        Just(ToWorker::SendResults),
        Just(ToWorker::Check),
        Just(ToWorker::Release),
        Just(ToWorker::Exit),
        (cached(), text(60)).prop_map(|(name, url)| ToWorker::url(name, FileMode::new(0o600), &url)),
        (cached(), text(60), any::<u64>()).prop_map(|(name, source, size)| ToWorker::Puturl {
            source,
            name,
            size,
            mode: FileMode::new(0o755)
        }),
    ]
}

proptest! {
    #[test]
    fn workers_read_what_was_encoded(
        protocol in protocol(),
        messages in proptest::collection::vec(top_message(), 0..20),
        cut in 0usize..600,
    ) {
        let mut out = BytesMut::new();
        let sent: Vec<_> = messages.into_iter().filter(|m| m.encode(protocol, &mut out).is_ok()).collect();
        prop_assert_eq!(read_by_worker(protocol, &out, cut), sent);
    }

    #[test]
    fn workers_read_whole_tasks(
        protocol in protocol(),
        id in 1..=TaskId::MAX.0,
        command in text(200),
        (cores, memory_mb, disk_mb, gpus) in any::<(u32, u64, u64, u32)>(),
        env in proptest::collection::vec(("[A-Za-z_.]{1,8}", "[^\\x00]{0,20}"), 0..4),
        files in proptest::collection::vec((cached(), sandbox(), any::<u32>()), 0..6),
        cut in 0usize..600,
    ) {
        let inputs: Vec<_> = files.iter().cloned()
            .map(|(cached, sandbox, flags)| Infile { cached, sandbox, flags: FileFlags(flags) }).collect();
        let outputs: Vec<_> = files.into_iter()
            .map(|(cached, sandbox, flags)| Outfile { cached, sandbox, flags: FileFlags(flags) }).collect();
        let task = TaskMessage {
            id: TaskId(id), command: &command, category: "default", cores, memory_mb, disk_mb, gpus,
            env: &env, inputs: &inputs, outputs: &outputs, dirs: &[],
        };
        let mut out = BytesMut::new();
        task.encode(protocol, &mut out).unwrap();

        let mut wanted = vec![ToWorker::Task { id: TaskId(id) }, ToWorker::Cmd(command.clone())];
        wanted.extend((protocol != Protocol::V6).then_some(ToWorker::Category(name("default"))));
        wanted.push(ToWorker::Cores(Amount::new(cores.into())));
        wanted.push(ToWorker::Memory(Amount::new(memory_mb)));
        wanted.push(ToWorker::Disk(Amount::new(disk_mb)));
        wanted.push(ToWorker::Gpus(Amount::new(gpus.into())));
        wanted.extend(env.iter().map(|(name, value)| ToWorker::Env(format!("{name}={value}").into())));
        wanted.extend(inputs.iter().cloned().map(ToWorker::Infile));
        wanted.extend(outputs.iter().cloned().map(ToWorker::Outfile));
        wanted.push(ToWorker::EndTask);
        prop_assert_eq!(read_by_worker(protocol, &out, cut), wanted.clone());

        // The same messages one by one give the same bytes.
        let mut single = BytesMut::new();
        for message in &wanted {
            message.encode(protocol, &mut single).unwrap();
        }
        prop_assert_eq!(out, single);
    }

    #[test]
    fn a_name_never_smuggles_a_line(protocol in protocol(), name in proptest::collection::vec(any::<u8>(), 0..30)) {
        let name = Bytes::from(name);
        let flags = FileFlags::NONE;
        for message in [
            ToWorker::Unlink { name: name.clone() },
            ToWorker::Get { name: name.clone() },
            ToWorker::Dir { name: name.clone() },
            ToWorker::TaskDir { name: name.clone() },
            ToWorker::Category(name.clone()),
            ToWorker::Infile(Infile { cached: name.clone(), sandbox: name.clone(), flags }),
            ToWorker::ProjectName(name),
        ] {
            let mut out = BytesMut::new();
            if message.encode(protocol, &mut out).is_ok() && !out.is_empty() {
                prop_assert_eq!(out.iter().filter(|b| **b == b'\n').count(), 1);
                prop_assert_eq!(out.last(), Some(&b'\n'));
            }
        }
    }
}
