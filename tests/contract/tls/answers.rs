//! What servers answer instead of a TLS session, or after it.

use std::sync::Arc;

use oidc_operator::admin::http::{Failure, Settings};
use serde_json::json;
use testbed::pki::{Pki, ServerCertificate};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use wiremock::ResponseTemplate;

use super::{
    Clients, HOST, NOT_HTTP, NOT_TLS, NOTHING_IN_COMMON, REFUSED, WANTED, at, config, said, sentence, serve, serve_raw,
    trusting,
};
use crate::always;

/// Replies below HTTP: alerts of other TLS libraries, and servers without TLS.
#[tokio::test]
async fn what_a_server_answers_instead_of_tls_is_told_apart() {
    let name = "it has no certificate for the name that the operator requests (correct the URL or tls.serverName)";
    let fails = "the TLS handshake fails (check tls.serverName and the server's log)";
    let closes = "it closes the connection during the TLS handshake (check the port and the server's log)";
    let table: [(&[u8], &str); 10] = [
        (b"\x15\x03\x03\x00\x02\x02\x28", NOTHING_IN_COMMON), // handshake_failure
        (b"\x15\x03\x01\x00\x02\x02\x46", NOTHING_IN_COMMON), // protocol_version
        (b"\x15\x03\x03\x00\x02\x02\x47", NOTHING_IN_COMMON), // insufficient_security
        (b"\x15\x03\x03\x00\x02\x02\x70", name),              // unrecognized_name
        (b"\x15\x03\x03\x00\x02\x02\x50", fails),             // internal_error
        (b"\x15\x03\x03\x00\x02\x02\x74", WANTED),            // certificate_required
        (b"\x15\x03\x03\x00\x02\x02\x2a", fails),             // bad_certificate, though none was asked for
        (b"HTTP/1.1 400 Bad Request\r\n\r\nClient sent a TLS request", NOT_TLS),
        (b"SSH-2.0-OpenSSH_9.6\r\n", NOT_TLS),
        (b"", closes),
    ];
    for (answer, expected) in table {
        let url = format!("https://{}", serve_raw(answer).await);
        let hydra = at(&url, &Settings::default());
        let Err(Failure::Outage(outage)) = hydra.get_client("shop").await else {
            unreachable!("a server without TLS was used");
        };
        assert_eq!(outage.to_string(), expected, "{answer:?}");
        assert!(hydra.http().breaker().is_open(), "{answer:?}");
    }
}

#[tokio::test]
async fn plain_http_to_a_port_for_https_is_told() {
    let expected = sentence("it expects https on this port (correct the URL)");
    for text in [
        "Client sent an HTTP request to an HTTPS server.\n",
        "<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head></html>",
        "<!DOCTYPE HTML><html><p>Bad Request.<br />\nReason: You're speaking plain HTTP to an SSL-enabled server port.<br />",
        "Bad Request\nThis combination of host and port requires TLS.\n",
    ] {
        let (server, _) = always(ResponseTemplate::new(400).set_body_string(text)).await;
        assert_eq!(said(&server.uri(), &Settings::default()).await, expected, "{text}");
    }
    // A TLS alert, or another protocol.
    for answer in [b"\x15\x03\x03\x00\x02\x02\x0a".as_slice(), b"SSH-2.0-OpenSSH_9.6\r\n"] {
        let url = format!("http://{}", serve_raw(answer).await);
        assert_eq!(said(&url, &Settings::default()).await, sentence(NOT_HTTP), "{answer:?}");
    }
    let pki = Pki::new().expect("a CA");
    let url = serve(&pki.issue(ServerCertificate::of(&[HOST])).expect("a certificate")).await;
    let url = url.replace("https:", "http:");
    assert_eq!(said(&url, &Settings::default()).await, sentence(NOT_HTTP));
    // Another 400 is what it was, even if it repeats a user's text.
    for body in [
        "Bad Request".to_owned(),
        json!({ "error": "invalid_client_metadata", "error_description": "Client sent an HTTP request to an HTTPS server" })
            .to_string(),
        json!({ "errors": ["<title>400 The plain HTTP request was sent to HTTPS port</title>"] }).to_string(),
        "no client Client sent an HTTP request to an HTTPS server".to_owned(),
    ] {
        let (server, hydra) = always(ResponseTemplate::new(400).set_body_string(body)).await;
        assert!(said(&server.uri(), &Settings::default()).await.contains("code: 400"));
        let _ = hydra.get_client("shop").await;
        assert!(!hydra.http().breaker().is_open(), "one request says nothing about the server");
    }
}

/// nginx accepts the connection and answers over HTTP.
#[tokio::test]
async fn a_reply_about_the_client_certificate_is_understood() {
    for (text, expected) in [
        ("No required SSL certificate was sent", WANTED),
        ("The SSL certificate error", REFUSED),
    ] {
        let text = format!("<html>\r\n<head><title>400 {text}</title></head></html>");
        let page = format!(
            "HTTP/1.1 400 Bad Request\r\nContent-Length: {}\r\n\r\n{text}",
            text.len()
        );
        let pki = Pki::new().expect("a CA");
        let server = pki.issue(ServerCertificate::of(&[HOST])).expect("a certificate");
        let acceptor = TlsAcceptor::from(Arc::new(config(&server, &Clients::All, rustls::ALL_VERSIONS)));
        let listener = TcpListener::bind((HOST, 0)).await.expect("a port");
        let url = format!("https://{}", listener.local_addr().expect("an address"));
        tokio::spawn(async move {
            let (stream, _) = listener.accept().await?;
            let mut stream = acceptor.accept(stream).await?;
            let _ = stream.read(&mut [0; 4096]).await?;
            stream.write_all(page.as_bytes()).await?;
            stream.shutdown().await
        });
        assert_eq!(said(&url, &trusting(&pki.ca_pem())).await, sentence(expected), "{text}");
    }
}
