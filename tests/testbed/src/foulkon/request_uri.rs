//! What Go's `url.ParseRequestURI` accepts as a URL.

use std::net::Ipv6Addr;

/// Whether Go can parse this as the URL of a request: absolute, or a path.
pub(super) fn is_valid(text: &str) -> bool {
    if text.is_empty() || text.bytes().any(|byte| byte < b' ' || byte == 0x7f) {
        return false;
    }
    if text == "*" {
        return true;
    }
    let Some((scheme, rest)) = split_scheme(text) else {
        return false;
    };
    let rest = rest.split_once('?').map_or(rest, |(before, _)| before);
    if !rest.starts_with('/') {
        return !scheme.is_empty(); // the rest is not checked then
    }
    match rest.strip_prefix("//").filter(|_| !scheme.is_empty()) {
        Some(rest) => {
            let end = rest.find('/').unwrap_or(rest.len());
            is_authority(&rest[..end]) && has_good_escapes(&rest[end..])
        }
        None => has_good_escapes(rest),
    }
}

/// The scheme, empty if there is none, and the rest. None if the scheme before a colon is missing.
fn split_scheme(text: &str) -> Option<(&str, &str)> {
    let end = text.find(|c: char| !c.is_ascii_alphanumeric() && !"+-.".contains(c));
    match end {
        Some(end) if text[end..].starts_with(':') => match end {
            0 => None,
            _ if text.starts_with(|c: char| c.is_ascii_alphabetic()) => Some((&text[..end], &text[end + 1..])),
            _ => Some(("", text)),
        },
        _ => Some(("", text)),
    }
}

fn is_authority(text: &str) -> bool {
    match text.rsplit_once('@') {
        None => is_host(text),
        Some((user, host)) => {
            let allowed = |c: char| c.is_ascii_alphanumeric() || "-._:~!$&'()*+,;=%@".contains(c);
            user.chars().all(allowed) && has_good_escapes(user) && is_host(host)
        }
    }
}

fn is_host(text: &str) -> bool {
    let is_port = |text: &str| {
        text.is_empty()
            || text
                .strip_prefix(':')
                .is_some_and(|port| port.bytes().all(|byte| byte.is_ascii_digit()))
    };
    if let Some(rest) = text.strip_prefix('[') {
        return rest.rsplit_once(']').is_some_and(|(address, port)| {
            let address = address.split_once("%25").map_or(address, |(address, _)| address);
            address.parse::<Ipv6Addr>().is_ok() && is_port(port)
        });
    }
    let end = text.find(':').unwrap_or(text.len());
    let allowed = |c: char| !c.is_ascii() || c.is_ascii_alphanumeric() || "!$&'()*+,;=[]<>\"-_.~".contains(c);
    text[..end].chars().all(allowed) && is_port(&text[end..])
}

/// Whether every `%` is followed by two hexadecimal digits.
fn has_good_escapes(text: &str) -> bool {
    text.split('%').skip(1).all(|after| {
        let digits = after.bytes().take(2);
        digits.filter(u8::is_ascii_hexdigit).count() == 2
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_accepted_as_by_go() {
        let good = [
            "https://id.example.com",
            "http://id.example.com/",
            "https://id.example.com:8443/x?y=1",
            "/rel",
            "ftp://x",
            "foo:bar",
            "foo:%",
            "*",
            "https://",
            "https://host:",
            "https://[::1]:80/a%20b",
            "https://a:b@host/ c",
            "//host",
        ];
        for text in good {
            assert!(is_valid(text), "{text}");
        }
        let bad = [
            "",
            "not a url",
            "rel",
            ":a",
            "1a:b",
            "https://a b",
            "https://host:x",
            "https://::1/",
            "https://[::1",
            "https://host/%2",
            "/a\n",
            "https://%41/",
        ];
        for text in bad {
            assert!(!is_valid(text), "{text}");
        }
    }
}
