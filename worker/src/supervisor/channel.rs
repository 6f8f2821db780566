//! The channel to the server: progress up once a second (the newest wins, any may be lost), commands down. Whatever the channel
//! loses comes with the next renewal.

use std::{sync::Arc, time::Duration};

use mps_proto::worker::v1::{OpenChannelRequest, OpenChannelResponse, open_channel_response::Command};
use tokio::{
    sync::mpsc,
    time::{MissedTickBehavior, interval, sleep, timeout},
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Status};

use super::board::Board;
use crate::rpc::Rpc;

const PROGRESS_EVERY: Duration = Duration::from_secs(1);
const OPEN_DEADLINE: Duration = Duration::from_secs(10);
const FIRST_PAUSE: Duration = Duration::from_millis(200);
const LONGEST_PAUSE: Duration = Duration::from_secs(5);

/// Keeps the channel open, for ever.
pub async fn keep_open(rpc: Rpc, board: Arc<Board>) {
    let mut pause = FIRST_PAUSE;
    loop {
        if board.lease_ttl().is_some() {
            match follow(&rpc, &board, &mut pause).await {
                Ok(()) => tracing::debug!("the server closed the channel"),
                Err(status) if status.code() == Code::Unauthenticated => rpc.reload_token(),
                Err(status) => tracing::debug!(message = status.message(), "the channel broke"),
            }
        }
        sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Opens the channel and serves it until it ends.
async fn follow(rpc: &Rpc, board: &Board, pause: &mut Duration) -> Result<(), Status> {
    let (sender, requests) = mpsc::channel(1);
    let first = OpenChannelRequest {
        worker_id: board.worker_id.clone(),
        progress: board.progress(),
    };
    let _empty_so_it_fits = sender.try_send(first);
    let mut client = rpc.client();
    let opening = client.open_channel(ReceiverStream::new(requests));
    let mut commands = timeout(OPEN_DEADLINE, opening)
        .await
        .map_err(|_| Status::deadline_exceeded("no answer in time"))??
        .into_inner();
    let mut ticks = interval(PROGRESS_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = ticks.tick() => send_progress(&sender, board),
            message = commands.message() => match message? {
                Some(message) => obey(board, message),
                None => return Ok(()),
            },
        }
        *pause = FIRST_PAUSE;
    }
}

/// A report that still waits to be sent is old by the next tick; the new one is dropped, and the tick after brings a newer one.
fn send_progress(sender: &mpsc::Sender<OpenChannelRequest>, board: &Board) {
    let progress = board.progress();
    if !progress.is_empty() {
        let worker_id = board.worker_id.clone();
        let _the_last_one_still_waits = sender.try_send(OpenChannelRequest { worker_id, progress });
    }
}

fn obey(board: &Board, message: OpenChannelResponse) {
    match message.command {
        Some(Command::Verdict(verdict)) => board.apply(&verdict),
        Some(Command::Drain(drain)) => board.drain(drain),
        None => {}
    }
}
