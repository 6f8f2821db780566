//! Passes in a process of their own: what hangs or crashes does so where the test can end it. A file of tests that uses this has an
//! ignored test `carry_out_an_order` that calls `carry_out_what_is_asked`.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{Arc, Mutex},
    time::{Duration, Instant},
};

use mps_proto::{
    rpc,
    worker::v1::{ChildMember, ChildOrder, ChildResult, DamagePolicy, Failure, InputLimits, MediaPlan, PlanNode},
};
use prost::Message;

const DEADLINE: Duration = Duration::from_secs(60);
const ORDER: &str = "MPS_TEST_ORDER";

/// In the process: reads the order that the environment names, and writes its result beside it.
pub fn carry_out_what_is_asked() {
    let Some(path) = std::env::var_os(ORDER) else { return };
    let path = PathBuf::from(path);
    let order = ChildOrder::decode(std::fs::read(&path).unwrap().as_slice()).unwrap();
    mps_media::init().unwrap();
    let told: Arc<Mutex<Vec<u8>>> = Arc::default();
    let sink = told.clone();
    let members: mps_media::job::Members = Arc::new(move |member| {
        sink.lock().unwrap().extend(member.encode_length_delimited_to_vec());
    });
    let result = mps_media::run(&order, &|_| (), &members);
    std::fs::write(path.with_extension("members"), told.lock().unwrap().as_slice()).unwrap();
    std::fs::write(path.with_extension("result"), result.encode_to_vec()).unwrap();
}

/// Takes nodes through a pass over `input`; everything is written below `folder`. `side_inputs`: ids and their files.
pub fn carry_out(
    case: &str,
    input: &Path,
    nodes: Vec<PlanNode>,
    policy: DamagePolicy,
    side_inputs: &[(&str, &Path)],
    folder: &Path,
) -> ChildResult {
    // A pass may change its input, which is the unit's own.
    let copy = folder.join("input");
    std::fs::copy(input, &copy).unwrap();
    let outputs = folder.join("outputs");
    std::fs::create_dir_all(&outputs).unwrap();
    let side = |(id, path): &(&str, &Path)| ((*id).to_owned(), path.display().to_string());
    let order = ChildOrder {
        plan: Some(MediaPlan {
            plan_version: mps_proto::PLAN_VERSION,
            nodes,
            damage_policy: policy as i32,
            limits: Some(InputLimits::default()),
            ..Default::default()
        }),
        input_path: copy.display().to_string(),
        output_folder: outputs.display().to_string(),
        input_name: case.into(),
        side_inputs: side_inputs.iter().map(side).collect(),
        ..ChildOrder::default()
    };
    let path = folder.join("order");
    std::fs::write(&path, order.encode_to_vec()).unwrap();
    let started = Instant::now();
    run(&path, case);
    println!("{case}: {:.1} s", started.elapsed().as_secs_f64());
    let bytes = std::fs::read(path.with_extension("result")).unwrap_or_else(|_| panic!("{case}: the process gave no result"));
    ChildResult::decode(bytes.as_slice()).unwrap()
}

fn run(order: &Path, case: &str) {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "carry_out_an_order", "--ignored", "--nocapture"])
        .env(ORDER, order)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let started = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if started.elapsed() > DEADLINE {
            child.kill().unwrap();
            child.wait().unwrap();
            panic!("{case}: no end within {} s", DEADLINE.as_secs());
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// What the pass of a folder told of sets.
pub fn members(folder: &Path) -> Vec<ChildMember> {
    let bytes = std::fs::read(folder.join("order.members")).unwrap();
    let mut rest = bytes.as_slice();
    let mut found = Vec::new();
    while !rest.is_empty() {
        found.push(ChildMember::decode_length_delimited(&mut rest).unwrap());
    }
    found
}

/// A failure has a reason, a message and a hint.
pub fn is_typed(case: &str, failure: &Failure) {
    let status = failure.status.as_ref().unwrap();
    let info = rpc::ErrorInfo::decode(status.details[0].value.as_slice()).unwrap();
    assert!(!status.message.is_empty() && !info.reason.is_empty(), "{case}: {status:?}");
    assert!(!info.metadata["hint"].is_empty(), "{case}: {status:?}");
}
