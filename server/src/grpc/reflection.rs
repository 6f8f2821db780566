//! Reflection over the contract's own bytes, with comments, the details of errors, and health. WorkerService is not in it.

use mps_proto::v1::FILE_DESCRIPTOR_SET;
use prost::Message;
use tonic_reflection::server::{Builder, Error, v1, v1alpha};

fn builder() -> Builder<'static> {
    Builder::configure()
        .register_encoded_file_descriptor_set(FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_types::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
}

pub(super) fn v1() -> Result<v1::ServerReflectionServer<impl v1::ServerReflection>, Error> {
    builder().build_v1()
}

pub(super) fn v1alpha() -> Result<v1alpha::ServerReflectionServer<impl v1alpha::ServerReflection>, Error> {
    builder().build_v1alpha()
}

/// The contract's descriptors.
pub(super) fn descriptors() -> prost_types::FileDescriptorSet {
    prost_types::FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).unwrap_or_default()
}

/// Full names of the contract's services.
pub(super) fn service_names() -> Vec<String> {
    let files = descriptors().file;
    let names = files.iter().flat_map(|file| {
        let package = file.package();
        file.service.iter().map(move |service| format!("{package}.{}", service.name()))
    });
    names.collect()
}
