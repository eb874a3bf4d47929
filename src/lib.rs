//! The daemon as a library: its configuration, its parts put together, its listeners and its gRPC.
//!
//! | module | question |
//! |---|---|
//! | [`config`] | what can be set |
//! | [`wire`] | which concrete parts it is made of |
//! | [`serve`] | how connections are taken, bounded and let go |
//! | [`grpc`] | who calls, what for, may they; what a refusal looks like |
//! | [`entra_application`] | how our application shows directories who it is |
//! | [`entra_pages`] | what a customer's admin meets in a browser |
//! | [`webhook`] | how Event Grid tells of new key versions |
//! | [`telemetry`] | what is logged |
//! | [`command`] | what the binary does for each of its commands |
//! | `dev` | the main job on one machine, with an emulated Azure (feature `dev`) |
//! | [`entra_client`] | how a sign-in's code is redeemed with the platform's credential |
//! | [`issuers`] | how issuers of signed tokens are reached |
//! | [`files`], [`trouble`] | how named files are read; how an operator is told what is wrong |
//! | [`clock`], [`entropy`] | the system's, and the only ambient ones |
//!
//! A server with parts of one's own, as development and tests have it:
//!
//! ```no_run
//! # async fn example(
//! #     store: std::sync::Arc<dyn store::Store>, vault: std::sync::Arc<dyn vault::CustomerKeys>,
//! #     root: std::sync::Arc<vault::platform::PlatformRoot>,
//! # ) -> Result<(), Box<dyn std::error::Error>> {
//! use byokd::{serve::{Listener, Workers}, wire::Assembly};
//! use identity::{TokenCallers, token_hash};
//!
//! let callers = TokenCallers::new([("me", token_hash("a token"))])?;
//! let daemon = Assembly::new(store, vault, root, std::sync::Arc::new(callers)).start().await?;
//! let listener = Listener::unix("/run/byokd.sock".as_ref(), 0o600)?; // or `plaintext_loopback`, with the feature `dev`
//! println!("listening on {}", listener.address());
//! let stop = async { tokio::signal::ctrl_c().await.unwrap_or(()) };
//! daemon.serve(vec![listener], Workers::here(), stop).await?;
//! # Ok(())
//! # }
//! ```

pub mod clock;
pub mod command;
pub mod config;
#[cfg(feature = "dev")]
pub mod dev;
pub mod entra_application;
pub mod entra_client;
pub mod entra_pages;
pub mod entropy;
pub mod figures;
pub mod files;
pub mod grpc;
pub mod issuers;
pub mod serve;
pub mod telemetry;
pub mod trouble;
pub mod webhook;
pub mod wire;
