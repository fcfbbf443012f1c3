//! An id is one path segment, whatever it contains.

use serde_json::json;
use wiremock::ResponseTemplate;

use crate::{always, client, error_reply, hydra, json_reply, received};

/// Decodes `%XX` once, as a server does with a segment.
fn decoded(segment: &str) -> String {
    let bytes = segment.as_bytes();
    let mut out = Vec::new();
    let mut i = 0;
    while i < bytes.len() {
        let hex = segment
            .get(i + 1..i + 3)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (bytes[i], hex) {
            (b'%', Some(byte)) => {
                out.push(byte);
                i += 3;
            }
            (byte, _) => {
                out.push(byte);
                i += 1;
            }
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Ids with a special meaning in URLs, and pairs of such pieces.
fn odd_ids() -> Vec<String> {
    const PIECES: [&str; 22] = [
        "a", "/", "\\", "..", ".", "%", "%2f", "%2e", "%252f", "?", "#", "&", "=", "+", " ", ";", ":", "@", "é",
        "日本", "\u{202e}", "\"",
    ];
    let mut ids: Vec<String> = [
        "../keys/x",
        "..%2fkeys%2fx",
        "..\\keys\\x",
        "./../../version",
        "a/b",
        "a//b",
        "/a",
        "a/",
        "//evil.example.com/x",
        "http://evil.example.com/x",
        "https:evil.example.com",
        "a?page_size=1",
        "a#b",
        "%00",
        "%",
        "%zz",
        "%2E%2E",
        "a b",
        "😀",
        "e\u{301}",
        "id\u{0}x",
        "<script>",
    ]
    .map(str::to_owned)
    .to_vec();
    for one in PIECES {
        ids.extend(PIECES.map(|two| format!("{one}{two}")));
    }
    ids.sort();
    ids.dedup();
    // Two dots alone are tested below.
    ids.retain(|id| id != "..");
    ids
}

#[tokio::test]
async fn every_id_stays_one_segment_below_clients() {
    for (base, prefix) in [
        ("", "/admin/clients/"),
        ("/", "/admin/clients/"),
        ("/hydra%20admin", "/hydra%20admin/admin/clients/"),
        ("/a/b/", "/a/b/admin/clients/"),
    ] {
        let (server, _) = always(error_reply(404, "Unable to locate the resource")).await;
        let hydra = hydra(&format!("{}{base}", server.uri()));
        let ids = odd_ids();
        for id in &ids {
            assert_eq!(hydra.get_client(id).await, Ok(None), "{id:?}");
        }
        let requests = server.received_requests().await.unwrap_or_default();
        assert_eq!(requests.len(), ids.len());
        for (id, request) in ids.iter().zip(&requests) {
            let path = request.url.path();
            let segment = path
                .strip_prefix(prefix)
                .unwrap_or_else(|| panic!("{id:?} leads to {path}"));
            assert!(!segment.contains('/'), "{id:?} leads to {path}");
            assert_eq!(decoded(segment), *id, "{path}");
            assert_eq!((request.url.query(), request.url.fragment()), (None, None), "{id:?}");
        }
    }
}

#[tokio::test]
async fn writes_go_to_the_same_path_as_reads() {
    for id in ["../keys/x", "a/b", "a b", "%2f", "日本"] {
        let (server, hydra) = always(echo(id)).await;
        assert_eq!(hydra.get_client(id).await, Ok(Some(client(id))));
        assert_eq!(hydra.update_client(&client(id), None).await, Ok(Some(client(id))));
        assert_eq!(hydra.delete_client(id).await, Ok(()));
        let requests = server.received_requests().await.unwrap_or_default();
        let paths: Vec<&str> = requests.iter().map(|request| request.url.path()).collect();
        let methods: Vec<String> = requests.iter().map(|request| request.method.to_string()).collect();
        assert_eq!(methods, ["GET", "PUT", "DELETE"]);
        assert!(paths.iter().all(|path| *path == paths[0]), "{paths:?}");
    }
}

fn echo(id: &str) -> ResponseTemplate {
    json_reply(200, &json!({ "client_id": id, "scope": "openid" }))
}

/// A segment of only dots means another place, and the URL library removes it, as it removes line breaks and tabs in a
/// segment. The CRD allows none of these, and nothing may be sent for them here either.
#[tokio::test]
async fn an_id_that_no_path_can_hold_is_not_sent() {
    for id in ["", ".", "..", "a\nb", "a\tb", "\r\n"] {
        let (server, hydra) = always(echo("ab")).await;
        assert!(hydra.delete_client(id).await.is_err(), "{id:?}");
        assert!(hydra.get_client(id).await.is_err(), "{id:?}");
        assert_eq!(received(&server).await, 0, "{id:?}");
    }
}
