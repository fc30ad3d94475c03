//! The routes of the page. Only pages of this server may use them: another site in the same browser could otherwise start runs.

use std::{convert::Infallible, sync::Arc};

use anyhow::ensure;
use axum::{
    Json, Router,
    extract::{Path, Request, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::{Next, from_fn},
    response::{
        IntoResponse, Response, Sse,
        sse::{Event, KeepAlive},
    },
    routing::{get, post},
};
use futures_util::stream;
use serde_json::{Value, json};
use tokio::sync::watch;

use super::{Page, ask::Ask, files, levels, position::Wanted, sandbox::Order};
use crate::{
    gates::Gate,
    lab::{Backend, servers::Server},
    scenario::SCENARIOS,
    version::VERSIONS,
};

/// The page's content security policy: only its own files, requests only to this server, no frames, and no text becomes markup.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'";

type Answer = Result<StatusCode, (StatusCode, Json<Value>)>;

/// The page and what its tabs ask for.
pub(super) fn routes(page: &Arc<Page>) -> Router {
    Router::new()
        .route("/", get(async || file("index.html")))
        .route("/files/{name}", get(async |Path(name): Path<String>| file(&name)))
        .route("/choices", get(async |State(page): State<Arc<Page>>| Json(choices(&page))))
        .route("/runs.json", get(async |State(page): State<Arc<Page>>| Json(page.stampedes.record())))
        .route("/events", get(events))
        .route("/stampede", post(start))
        .route("/stampede/stop", post(stop))
        .route("/schedule", post(schedule))
        .route("/sandbox", post(sandbox))
        .layer(from_fn(only_this_site))
        .with_state(page.clone())
}

/// Refuses requests that other sites send, or that come under another host's name (DNS rebinding).
async fn only_this_site(request: Request, next: Next) -> Response {
    let headers = request.headers();
    let named = |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host = named(header::HOST).unwrap_or_default();
    let is_ours = ["127.0.0.1", "localhost"].contains(&host.rsplit_once(':').map_or(host, |(name, _)| name));
    let is_own_origin = named(header::ORIGIN).is_none_or(|origin| origin.strip_prefix("http://") == Some(host));
    if !is_ours || !is_own_origin {
        return (StatusCode::FORBIDDEN, "only the lab's own page may ask").into_response();
    }
    let mut response = next.run(request).await;
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn file(name: &str) -> Response {
    let Some((content_type, text)) = files::named(name) else { return StatusCode::NOT_FOUND.into_response() };
    let mut headers = HeaderMap::new();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    (headers, text).into_response()
}

/// What can be chosen on the page, and what is missing for the rest.
fn choices(page: &Page) -> Value {
    let is_sqlite = match &page.labs.backend {
        Some(backend) => *backend == Backend::Sqlite,
        None => !Server::Postgres.is_installed(),
    };
    let missing: Vec<_> = Server::STORES.into_iter().filter_map(Server::missing).collect();
    let version = |version: &crate::version::Version| {
        let gates = Gate::of(*version).iter().map(|gate| json!({ "name": gate, "refuses": gate.refuses() }));
        json!({ "name": version, "variants": version.variants(), "gates": gates.collect::<Vec<_>>() })
    };
    json!({
        "versions": VERSIONS.iter().map(version).collect::<Vec<_>>(),
        "scenarios": SCENARIOS,
        "levels": levels::LEVELS.map(|level| level.shown()),
        "database": if is_sqlite { "SQLite" } else { "PostgreSQL" },
        "missing": missing,
        "needs": {
            "v6": (is_sqlite || !missing.is_empty()).then(|| needs("Chapter 6 needs PostgreSQL, Redis and RabbitMQ", "them", is_sqlite)),
            "scheduler": is_sqlite.then(|| needs("This tab needs PostgreSQL, because SQLite has no wire on which a statement could be held", "it", true)),
        },
    })
}

/// What is missing, and how a reader comes by it.
fn needs(what: &str, them: &str, is_sqlite: bool) -> String {
    match is_sqlite && Server::Postgres.is_installed() {
        true => format!("{what}. This lab was started with --database sqlite."),
        false => format!("{what}: `make services` installs {them}."),
    }
}

/// The states of all tabs, and every change of them.
async fn events(State(page): State<Arc<Page>>) -> impl IntoResponse {
    let tabs = [&page.stampedes.shown, &page.scheduling.shown, &page.sandbox.shown].map(|shown| {
        let mut tab = shown.subscribe();
        tab.mark_changed();
        tab
    });
    let changes = stream::unfold(Watcher::new(&page, tabs), async |mut watcher| {
        let event = watcher.next().await?;
        Some((Ok::<_, Infallible>(event), watcher))
    });
    Sse::new(changes).keep_alive(KeepAlive::default())
}

/// A browser that is connected.
struct Watcher {
    page: Arc<Page>,
    tabs: [watch::Receiver<Value>; 3],
}

impl Watcher {
    fn new(page: &Arc<Page>, tabs: [watch::Receiver<Value>; 3]) -> Watcher {
        page.watching.send_modify(|browsers| *browsers += 1);
        Watcher { page: page.clone(), tabs }
    }

    /// The next change.
    async fn next(&mut self) -> Option<Event> {
        let [stampede, schedule, sandbox] = &mut self.tabs;
        let (name, tab) = tokio::select! {
            changed = stampede.changed() => { changed.ok()?; ("stampede", stampede) }
            changed = schedule.changed() => { changed.ok()?; ("schedule", schedule) }
            changed = sandbox.changed() => { changed.ok()?; ("sandbox", sandbox) }
        };
        Event::default().event(name).json_data(&*tab.borrow_and_update()).ok()
    }
}

impl Drop for Watcher {
    fn drop(&mut self) {
        self.page.watching.send_modify(|browsers| *browsers -= 1);
    }
}

async fn start(page: State<Arc<Page>>, Json(asks): Json<Vec<Ask>>) -> Answer {
    let free = only_if(!page.sandbox.sells(), "chapter 6 sells on the third tab: end that sale first");
    answer(free.and_then(|()| page.stampedes.start(asks)))
}

async fn stop(page: State<Arc<Page>>) -> Answer {
    page.stampedes.stop();
    Ok(StatusCode::ACCEPTED)
}

async fn schedule(page: State<Arc<Page>>, Json(wanted): Json<Wanted>) -> Answer {
    answer(page.scheduling.want(wanted))
}

async fn sandbox(page: State<Arc<Page>>, Json(order): Json<Order>) -> Answer {
    let free = only_if(!page.stampedes.plays(), "a run is under way on the first tab: stop it first");
    answer(free.and_then(|()| page.sandbox.order(order)))
}

/// One run at a time: two of them would take each other's processor time.
fn only_if(free: bool, why: &'static str) -> anyhow::Result<()> {
    ensure!(free, why);
    Ok(())
}

fn answer(done: anyhow::Result<()>) -> Answer {
    match done {
        Ok(()) => Ok(StatusCode::ACCEPTED),
        Err(why) => Err((StatusCode::CONFLICT, Json(json!({ "why": format!("{why:#}") })))),
    }
}
