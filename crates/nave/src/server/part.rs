//! What hub and agent have in common: a scraper, a push, perhaps a store; their routes and their end.

use std::sync::Arc;

use anyhow::Result;
use axum::Router;
use nave_api::Common;
use nave_api::view::Lifecycle;
use nave_base::budget::Budget;
use nave_model::append::{Append, Principal};
use nave_model::duration::PromDuration;
use nave_model::select::{MetadataIndex, Scope};
use nave_promql::Engine;
use nave_remote::receive::Otlp;
use nave_scrape::{Builtin, Scraper};
use nave_tsdb::Tsdb;

use super::Process;
use super::cluster::{ClustersFile, View};
use super::push::Push;
use super::query::QueryLog;
use super::storage::{Admin, RulesFile};
use super::target::{NodePage, Targets};
use super::web;

/// The running parts of a process.
pub(super) struct Parts {
    pub(super) scraper: Arc<Scraper>,
    pub(super) push: Arc<Push>,
    pub(super) builtins: Vec<Builtin>,
    pub(super) queries: Budget,
    pub(super) hub: Option<Hub>,
}

/// What only a hub has.
pub(super) struct Hub {
    pub(super) store: Arc<Tsdb>,
    pub(super) engine: Engine,
    pub(super) query_log: Arc<QueryLog>,
    pub(super) receiver: Router,
    pub(super) otlp: Option<Arc<Otlp>>,
    pub(super) clusters: Option<Arc<ClustersFile>>,
    pub(super) rules: Option<Arc<RulesFile>>,
}

impl Parts {
    /// All routes of the process.
    pub(super) fn router(&self, process: &Process, lifecycle: Arc<dyn Lifecycle>) -> Result<Router> {
        let targets = Targets(self.scraper.clone());
        let metadata: Arc<dyn MetadataIndex> = match &self.hub {
            Some(hub) => hub.store.clone(),
            None => Arc::new(targets.clone()),
        };
        let common = Common {
            name: if self.hub.is_some() { "Nave hub" } else { "Nave agent" },
            external_url: web::external_url(process)?,
            page_title: process.flags.page_title.clone(),
            clock: process.clock.clone(),
            registry: process.registry.clone(),
            scope: Scope::default(),
            budget: self.queries.clone(),
            targets: Arc::new(targets),
            metadata,
            status: process.status.clone(),
            lifecycle,
            mode: nave_api::Mode::Agent,
        };
        let endpoints = nave_api::endpoints_router(self.push.clone());
        let Some(hub) = &self.hub else { return Ok(nave_api::agent_router(common).merge(endpoints)) };
        let server = nave_api::Server {
            common,
            engine: hub.engine.clone(),
            select: hub.store.clone(),
            labels: hub.store.clone(),
            exemplars: hub.store.clone(),
        };
        let clusters = nave_api::clusters_router(Arc::new(View(hub.clusters.clone())));
        let admin = nave_api::admin_router(Arc::new(Admin(hub.store.clone())), process.flags.enable_admin);
        let beside = endpoints.merge(clusters).merge(admin);
        Ok(nave_api::router(server).merge(beside).merge(hub.receiver.clone()))
    }

    /// Scraping first, so that nothing new comes; then what is under way goes out; the store last.
    pub(super) async fn stop(self) {
        self.scraper.shutdown().await;
        self.push.stop().await;
        if let Some(hub) = self.hub {
            hub.store.close().await;
        }
    }
}

/// A scraper that appends to `append`.
pub(super) fn scraper(process: &Process, append: Arc<dyn Append>) -> Arc<Scraper> {
    Arc::new(Scraper::new(nave_scrape::Options {
        append,
        clock: process.clock.clone(),
        registry: process.registry.clone(),
        principal: Principal::anonymous("scrape"),
        offset_seed: offset_seed(),
        page_bytes_max: nave_scrape::PAGE_BYTES_MAX,
        align_timestamps: process.flags.adjust_timestamps,
        zero_starts: process.flags.has_feature("created-timestamp-zero-ingestion"),
    }))
}

/// The same after every start of this machine, another one elsewhere.
fn offset_seed() -> u64 {
    let name = super::status::hostname();
    name.bytes()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

/// The pages of this process that are scraped without HTTP.
pub(super) fn builtins(process: &Process, interval: PromDuration) -> Result<Vec<Builtin>> {
    let Some(node) = process.node_exporter()? else { return Ok(Vec::new()) };
    Ok(vec![Builtin {
        job: process.flags.node_job.clone(),
        instance: super::status::hostname(),
        labels: Vec::new(),
        interval,
        source: Arc::new(NodePage(node)),
    }])
}
