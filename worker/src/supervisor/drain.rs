//! The end of the worker: children are ended and units handed back, within five seconds; a second signal ends it at once.

use std::time::Duration;

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::mpsc,
    task::JoinHandle,
    time::{sleep, timeout},
};

use super::board::Board;

/// How long handing back may take.
const PATIENCE: Duration = Duration::from_millis(4500);

/// Gets a message for each SIGTERM or SIGINT.
pub fn signals() -> std::io::Result<mpsc::Receiver<()>> {
    let (sender, receiver) = mpsc::channel(2);
    let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            let _already_ending = sender.try_send(());
        }
    });
    Ok(receiver)
}

/// Waits for a signal (or for the loop to break), then hands everything back.
pub async fn end_when_asked(mut signals: mpsc::Receiver<()>, board: &Board, mut slots: JoinHandle<()>) {
    let broken = tokio::select! {
        _ = signals.recv() => false,
        ended = &mut slots => {
            tracing::error!(?ended, "the loop that takes units has ended; the worker ends too");
            true
        }
    };
    tracing::info!(units = board.cards().len(), "asked to end; units are handed back");
    board.stop();
    let handing_back = timeout(PATIENCE, async {
        // A unit that is being leased now is handed back too.
        if !broken {
            let _loop_ended = slots.await;
        }
        while !board.is_empty() {
            tokio::select! {
                () = board.changed.notified() => {}
                () = sleep(Duration::from_millis(50)) => {}
            }
        }
    });
    tokio::select! {
        ended = handing_back => if ended.is_err() {
            tracing::warn!(units = board.cards().len(), "not all units were handed back in time; their leases run out");
        },
        _ = signals.recv() => tracing::warn!("asked to end again; leases run out"),
    }
}
