//! Workspaces, apps and bots.

use client::pb;
use serde::Serialize;

use super::time;

#[derive(Serialize)]
pub(crate) struct Workspace {
    pub(crate) name: String,
    pub(crate) display_name: String,
    pub(crate) create_time: Option<String>,
}

impl From<pb::Workspace> for Workspace {
    fn from(w: pb::Workspace) -> Self {
        Self { create_time: time!(w.create_time), name: w.name, display_name: w.display_name }
    }
}

#[derive(Serialize)]
pub(crate) struct Workspaces {
    pub(crate) workspaces: Vec<Workspace>,
}

#[derive(Serialize)]
pub(crate) struct App {
    pub(crate) name: String,
    pub(crate) kind: String,
    pub(crate) display_name: String,
    pub(crate) create_time: Option<String>,
}

impl From<pb::App> for App {
    fn from(a: pb::App) -> Self {
        let kind =
            pb::AppKind::try_from(a.kind).map_or_else(|_| format!("APP_KIND_{}", a.kind), |k| k.as_str_name().into());
        Self { kind, create_time: time!(a.create_time), name: a.name, display_name: a.display_name }
    }
}

#[derive(Serialize)]
pub(crate) struct Apps {
    pub(crate) apps: Vec<App>,
}

#[derive(Serialize)]
pub(crate) struct Deleted {
    pub(crate) deleted: String,
}
