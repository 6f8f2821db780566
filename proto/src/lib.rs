//! Generated contract types, resource names and error reasons. No behaviour beyond parsing and formatting names.

pub mod name;

/// The public contract, package `mps.v1`.
#[allow(clippy::all, missing_docs)]
pub mod v1 {
    tonic::include_proto!("mps.v1");

    /// Raw bytes of the public contract's descriptors, with comments, for reflection and JSON.
    pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/mps.v1.bin"));

    impl ErrorReason {
        /// The reason as it stands in `google.rpc.ErrorInfo.reason`: without the enum's prefix.
        pub fn reason(self) -> &'static str {
            self.as_str_name().strip_prefix("ERROR_REASON_").unwrap_or("UNSPECIFIED")
        }
    }
}

/// The internal contract between server and workers, package `mps.worker.v1`.
pub mod worker {
    #[allow(clippy::all, missing_docs)]
    pub mod v1 {
        tonic::include_proto!("mps.worker.v1");
    }
}

/// `google.rpc` types.
pub use tonic_types::pb as rpc;

/// Domain of every `google.rpc.ErrorInfo` of this service.
pub const ERROR_DOMAIN: &str = "mps.v1";

/// Version of the media plan that this build writes and builds.
pub const PLAN_VERSION: i32 = 2;
