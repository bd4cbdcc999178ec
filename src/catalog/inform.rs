//! The task that keeps one catalog server informed.

use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use tokio::time::Instant;

use super::servers::{Server, Transport};
use super::update::{self, UpdateError};
use crate::driver::Shell;

/// Time between two updates.
const EVERY: Duration = Duration::from_secs(60);

/// Changes are told earlier, but not earlier than this after the last update.
const PAUSE: Duration = Duration::from_secs(5);

/// Time between looks at the queue.
const LOOK: Duration = Duration::from_secs(1);

/// Time for a look-up and for sending.
const SEND_MAX: Duration = Duration::from_secs(10);

/// Tells a server of this master, for ever. `own` are the addresses on which the master listens.
pub(crate) async fn inform(shell: Rc<Shell>, server: Server, transport: Transport, own: Rc<[SocketAddr]>) {
    let mut operator = Operator::default();
    loop {
        let summary = shell.look(|core, _| core.summary());
        let text = update::text(&shell.about, &summary);
        let sent = tokio::time::timeout(SEND_MAX, update::send(&server, transport, &text, &own)).await;
        operator.hears(&server, &own, sent.ok());
        let told = Instant::now();
        while told.elapsed() < EVERY
            && (told.elapsed() < PAUSE || demand(&shell) == (summary.waiting, summary.on_workers))
        {
            tokio::time::sleep(LOOK).await;
        }
    }
}

/// What the factory acts upon. Foremen tell their part by themselves, so old figures of ours would count tasks twice.
fn demand(shell: &Shell) -> (u64, u64) {
    let summary = shell.look(|core, _| core.summary());
    (summary.waiting, summary.on_workers)
}

/// What the operator was told, so that he hears everything once.
#[derive(Debug, Default)]
struct Operator {
    reached: Option<bool>,
    warned: bool,
}

impl Operator {
    /// `outcome` is missing when the time was over.
    fn hears(&mut self, server: &Server, own: &[SocketAddr], outcome: Option<Result<IpAddr, UpdateError>>) {
        let before = self.reached.replace(matches!(outcome, Some(Ok(_))));
        match outcome {
            Some(Ok(address)) => {
                if before != Some(true) {
                    tracing::info!(%server, "reporting to the catalog server");
                }
                let unreachable = !address.is_loopback() && own.iter().all(|own| own.ip().is_loopback());
                if unreachable && !std::mem::replace(&mut self.warned, true) {
                    tracing::warn!(
                        %server,
                        "workers that find this master in the catalog cannot reach it: it listens on the loopback \
                         interface only (give --password-file, or --bind)"
                    );
                }
            }
            Some(Err(error)) if before != Some(false) => {
                tracing::warn!(%server, %error, "no report to the catalog server; it is tried again every minute");
            }
            None if before != Some(false) => {
                tracing::warn!(%server, "no answer in time for a report to the catalog server; it is tried again");
            }
            Some(Err(_)) | None => {}
        }
    }
}
