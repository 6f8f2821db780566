//! The child: reads its order, runs the pass, reports. The only part of the worker that calls GStreamer.

use std::{
    fs::File,
    io::Read,
    os::fd::{AsFd, OwnedFd},
    sync::{Arc, Mutex},
    time::Duration,
};

use mps_proto::worker::v1::{ChildBeat, ChildOrder, ChildProgress, ChildReport, child_report::Report};

use crate::pipe;

/// How often the child says that it lives.
const BEAT: Duration = Duration::from_secs(1);
/// Exit codes: the pipe is gone, and GStreamer does not start.
const PIPE_GONE: i32 = 74;
const NO_GSTREAMER: i32 = 69;

/// The pipe to the supervisor.
type Reports = Arc<Mutex<File>>;

/// Life of the child process; gives its exit code.
pub fn run() -> i32 {
    let Ok(reports) = claim_stdout() else { return PIPE_GONE };
    start_beating(&reports);
    // Before the order is read: it comes when the input is fetched, and GStreamer starts meanwhile.
    if let Err(error) = mps_media::init() {
        eprintln!("gstreamer does not start: {error}");
        return NO_GSTREAMER;
    }
    let order = match pipe::read::<ChildOrder>(&mut std::io::stdin().lock()) {
        Ok(Some(order)) => order,
        // The supervisor ended, or gave the unit up before its input was there.
        Ok(None) | Err(_) => return PIPE_GONE,
    };
    end_with_stdin();
    let _telemetry = Telemetry::start();
    let span = tracing::info_span!("run_unit", input = %order.input_name);
    mps_telemetry::set_parent(&span, &order.traceparent);
    let result = span.in_scope(|| {
        let progress = |progress: ChildProgress| {
            let _ = send(&reports, Report::Progress(progress));
        };
        let of_members = reports.clone();
        let members: mps_media::job::Members = Arc::new(move |member| {
            let _ = send(&of_members, Report::Member(member));
        });
        let mut result = mps_media::run(&order, &progress, &members);
        let cpu_seconds = cpu_seconds();
        if let Some(counters) = &mut result.counters {
            counters.cpu_seconds = cpu_seconds;
        }
        result
    });
    drop(span);
    match send(&reports, Report::Result(result)) {
        Ok(()) => 0,
        Err(_) => PIPE_GONE,
    }
}

/// Prints what this machine can do, a capability a line.
pub fn capabilities() -> i32 {
    if let Err(error) = mps_media::init() {
        eprintln!("gstreamer does not start: {error}");
        return NO_GSTREAMER;
    }
    for capability in mps_media::capabilities::discover() {
        println!("{capability}");
    }
    0
}

/// Takes standard output for reports; what libraries print goes to standard error.
fn claim_stdout() -> std::io::Result<Reports> {
    let pipe: OwnedFd = std::io::stdout().as_fd().try_clone_to_owned()?;
    nix::unistd::dup2_stdout(std::io::stderr())?;
    Ok(Arc::new(Mutex::new(File::from(pipe))))
}

fn send(reports: &Reports, report: Report) -> std::io::Result<()> {
    let mut file = reports.lock().map_err(|_| std::io::ErrorKind::BrokenPipe)?;
    pipe::write(&mut *file, &ChildReport { report: Some(report) })
}

fn start_beating(reports: &Reports) {
    let reports = reports.clone();
    std::thread::spawn(move || {
        while send(&reports, Report::Beat(ChildBeat {})).is_ok() {
            std::thread::sleep(BEAT);
        }
        std::process::exit(PIPE_GONE);
    });
}

/// The end of standard input means that the supervisor wants or has an end.
fn end_with_stdin() {
    std::thread::spawn(|| {
        let mut rest = [0; 64];
        while std::io::stdin().lock().read(&mut rest).is_ok_and(|count| count > 0) {}
        std::process::exit(PIPE_GONE);
    });
}

/// Logs and traces. What is exported needs a runtime; without an endpoint there is none.
struct Telemetry {
    // Dropped in this order: the guard's last export still needs the runtime.
    _guard: Option<mps_telemetry::Guard>,
    _runtime: Option<tokio::runtime::Runtime>,
}

impl Telemetry {
    fn start() -> Self {
        let options = telemetry();
        let runtime = options.otlp_endpoint.as_ref().and_then(|_| {
            tokio::runtime::Builder::new_multi_thread()
                .worker_threads(1)
                .enable_all()
                .build()
                .ok()
        });
        let entered = runtime.as_ref().map(tokio::runtime::Runtime::enter);
        let guard = mps_telemetry::init(&options)
            .inspect_err(|error| eprintln!("telemetry does not start: {error:#}"))
            .ok();
        drop(entered);
        Self {
            _guard: guard,
            _runtime: runtime,
        }
    }
}

fn telemetry() -> mps_telemetry::Options {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    mps_telemetry::Options {
        service: "mps-worker-unit".into(),
        filter: variable("MPS_WORKER_LOG").unwrap_or_else(|| "warn".into()),
        json: variable("MPS_WORKER_LOG_JSON").is_some_and(|value| value == "true"),
        otlp_endpoint: variable("MPS_WORKER_OTLP_ENDPOINT"),
    }
}

/// User and system time of this process.
fn cpu_seconds() -> f64 {
    use nix::sys::resource::{UsageWho, getrusage};
    let Ok(usage) = getrusage(UsageWho::RUSAGE_SELF) else { return 0.0 };
    let seconds = |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}
