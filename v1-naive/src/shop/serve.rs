use std::{
    convert::Infallible,
    future::Future,
    io::{self, IsTerminal},
    process::ExitCode,
    time::Duration,
};

use anyhow::Context;
use axum::{Router, body::Body, extract::ConnectInfo};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use tokio::{
    net::{TcpListener, TcpStream},
    signal::unix::{SignalKind, signal},
    time::{sleep, timeout},
};
use tower::ServiceExt;
use tracing_subscriber::EnvFilter;

use super::Config;

/// The exit code of a program that could not start.
pub const SET_UP: u8 = 4;

/// How long a connection may take to send the head of a request, and may idle between two: slow clients are cheap to
/// make and must be cheap to lose.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// How long requests under way may take to finish once the shop is told to stop.
const GRACE: Duration = Duration::from_secs(10);

/// Runs a chapter's shop until Ctrl-C or SIGTERM. Prints `listening on http://…` when buyers may come.
pub async fn run(config: &Config, app: impl Future<Output = anyhow::Result<Router>>) -> ExitCode {
    let filter = EnvFilter::new(&config.log);
    // A second shop in one process keeps the first one's log.
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(io::stderr);
    let _ = log.with_ansi(io::stderr().is_terminal()).try_init();
    let running = async {
        let stop = stop_signal()?;
        let app = app.await?;
        let taken = || format!("cannot listen on {}; LISTEN=127.0.0.1:0 takes a free port", config.listen);
        let listener = TcpListener::bind(config.listen).await.with_context(taken)?;
        println!("listening on http://{}", listener.local_addr()?);
        serve(listener, app, stop).await;
        anyhow::Ok(())
    };
    match running.await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(SET_UP)
        }
    }
}

/// Serves HTTP/1.1 on `listener` until `shutdown` is ready, then lets the requests under way finish.
pub async fn serve(listener: TcpListener, app: Router, shutdown: impl Future<Output = ()>) {
    let graceful = GracefulShutdown::new();
    let mut shutdown = std::pin::pin!(shutdown);
    loop {
        tokio::select! {
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => connection(stream, app.clone(), &graceful),
                Err(error) => {
                    // Out of open files, most likely: those of finished connections come back.
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(Duration::from_millis(50)).await;
                }
            },
            () = &mut shutdown => break,
        }
    }
    drop(listener);
    if timeout(GRACE, graceful.shutdown()).await.is_err() {
        tracing::warn!("stopped with requests still under way");
    }
}

fn connection(stream: TcpStream, app: Router, graceful: &GracefulShutdown) {
    let (Ok(peer), Ok(())) = (stream.peer_addr(), stream.set_nodelay(true)) else {
        return; // gone already
    };
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let (app, mut request) = (app.clone(), request.map(Body::new));
        async move {
            request.extensions_mut().insert(ConnectInfo(peer));
            Ok::<_, Infallible>(app.oneshot(request).await.unwrap_or_else(|never| match never {}))
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "connection ended");
        }
    });
}

/// Ready at Ctrl-C or SIGTERM; from the call on, neither ends the process by itself.
///
/// # Errors
/// The system's.
pub fn stop_signal() -> anyhow::Result<impl Future<Output = ()>> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}
