//! Lists that are decoded while they arrive, one object after the other.

use std::io::BufReader;
use std::marker::PhantomData;

use kube::api::ListParams;
use kube::{Api, Client, Resource};
use serde::Deserialize;
use serde::de::{DeserializeOwned, DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use tokio_util::compat::FuturesAsyncReadCompatExt as _;
use tokio_util::io::SyncIoBridge;

/// Bytes of an answer that are decoded at a time.
const CHUNK: usize = 1 << 18;

/// All objects of an API with one request, for programs with enough memory. The Kubernetes API answers it from its cache;
/// pages after the first come from its database, which takes several times as long.
///
/// # Errors
/// If they cannot be read.
pub async fn at_once<T>(api: Api<T>) -> kube::Result<Vec<T>>
where
    T: Resource + DeserializeOwned + Send + 'static,
{
    let url = api.resource_url().to_owned();
    fold(api.into_client(), &url, Vec::new(), |all: &mut Vec<T>, found: T| {
        all.push(found)
    })
    .await
}

/// Reads a list with one request, and passes on each object while the answer arrives, so that only one is held. `url`: of
/// the list.
///
/// # Errors
/// If it cannot be read.
pub async fn fold<T, A>(
    client: Client,
    url: &str,
    mut all: A,
    mut take: impl FnMut(&mut A, T) + Send + 'static,
) -> kube::Result<A>
where
    T: DeserializeOwned + 'static,
    A: Send + 'static,
{
    let request = kube::core::Request::new(url).list(&ListParams::default());
    let answer = Box::pin(
        client
            .request_stream(request.map_err(kube::Error::BuildRequest)?)
            .await?,
    );
    let answer = BufReader::with_capacity(CHUNK, SyncIoBridge::new(answer.compat()));
    let decoding = tokio::task::spawn_blocking(move || {
        let take = |found| take(&mut all, found);
        Answer(take, PhantomData).deserialize(&mut serde_json::Deserializer::from_reader(answer))?;
        Ok(all)
    });
    let decoded = decoding.await.map_err(|error| kube::Error::Service(error.into()))?;
    decoded.map_err(kube::Error::SerdeError)
}

/// The answer to a list, whose objects a closure takes.
struct Answer<F, T>(F, PhantomData<fn(T)>);

/// Its items.
struct Items<'f, F, T>(&'f mut F, PhantomData<fn(T)>);

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Member {
    Items,
    #[serde(other)]
    Other,
}

impl<'de, T: Deserialize<'de>, F: FnMut(T)> DeserializeSeed<'de> for Answer<F, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de, T: Deserialize<'de>, F: FnMut(T)> Visitor<'de> for Answer<F, T> {
    type Value = ();

    fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("a list of the Kubernetes API")
    }

    fn visit_map<M: MapAccess<'de>>(mut self, mut members: M) -> Result<(), M::Error> {
        while let Some(member) = members.next_key()? {
            match member {
                Member::Items => members.next_value_seed(Items(&mut self.0, PhantomData))?,
                Member::Other => members.next_value::<IgnoredAny>().map(drop)?,
            }
        }
        Ok(())
    }
}

impl<'de, T: Deserialize<'de>, F: FnMut(T)> DeserializeSeed<'de> for Items<'_, F, T> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de, T: Deserialize<'de>, F: FnMut(T)> Visitor<'de> for Items<'_, F, T> {
    type Value = ();

    fn expecting(&self, to: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        to.write_str("objects, or null for none")
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<S: SeqAccess<'de>>(self, mut objects: S) -> Result<(), S::Error> {
        while let Some(object) = objects.next_element()? {
            (self.0)(object);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(answer: &str) -> Result<Vec<u8>, serde_json::Error> {
        let mut all = Vec::new();
        let take = |found: u8| all.push(found);
        Answer(take, PhantomData).deserialize(&mut serde_json::Deserializer::from_str(answer))?;
        Ok(all)
    }

    #[test]
    fn the_items_of_a_list_are_taken_and_nothing_else() {
        for (answer, expected) in [
            (
                r#"{"kind":"List","metadata":{"items":[9]},"items":[1,2]}"#,
                Some(vec![1, 2]),
            ),
            (r#"{"items":null,"kind":"List"}"#, Some(vec![])),
            ("{}", Some(vec![])),
            (r#"{"items":[1,"x"]}"#, None),
            (r#"{"items":[1"#, None),
            ("[]", None),
        ] {
            assert_eq!(taken(answer).ok(), expected, "{answer}");
        }
    }
}
