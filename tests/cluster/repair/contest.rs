//! Another writer who does not give in.

use anyhow::{Result, ensure};
use hyper::Method;
use testbed::wait;

use crate::bed::{LIMIT, Namespaced, Server, Space, conditions};
use crate::conditions::{Tone, says};

/// Changes the object of a resource until the operator gives it up, and checks that the operator corrected it three times
/// before that. `server` serves nothing else; `message` says that it gave up.
///
/// A write whose reply is an error may have arrived. Then the object is corrected, and the correction does not count.
pub async fn contest<K: Namespaced>(
    server: &Server,
    space: &Space<'_>,
    (name, message): (&str, &str),
    change: impl AsyncFn() -> Result<()>,
    is_corrected: impl AsyncFn() -> Result<bool>,
) -> Result<()> {
    let mark = server.admin.journal().mark();
    for corrections in 0.. {
        change().await?;
        let given_up = wait::until("a correction, or the end of them", LIMIT, async || {
            let found = space.all::<K>().get(name).await?;
            let given_up = says(found.meta().generation, &conditions(&found), "Conflict", message);
            Ok((given_up || is_corrected().await?).then_some(given_up))
        })
        .await?;
        let writes = server
            .about_clients(mark)
            .into_iter()
            .filter(|write| write.head.method != Method::GET);
        let uncounted = writes
            .filter(|write| write.status.is_none_or(|status| status >= 400))
            .count();
        let most = 3 + uncounted;
        ensure!(
            corrections <= most,
            "{corrections} corrections, of which {uncounted} do not count"
        );
        if given_up {
            ensure!(corrections >= 3, "only {corrections} corrections");
            break;
        }
    }
    space
        .says::<K>(name, Tone::Stalled, "Conflict", message)
        .await
        .map(drop)
}
