//! A connection attempt that ends when it is given up.
//!
//! lapin gives each connection a thread. A caller that gives up does not end it: if RabbitMQ accepts connections and is silent, the
//! thread and its socket stay, and each further attempt adds one. So the socket is shut down here, and the thread reads its end.

use std::{
    io,
    net::{Shutdown, TcpStream},
    os::fd::AsFd,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use lapin::{
    AsyncTcpStream, Connection, ConnectionProperties,
    runtime::default_runtime,
    tcp::{AMQPUriTcpExt, TLSConfig},
    uri::AMQPUri,
};
use tokio::time::timeout;

use super::PATIENCE;

/// Connects. If this is dropped before it returns, the socket is closed. A socket with TLS cannot be reached, and stays.
pub(super) async fn connect(node: AMQPUri, properties: ConnectionProperties) -> lapin::Result<Connection> {
    let attempt = Attempt::default();
    let socket = attempt.0.clone();
    let connected = Connection::connector(
        node,
        default_runtime()?,
        async move |node: AMQPUri, runtime| {
            let stream = timeout(PATIENCE, node.connect_with_config_async(TLSConfig::default(), &runtime)).await;
            let stream = stream.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
            if let AsyncTcpStream::Plain(plain) = &stream {
                lock(&socket).open(plain.get_ref().as_fd().try_clone_to_owned()?.into())?;
            }
            Ok(stream)
        },
        properties,
    )
    .await;
    *lock(&attempt.0) = Socket::default(); // the caller has it now
    connected
}

/// Gives up when it is dropped.
#[derive(Default)]
struct Attempt(Arc<Mutex<Socket>>);

impl Drop for Attempt {
    fn drop(&mut self) {
        lock(&self.0).give_up();
    }
}

/// A second handle of the connection's socket.
#[derive(Default)]
struct Socket {
    handle: Option<TcpStream>,
    is_given_up: bool,
}

impl Socket {
    fn open(&mut self, handle: TcpStream) -> io::Result<()> {
        if self.is_given_up {
            return Err(io::ErrorKind::Interrupted.into());
        }
        self.handle = Some(handle);
        Ok(())
    }

    fn give_up(&mut self) {
        self.is_given_up = true;
        if let Some(handle) = self.handle.take() {
            let _ = handle.shutdown(Shutdown::Both);
        }
    }
}

fn lock(socket: &Mutex<Socket>) -> MutexGuard<'_, Socket> {
    socket.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::{fs, time::Duration};

    use tokio::{io::AsyncReadExt, net::TcpListener, time::sleep};

    use super::*;

    /// The threads of lapin in this process. No other unit test connects to RabbitMQ.
    fn threads() -> usize {
        let tasks = fs::read_dir("/proc/self/task").unwrap();
        let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        tasks.map(|task| name(task.unwrap())).filter(|name| name.trim() == "lapin-io-loop").count()
    }

    #[tokio::test(flavor = "multi_thread")]
    #[cfg_attr(not(target_os = "linux"), ignore = "counts threads in /proc")]
    async fn an_attempt_that_is_given_up_leaves_no_thread_and_no_socket() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let node: AMQPUri = format!("amqp://{}/%2f", silent.local_addr().unwrap()).parse().unwrap();
        let connecting = tokio::spawn(connect(node, ConnectionProperties::default()));
        let (mut socket, _) = silent.accept().await.unwrap();
        let mut header = [0; 8];
        socket.read_exact(&mut header).await.unwrap();
        assert_eq!((&header[..4], threads()), (&b"AMQP"[..], 1));
        connecting.abort();
        let rest = timeout(Duration::from_secs(20), socket.read(&mut header)).await.expect("the socket is closed");
        assert!(matches!(rest, Ok(0) | Err(_)), "{rest:?}");
        let ended = async {
            while threads() > 0 {
                sleep(Duration::from_millis(10)).await;
            }
        };
        timeout(Duration::from_secs(20), ended).await.expect("the thread ends");
    }
}
