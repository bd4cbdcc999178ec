//! One event of each kind.

use userlog::{
    ClusterRemove, Completion, Disconnected, Event, EventJob, EventTime, Exit, FactoryPaused, FileTransfer, ImageSize,
    Kind, ReconnectFailed, Reconnected, Resources, ShadowException, Submit, TransferStage, Value,
};

pub(crate) const JOB: EventJob = EventJob::new(7, 3);
pub(crate) const TIME: EventTime = EventTime { wall_s: 1_795_290_128, millis: 250 };

/// One event of each kind, with `text` wherever a text can stand.
pub(crate) fn events(text: &str) -> Vec<Event> {
    let table = Resources::of_attempt((1, 1), (1024, 2048), (128, 256), Some(11));
    let exit = Exit::Signal { signal: 9, core: Some(text.to_owned()) };
    let submit = Submit {
        host: text.to_owned(),
        structured: vec![("DAGNodeName".to_owned(), Value::text(text))],
        log_notes: Some(text.to_owned()),
        user_notes: Some(text.to_owned()),
    };
    let kinds = [
        Kind::Submit(submit),
        Kind::ImageSize(ImageSize { size_kb: 5, memory_mb: None, resident_kb: Some(1), proportional_kb: Some(2) }),
        Kind::ShadowException(ShadowException { message: text.to_owned(), sent_bytes: 1, received_bytes: 2 }),
        Kind::Generic(text.to_owned()),
        Kind::Suspended(2),
        Kind::Unsuspended,
        Kind::Disconnected(Disconnected {
            reason: text.to_owned(),
            startd_name: "slot1@w".to_owned(),
            startd_addr: text.to_owned(),
        }),
        Kind::Reconnected(Reconnected {
            startd_name: text.to_owned(),
            startd_addr: text.to_owned(),
            starter_addr: text.to_owned(),
        }),
        Kind::ReconnectFailed(ReconnectFailed { reason: text.to_owned(), startd_name: text.to_owned() }),
        Kind::ClusterSubmit(text.to_owned()),
        Kind::ClusterRemove(ClusterRemove { materialized: 2, items: 5, completion: Completion::Paused }),
        Kind::FactoryPaused(FactoryPaused { reason: Some(text.to_owned()), pause_code: 1, hold_code: 1 }),
        Kind::FactoryPaused(FactoryPaused { reason: None, pause_code: -1, hold_code: 0 }),
        Kind::FactoryResumed(Some(text.to_owned())),
        Kind::FactoryResumed(None),
        Kind::FileTransfer(FileTransfer {
            stage: TransferStage::InputStarted,
            host: Some(text.to_owned()),
            queueing_delay_s: Some(4),
        }),
    ];
    let mut events: Vec<Event> = kinds.into_iter().map(|kind| Event { job: JOB, time: TIME, kind }).collect();
    events.extend([
        Event::submit(JOB, TIME, text, Some(text)),
        Event::executing(JOB, TIME, text, text, 1, 2, 3),
        Event::executing_here(JOB, TIME, text),
        Event::terminated(JOB, TIME, exit.clone(), (1, 2), (3, 4), Some(table.clone())),
        Event::evicted(JOB, TIME, (1022, 0), text, (1, 2), Some(table)),
        Event::requeued(JOB, TIME, exit, text, (1, 2)),
        Event::held(JOB, TIME, text, 12, 28),
        Event::released(JOB, TIME, text),
        Event::aborted(JOB, TIME, text),
        Event::remote_error(JOB, TIME, "slot1@w", text, (13, 2)),
        Event::file_transfer(JOB, TIME, TransferStage::OutputFinished, Some(text)),
    ]);
    events
}
