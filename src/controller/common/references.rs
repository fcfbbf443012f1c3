//! Secrets and ConfigMaps that an AuthorizationServer refers to.

use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::ResourceExt;

use crate::admin::http::Settings;
use crate::api::AuthorizationServer;
use crate::api::authorization_server::{Basic, BearerToken, CaKind, CaRef};
use crate::api::refs::SecretKeyRef;
use crate::controller::engine::context::Context;
use crate::error::{Error, Result, Source};
use crate::secret::Secret;

/// Reads the objects in the operator's namespace that the spec refers to, and notes the version of each.
pub(crate) struct References<'a> {
    pub(crate) ctx: &'a Context,
    pub(crate) made_from: String,
}

impl References<'_> {
    /// Sets the `Authorization` of all requests.
    pub(crate) async fn authorize(
        &mut self,
        settings: &mut Settings,
        bearer: Option<&BearerToken>,
        basic: Option<&Basic>,
    ) -> Result<()> {
        if let Some(bearer) = bearer {
            let token = self.value(&bearer.secret_ref).await?;
            settings.headers.push((
                "Authorization".to_owned(),
                Secret::new(format!("Bearer {}", token.expose())),
            ));
        }
        if let Some(basic) = basic {
            let secret = self.secret(&basic.secret_ref.name).await?;
            settings.basic = Some((
                self.login(&secret, "username").await?,
                self.login(&secret, "password").await?,
            ));
        }
        Ok(())
    }

    pub(crate) async fn tls(&mut self, server: &AuthorizationServer) -> Result<Settings> {
        let mut settings = Settings {
            proxies: self.ctx.settings.proxies.clone(),
            ..Settings::default()
        };
        if let Some(tls) = &server.spec.tls {
            settings.server_name = tls.server_name.clone();
            if let Some(ca) = &tls.ca_ref {
                settings.ca_pem = Some(self.certificates(ca).await?);
            }
            if let Some(certificate) = &tls.client_certificate_ref {
                let secret = self.secret(&certificate.name).await?;
                let (cert, key) = (text(&secret, "tls.crt", self.ctx)?, text(&secret, "tls.key", self.ctx)?);
                settings.identity_pem = Some(Secret::new(format!("{}\n{}", cert.expose(), key.expose())));
            }
        }
        Ok(settings)
    }

    /// Reads a value to log in with from a Secret, without the line break that files often end with.
    pub(crate) async fn value(&mut self, reference: &SecretKeyRef) -> Result<Secret> {
        let secret = self.secret(&reference.name).await?;
        self.login(&secret, &reference.key).await
    }

    /// Returns a value of a Secret after checking that it may be sent to the server.
    pub(crate) async fn login(&self, secret: &KubeSecret, key: &str) -> Result<Secret> {
        let value = text(secret, key, self.ctx)?;
        self.ctx.cluster.check_value(secret, key, value.expose()).await?;
        Ok(value)
    }

    pub(crate) async fn certificates(&mut self, ca: &CaRef) -> Result<Vec<u8>> {
        match ca.kind {
            CaKind::Secret => {
                let secret = self.secret(&ca.name).await?;
                Ok(text(&secret, &ca.key, self.ctx)?.expose().as_bytes().to_vec())
            }
            CaKind::ConfigMap => {
                let namespace = &self.ctx.settings.namespace;
                let found = self.ctx.cluster.config_map(namespace, &ca.name).await?;
                let map = found.ok_or_else(|| missing(Source::ConfigMap, &ca.name, None, self.ctx))?;
                self.note(map.uid(), map.resource_version());
                let value = map.data.and_then(|mut data| data.remove(&ca.key));
                value
                    .map(String::into_bytes)
                    .ok_or_else(|| missing(Source::ConfigMap, &ca.name, Some(&ca.key), self.ctx))
            }
        }
    }

    pub(crate) async fn secret(&mut self, name: &str) -> Result<KubeSecret> {
        let found = self.ctx.cluster.secret(&self.ctx.settings.namespace, name).await?;
        let secret = found.ok_or_else(|| missing(Source::Secret, name, None, self.ctx))?;
        self.note(secret.uid(), secret.resource_version());
        Ok(secret)
    }

    pub(crate) fn note(&mut self, uid: Option<String>, version: Option<String>) {
        self.made_from
            .push_str(&format!("/{}:{}", uid.unwrap_or_default(), version.unwrap_or_default()));
    }
}

/// Returns a value without the line break that files often end with.
fn text(secret: &KubeSecret, key: &str, ctx: &Context) -> Result<Secret> {
    let bytes = secret.data.as_ref().and_then(|data| data.get(key));
    let value = bytes.and_then(|bytes| String::from_utf8(bytes.0.clone()).ok());
    let value = value.ok_or_else(|| missing(Source::Secret, &secret.name_any(), Some(key), ctx))?;
    Ok(Secret::new(value.trim_end_matches(['\r', '\n']).to_owned()))
}

fn missing(kind: Source, name: &str, key: Option<&str>, ctx: &Context) -> Error {
    Error::SourceNotFound {
        kind,
        name: name.to_owned(),
        key: key.map(str::to_owned),
        namespace: Some(ctx.settings.namespace.clone()),
    }
}
