//! What each reason means and what to do about it: the text of the reason's page in the documentation.

use crate::api::condition::Reason;

/// What a reason means and what to do about it.
#[derive(Clone, Copy, Debug)]
pub struct Guide {
    /// The reason.
    pub reason: Reason,
    /// What is the case, in Markdown.
    pub meaning: &'static str,
    /// What to do, in Markdown.
    pub remedy: &'static str,
    /// The page of the documentation that says more.
    pub page: &'static str,
}

impl Reason {
    /// What the reason means and what to do about it.
    pub fn guide(self) -> &'static Guide {
        &GUIDES[self as usize]
    }
}

/// One guide for each reason, in the order of the variants.
static GUIDES: [Guide; Reason::ALL.len()] = [
    Guide {
        reason: Reason::Available,
        meaning: "All is well.",
        remedy: "Nothing.",
        page: "concepts/status.md",
    },
    Guide {
        reason: Reason::Suspended,
        meaning: "`spec.suspend` is set.",
        remedy: "Remove it to continue.",
        page: "concepts/status.md",
    },
    Guide {
        reason: Reason::Deleting,
        meaning: "Cleanup waits for the server, or for a request that may still be in progress.",
        remedy: "Wait. If the server does not come back, let go of it with the annotation \
                  `oidc-operator.dev/abandon`.",
        page: "concepts/deletion.md",
    },
    Guide {
        reason: Reason::InvalidSpec,
        meaning: "A value cannot be used, the server refused the metadata, or a referenced secret has an unusable \
                  value.",
        remedy: "Correct the field or Secret that the message names.",
        page: "tasks/web-app.md",
    },
    Guide {
        reason: Reason::UnsupportedByServer,
        meaning: "The server's version is not supported, or the server does not have the kind or a field that the \
                  spec sets.",
        remedy: "Upgrade the server, remove the fields that the message names, or use another server.",
        page: "compatibility.md",
    },
    Guide {
        reason: Reason::NotAllowed,
        meaning: "No access rule of the server selects the namespace, or the resource breaks a limit of the closest \
                  rule, such as `serverUriHosts` or `minRotationPeriod`; or an OidcProvider does not admit the \
                  namespace. The message names the limits that are broken, by which values, and what a limit with a \
                  list allows.",
        remedy: "Change the fields that the message names, or ask the server's admin for a rule, or the provider's \
                  owner for `allowedNamespaces`.",
        page: "concepts/access.md",
    },
    Guide {
        reason: Reason::NamespaceNotWatched,
        meaning: "The operator does not work in this namespace: `watchNamespaces` of the chart does not list it.",
        remedy: "Ask for it to be added, or create the resource in another namespace. If a deletion waits, set \
                  `deletionPolicy: Delete`.",
        page: "tasks/permissions.md",
    },
    Guide {
        reason: Reason::NotOwned,
        meaning: "The server already has a client with that id (on a Vault or a Foulkon, an object with that name) \
                  that this resource does not own, or another resource has claimed it; or somebody moved it to a \
                  place where the operator does not write. The operator changed nothing.",
        remedy: "On Hydra, adopt it if no resource manages it, or choose another `clientId`. On a Vault or a \
                  Foulkon, adopt it by name, or choose another name. Id and name on Hydra and a Vault are immutable, \
                  so create a new resource. If the message names another cluster, that cluster manages the client, \
                  or this one is restored from it: list its id in `formerClusterIds` if it is gone.",
        page: "tasks/adopt.md",
    },
    Guide {
        reason: Reason::NotRestored,
        meaning: "An earlier resource of this name left a client on the server, or its Secrets came back from a \
                  backup, and the operator cannot tell that the two belong together, or no access rule allows the \
                  id. It changed nothing.",
        remedy: "Follow the message. The page about backup and restore lists all cases.",
        page: "backup.md",
    },
    Guide {
        reason: Reason::SecretConflict,
        meaning: "A Secret of that name exists and does not belong to this resource, or another OAuth2Client of the \
                  namespace has it or asked for it first. The message names the owner, if the Secret has one. A new \
                  client is not registered before this is solved. Or the spec asks for another type of a Secret that \
                  exists. If the Secret belongs to an earlier resource of the same name that is being deleted, wait. A \
                  resource that adopts its client can take a Secret over, if the Secret names the resource and would lose \
                  nothing.",
        remedy: "Set `credentials.secretName` (on a JsonWebKeySet, `secretName` of `privateKey` or `publish`), or \
                  delete the Secret if nobody needs it.",
        page: "tasks/credentials.md",
    },
    Guide {
        reason: Reason::ConfigMapConflict,
        meaning: "A ConfigMap of that name exists and does not belong to this resource. The message names the owner, \
                  if it has one. The operator does not change it. If it belongs to an earlier resource of the same \
                  name that is being deleted, wait.",
        remedy: "Delete it, or set `publish.configMapName`.",
        page: "tasks/issuer.md",
    },
    Guide {
        reason: Reason::Conflict,
        meaning: "Another writer changed the client, key set or object on the server three times within an hour, and \
                  the operator stopped correcting it. The message names what was changed.",
        remedy: "Find out who. Then change the resource, or wait an hour.",
        page: "concepts/ownership.md",
    },
    Guide {
        reason: Reason::DriftDetected,
        meaning: "The object on the server differs from the spec in the fields that the message names, and the operator \
                  only observes it.",
        remedy: "Change one of the two, or set `managementPolicy: Full`.",
        page: "status.md",
    },
    Guide {
        reason: Reason::ObjectNotFound,
        meaning: "The object does not exist on the server, and the operator only observes.",
        remedy: "Create it, or set `managementPolicy: Full`.",
        page: "status.md",
    },
    Guide {
        reason: Reason::SecretNotFound,
        meaning: "A referenced Secret, ConfigMap or key does not exist.",
        remedy: "Create it; if a server refers to it, create it in the operator's namespace.",
        page: "tasks/own-secret.md",
    },
    Guide {
        reason: Reason::SecretUnknown,
        meaning: "The client was adopted, and the operator does not know its secret. The client keeps working.",
        remedy: "Name the secret in `clientSecretRef`, or have it replaced.",
        page: "tasks/rotate-secret.md",
    },
    Guide {
        reason: Reason::SecretMismatch,
        meaning: "An adoption would replace the secret of a client: the client has another one than the Secret that \
                  `clientSecretRef` names or that the resource takes over, or the operator cannot find out without `hydra.publicUrl`. The operator \
                  changed nothing.",
        remedy: "Correct the Secret, set `hydra.publicUrl`, or set `onSecretMismatch: Replace`.",
        page: "tasks/adopt.md",
    },
    Guide {
        reason: Reason::ReferenceNotFound,
        meaning: "A resource that the spec refers to does not exist, or none of the clients of an OidcProvider on a \
                  Foulkon exists, or a Vault has no user, group or auth method of that name. The operator does not \
                  write what depends on it until it exists.",
        remedy: "Create it in the same namespace; only `providerRefs` can name another namespace.",
        page: "tasks/scopes.md",
    },
    Guide {
        reason: Reason::ReferenceNotReady,
        meaning: "A resource that the spec refers to is not ready, or does not list the client yet; or no client may \
                  use an OidcProvider yet.",
        remedy: "`kubectl describe` it; name the provider in a client's `providerRefs`.",
        page: "servers/vault.md",
    },
    Guide {
        reason: Reason::ServerNotFound,
        meaning: "There is no AuthorizationServer of that name.",
        remedy: "Create it. `serverRef` is immutable; without it the name is `default`, which you can also write \
                  out later.",
        page: "tasks/connect.md",
    },
    Guide {
        reason: Reason::ServerNotReady,
        meaning: "The AuthorizationServer cannot be used now, is being deleted, its clients were not listed since \
                  the start of the operator, or it does not (yet) have what an OidcProvider or `credentials.data` \
                  needs from its public API.",
        remedy: "`kubectl describe authserver NAME`; set `hydra.publicUrl` if the message says so.",
        page: "tasks/connect.md",
    },
    Guide {
        reason: Reason::ServerRefused,
        meaning: "Hydra, a proxy in front of it, or a Foulkon refuses the operator's login.",
        remedy: "Check `hydra.auth` or `foulkon.auth`, and `tls`, of the AuthorizationServer. If a gateway refuses \
                  only `/version`, set `hydra.version`.",
        page: "servers/hydra.md",
    },
    Guide {
        reason: Reason::ServerUnavailable,
        meaning: "No connection, TLS failure, no answer in time, or an error status. The message says which: without \
                  a connection, also to which address, and whether the name cannot be resolved, the connection is \
                  refused or it times out; for a TLS failure or a proxy also what is wrong with it. A server that \
                  limits the rate of requests (429) gets fewer requests, and this is reported only if it accepts \
                  none for half a minute, or if a resource waits for two minutes.",
        remedy: "Check the server, its URL, its certificate, proxies, network policies and rate limits. The \
                  operator keeps trying.",
        page: "operations.md",
    },
    Guide {
        reason: Reason::Timeout,
        meaning: "The server did not finish a write in time, but answers other requests: it may be waiting for a URI \
                  of the resource.",
        remedy: "Make sure that the server gets an answer from the URI that the message names. Other resources are \
                  not delayed.",
        page: "security.md",
    },
    Guide {
        reason: Reason::ServerNotRecognized,
        meaning: "The URL does not lead to Hydra's admin (or public) API, a Vault, or a Foulkon worker.",
        remedy: "Check `hydra.adminUrl` and `hydra.publicUrl`, the admin port is usually 4445; if a gateway routes \
                  no `/version`, set `hydra.version`; or `vault.address`, which has no `/v1`; or \
                  `foulkon.workerUrl`.",
        page: "tasks/connect.md",
    },
    Guide {
        reason: Reason::ServerSealed,
        meaning: "The Vault or OpenBao is sealed.",
        remedy: "Unseal it; the operator then continues.",
        page: "servers/vault.md",
    },
    Guide {
        reason: Reason::ServerUninitialized,
        meaning: "The Vault or OpenBao has not been set up.",
        remedy: "Initialize and unseal it.",
        page: "servers/vault.md",
    },
    Guide {
        reason: Reason::ServerStandby,
        meaning: "The address is that of a standby that redirects requests to another address, or of a disaster \
                  recovery secondary.",
        remedy: "Set `vault.address` to the active server, or to a server that forwards requests itself.",
        page: "servers/vault.md",
    },
    Guide {
        reason: Reason::ServerChanged,
        meaning: "A different cluster than before answers at the address of a Vault. The operator writes nothing \
                  until you confirm it.",
        remedy: "If it is right, set `vault.clusterId` to the new id; otherwise correct DNS or `vault.address`.",
        page: "tasks/move-server.md",
    },
    Guide {
        reason: Reason::NamespaceNotFound,
        meaning: "There is no Vault namespace of that name.",
        remedy: "Create it, or correct `vault.namespace`.",
        page: "servers/vault.md",
    },
    Guide {
        reason: Reason::LoginFailed,
        meaning: "The operator cannot log in; the message names the failed step.",
        remedy: "Check `vault.auth`: path, role, audiences, ServiceAccount or Secret.",
        page: "servers/vault.md",
    },
    Guide {
        reason: Reason::UnsafeToken,
        meaning: "The operator would have to send the server a token that the Kubernetes API accepts, or a token of \
                  the operator's own ServiceAccount. The server could use it, so the operator sent nothing.",
        remedy: "Log in as a ServiceAccount without rights, for an audience that only the server accepts; put \
                  another value into the Secret that the message names.",
        page: "security.md",
    },
    Guide {
        reason: Reason::PermissionDenied,
        meaning: "The operator is logged in, but its policies do not allow the request.",
        remedy: "On a Vault, compare them with `deploy/vault/policy.hcl`, the policy that the operator needs; on a \
                  Foulkon, let its user manage OIDC providers.",
        page: "servers/vault.md",
    },
    Guide {
        reason: Reason::IssuerChanged,
        meaning: "The issuer differs from the previous issuer of this server. The operator writes nothing until you \
                  confirm it.",
        remedy: "If it is right, set `hydra.issuer` to the new issuer; otherwise correct DNS or the URL.",
        page: "tasks/move-server.md",
    },
    Guide {
        reason: Reason::IssuerMismatch,
        meaning: "The issuer in the discovery document differs from the issuer that the OidcProvider expects. The \
                  published values stay.",
        remedy: "If the document is right, set `issuer`; otherwise correct `hydra.publicUrl` or the server.",
        page: "tasks/issuer.md",
    },
    Guide {
        reason: Reason::InvalidKeys,
        meaning: "The server's key set has no public signing key, or shows a private key, so that anybody can forge \
                  tokens.",
        remedy: "Look at `/.well-known/jwks.json` of the public API, on a Vault at `/.well-known/keys` below the \
                  issuer; replace keys that were shown.",
        page: "tasks/issuer.md",
    },
    Guide {
        reason: Reason::InUse,
        meaning: "The resource to delete is still in use: an AuthorizationServer by resources that would leave \
                  objects behind on it; a Scope, Assignment or JsonWebKeySet by clients or providers that refer to \
                  it, on a Vault also by clients and providers of others.",
        remedy: "Delete them, or remove the reference. With `deletionPolicy: Orphan` their objects stay on the \
                  server.",
        page: "tasks/delete.md",
    },
    Guide {
        reason: Reason::PlainHttp,
        meaning: "Reason of `Insecure`: secrets travel to the admin API unencrypted.",
        remedy: "Use https, or accept it within the cluster.",
        page: "tasks/connect.md",
    },
    Guide {
        reason: Reason::RestartRequired,
        meaning: "Reason of the condition of that name: a Foulkon worker still uses the providers that it read when \
                  it started, and they have changed since.",
        remedy: "Restart the worker; if there are several, restart all.",
        page: "servers/foulkon.md",
    },
    Guide {
        reason: Reason::AdmissionDenied,
        meaning: "An admission policy, a webhook or a quota of the cluster refuses a Secret, a ConfigMap or another \
                  change of the operator. The message names it and repeats what it says.",
        remedy: "Set the labels that it wants (`outputLabels` of the chart, `credentials.labels`, \
                  `publish.labels`), or ask the admin of the cluster.",
        page: "tasks/credentials.md",
    },
    Guide {
        reason: Reason::ClusterUnavailable,
        meaning: "The Kubernetes API failed or refused a request, or the pass took too long.",
        remedy: "If it persists, check RBAC, quotas and admission policies.",
        page: "tasks/troubleshoot.md",
    },
    Guide {
        reason: Reason::InternalError,
        meaning: "The server's reply makes no sense.",
        remedy: "Read the operator's log; something between the operator and the server may change replies.",
        page: "tasks/troubleshoot.md",
    },
];
