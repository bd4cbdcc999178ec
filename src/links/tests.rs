//! Peers of all kinds against a whole master.

use std::time::Instant;

use control_proto::frame::Kind;
use control_proto::{ClusterRequest, Reply, Request, Submit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::strangers::DEADLINE;
use crate::testing::{Bench, LINKS_MAX, STRANGERS_MAX, read_until, with_bench};

const GREETING: &[u8] = b"workqueue 9 host Linux x86_64 7.4.16\ninfo worker-id worker-1\nalive\n\
    resource workers 1 1 1\nresource disk 100000 100000 100000\nresource memory 4096 4096 4096\n\
    resource gpus 0 0 0\nresource cores 1 1 1\nresource tag 0\ninfo end_of_resource_update 0\n";

async fn is_closed(stream: &mut TcpStream) -> bool {
    let mut rest = Vec::new();
    // A reset is an end too.
    stream.read_to_end(&mut rest).await.is_err() || rest.is_empty()
}

fn job(bench: &Bench, attributes: &[(&str, &str)]) -> Request {
    let iwd = format!("\"{}\"", bench.path(""));
    let mut ad = vec![("Cmd", "\"job.sh\""), ("Iwd", iwd.as_str()), ("Out", "\"out\""), ("Err", "\"/dev/null\"")];
    ad.extend([("JobUniverse", "5"), ("JobStatus", "1"), ("ShouldTransferFiles", "\"YES\""), ("RequestCpus", "1")]);
    ad.extend(attributes);
    let ad = ad.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    Request::Submit(Submit {
        clusters: vec![ClusterRequest { ad, procs: 1, executable: Some(0), ..ClusterRequest::default() }],
        blob_sizes: vec![4],
        blob_modes: vec![0o755],
        umask: 0o22,
    })
}

async fn submit(bench: &Bench, request: &Request) {
    let reply = bench.ask(request, &[(Kind::Blob, b"\0\0true".to_vec())]).await;
    assert!(matches!(reply, Reply::Submitted { .. }), "{reply:?}");
}

#[test]
fn a_worker_is_told_the_project_name() {
    with_bench(None, |bench| async move {
        let mut worker = bench.connect().await;
        worker.write_all(b"name\n").await.unwrap();
        assert_eq!(read_until(&mut worker, b"\n").await, b"alien_jobs\n");
        assert_eq!(bench.shell.links.count(), 1);
        drop(worker);
    });
}

#[test]
fn garbage_is_hung_up_on() {
    with_bench(None, |bench| async move {
        for garbage in [&b"\xff\xfe nonsense\n"[..], &[b'x'; 10_000], b"result 0 0 -1 0 1\n"] {
            let mut peer = bench.connect().await;
            peer.write_all(garbage).await.unwrap();
            assert!(is_closed(&mut peer).await, "{:?}", &garbage[..9]);
        }
    });
}

#[test]
fn silent_strangers_have_to_go() {
    with_bench(None, |bench| async move {
        let mut silent = Vec::new();
        for _ in 0..STRANGERS_MAX {
            silent.push(bench.connect().await);
        }
        let mut honest = bench.connect().await;
        honest.write_all(b"name\n").await.unwrap();
        read_until(&mut honest, b"\n").await;
        assert!(is_closed(&mut silent.remove(0)).await, "the oldest makes room");
        bench.shell.links.watch(Instant::now() + DEADLINE, 1);
        for mut stranger in silent {
            assert!(is_closed(&mut stranger).await);
        }
        assert_eq!(bench.shell.links.count(), 1, "who has introduced itself stays");
    });
}

#[test]
fn at_the_limit_others_wait_until_somebody_goes() {
    with_bench(None, |bench| async move {
        let mut inside = Vec::new();
        for _ in 0..LINKS_MAX {
            let mut worker = bench.connect().await;
            worker.write_all(b"name\n").await.unwrap();
            read_until(&mut worker, b"\n").await;
            inside.push(worker);
        }
        let mut late = bench.connect().await;
        late.write_all(b"name\n").await.unwrap();
        assert_eq!(bench.ask(&Request::Ping, &[]).await, Reply::Pong, "clients are served all the same");
        assert_eq!(bench.shell.links.count(), LINKS_MAX);
        drop(inside.pop());
        read_until(&mut late, b"\n").await;
    });
}

#[test]
fn at_the_limit_a_silent_stranger_makes_room() {
    with_bench(None, |bench| async move {
        let mut inside = Vec::new();
        for _ in 0..LINKS_MAX - 1 {
            let mut worker = bench.connect().await;
            worker.write_all(b"name\n").await.unwrap();
            read_until(&mut worker, b"\n").await;
            inside.push(worker);
        }
        let mut silent = bench.connect().await;
        let mut late = bench.connect().await;
        late.write_all(b"name\n").await.unwrap();
        read_until(&mut late, b"\n").await;
        assert!(is_closed(&mut silent).await);
    });
}

#[test]
fn a_transfer_that_crawls_is_cut_whatever_was_announced() {
    with_bench(None, |bench| async move {
        submit(&bench, &job(&bench, &[])).await;
        // A hundred bytes a minute are as good as nothing, a thousand are slow.
        for (bytes, cut) in [(1000, false), (25, true)] {
            let mut worker = bench.connect().await;
            worker.write_all(GREETING).await.unwrap();
            let (_, outputs) = run_task(&mut worker).await;
            worker.write_all(format!("file {} 1000000000000\n", outputs[0]).as_bytes()).await.unwrap();
            for second in (15..=300).step_by(15) {
                // A link that was cut takes no more.
                let _ = worker.write_all(&vec![b'x'; bytes]).await;
                for _ in 0..3 {
                    assert_eq!(bench.ask(&Request::Ping, &[]).await, Reply::Pong);
                }
                bench.shell.links.watch(Instant::now(), second);
            }
            bench.ask(&Request::Ping, &[]).await;
            assert_eq!(bench.shell.links.count(), usize::from(!cut), "{bytes} bytes every 15 s");
            bench.shell.links.watch(Instant::now(), 0);
            drop(worker);
            while bench.shell.links.count() > 0 {
                tokio::task::yield_now().await;
            }
        }
    });
}

#[test]
fn without_the_password_nothing_is_said() {
    with_bench(Some(b"secret"), |bench| async move {
        let mut worker = bench.connect().await;
        worker.write_all(GREETING).await.unwrap();
        let mut heard = Vec::new();
        worker.read_to_end(&mut heard).await.unwrap();
        let heard = String::from_utf8(heard).unwrap();
        let lines: Vec<&str> = heard.lines().collect();
        assert_eq!((lines.len(), lines[0], lines[2]), (3, "auth password sha1", "failure"), "{heard}");
    });
}

/// The worker's side of one job until its outputs are asked for: task id, and cache names in the order of the questions.
async fn run_task(worker: &mut TcpStream) -> (String, Vec<String>) {
    let task = String::from_utf8(read_until(worker, b"\nend\n").await).unwrap();
    assert!(task.starts_with("put "), "{task}");
    let id = task.split("task ").nth(1).unwrap().lines().next().unwrap().to_owned();
    let outputs: Vec<String> =
        task.lines().filter_map(|line| Some(line.strip_prefix("outfile ")?.split(' ').next()?.to_owned())).collect();
    worker.write_all(b"available_results\n").await.unwrap();
    // With one task out, results and outputs are asked for in one go.
    let last = format!("get {} 1\n", outputs.last().unwrap());
    assert!(read_until(worker, last.as_bytes()).await.starts_with(b"send_results -1\n"));
    worker.write_all(format!("result 0 0 0 1000 {id}\nend\n").as_bytes()).await.unwrap();
    (id, outputs)
}

#[test]
fn outputs_of_all_sizes_arrive_whole() {
    with_bench(None, |bench| async move {
        submit(&bench, &job(&bench, &[("TransferOutput", "\"big\"")])).await;
        let mut worker = bench.connect().await;
        worker.write_all(GREETING).await.unwrap();
        let (id, outputs) = run_task(&mut worker).await;
        let big: Vec<u8> = (0..3_000_001u32).map(|n| n as u8).collect();
        for (name, content) in outputs.iter().zip([&b"hello\n"[..], &big]) {
            let head = format!("file {name} {}\n", content.len());
            for piece in [head.as_bytes(), content, b"end\n"] {
                worker.write_all(piece).await.unwrap();
            }
        }
        let last = format!("unlink {}\n", outputs[1]);
        let thanks = read_until(&mut worker, last.as_bytes()).await;
        assert!(thanks.starts_with(format!("kill {id}\n").as_bytes()));
        let (first, second) = (std::fs::read(bench.path("out")).unwrap(), std::fs::read(bench.path("big")).unwrap());
        assert!(first == b"hello\n" && second == big, "{} and {} bytes", first.len(), second.len());
        assert!(!bench.names_begin_with(".awq"));
    });
}

#[test]
fn an_output_cut_in_the_middle_leaves_nothing() {
    with_bench(None, |bench| async move {
        submit(&bench, &job(&bench, &[])).await;
        let mut worker = bench.connect().await;
        worker.write_all(GREETING).await.unwrap();
        let (_, outputs) = run_task(&mut worker).await;
        worker.write_all(format!("file {} 1000000\n", outputs[0]).as_bytes()).await.unwrap();
        worker.write_all(&[0; 600_000]).await.unwrap();
        drop(worker);
        // The next worker gets the job only after the loss was dealt with.
        let mut second = bench.connect().await;
        second.write_all(GREETING).await.unwrap();
        run_task(&mut second).await;
        // Removing is work of the pool, which need not be over yet.
        while bench.names_begin_with(".awq") {
            bench.shell.pool.wait(|| ()).await;
        }
        assert!(!bench.dir.path().join("out").exists());
    });
}
