//! ProcessMedia: plans a task and writes it with its units, reserved outputs and the outbox row in one transaction.

use mps_plan::{OutputPlan, PlanContext, PlanInput, TaskPlan, UnitPlan};
use mps_proto::{
    name::{full, new_id},
    v1::{self, ErrorReason, OnConflict, ProcessMediaRequest, ProcessMediaResponse, TaskState},
    worker::v1::{DamagePolicy, InputLimits},
};
use sea_orm::DatabaseTransaction;
use tonic::Code;

use super::{estimates, idempotency::Replay, templates};
use crate::{
    app::App,
    error::ApiError,
    storage::{Bucket, Need, StorageError, StorageErrorKind},
    store::{
        outputs::{self, NewOutput, ReserveError},
        sessions,
        tasks::{self, TaskRow},
        units::{self, NewUnit},
    },
};

/// Everything that a run needs, planned and opened.
pub struct Prepared {
    pub plan: TaskPlan,
    outputs: Bucket,
}

/// Accepts a task, or with `validate_only` says what would become of it.
pub async fn process_media(app: &App, project: &str, request: ProcessMediaRequest) -> Result<ProcessMediaResponse, ApiError> {
    let replay = Replay::of(project, "ProcessMedia", &request.request_id, &request)?;
    if let Some(replay) = &replay
        && let Some(first) = replay.first_answer::<ProcessMediaResponse>(app).await?
    {
        return Ok(ProcessMediaResponse {
            deduplicated: true,
            ..first
        });
    }
    let task_id = new_id();
    let templates = templates::named(app, project, &mps_plan::template_names(&request)).await?;
    let prepared = prepare(app, project, &task_id, &request, templates.clone()).await?;
    let mut task = new_task(project, &task_id, &request, &prepared.plan);
    if request.validate_only {
        task.name.clear();
        return Ok(ProcessMediaResponse {
            task: Some(task),
            plan: Some(estimated_plan(app, project, &prepared.plan).await?),
            deduplicated: false,
        });
    }
    let accepted = Accepted {
        task_id,
        request,
        task,
        templates,
        replay,
    };
    let response = write(app, project, accepted, &prepared).await?;
    app.nudge.committed();
    app.queue.wake(&app.config.default_pool).await;
    Ok(response)
}

/// Plans a run with the templates that it names and opens its storages; refuses what the storages do not permit.
pub async fn prepare(
    app: &App,
    project: &str,
    task_id: &str,
    request: &ProcessMediaRequest,
    templates: Vec<v1::Template>,
) -> Result<Prepared, ApiError> {
    let context = PlanContext {
        project: project.to_owned(),
        task_id: task_id.to_owned(),
        limits: input_limits(app),
        damage_policy: DamagePolicy::Warn,
        templates,
    };
    let plan = mps_plan::plan_task(request, &context).map_err(ApiError::invalid)?;
    let limit = usize::try_from(app.config.limits.max_nodes).unwrap_or(usize::MAX);
    if plan.nodes.len() > limit {
        return Err(ApiError::invalid_field(
            "nodes",
            format!("at most {limit} nodes on this installation"),
        ));
    }
    if let PlanInput::Object { storage_id, .. } = &plan.input {
        let bucket = open(app, project, storage_id, "input.object.storage").await?;
        permit(&bucket, storage_id, Need::Read, "input")?;
    }
    let outputs = open(app, project, &plan.output_storage_id, "output.storage").await?;
    permit(&outputs, &plan.output_storage_id, Need::Write, "output")?;
    if request.on_conflict() == OnConflict::Refuse {
        refuse_existing(&outputs, &plan).await?;
    }
    Ok(Prepared { plan, outputs })
}

/// Limits that inputs must keep, from the configuration.
pub fn input_limits(app: &App) -> InputLimits {
    InputLimits {
        max_pixels: app.config.limits.max_input_pixels,
        max_streams: app.config.limits.max_input_streams,
        max_duration: app.config.limits.max_input_duration.try_into().ok(),
    }
}

async fn open(app: &App, project: &str, storage_id: &str, field: &str) -> Result<Bucket, ApiError> {
    app.storages.open(project, storage_id).await.map_err(|error| match error.kind {
        StorageErrorKind::NotFound => ApiError::invalid_field(field, format!("there is no storage {storage_id} in this project")),
        _ => unavailable(&error),
    })
}

fn permit(bucket: &Bucket, storage_id: &str, need: Need, what: &str) -> Result<(), ApiError> {
    if bucket.permits(need) {
        return Ok(());
    }
    let missing = if need == Need::Read { "read" } else { "write" };
    Err(ApiError::new(
        Code::FailedPrecondition,
        ErrorReason::StoragePermission,
        format!("storage {storage_id} is not authorised to {missing}, which the task's {what} needs"),
    )
    .with("missing", missing)
    .hint(format!(
        "set the storage's access so that it includes {missing}, or name another storage"
    )))
}

fn unavailable(error: &StorageError) -> ApiError {
    ApiError::new(Code::Unavailable, ErrorReason::StorageUnavailable, error.message.clone())
        .hint("`mps storage test` says what does not work")
}

async fn refuse_existing(bucket: &Bucket, plan: &TaskPlan) -> Result<(), ApiError> {
    for output in plan.units.iter().flat_map(|unit| &unit.outputs) {
        if bucket.head(&output.key).await.map_err(|error| unavailable(&error))?.is_some() {
            return Err(ApiError::new(
                Code::AlreadyExists,
                ErrorReason::OutputExists,
                format!("an object stands at {} and on_conflict is REFUSE", output.key),
            )
            .with("key", &output.key)
            .hint("choose another output path, or ON_CONFLICT_REPLACE"));
        }
    }
    Ok(())
}

/// Size of the input's object; an object that is not there is refused. A URL is asked by the worker alone.
async fn input_size(app: &App, project: &str, input: &PlanInput) -> Result<Option<i64>, ApiError> {
    let PlanInput::Object { storage_id, key } = input else {
        return Ok(None);
    };
    let bucket = open(app, project, storage_id, "input.object.storage").await?;
    match bucket.head(key).await.map_err(|error| unavailable(&error))? {
        Some(head) => Ok(Some(head.size_bytes)),
        None => Err(ApiError::new(
            Code::FailedPrecondition,
            ErrorReason::InputNotFound,
            format!("there is no object {key} in storage {storage_id}"),
        )
        .hint("upload it first; `mps storage ls` shows what is there")),
    }
}

fn new_task(project: &str, task_id: &str, request: &ProcessMediaRequest, plan: &TaskPlan) -> v1::Task {
    v1::Task {
        name: full(project, "tasks", task_id),
        input: Some(shown_input(project, &plan.input)),
        output: Some(v1::TaskOutput {
            storage: full(project, "storages", &plan.output_storage_id),
            directory: match plan.output_directory.as_str() {
                "" => "/".to_owned(),
                directory => directory.to_owned(),
            },
        }),
        nodes: plan.nodes.clone(),
        priority: request.priority,
        session_id: request.session_id.clone(),
        session_context: request.session_context.clone(),
        labels: request.labels.clone(),
        node_statuses: plan.statuses.clone(),
        run: 1,
        on_conflict: match request.on_conflict() {
            OnConflict::Refuse => OnConflict::Refuse as i32,
            _ => OnConflict::Replace as i32,
        },
        state: TaskState::Waiting as i32,
        ..v1::Task::default()
    }
}

fn shown_input(project: &str, input: &PlanInput) -> v1::TaskInput {
    let source = match input {
        PlanInput::Url(url) => v1::task_input::Source::Url(url.clone()),
        PlanInput::Object { storage_id, key } => v1::task_input::Source::Object(v1::StorageObject {
            storage: full(project, "storages", storage_id),
            key: key.clone(),
        }),
    };
    v1::TaskInput { source: Some(source) }
}

fn shown_plan(app: &App, plan: &TaskPlan) -> v1::Plan {
    let units = plan.units.iter().map(|unit| v1::PlanUnit {
        node_keys: unit.media.nodes.iter().map(|node| node.key.clone()).collect(),
        pool: app.config.default_pool.clone(),
        requirements: mps_plan::requirements(&unit.media),
        output_keys: unit.outputs.iter().map(|output| output.key.clone()).collect(),
        estimated_seconds: None,
        passes: mps_plan::decodings(&unit.media),
    });
    v1::Plan { units: units.collect() }
}

/// The plan with what is known about the time that it takes.
async fn estimated_plan(app: &App, project: &str, plan: &TaskPlan) -> Result<v1::Plan, ApiError> {
    let mut shown = shown_plan(app, plan);
    let size = input_size(app, project, &plan.input).await?;
    let Some(seconds) = estimates::input_seconds(app, project, &plan.input, size).await? else {
        return Ok(shown);
    };
    for (shown, unit) in shown.units.iter_mut().zip(&plan.units) {
        shown.estimated_seconds = estimates::unit_seconds(app, &unit.media, seconds).await?;
    }
    Ok(shown)
}

/// A call that is to be written down.
struct Accepted {
    task_id: String,
    request: ProcessMediaRequest,
    task: v1::Task,
    /// The project's own that the task names.
    templates: Vec<v1::Template>,
    replay: Option<Replay>,
}

async fn write(app: &App, project: &str, accepted: Accepted, prepared: &Prepared) -> Result<ProcessMediaResponse, ApiError> {
    let Accepted {
        task_id,
        request,
        task,
        templates,
        replay,
    } = accepted;
    let now_ms = app.store.now_ms().await?;
    let txn = app.store.begin().await?;
    if !request.session_id.is_empty() && !sessions::take(&app.store, &txn, project, &request.session_id, &task_id).await? {
        txn.rollback().await?;
        return Err(session_reused(app, project, &request.session_id).await?);
    }
    let mut row = TaskRow {
        id: task_id,
        project: project.to_owned(),
        state: TaskState::Waiting,
        open_units: i32::try_from(prepared.plan.units.len()).unwrap_or(i32::MAX),
        revision: 1,
        create_ms: now_ms,
        start_ms: None,
        end_ms: None,
        input: estimates::text_of_plan(&prepared.plan.input),
        task,
        spec: request,
        traceparent: mps_telemetry::current_traceparent(),
    };
    tasks::insert(&app.store, &txn, &mut row).await?;
    if !templates.is_empty() {
        tasks::keep_templates(&app.store, &txn, &row.id, templates).await?;
    }
    add_run(app, &txn, &row, prepared).await?;
    let response = ProcessMediaResponse {
        task: Some(row.task.clone()),
        plan: Some(shown_plan(app, &prepared.plan)),
        deduplicated: false,
    };
    if let Some(replay) = &replay {
        replay.keep(app, &txn, &response).await?;
    }
    txn.commit().await?;
    Ok(response)
}

async fn session_reused(app: &App, project: &str, session_id: &str) -> Result<ApiError, ApiError> {
    let user = sessions::user_of(&app.store, project, session_id).await?.unwrap_or_default();
    Ok(ApiError::new(
        Code::AlreadyExists,
        ErrorReason::SessionIdReused,
        format!(
            "session_id {session_id} was used within the last 3 days by {}",
            full(project, "tasks", &user)
        ),
    )
    .with("task", full(project, "tasks", &user))
    .hint("choose a session_id of its own for each task"))
}

/// Reserves a run's outputs and queues its units. Outputs come first: a taken key rolls back without having moved ranks.
pub async fn add_run(app: &App, txn: &DatabaseTransaction, row: &TaskRow, prepared: &Prepared) -> Result<(), ApiError> {
    let mut new_outputs = Vec::new();
    let mut new_units = Vec::new();
    for unit in &prepared.plan.units {
        let id = new_id();
        new_outputs.extend(unit.outputs.iter().map(|output| new_output(row, &id, output, prepared)));
        new_units.push(new_unit(app, row, id, unit));
    }
    match outputs::reserve(&app.store, txn, &new_outputs).await {
        Ok(()) => {}
        Err(ReserveError::Db(error)) => return Err(error.into()),
        Err(ReserveError::Taken { object_key, task_id }) => return Err(key_reserved(&row.project, &object_key, &task_id)),
    }
    units::insert(&app.store, txn, &new_units).await?;
    Ok(())
}

/// Another open task will write the key.
pub fn key_reserved(project: &str, key: &str, task_id: &str) -> ApiError {
    let holder = full(project, "tasks", task_id);
    ApiError::new(
        Code::AlreadyExists,
        ErrorReason::OutputKeyReserved,
        format!("{holder} is open and will write {key}"),
    )
    .with("task", holder)
    .with("key", key)
    .hint("wait for that task, cancel it, or choose another output path")
}

fn new_output(row: &TaskRow, unit_id: &str, output: &OutputPlan, prepared: &Prepared) -> NewOutput {
    NewOutput {
        id: output.id.clone(),
        task_id: row.id.clone(),
        run: row.task.run,
        node_key: output.node_key.clone(),
        number: output.number,
        project: row.project.clone(),
        storage_id: prepared.plan.output_storage_id.clone(),
        bucket_ref: prepared.outputs.bucket_ref().to_owned(),
        object_key: output.key.clone(),
        content_type: output.content_type.clone(),
        unit_id: unit_id.to_owned(),
    }
}

fn new_unit(app: &App, row: &TaskRow, id: String, unit: &UnitPlan) -> NewUnit {
    NewUnit {
        id,
        task_id: row.id.clone(),
        project: row.project.clone(),
        run: row.task.run,
        pool: app.config.default_pool.clone(),
        requirements: mps_plan::requirements(&unit.media),
        priority: row.task.priority,
        cost: mps_plan::cost(&unit.media),
        plan: unit.media.clone(),
        attempt: 0,
        charged: 0,
    }
}
