//! mps worker.

use mps_proto::v1::{DrainWorkerRequest, ListWorkersRequest, ListWorkersResponse, Worker};

use crate::{
    args::WorkerCommand,
    context::Context,
    exit::{self, Exit},
    output::{Table, print_json, time, word},
};

pub async fn run(context: &Context, command: WorkerCommand) -> anyhow::Result<Exit> {
    match command {
        WorkerCommand::List => {
            let answer = list(context).await?;
            if context.json {
                print_json("mps.v1.ListWorkersResponse", &answer)?;
            } else {
                show(answer.workers);
            }
        }
        WorkerCommand::Drain { worker, undo } => {
            let request = DrainWorkerRequest {
                name: worker,
                undrain: undo,
            };
            let worker = context
                .client
                .system()
                .drain_worker(request)
                .await?
                .into_inner()
                .worker
                .unwrap_or_default();
            if context.json {
                print_json("mps.v1.Worker", &worker)?;
            } else {
                show(vec![worker]);
            }
        }
    }
    Ok(exit::SUCCESS)
}

/// Every worker, over all pages.
pub async fn list(context: &Context) -> anyhow::Result<ListWorkersResponse> {
    let mut all = ListWorkersResponse::default();
    let mut request = ListWorkersRequest {
        page_size: 1000,
        ..Default::default()
    };
    loop {
        let page = context.client.system().list_workers(request.clone()).await?.into_inner();
        all.workers.extend(page.workers);
        if page.next_page_token.is_empty() {
            return Ok(all);
        }
        request.page_token = page.next_page_token;
    }
}

fn show(workers: Vec<Worker>) {
    let mut table = Table::new(["WORKER", "HOST", "POOL", "STATE", "SLOTS", "SEEN", "CAN"]);
    for worker in workers {
        let id = worker.name.trim_start_matches("workers/").to_owned();
        let mut state = word(worker.state().as_str_name(), "WORKER_STATE_");
        if !worker.drain_reason.is_empty() {
            state += &format!(" ({})", worker.drain_reason);
        }
        let slots = format!("{}/{}", worker.busy_slots, worker.slots);
        let encoders: Vec<&str> = worker.capabilities.iter().filter_map(|can| can.strip_prefix("encode.")).collect();
        table.row([
            id,
            worker.display_name.clone(),
            worker.pool.clone(),
            state,
            slots,
            time(worker.last_seen_time.as_ref()),
            encoders.join(" "),
        ]);
    }
    table.print();
}
