//! The queues of the recorded sessions, made from the ads that `condor_q -long` showed in them.
//!
//! Where a session shows no whole ad of a job, its ad is that of a recorded job with the attributes changed in which
//! the tables of the session show that it differs.

use classad::{ClassAd, parse_expr};

use crate::sessions::Record;

/// The ads in a recorded `condor_q -long`.
pub(crate) fn ads(records: &[Record], name: &str) -> Vec<ClassAd> {
    let record = records.iter().find(|record| record.name == name).unwrap();
    let ads = record.stdout.split("\n\n").filter(|text| !text.trim().is_empty());
    ads.map(|text| ClassAd::from_old_text(text).unwrap()).collect()
}

/// A copy with attributes set (`Name = expression`) or removed (`!Name`).
fn changed(ad: &ClassAd, changes: &[&str]) -> ClassAd {
    let mut ad = ad.clone();
    for change in changes {
        match change.strip_prefix('!') {
            Some(name) => drop(ad.remove(name)),
            None => {
                let (name, text) = change.split_once('=').unwrap();
                ad.insert(name.trim(), parse_expr(text).unwrap());
            }
        }
    }
    ad
}

/// Procs 0 to `count` - 1 of a cluster.
fn procs(queue: &mut Vec<ClassAd>, ad: &ClassAd, cluster: u32, count: u32, changes: &[&str]) {
    for proc in 0..count {
        let mut ad = changed(ad, changes);
        ad.insert("ClusterId", i64::from(cluster));
        ad.insert("ProcId", i64::from(proc));
        ad.insert("TotalSubmitProcs", i64::from(count));
        queue.push(ad);
    }
}

/// `cli.jsonl` from record `q` on: 26 jobs of alice and 2 of bob.
pub(crate) fn main_session(records: &[Record]) -> Vec<ClassAd> {
    let running = &ads(records, "q-long")[0];
    let held = ads(records, "q-long-2");
    let bare = changed(&held[0], &["Cmd = \"/bin/sleep\"", "Arguments = \"\"", "!Foo", "!Num"]);
    let one = ["!Arguments", "Args = \"1\""];
    let mut queue = Vec::new();
    procs(&mut queue, running, 1, 3, &[]);
    for (proc, ad) in queue.iter_mut().enumerate() {
        *ad = changed(ad, &[&format!("RemoteHost = \"slot{}@submit.example.org\"", proc + 1)]);
    }
    let unmatched = format!("Requirements = (HasNothing =?= true) && {}", bare.get("Requirements").unwrap());
    let idle = ["!HoldReason", "!HoldReasonCode", "JobStatus = 1", "JobPrio = 5", "JobBatchName = \"mybatch\""];
    let idle = changed(&changed(&bare, &idle), &["!Arguments", "Args = \"20\"", &unmatched]);
    // The last negotiation, 12 s after the session began.
    let rejected = [
        "LastRejMatchTime = 1795290078",
        "LastRejMatchReason = \"no match found\"",
        "LastRejMatchNegotiator = \"submit.example.org\"",
    ];
    let idle = changed(&idle, &rejected);
    procs(&mut queue, &idle, 2, 2, &[]);
    queue.extend(held);
    let done = ["!HoldReason", "!HoldReasonCode", "JobStatus = 4", "Cmd = \"/bin/true\"", "LeaveJobInQueue = true"];
    procs(&mut queue, &bare, 4, 1, &done);
    for cluster in [5, 7, 8, 9] {
        procs(&mut queue, &bare, cluster, 2, &[]);
    }
    procs(&mut queue, &bare, 10, 2, &one);
    procs(&mut queue, &bare, 11, 1, &one);
    procs(&mut queue, &bare, 12, 2, &["JobBatchName = \"my name\""]);
    procs(&mut queue, &bare, 13, 2, &[]);
    procs(&mut queue, &bare, 17, 2, &[]);
    procs(&mut queue, &bare, 18, 1, &[]);
    procs(&mut queue, &bare, 19, 2, &["Owner = \"bob\"", "User = \"bob@example.org\""]);
    queue
}

/// The four slots of `condor_status`: each as the first, of which a whole ad was recorded, for so many seconds.
pub(crate) fn slots(records: &[Record]) -> Vec<ClassAd> {
    let first = &ads(records, "status-long-1")[0];
    let slot = |(number, seconds): (u32, i64)| {
        let name = format!("Name = \"slot{number}@submit.example.org\"");
        let now_s = first.get("MyCurrentTime").and_then(|expr| expr.literal()?.as_int()).unwrap();
        let since = format!("= {}", now_s - seconds);
        let (state, activity) = (format!("EnteredCurrentState {since}"), format!("EnteredCurrentActivity {since}"));
        changed(first, &[&name, &format!("SlotID = {number}"), &state, &activity])
    };
    [(1, 3), (2, 3), (3, 0), (4, 13)].map(slot).into()
}

/// The same in the second session, where they were busy.
pub(crate) fn busy_slots(records: &[Record]) -> Vec<ClassAd> {
    let states = [("Preempting", "Killing"), ("Claimed", "Busy"), ("Claimed", "Idle"), ("Claimed", "Busy")];
    let busy = |(slot, (state, activity)): (ClassAd, (&str, &str))| {
        let (state, activity) = (format!("State = \"{state}\""), format!("Activity = \"{activity}\""));
        let since = "EnteredCurrentActivity = MyCurrentTime";
        changed(&slot, &[&state, &activity, since, "TotalLoadAvg = 1.08", "RecentJobStarts = 7"])
    };
    slots(records).into_iter().zip(states).map(busy).collect()
}

/// `cli.jsonl` at record `q-no-schedd`: three removed jobs that have not left yet.
pub(crate) fn end_of_main_session(records: &[Record]) -> Vec<ClassAd> {
    let mut queue = Vec::new();
    let removed = changed(&ads(records, "q-long-2")[0], &["JobStatus = 3"]);
    procs(&mut queue, &removed, 4, 1, &[]);
    procs(&mut queue, &removed, 21, 2, &[]);
    queue
}

/// `cli_extra.jsonl` before the record of that name; `None` where the queue is what the commands made of it.
pub(crate) fn extra_session(records: &[Record], before: &str) -> Option<Vec<ClassAd>> {
    let running = &ads(records, "q-mixed-long")[0];
    let held = changed(
        running,
        &[
            "JobStatus = 5",
            "!RemoteHost",
            "!ShadowBday",
            "!JobBatchName",
            "!JobCurrentStartDate",
            "HoldReasonCode = 15",
        ],
    );
    let held = changed(&held, &["Cmd = \"/bin/sleep\"", "!Arguments", "Args = \"500\"", "QDate = 1795290760"]);
    let mut queue = Vec::new();
    procs(&mut queue, &held, 1, 1, &["JobStatus = 2"]);
    procs(&mut queue, &held, 2, 1, &["JobStatus = 1"]);
    for (cluster, attribute, items) in [(3, "I", &["a", "a", "b"][..]), (4, "J", &["a", "a", "b", "b"])] {
        procs(&mut queue, &held, cluster, items.len() as u32, &[]);
        let first = queue.len() - items.len();
        for (ad, item) in queue[first..].iter_mut().zip(items) {
            ad.insert(attribute, *item);
        }
    }
    for (cluster, count) in [(5, 1), (6, 1), (8, 1), (9, 2), (10, 1)] {
        procs(&mut queue, &held, cluster, count, &[]);
    }
    let long = "Args = \"500 a_very_long_argument_number_one another_long_argument_number_two and_a_third_one and_the_fourth\"";
    procs(&mut queue, &held, 11, 1, &[long]);
    let shared = "JobBatchName = \"shared batch\"";
    let steps: &[(&str, usize)] = &[
        ("q-blank-items", 0),
        ("q-blank-items-file", 0),
        ("q-long-cmd", 0),
        ("q-shared-batch", 2),
        ("q-long-batch", 3),
        ("q-desc", 4),
        ("q-strings-long", 5),
        ("q-allusers-other", 6),
        ("q-mixed", 7),
        ("rm-several-clusters", 7),
        ("rm-long", 8),
    ];
    let step = steps.iter().find(|(name, _)| *name == before)?.1;
    if step >= 2 {
        procs(&mut queue, &held, 12, 2, &[shared]);
        procs(&mut queue, &held, 13, 2, &[shared]);
    }
    if step >= 3 {
        let name = "JobBatchName = \"this is a rather long batch name of forty chars\"";
        procs(&mut queue, &held, 14, 1, &[name]);
    }
    if step >= 4 {
        procs(&mut queue, &held, 15, 1, &["JobDescription = \"my description\"", "JobPrio = -7"]);
    }
    if step >= 5 {
        let strings = ads(records, "q-strings-long").remove(0);
        let changes: Vec<String> = strings.iter().map(|(name, expr)| format!("{name} = {expr}")).collect();
        procs(&mut queue, &held, 16, 1, &changes.iter().map(String::as_str).collect::<Vec<_>>());
    }
    if step == 6 {
        queue[1] = changed(&queue[1], &["JobStatus = 2"]);
    }
    if step >= 7 {
        // The spooled jobs are over and stay; all others are held.
        for ad in &mut queue {
            let cluster = ad.get("ClusterId").unwrap().to_string();
            let status = if ["9", "10"].contains(&cluster.as_str()) { "JobStatus = 4" } else { "JobStatus = 5" };
            *ad = changed(ad, &[status]);
        }
        for (proc, (slot, start)) in
            [(2, 1_795_290_773), (4, 1_795_290_773), (3, 1_795_290_776)].into_iter().enumerate()
        {
            let mut ad = running.clone();
            ad.insert("ProcId", proc as i64);
            ad.insert("RemoteHost", format!("slot{slot}@submit.example.org"));
            for name in ["ShadowBday", "JobStartDate", "JobCurrentStartDate", "EnteredCurrentStatus"] {
                ad.insert(name, start);
            }
            queue.push(ad);
        }
    }
    if step >= 8 {
        // Removed jobs stay for a moment; of the cluster that is named next none is removed yet.
        for ad in &mut queue {
            let named = ad.get("ClusterId") == Some(&classad::Expr::from(3));
            *ad = changed(ad, &["LeaveJobInQueue = true", if named { "JobStatus = 5" } else { "JobStatus = 3" }]);
        }
    }
    Some(queue)
}

/// The jobs of a recorded `-nobatch` table as they were at that moment: number, owner, times, status, priority and
/// command are read off the rows. Held jobs are held by `condor_hold`, the logs are those of `running.jsonl`.
pub(crate) fn from_rows(template: &ClassAd, table: &str, now_s: i64) -> Vec<ClassAd> {
    let rows = table.lines().skip_while(|line| !line.contains("RUN_TIME ST")).skip(1);
    rows.take_while(|line| !line.is_empty()).map(|row| from_row(template, row, now_s)).collect()
}

fn from_row(template: &ClassAd, row: &str, now_s: i64) -> ClassAd {
    let fields: Vec<&str> = row.split_whitespace().collect();
    let (cluster, proc) = fields[0].split_once('.').unwrap();
    let (days, clock) = fields[4].split_once('+').unwrap();
    let seconds = clock.split(':').fold(0, |sum, part| sum * 60 + part.parse::<i64>().unwrap());
    let run_time_s = days.parse::<i64>().unwrap() * 86_400 + seconds;
    let status = ["U", "I", "R", "X", "C", "H", ">", "S"].iter().position(|letter| *letter == fields[5]).unwrap();
    let (hour, minute) = fields[3].split_once(':').unwrap();
    let minute_of_day = hour.parse::<i64>().unwrap() * 60 + minute.parse::<i64>().unwrap();
    let submitted_s = now_s - now_s.rem_euclid(86_400) + minute_of_day * 60;
    let running = [2, 7].contains(&status);
    let log = ["vacate", "suspend", "holdrun", "rmrun"].get(cluster.parse::<usize>().unwrap() - 1).unwrap_or(&"other");
    let mut changes = vec![
        format!("ClusterId = {cluster}"),
        format!("ProcId = {proc}"),
        format!("Owner = \"{}\"", fields[1]),
        "TotalSubmitProcs = 1".to_owned(),
        format!("QDate = {submitted_s}"),
        format!("JobStatus = {status}"),
        format!("JobPrio = {}", fields[6]),
        format!("Cmd = \"/bin/{}\"", fields[8]),
        format!("Args = \"{}\"", fields[9..].join(" ")),
        format!("UserLog = \"/home/alice/jobs/{log}.log\""),
        format!("ShadowBday = {}", now_s - run_time_s),
        format!("RemoteWallClockTime = {}.0", if running { 0 } else { run_time_s }),
    ];
    if status == 5 {
        let reason =
            ["HoldReason = \"via condor_hold (by user alice)\"", "HoldReasonCode = 1", "HoldReasonSubCode = 0"];
        changes.extend(reason.map(str::to_owned));
        changes.push(format!("EnteredCurrentStatus = {}", now_s - now_s.rem_euclid(60)));
    }
    changed(template, &changes.iter().map(String::as_str).collect::<Vec<_>>())
}

/// The jobs of a recorded table of `condor_history`, the last one first; the day and the year are those of the sessions.
pub(crate) fn past(template: &ClassAd, table: &str) -> Vec<ClassAd> {
    table.lines().skip(1).map(|row| past_job(template, row)).collect()
}

fn past_job(template: &ClassAd, row: &str) -> ClassAd {
    /// Midnight of 2026-11-21.
    const DAY_S: i64 = 1_795_219_200;
    let (number, owner, submitted, run_time, status) =
        (&row[..13], &row[13..28], &row[28..39], &row[40..52], &row[53..54]);
    let (completed, command) = (&row[56..67], &row[68..]);
    let (cluster, proc) = number.trim().split_once('.').unwrap();
    let clock = |text: &str| text.split(':').fold(0, |sum, part| sum * 60 + part.parse::<i64>().unwrap());
    let minute = |text: &str| DAY_S + clock(text.split_whitespace().nth(1).unwrap()) * 60;
    let removed = status == "X";
    let (program, arguments) = command.split_once(' ').unwrap_or((command, ""));
    let mut changes = vec![
        format!("ClusterId = {cluster}"),
        format!("ProcId = {proc}"),
        format!("Owner = \"{}\"", owner.trim()),
        format!("QDate = {}", minute(submitted)),
        format!("RemoteWallClockTime = {}.0", clock(run_time.trim().split_once('+').unwrap().1)),
        format!("JobStatus = {}", if removed { 3 } else { 4 }),
        format!("Cmd = \"/bin/{program}\""),
        "!Arguments".to_owned(),
        "!JobDescription".to_owned(),
        format!("Args = \"{arguments}\""),
        format!("RemoveReason = \"via condor_rm (by user {})\"", owner.trim()),
    ];
    if !removed {
        changes.extend([format!("CompletionDate = {}", minute(completed)), "!RemoveReason".to_owned()]);
    }
    changed(template, &changes.iter().map(String::as_str).collect::<Vec<_>>())
}

/// `cli.jsonl` at record `history`; one job's whole ad was recorded.
pub(crate) fn past_of_main_session(records: &[Record]) -> Vec<ClassAd> {
    let whole = ads(records, "history-long").remove(0);
    let table = &records.iter().find(|record| record.name == "history").unwrap().stdout;
    let mut past = past(&whole, table);
    for ad in &mut past {
        let is = |name: &str, value: i64| ad.get(name) == Some(&classad::Expr::from(value));
        if is("ClusterId", 1) && is("ProcId", 1) {
            *ad = whole.clone();
        } else if is("ClusterId", 2) && is("ProcId", 1) {
            *ad = changed(ad, &["RemoveReason = \"because (by user alice)\""]);
        }
    }
    past
}

/// `cli_extra.jsonl` at record `history-mixed`.
pub(crate) fn past_of_second_session(records: &[Record]) -> Vec<ClassAd> {
    let table = &records.iter().find(|record| record.name == "history-mixed").unwrap().stdout;
    let whole = changed(&ads(records, "q-mixed-long")[0], &["ExitCode = 1", "ExitBySignal = false"]);
    past(&whole, table)
}

/// The jobs of a listing with `-af:jh JobStatus ExitCode … HoldReason RemoveReason LastHoldReason`: single words, then texts.
pub(crate) fn past_of_logs(listing: &str) -> Vec<ClassAd> {
    let mut lines = listing.lines();
    let names: Vec<&str> = lines.next().unwrap().split_whitespace().collect();
    let job = |line: &str| {
        let mut ad = ClassAd::new();
        let mut rest = line;
        for name in &names {
            rest = rest.trim_start();
            let end = match *name {
                "LastHoldReason" => rest.trim_end().len(),
                "RemoveReason" if rest.starts_with("via ") || rest.starts_with("cleaning ") => {
                    rest.find(')').unwrap() + 1
                }
                "RemoveReason" if rest.starts_with("The ") => rest.find("TRUE").unwrap() + 4,
                _ => rest.find(' ').unwrap(),
            };
            let (text, behind) = rest.split_at(end);
            rest = behind;
            if *name == "ID" {
                let (cluster, proc) = text.split_once('.').unwrap();
                ad.insert("ClusterId", parse_expr(cluster).unwrap());
                ad.insert("ProcId", parse_expr(proc).unwrap());
            } else if name.ends_with("Reason") && text != "undefined" {
                ad.insert(name, text);
            } else if text != "undefined" {
                ad.insert(name, parse_expr(text).unwrap());
            }
        }
        ad
    };
    lines.map(job).collect()
}
