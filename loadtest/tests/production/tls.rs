//! Connections to the three servers are encrypted, and the shop verifies the servers' certificates.

use std::{net::SocketAddr, process::Stdio, sync::Arc};

use crate::support::{
    loadtest,
    production::{Production, shared},
    requests::{becomes, click, queued},
};
use loadtest::{buyer::client::Connection, lab::servers::Server};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader, copy_bidirectional},
    net::{TcpListener, TcpStream},
    process::{Child, Command},
};
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        ServerConfig,
        pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer},
    },
};
use url::Url;

/// A certificate authority of this test.
fn authority() -> &'static Authority {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    Box::leak(Box::new(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()))
}

/// Terminates TLS in front of a server, with a certificate for this host. PostgreSQL's clients first ask whether TLS is
/// available.
async fn in_front_of(server: &Url, authority: &Authority, host: &str) -> SocketAddr {
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new([host.to_owned()]).unwrap().signed_by(&key, authority).unwrap();
    let private = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth();
    let config = config.with_single_cert(vec![certificate.der().clone()], private).unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let server_address = format!("127.0.0.1:{}", server.port().unwrap());
    let asks_first = server.scheme().starts_with("postgres");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let (acceptor, server_address) = (acceptor.clone(), server_address.clone());
            tokio::spawn(async move {
                if asks_first {
                    client.read_exact(&mut [0; 8]).await?;
                    client.write_all(b"S").await?;
                }
                let mut client = acceptor.accept(client).await?;
                copy_bidirectional(&mut client, &mut TcpStream::connect(server_address).await?).await
            });
        }
    });
    address
}

type Authority = CertifiedIssuer<'static, KeyPair>;

/// A sale whose shop reaches the three servers only by TLS.
struct Encrypted {
    sale: Production,
    args: Vec<String>,
}

impl Encrypted {
    /// `certified` has each server's certificate authority and host name.
    async fn new(certified: impl Fn(Server) -> (&'static Authority, &'static str)) -> Encrypted {
        let sale = Production::new(shared(), 5).await;
        let mut args = sale.args(&["--listen", "127.0.0.1:0"]);
        for (server, flag, scheme, query) in [
            (Server::Postgres, "--database-url", "postgres", Some("sslmode=verify-full")),
            (Server::Redis, "--redis-url", "rediss", None),
            (Server::RabbitMq, "--amqp-url", "amqps", None),
        ] {
            let at = args.iter().position(|arg| arg == flag).unwrap() + 1;
            let mut url: Url = args[at].parse().unwrap();
            let (authority, host) = certified(server);
            let address = in_front_of(&url, authority, host).await;
            url.set_port(Some(address.port())).unwrap();
            url.set_query(query);
            args[at] = format!("{scheme}{}", &url.as_str()[url.scheme().len()..]);
        }
        Encrypted { sale, args }
    }

    /// Trusts this authority and no other.
    fn shop(&self, authority: &Authority) -> Child {
        let file = self.sale.lab.folder.path().join("authority.pem");
        std::fs::write(&file, authority.pem()).unwrap();
        let mut shop = Command::new(loadtest());
        shop.args(["serve", "v6"]).args(&self.args).env("SSL_CERT_FILE", file).kill_on_drop(true);
        shop.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn all_three_servers_are_reached_by_tls() {
    let authority = authority();
    let encrypted = Encrypted::new(|_| (authority, "127.0.0.1")).await;
    let mut shop = encrypted.shop(authority);
    let mut lines = BufReader::new(shop.stdout.take().unwrap()).lines();
    let listening = lines.next_line().await.unwrap().expect("it listens");
    let address = listening.rsplit_once("http://").unwrap().1.trim_end_matches('/').parse().unwrap();
    let mut connection = Connection::open(address).await.unwrap();
    let order_id = queued(&click(&mut connection, 1).await);
    becomes(&mut connection, 1, order_id, "confirmed").await;
    encrypted.sale.settles_at(1).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs PostgreSQL, Redis and RabbitMQ: make test"]
async fn a_certificate_of_an_unknown_authority_or_another_host_is_refused() {
    let (ours, theirs) = (authority(), authority());
    let refuses = async |wrong: Server, certified| {
        let right = (ours, "127.0.0.1");
        let encrypted = Encrypted::new(|server| if server == wrong { certified } else { right }).await;
        let ended = encrypted.shop(ours).wait_with_output().await.unwrap();
        let said = String::from_utf8(ended.stderr).unwrap();
        let error = said.lines().find(|line| line.starts_with("error: ")).expect("a reason");
        assert_eq!(ended.status.code(), Some(4));
        assert!(error.contains("certificate is not good") && error.contains("SSL_CERT_FILE"), "{wrong:?}: {error}");
    };
    for certified in [(theirs, "127.0.0.1"), (ours, "shop.example")] {
        let servers = [Server::Postgres, Server::Redis, Server::RabbitMq];
        futures_util::future::join_all(servers.map(|wrong| refuses(wrong, certified))).await;
    }
}
