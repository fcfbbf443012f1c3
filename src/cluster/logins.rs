//! Logins at servers: requests tokens of ServiceAccounts, and keeps tokens for the Kubernetes API from being sent to a
//! server. The operator asks the Kubernetes API for its own user name and for the accepted audiences. Without both
//! answers it does not log in.

use std::collections::BTreeMap;
use std::time::Instant;

use k8s_openapi::api::authentication::v1::{SelfSubjectReview, TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use kube::api::PostParams;
use kube::{Api, ResourceExt};
use tokio::sync::{Mutex, OnceCell};

use super::{Cluster, deadline, fault};
use crate::error::{Error, LoginFault, Result, Untold};
use crate::login::{self, Accepted, Told, Unsafe};
use crate::secret::Secret as Token;

/// Namespace and name of a ServiceAccount.
type Account = (String, String);

/// What the Kubernetes API has reported about itself and about the operator.
#[derive(Default)]
pub(super) struct Logins {
    /// The ServiceAccount whose tokens are requested if a value names none.
    account: Option<Account>,
    /// The operator's user name. It does not change while the process runs.
    operator: OnceCell<String>,
    /// The accepted audiences, by the ServiceAccount that was used to ask, so that no answer depends on earlier
    /// questions of others. Concurrent callers wait for the request in progress.
    accepted: Mutex<BTreeMap<Account, Accepted>>,
}

impl Logins {
    pub(super) fn through(account: Option<Account>) -> Self {
        Logins {
            account,
            ..Logins::default()
        }
    }
}

impl Cluster {
    /// Checks whether a token of a ServiceAccount for these audiences may be requested for a server.
    ///
    /// # Errors
    /// [`Error::Login`], [`Error::Cluster`].
    pub async fn check_account(&self, namespace: &str, name: &str, audiences: &[String]) -> Result<()> {
        let operator = self.operator().await?;
        let judge = |accepted: &[String]| {
            let told = Told { operator, accepted };
            login::judge_account(namespace, name, audiences, &told).map_err(|why| Error::from(LoginFault::Account(why)))
        };
        // The operator's own account is refused whatever the API accepts, and no token is requested for it.
        judge(&[])?;
        judge(&self.accepted(namespace, name).await?)
    }

    /// Requests a token of a ServiceAccount for these audiences that may be sent to a server. It is valid for ten
    /// minutes, the minimum of the Kubernetes API.
    ///
    /// # Errors
    /// As [`Cluster::check_account`].
    pub async fn login_token(&self, namespace: &str, name: &str, audiences: &[String]) -> Result<Token> {
        self.check_account(namespace, name, audiences).await?;
        let mut made = self.request_token(namespace, name, audiences).await?;
        let token = made.status.take().map(|status| Token::new(status.token));
        let token = token.ok_or(Error::from(LoginFault::Untold(Untold::Audiences)))?;
        // Check the issued token, not the request.
        match self.judge(token.expose(), Some((namespace, name))).await? {
            Ok(()) => Ok(token),
            Err(why) => Err(LoginFault::Account(why).into()),
        }
    }

    /// Checks whether a value of a Secret may be sent to a server.
    ///
    /// # Errors
    /// [`Error::Login`], [`Error::Cluster`].
    pub async fn check_value(&self, secret: &Secret, key: &str, value: &str) -> Result<()> {
        let refused = |why| LoginFault::Secret {
            secret: secret.name_any(),
            key: key.to_owned(),
            why,
        };
        login::judge_type(secret.type_.as_deref()).map_err(refused)?;
        let account = self.logins.account.as_ref();
        let account = account.map(|(namespace, name)| (namespace.as_str(), name.as_str()));
        match self.judge(value, account).await {
            Ok(judged) => judged.map_err(|why| refused(why).into()),
            Err(Error::Login(LoginFault::Untold(why))) => Err(Error::from(LoginFault::SecretUntold {
                secret: secret.name_any(),
                key: key.to_owned(),
                why,
            })),
            Err(error) => Err(error),
        }
    }

    /// Checks the tokens in a value. Asks the Kubernetes API only if there is a token, through this ServiceAccount.
    async fn judge(&self, value: &str, account: Option<(&str, &str)>) -> Result<Result<(), Unsafe>> {
        let tokens = match login::tokens_in(value) {
            Ok(tokens) if tokens.is_empty() => return Ok(Ok(())),
            Ok(tokens) => tokens,
            Err(why) => return Ok(Err(why)),
        };
        let (namespace, name) = account.ok_or(Error::from(LoginFault::Untold(Untold::NoAccount)))?;
        let told = Told {
            operator: self.operator().await?,
            accepted: &self.accepted(namespace, name).await?,
        };
        Ok(tokens.iter().try_for_each(|claims| login::judge_token(claims, &told)))
    }

    /// The operator's user name, as the API reports it.
    async fn operator(&self) -> Result<&str> {
        let ask = async || {
            let api: Api<SelfSubjectReview> = Api::all(self.client());
            let parameters = PostParams::default();
            let review = match deadline::<SelfSubjectReview, _>(
                "create",
                api.create(&parameters, &SelfSubjectReview::default()),
            )
            .await?
            {
                Ok(review) => review,
                Err(kube::Error::Api(status)) if status.is_forbidden() || status.is_not_found() => {
                    return Err(LoginFault::Untold(Untold::Operator).into());
                }
                Err(error) => return Err(fault(&error)),
            };
            let user = review.status.and_then(|status| status.user_info?.username);
            let user = user.filter(|name| !name.is_empty());
            user.ok_or(Error::from(LoginFault::Untold(Untold::Operator)))
        };
        self.logins.operator.get_or_try_init(ask).await.map(String::as_str)
    }

    /// The audiences that the Kubernetes API accepts: a token that is requested without audiences gets these.
    async fn accepted(&self, namespace: &str, name: &str) -> Result<Vec<String>> {
        let account = (namespace.to_owned(), name.to_owned());
        let mut known = self.logins.accepted.lock().await;
        known.retain(|_, answer| answer.at(Instant::now()).is_some());
        if let Some(audiences) = known.get(&account).and_then(|answer| answer.at(Instant::now())) {
            return Ok(audiences.to_vec());
        }
        let mut made = self.request_token(namespace, name, &[]).await?;
        // The token in the answer is not used: wipe it.
        drop(made.status.take().map(|status| Token::new(status.token)));
        let audiences = made.spec.audiences;
        if audiences.is_empty() {
            return Err(LoginFault::Untold(Untold::Audiences).into());
        }
        known.insert(account, Accepted::new(audiences.clone(), Instant::now()));
        Ok(audiences)
    }

    async fn request_token(&self, namespace: &str, name: &str, audiences: &[String]) -> Result<TokenRequest> {
        let api: Api<ServiceAccount> = Api::namespaced(self.client(), namespace);
        let request = TokenRequest {
            spec: TokenRequestSpec {
                audiences: audiences.to_vec(),
                expiration_seconds: Some(600),
                ..TokenRequestSpec::default()
            },
            ..TokenRequest::default()
        };
        let (parameters, asked) = (PostParams::default(), "create token");
        let made = api.create_token_request(name, &parameters, &request);
        match deadline::<ServiceAccount, _>(asked, made).await? {
            Ok(made) => Ok(made),
            Err(kube::Error::Api(status)) if status.is_not_found() => Err(LoginFault::Untold(Untold::NoAccount).into()),
            Err(kube::Error::Api(status)) if status.is_forbidden() => {
                Err(LoginFault::Untold(Untold::NotGranted).into())
            }
            Err(error) => Err(fault(&error)),
        }
    }
}
