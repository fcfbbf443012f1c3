//! Certificates of one control plane: a single authority signs everything, for servers and for clients.

use anyhow::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

/// A certificate of a TLS server, right or wrong.
#[derive(Clone, Copy, Debug)]
pub struct ServerCertificate<'a> {
    /// DNS names and IP addresses. Nothing checks that they are valid.
    pub names: &'a [&'a str],
    /// When it is valid.
    pub validity: Validity,
    /// What it is for.
    pub usage: Usage,
}

/// When a certificate is valid.
#[derive(Clone, Copy, Debug)]
pub enum Validity {
    /// Until the year 4096.
    Now,
    /// In the year 2001 only.
    Past,
    /// From the year 2100 on.
    Future,
}

/// What a certificate is for.
#[derive(Clone, Copy, Debug)]
pub enum Usage {
    /// A TLS server.
    Server,
    /// A TLS client.
    Client,
    /// An authority, as `openssl req -x509` says of each certificate that it makes.
    Authority,
}

impl<'a> ServerCertificate<'a> {
    /// A right certificate for these names.
    #[must_use]
    pub fn of(names: &'a [&'a str]) -> Self {
        Self {
            names,
            validity: Validity::Now,
            usage: Usage::Server,
        }
    }

    fn params(self) -> Result<CertificateParams> {
        let mut params = CertificateParams::new(self.names.iter().map(ToString::to_string).collect::<Vec<_>>())?;
        params.distinguished_name = name(self.names.first().unwrap_or(&"nobody"), None);
        match self.validity {
            Validity::Now => {}
            Validity::Past => {
                params.not_before = date_time_ymd(2001, 1, 1);
                params.not_after = date_time_ymd(2001, 12, 31);
            }
            Validity::Future => {
                params.not_before = date_time_ymd(2100, 1, 1);
                params.not_after = date_time_ymd(2101, 1, 1);
            }
        }
        match self.usage {
            Usage::Server => params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
            Usage::Client => params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
            Usage::Authority => params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
        }
        Ok(params)
    }

    /// The certificate, signed with its own key, and that key (both PEM).
    ///
    /// # Errors
    /// When a name is not ASCII.
    pub fn self_signed(self) -> Result<(String, String)> {
        let key = KeyPair::generate()?;
        let certificate = self.params()?.self_signed(&key).context("signing a certificate")?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

/// A certificate authority in memory.
#[derive(Debug)]
pub struct Pki {
    authority: CertifiedIssuer<'static, KeyPair>,
}

impl Pki {
    /// Makes a new authority with a fresh key.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn new() -> Result<Self> {
        let mut params = CertificateParams::default();
        params.distinguished_name = name("testbed", None);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::DigitalSignature];
        let authority =
            CertifiedIssuer::self_signed(params, KeyPair::generate()?).context("making the certificate authority")?;
        Ok(Self { authority })
    }

    /// The authority's certificate, for clients to trust.
    #[must_use]
    pub fn ca_pem(&self) -> String {
        self.authority.pem()
    }

    /// A certificate and its private key (both PEM) for a TLS server that is reached as one of `names`, which are
    /// DNS names or IP addresses.
    ///
    /// # Errors
    /// When a name is not valid in a certificate.
    pub fn issue_server(&self, names: &[&str]) -> Result<(String, String)> {
        let names: Vec<String> = names.iter().map(ToString::to_string).collect();
        let common_name = names.first().cloned().unwrap_or_default();
        let mut params = CertificateParams::new(names)?;
        params.distinguished_name = name(&common_name, None);
        self.sign(params, ExtendedKeyUsagePurpose::ServerAuth)
    }

    /// A certificate, right or wrong, and its private key (both PEM).
    ///
    /// # Errors
    /// When a name is not ASCII.
    pub fn issue(&self, certificate: ServerCertificate<'_>) -> Result<(String, String)> {
        let key = KeyPair::generate()?;
        let certificate = certificate.params()?.signed_by(&key, &self.authority);
        Ok((certificate.context("signing a certificate")?.pem(), key.serialize_pem()))
    }

    /// A certificate and its private key (both PEM) that the kube-apiserver accepts as `user`, member of `group`.
    ///
    /// # Errors
    /// When the system has no random numbers.
    pub fn issue_client(&self, user: &str, group: Option<&str>) -> Result<(String, String)> {
        let mut params = CertificateParams::default();
        params.distinguished_name = name(user, group);
        self.sign(params, ExtendedKeyUsagePurpose::ClientAuth)
    }

    fn sign(&self, mut params: CertificateParams, usage: ExtendedKeyUsagePurpose) -> Result<(String, String)> {
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        let key = KeyPair::generate()?;
        let certificate = params
            .signed_by(&key, &self.authority)
            .context("signing a certificate")?;
        Ok((certificate.pem(), key.serialize_pem()))
    }
}

/// A signing key for ServiceAccount tokens: the private key (PKCS#8 PEM) and the public one (PEM).
///
/// It is ECDSA P-256, which the kube-apiserver accepts as well as RSA.
///
/// # Errors
/// When the system has no random numbers.
pub fn service_account_key() -> Result<(String, String)> {
    let key = KeyPair::generate()?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}

fn name(common_name: &str, organization: Option<&str>) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common_name);
    if let Some(organization) = organization {
        name.push(DnType::OrganizationName, organization);
    }
    name
}
