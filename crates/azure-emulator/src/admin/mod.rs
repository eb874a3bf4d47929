//! The admin API: everything the library can switch, as JSON over HTTPS at a reserved host name.
use crate::world::World;
use std::sync::Arc;
pub(crate) fn router(_world: Arc<World>) -> axum::Router {
    axum::Router::new()
}
