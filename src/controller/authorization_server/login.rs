//! From spec and referenced Secrets to a connection.

use std::sync::{Arc, Mutex};

use k8s_openapi::api::core::v1::Secret as KubeSecret;
use kube::ResourceExt;
use tokio::sync::OnceCell;

use crate::admin::http::{BadSettings, ErrorBody, Http, Settings};
use crate::api::AuthorizationServer;
use crate::api::authorization_server::{Basic, BearerToken, CaKind, CaRef, Flavour, ForwardedProto, HydraServer};
use crate::api::refs::SecretKeyRef;
use crate::controller::links::Connection;
use crate::controller::{Context, vault};
use crate::error::{Error, Result};
use crate::secret::Secret;

/// Reads what the spec refers to in the operator's namespace, noting the version of each.
pub(in crate::controller) struct References<'a> {
    pub(in crate::controller) ctx: &'a Context,
    made_from: String,
}

/// The connection that the spec asks for: the last one if nothing has changed, so that its breaker and sweep stay.
pub(super) async fn connect(
    server: &AuthorizationServer,
    flavour: Flavour<'_>,
    ctx: &Context,
) -> Result<Arc<Connection>> {
    let name = server.name_any();
    let made_from = format!(
        "{}/{}",
        server.uid().unwrap_or_default(),
        server.metadata.generation.unwrap_or_default()
    );
    let mut references = References { ctx, made_from };
    let mut settings = references.tls(server).await?;
    let login = match flavour {
        Flavour::Hydra(hydra) => {
            references.headers(hydra, &mut settings).await?;
            None
        }
        Flavour::Foulkon(foulkon) => {
            settings.errors = ErrorBody::Coded;
            // A user who is not the admin may do some of it.
            settings.refuses_singly = foulkon.auth.basic.is_none();
            references
                .authorize(
                    &mut settings,
                    foulkon.auth.bearer_token.as_ref(),
                    foulkon.auth.basic.as_ref(),
                )
                .await?;
            None
        }
        Flavour::Vault(vault) => {
            settings.refuses_singly = true;
            settings.errors = ErrorBody::Listed;
            // Agents and proxies in front of a Vault may want it, against requests that somebody else's browser is made to send.
            settings
                .headers
                .push(("X-Vault-Request".to_owned(), Secret::new("true".to_owned())));
            Some(vault::server::login(vault, &mut references).await?)
        }
    };
    if let Some(last) = ctx
        .links
        .last(&name)
        .filter(|last| last.made_from == references.made_from)
    {
        return Ok(last);
    }
    let endpoint = |field, url: &str, settings: &Settings| {
        Http::new(&name, url, settings, ctx.fence.clone(), ctx.metrics.clone())
            .map_err(|bad| unusable(server, field, bad))
    };
    let (field, url) = match flavour {
        Flavour::Hydra(hydra) => ("hydra.adminUrl", &hydra.admin_url),
        Flavour::Vault(vault) => ("vault.address", &vault.address),
        Flavour::Foulkon(foulkon) => ("foulkon.workerUrl", &foulkon.worker_url),
    };
    let admin = Arc::new(endpoint(field, url, &settings)?);
    // Neither login nor client certificate is for the public side.
    let public_settings = Settings {
        ca_pem: settings.ca_pem.clone(),
        // The public side usually has a certificate of a public authority, even where the admin API has a private one.
        keep_system_roots: true,
        ..Settings::default()
    };
    let public_url = match flavour {
        Flavour::Hydra(hydra) => hydra.public_url.as_ref(),
        Flavour::Vault(_) | Flavour::Foulkon(_) => None, // it has one address for all
    };
    let public = match public_url {
        Some(url) => Some((endpoint("hydra.publicUrl", url, &public_settings)?, url.clone())),
        None => None,
    };
    let vault = match (flavour, login) {
        (Flavour::Vault(vault), Some(login)) => Some(vault::server::connection(vault, admin.clone(), login)),
        _ => None,
    };
    Ok(Arc::new(Connection {
        admin,
        public,
        vault,
        made_from: references.made_from,
        naming: tokio::sync::Mutex::default(),
        keys_made: OnceCell::new(),
        swept: Mutex::new(None),
        strangers: Mutex::default(),
    }))
}

impl References<'_> {
    /// What a Hydra's admin API is sent with each request.
    async fn headers(&mut self, hydra: &HydraServer, settings: &mut Settings) -> Result<()> {
        if let Some(proto) = hydra.forwarded_proto {
            let value = match proto {
                ForwardedProto::Http => "http",
                ForwardedProto::Https => "https",
            };
            settings
                .headers
                .push(("X-Forwarded-Proto".to_owned(), Secret::new(value.to_owned())));
        }
        let Some(auth) = &hydra.auth else { return Ok(()) };
        self.authorize(settings, auth.bearer_token.as_ref(), auth.basic.as_ref())
            .await?;
        for header in &auth.headers {
            let value = self.value(&header.secret_ref).await?;
            settings.headers.push((header.name.clone(), value));
        }
        Ok(())
    }

    /// The `Authorization` of each request.
    async fn authorize(
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

    async fn tls(&mut self, server: &AuthorizationServer) -> Result<Settings> {
        let mut settings = Settings::default();
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

    /// A value of a Secret to log in with, without the line break that files often end with.
    pub(in crate::controller) async fn value(&mut self, reference: &SecretKeyRef) -> Result<Secret> {
        let secret = self.secret(&reference.name).await?;
        self.login(&secret, &reference.key).await
    }

    /// A value that may leave for the server.
    async fn login(&self, secret: &KubeSecret, key: &str) -> Result<Secret> {
        let value = text(secret, key, self.ctx)?;
        self.ctx.cluster.check_value(secret, key, value.expose()).await?;
        Ok(value)
    }

    async fn certificates(&mut self, ca: &CaRef) -> Result<Vec<u8>> {
        match ca.kind {
            CaKind::Secret => {
                let secret = self.secret(&ca.name).await?;
                Ok(text(&secret, &ca.key, self.ctx)?.expose().as_bytes().to_vec())
            }
            CaKind::ConfigMap => {
                let namespace = &self.ctx.settings.namespace;
                let found = self.ctx.cluster.config_map(namespace, &ca.name).await?;
                let map = found.ok_or_else(|| missing("ConfigMap", &ca.name, None, self.ctx))?;
                self.note(map.uid(), map.resource_version());
                let value = map.data.and_then(|mut data| data.remove(&ca.key));
                value
                    .map(String::into_bytes)
                    .ok_or_else(|| missing("ConfigMap", &ca.name, Some(&ca.key), self.ctx))
            }
        }
    }

    async fn secret(&mut self, name: &str) -> Result<KubeSecret> {
        let found = self.ctx.cluster.secret(&self.ctx.settings.namespace, name).await?;
        let secret = found.ok_or_else(|| missing("Secret", name, None, self.ctx))?;
        self.note(secret.uid(), secret.resource_version());
        Ok(secret)
    }

    fn note(&mut self, uid: Option<String>, version: Option<String>) {
        self.made_from
            .push_str(&format!("/{}:{}", uid.unwrap_or_default(), version.unwrap_or_default()));
    }
}

/// A value without the line break that files often end with.
fn text(secret: &KubeSecret, key: &str, ctx: &Context) -> Result<Secret> {
    let bytes = secret.data.as_ref().and_then(|data| data.get(key));
    let value = bytes.and_then(|bytes| String::from_utf8(bytes.0.clone()).ok());
    let value = value.ok_or_else(|| missing("Secret", &secret.name_any(), Some(key), ctx))?;
    Ok(Secret::new(value.trim_end_matches(['\r', '\n']).to_owned()))
}

fn missing(kind: &'static str, name: &str, key: Option<&str>, ctx: &Context) -> Error {
    Error::ReferenceNotFound {
        kind,
        name: name.to_owned(),
        key: key.map(str::to_owned),
        namespace: Some(ctx.settings.namespace.clone()),
    }
}

fn unusable(server: &AuthorizationServer, url_field: &'static str, bad: BadSettings) -> Error {
    let (field, problem) = match bad {
        BadSettings::Url => (url_field, "it cannot be used as a URL; correct it".to_owned()),
        BadSettings::Header => (
            match server.spec.foulkon {
                Some(_) => "foulkon.auth",
                None => "hydra.auth",
            },
            "a value cannot be sent as a header; look for line breaks in the Secret".to_owned(),
        ),
        BadSettings::Ca => (
            "tls.caRef",
            "it holds no certificates in PEM form; put the CA's certificate there".to_owned(),
        ),
        BadSettings::Identity => (
            "tls.clientCertificateRef",
            "tls.crt and tls.key are not a certificate and its key in PEM form".to_owned(),
        ),
    };
    tracing::debug!(server = server.name_any(), field, "the connection cannot be made");
    Error::InvalidField { field, problem }
}
