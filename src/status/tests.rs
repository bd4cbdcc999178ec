//! Status tools and browsers against a whole master.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use wq_proto::{Challenge, Password, WorkerHandshake};

use super::PLACES;
use crate::testing::{Bench, LINKS_MAX, read_until, with_bench};

const WORKER: &[u8] = b"workqueue 9 host Linux x86_64 7.4.16\nresource workers 1 1 1\nresource cores 4 4 4\n\
    resource memory 2048 2048 2048\ninfo end_of_resource_update 0\n";

/// Everything that is said until the connection ends.
async fn hear(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A reset is an end too.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).unwrap()
}

async fn ask(bench: &Bench, request: &str) -> String {
    let mut tool = bench.connect().await;
    tool.write_all(request.as_bytes()).await.unwrap();
    hear(&mut tool).await
}

async fn ask_json(bench: &Bench, request: &str) -> Vec<Value> {
    let answer = ask(bench, request).await;
    serde_json::from_str(&answer).unwrap_or_else(|error| panic!("{request}: {error}: {answer}"))
}

#[test]
fn each_question_has_its_array() {
    with_bench(None, |bench| async move {
        let mut worker = bench.connect().await;
        worker.write_all(WORKER).await.unwrap();
        while bench.shell.look(|core, _| core.workers()) == 0 {
            tokio::task::yield_now().await;
        }
        for question in ["queue_status", "resources_status", "master_resource_status"] {
            let queue = ask_json(&bench, &format!("{question}\n")).await;
            assert_eq!((&queue[0]["project"], &queue[0]["workers"]), (&"alien_jobs".into(), &1.into()));
            assert_eq!((&queue[0]["cores_total"], &queue[0]["tasks_left"]), (&4.into(), &0.into()));
        }
        let workers = ask_json(&bench, "worker_status\n").await;
        assert_eq!((&workers[0]["hostname"], &workers[0]["memory_total"]), (&"host".into(), &2048.into()));
        assert_eq!(ask_json(&bench, "task_status\n").await, [] as [Value; 0]);
        let category = ask_json(&bench, "wable_status\n").await;
        assert_eq!((&category[0]["category"], &category[0]["workers_able"]), (&"default".into(), &1.into()));
        assert_eq!(bench.shell.links.count(), 1, "who asks is no worker");
    });
}

#[test]
fn browsers_are_answered_in_their_language() {
    with_bench(None, |bench| async move {
        for head in ["\r\n", "\n", "Host: here\r\nAccept: */*\r\n\r\n", "Host: here\n\n"] {
            let answer = ask(&bench, &format!("GET /queue_status HTTP/1.1\r\n{head}")).await;
            let (head, body) = answer.split_once("\r\n\r\n").unwrap();
            assert!(head.starts_with("HTTP/1.1 200 OK\r\n") && !head.contains("Access-Control"), "{head}");
            assert_eq!(serde_json::from_str::<Value>(body).unwrap()[0]["project"], "alien_jobs");
        }
        assert!(ask(&bench, "GET / HTTP/1.0\r\n\r\n").await.contains("<a href=\"/task_status\">"));
        for path in ["/etc/passwd", "//", "/queue_status/", "queue_status", "*"] {
            let answer = ask(&bench, &format!("GET {path} HTTP/1.1\r\n\r\n")).await;
            assert!(answer.starts_with("HTTP/1.1 404 Not Found\r\n"), "{path}: {answer}");
        }
        let long = format!("GET /queue_status HTTP/1.1\r\n{}", "X: y\r\n".repeat(10_000));
        assert_eq!(ask(&bench, &long).await, "");
    });
}

#[test]
fn requests_that_are_none_are_hung_up_on() {
    with_bench(None, |bench| async move {
        for request in ["pizza_status\n", "queue_status please\n", &"queue_status ".repeat(1000), "POST / HTTP/1.1\n"] {
            assert_eq!(ask(&bench, request).await, "", "{request:.40}");
        }
        // A worker that asks has lost its way.
        let mut worker = bench.connect().await;
        worker.write_all(&[WORKER, b"queue_status\n"].concat()).await.unwrap();
        assert!(!hear(&mut worker).await.contains("alien_jobs"));
    });
}

#[test]
fn programs_of_this_machine_need_no_password_and_workers_do() {
    with_bench(Some(b"secret"), |bench| async move {
        assert_eq!(ask_json(&bench, "queue_status\n").await[0]["project"], "alien_jobs");
        assert!(ask(&bench, "GET /queue_status HTTP/1.1\r\n\r\n").await.contains("alien_jobs"));
        // What comes behind the request is heard by nobody.
        let queue = ask_json(&bench, "queue_status\nworkqueue 9 host Linux x86_64 7.4.16\n").await;
        assert_eq!(queue[0]["workers"], 0);
        assert_eq!(bench.shell.links.count(), 0);
        for request in ["pizza_status\n", "workqueue 9 host Linux x86_64 7.4.16\n"] {
            assert!(ask(&bench, request).await.ends_with("\nfailure\n"), "{request}");
        }
    });
}

#[test]
fn who_knows_the_password_may_ask_behind_it() {
    with_bench(Some(b"secret"), |bench| async move {
        // As `work_queue_factory HOST PORT` does.
        let mut tool = bench.connect().await;
        let mut out = bytes::BytesMut::new();
        let password = Password::from_file_content(b"secret");
        let mut exchange = WorkerHandshake::start(password, Challenge::from_random([3; 32]), &mut out);
        let mut heard = bytes::BytesMut::new();
        loop {
            tool.write_all(&out.split()).await.unwrap();
            match exchange.advance(&mut heard, &mut out) {
                wq_proto::Outcome::NeedMore if out.is_empty() => {
                    tool.read_buf(&mut heard).await.unwrap();
                }
                wq_proto::Outcome::NeedMore => {}
                outcome => {
                    assert_eq!(outcome, wq_proto::Outcome::Accepted);
                    break;
                }
            }
        }
        tool.write_all(&out).await.unwrap();
        tool.write_all(b"queue_status\n").await.unwrap();
        assert!(hear(&mut tool).await.starts_with("[{"));
    });
}

#[test]
fn too_many_at_once_and_those_who_do_not_read_hold_up_nobody() {
    with_bench(None, |bench| async move {
        let mut slow = Vec::new();
        for _ in 0..PLACES {
            // Its head never ends.
            let mut browser = bench.connect().await;
            browser.write_all(b"GET /queue_status HTTP/1.1\r\nX: ").await.unwrap();
            slow.push(browser);
        }
        while bench.shell.askers.available_permits() > 0 {
            tokio::task::yield_now().await;
        }
        assert_eq!(ask(&bench, "queue_status\n").await, "");
        let mut worker = bench.connect().await;
        worker.write_all(b"name\n").await.unwrap();
        read_until(&mut worker, b"\n").await;
        drop(slow);
        while bench.shell.askers.available_permits() < PLACES {
            tokio::task::yield_now().await;
        }
        assert!(ask(&bench, "queue_status\n").await.contains(&format!("\"capacity\":{LINKS_MAX}")));
    });
}
