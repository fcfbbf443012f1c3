//! Which combinations are tried. The page about backups in `docs/` shows the same table.

/// A client whose credentials can be tried.
pub const MACHINE: &str = "{ grantTypes: [client_credentials], scopes: [read], rotation: { withoutOverlap: Allow } }";
const PUBLIC: &str = "{ clientType: Public, redirectUris: [https://spa.example.com/] }";
const KEYED: &str = "{ grantTypes: [client_credentials], tokenEndpointAuthMethod: private_key_jwt, jwks: { keys: [{ kty: EC, kid: a, crv: P-256, use: sig, x: MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4, y: 4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM }] } }";
const ORPHANED: &str = "{ grantTypes: [client_credentials], scopes: [read], deletionPolicy: Orphan }";

/// What the access rules allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Generated ids, and those that begin with the name of the namespace.
    Strict,
    /// The same, and the rule lists the id of the client for adoption.
    Listed,
    /// Any id.
    Free,
}

/// Which Secrets come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Secrets {
    /// The ledger and the credentials Secret.
    Both,
    /// The ledger only.
    Ledger,
    /// The credentials Secret only.
    Credentials,
    /// None.
    Neither,
    /// Both, and somebody edited the client secret in the credentials Secret.
    Edited,
    /// The credentials Secret only, made to name the client of another namespace.
    Forged,
    /// The ledger only, made to name the client of another namespace.
    ForgedLedger,
    /// The ledger only, with an id that fits into no URL.
    Absurd,
    /// Both, after an attempt without them that made a ledger with a new secret.
    Late,
}

/// What happened to the client on the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnServer {
    /// Nothing.
    Kept,
    /// It got another secret after the backup.
    Rotated,
    /// An earlier restore of the same backup gave it the mark of another resource.
    Restored,
    /// It was deleted.
    Gone,
    /// The operator released it, as with `deletionPolicy: Orphan`.
    Unmarked,
    /// A cluster registered it that this one replaces.
    Former,
    /// A cluster registered it that exists beside this one.
    Elsewhere,
}

/// How a client is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Keeps {
    /// Only the mark is written.
    Quietly,
    /// The mark, and its own secret is sent once more.
    Sent,
    /// The mark, and the secret of the backup replaces a later one.
    Older,
    /// The mark, and it gets a new secret.
    NewSecret,
    /// It is registered again.
    Registered,
}

/// What the resource does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Expected {
    /// It keeps the client.
    Keeps(Keeps),
    /// It changes nothing, and reports this reason and message, in which ID, UID and NAMESPACE stand for values.
    Says(&'static str, &'static str),
    /// It gets a new client, and the earlier one stays as it is.
    New,
}

/// A combination.
#[derive(Debug)]
pub struct Row {
    /// Name of the resource.
    pub name: &'static str,
    /// Its spec.
    pub spec: &'static str,
    /// Whether the spec requests an id.
    pub has_chosen_id: bool,
    pub place: Place,
    pub secrets: Secrets,
    pub server: OnServer,
    /// Whether the status is restored, too.
    pub keeps_status: bool,
    pub expected: Expected,
}

const UNPROVEN: Expected = Expected::Says(
    "NotRestored",
    "The client `ID` of an earlier resource of this name is on the server, and no Secret in this namespace holds its current secret; nothing was changed. Restore its Secrets, or add the id to adopt.clientIds of the access rule to keep the client, or run `hydra delete oauth2-client ID` to get a new one.",
);
const UNPROVABLE: Expected = Expected::Says(
    "NotRestored",
    "The client `ID` of an earlier resource of this name is on the server, and it has no secret of the operator that could prove whose it is; nothing was changed. Add the id to adopt.clientIds of the access rule to keep the client, or run `hydra delete oauth2-client ID` to get a new one.",
);
const GONE: Expected = Expected::Says(
    "NotRestored",
    "Restored Secrets name the client `ID`, which is not on the server; nothing was changed. Add the id to adopt.clientIds of the access rule to register the client again with the same secret, or run `kubectl delete secret -n NAMESPACE -l oidc-operator.dev/uid=UID` to get a new one.",
);
const UNMARKED: Expected = Expected::Says(
    "NotRestored",
    "Restored Secrets name the client `ID`, which no resource manages; nothing was changed. Create this resource again with that clientId and adoption: Allow to keep the client, or run `kubectl delete secret -n NAMESPACE -l oidc-operator.dev/uid=UID` to get a new one.",
);
const ELSEWHERE: Expected = Expected::Says(
    "NotOwned",
    "The client `ID` on the server belongs to cluster `elsewhere`; nothing was changed. If this cluster replaces that cluster, add its id to --former-cluster-ids of the operator (formerClusterIds of the chart).",
);

/// A row with the machine client in the strict namespace.
const fn row(name: &'static str, secrets: Secrets, server: OnServer, expected: Expected) -> Row {
    Row {
        name,
        spec: MACHINE,
        has_chosen_id: false,
        place: Place::Strict,
        secrets,
        server,
        keeps_status: false,
        expected,
    }
}

const fn at(place: Place, row: Row) -> Row {
    Row { place, ..row }
}

const fn chosen(row: Row) -> Row {
    Row {
        has_chosen_id: true,
        ..row
    }
}

const fn of(spec: &'static str, row: Row) -> Row {
    Row { spec, ..row }
}

const fn quietly() -> Expected {
    Expected::Keeps(Keeps::Quietly)
}

/// All rows.
pub const ROWS: &[Row] = &[
    row("all-back", Secrets::Both, OnServer::Kept, quietly()),
    row("ledger-back", Secrets::Ledger, OnServer::Kept, quietly()),
    row(
        "secret-back",
        Secrets::Credentials,
        OnServer::Kept,
        Expected::Keeps(Keeps::Sent),
    ),
    row("edited", Secrets::Edited, OnServer::Kept, quietly()),
    row("lost", Secrets::Neither, OnServer::Kept, UNPROVEN),
    at(
        Place::Listed,
        row(
            "lost-listed",
            Secrets::Neither,
            OnServer::Kept,
            Expected::Keeps(Keeps::NewSecret),
        ),
    ),
    at(
        Place::Free,
        row("lost-free", Secrets::Neither, OnServer::Kept, UNPROVEN),
    ),
    row("rotated", Secrets::Both, OnServer::Rotated, UNPROVEN),
    at(
        Place::Listed,
        row(
            "rotated-listed",
            Secrets::Both,
            OnServer::Rotated,
            Expected::Keeps(Keeps::Older),
        ),
    ),
    row("gone", Secrets::Both, OnServer::Gone, GONE),
    row("gone-ledger", Secrets::Ledger, OnServer::Gone, GONE),
    row("gone-lost", Secrets::Neither, OnServer::Gone, Expected::New),
    at(
        Place::Listed,
        row(
            "gone-listed",
            Secrets::Both,
            OnServer::Gone,
            Expected::Keeps(Keeps::Registered),
        ),
    ),
    at(
        Place::Free,
        row(
            "gone-free",
            Secrets::Credentials,
            OnServer::Gone,
            Expected::Keeps(Keeps::Registered),
        ),
    ),
    at(
        Place::Listed,
        of(ORPHANED, row("orphaned", Secrets::Both, OnServer::Unmarked, UNMARKED)),
    ),
    of(
        ORPHANED,
        row("orphaned-lost", Secrets::Neither, OnServer::Unmarked, Expected::New),
    ),
    of(ORPHANED, row("orphan-kept", Secrets::Both, OnServer::Kept, quietly())),
    row("former", Secrets::Both, OnServer::Former, quietly()),
    row("former-lost", Secrets::Neither, OnServer::Former, UNPROVEN),
    at(
        Place::Listed,
        row(
            "former-listed",
            Secrets::Neither,
            OnServer::Former,
            Expected::Keeps(Keeps::NewSecret),
        ),
    ),
    row("elsewhere", Secrets::Both, OnServer::Elsewhere, ELSEWHERE),
    row("elsewhere-ledger", Secrets::Ledger, OnServer::Elsewhere, ELSEWHERE),
    row("elsewhere-lost", Secrets::Neither, OnServer::Elsewhere, Expected::New),
    chosen(row("chosen", Secrets::Both, OnServer::Kept, quietly())),
    chosen(row(
        "chosen-gone",
        Secrets::Both,
        OnServer::Gone,
        Expected::Keeps(Keeps::Registered),
    )),
    chosen(row("chosen-lost", Secrets::Neither, OnServer::Kept, UNPROVEN)),
    chosen(row("chosen-elsewhere", Secrets::Both, OnServer::Elsewhere, ELSEWHERE)),
    chosen(row("chosen-late", Secrets::Late, OnServer::Kept, quietly())),
    row("again", Secrets::Both, OnServer::Restored, quietly()),
    of(KEYED, row("keyed", Secrets::Both, OnServer::Kept, UNPROVABLE)),
    at(
        Place::Listed,
        of(KEYED, row("keyed-listed", Secrets::Both, OnServer::Kept, quietly())),
    ),
    of(PUBLIC, row("public", Secrets::Both, OnServer::Kept, quietly())),
    of(PUBLIC, row("public-lost", Secrets::Neither, OnServer::Kept, UNPROVEN)),
    Row {
        keeps_status: true,
        ..row("with-status", Secrets::Both, OnServer::Kept, quietly())
    },
    Row {
        keeps_status: true,
        ..chosen(row("chosen-with-status", Secrets::Both, OnServer::Kept, quietly()))
    },
    Row {
        keeps_status: true,
        ..chosen(of(
            PUBLIC,
            row("public-with-status", Secrets::Both, OnServer::Kept, quietly()),
        ))
    },
    row(
        "forged",
        Secrets::Forged,
        OnServer::Gone,
        Expected::Says(
            "SecretConflict",
            "Secret `forged` exists and belongs to another owner, so the operator does not change it. Delete it or choose another secretName.",
        ),
    ),
    row("forged-ledger", Secrets::ForgedLedger, OnServer::Gone, Expected::New),
    row("absurd", Secrets::Absurd, OnServer::Gone, Expected::New),
];
