//! The gRPC contract, generated from `proto/`. The proto files are the documentation.

/// Package `byok`.
pub mod byok {
    /// Package `byok.v1`.
    #[allow(missing_docs, unreachable_pub, clippy::all)]
    pub mod v1 {
        tonic::include_proto!("byok.v1");
    }
}

/// The compiled proto files, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/byok.v1.bin"));
