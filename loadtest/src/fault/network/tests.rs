use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::{sleep, timeout},
};

use super::*;

/// An echo server that counts closed connections.
async fn echo() -> (Url, watch::Receiver<usize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap();
    let (gone, seen) = watch::channel(0);
    let gone = Arc::new(gone);
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let gone = gone.clone();
            tokio::spawn(async move {
                let (mut from, mut to) = client.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
                gone.send_modify(|gone| *gone += 1);
            });
        }
    });
    (url, seen)
}

/// The echo of a byte; `None` if the connection is closed.
async fn says(stream: &mut TcpStream, byte: u8) -> Option<u8> {
    stream.write_all(&[byte]).await.ok()?;
    timeout(Duration::from_secs(10), stream.read_u8()).await.expect("an answer").ok()
}

/// Whether a byte has no echo for a while.
async fn is_silent(stream: &mut TcpStream, byte: u8) -> bool {
    let wrote = stream.write_all(&[byte]).await.is_ok();
    !wrote || !matches!(timeout(Duration::from_millis(300), stream.read_u8()).await, Ok(Ok(_)))
}

#[tokio::test]
async fn a_silent_network_forwards_nothing() {
    let (url, mut gone) = echo().await;
    let network = Network::to(&url).await.unwrap();
    let mut old = TcpStream::connect(network.address).await.unwrap();
    assert_eq!(says(&mut old, 1).await, Some(1));
    network.silence();
    assert!(is_silent(&mut old, 2).await);
    drop(old); // as if its host were lost: the server does not notice
    assert!(timeout(Duration::from_millis(300), gone.changed()).await.is_err());
    assert!(network.is_holding() && network.holds(&[2]));
    network.restore();
    timeout(Duration::from_secs(10), gone.wait_for(|gone| *gone == 1)).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_server_can_give_up_a_lost_connection_and_its_client_does_not_notice() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap();
    let network = Network::to(&url).await.unwrap();
    let mut client = TcpStream::connect(network.address).await.unwrap();
    let (server, _) = listener.accept().await.unwrap();
    let seen = async {
        while network.ports().is_empty() {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(10), seen).await.unwrap();
    assert_eq!(network.lost_at_server(), 0, "it is not lost");
    network.lose_open_connections();
    assert_eq!(network.lost_at_server(), 1);
    drop(server);
    let gone = async {
        while network.lost_at_server() > 0 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(Duration::from_secs(10), gone).await.unwrap();
    assert!(timeout(Duration::from_millis(300), client.read_u8()).await.is_err());
}

#[tokio::test]
async fn a_torn_request_arrives_in_part_and_its_connection_is_silent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("tcp://{}", listener.local_addr().unwrap()).parse().unwrap();
    let network = Network::to(&url).await.unwrap();
    let mut client = TcpStream::connect(network.address).await.unwrap();
    let (mut server, _) = listener.accept().await.unwrap();
    network.tear_request(b"update", 1);
    client.write_all(b"select;").await.unwrap();
    let mut request = [0; 7];
    timeout(Duration::from_secs(10), server.read_exact(&mut request)).await.unwrap().unwrap();
    client.write_all(b"update;").await.unwrap();
    let mut request = [0; 6];
    timeout(Duration::from_secs(10), server.read_exact(&mut request)).await.unwrap().unwrap();
    assert_eq!(&request, b"update");
    server.write_all(b"!").await.unwrap();
    let nothing = |read: Result<_, _>| read.is_err();
    assert!(nothing(timeout(Duration::from_millis(300), server.read_u8()).await), "the last byte is held");
    assert!(nothing(timeout(Duration::from_millis(300), client.read_u8()).await), "the answer is held");
}

#[tokio::test]
async fn lost_connections_stay_lost_and_new_ones_work() {
    let (url, gone) = echo().await;
    let network = Network::to(&url).await.unwrap();
    let mut old = TcpStream::connect(network.address).await.unwrap();
    assert_eq!(says(&mut old, 1).await, Some(1));
    network.lose_open_connections();
    let mut new = TcpStream::connect(network.address).await.unwrap();
    assert_eq!((is_silent(&mut old, 2).await, says(&mut new, 3).await), (true, Some(3)));
    assert_eq!(network.ports().len(), 2, "the server has both connections");
    network.restore();
    assert_eq!((is_silent(&mut old, 2).await, *gone.borrow()), (true, 0));
    network.hold_request(&[7]);
    assert_eq!((says(&mut new, 6).await, is_silent(&mut new, 7).await), (Some(6), true));
    assert!(network.holds(&[7]));
    let mut third = TcpStream::connect(network.address).await.unwrap();
    assert_eq!(says(&mut third, 8).await, Some(8));
    network.refuse();
    let mut refused = TcpStream::connect(network.address).await.unwrap();
    assert_eq!((is_silent(&mut refused, 4).await, says(&mut third, 5).await), (true, Some(5)));
    network.cut();
    assert_eq!(timeout(Duration::from_secs(10), new.read(&mut [0])).await.unwrap().unwrap_or(0), 0);
    let cut = async {
        while network.holds(&[7]) {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(10), cut).await.expect("a cut connection does not wait");
}
