//! Compiles the contract without protoc, and keeps its raw bytes (comments and options) for reflection.

use std::{env, fs, path::PathBuf};

use prost::Message;

const PUBLIC: &[&str] = &[
    "mps/v1/error.proto",
    "mps/v1/task_service.proto",
    "mps/v1/template_service.proto",
    "mps/v1/storage_service.proto",
    "mps/v1/system_service.proto",
    "mps/v1/access_service.proto",
];
const INTERNAL: &[&str] = &["mps/worker/v1/worker_service.proto"];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=mps");
    println!("cargo:rerun-if-changed=third_party");
    let out = PathBuf::from(env::var("OUT_DIR")?);

    let mut public = protox::Compiler::new([".", "third_party"])?;
    public.include_imports(true).include_source_info(true).open_files(PUBLIC)?;
    fs::write(out.join("mps.v1.bin"), public.encode_file_descriptor_set())?;

    let mut all = protox::Compiler::new([".", "third_party"])?;
    all.include_imports(true).include_source_info(true);
    all.open_files(PUBLIC)?.open_files(INTERNAL)?;
    let descriptors = prost_types_set(&all.encode_file_descriptor_set())?;
    tonic_prost_build::configure()
        .extern_path(".google.rpc", "::tonic_types::pb")
        .btree_map(".")
        .compile_fds(descriptors)?;
    Ok(())
}

fn prost_types_set(bytes: &[u8]) -> Result<prost_types::FileDescriptorSet, prost::DecodeError> {
    prost_types::FileDescriptorSet::decode(bytes)
}
