//! The daemon as a library: configuration, wiring, listeners and the gRPC part.

pub mod clock;
pub mod entropy;
pub mod files;
pub mod serve;
pub mod telemetry;
pub mod config;
pub mod grpc;
