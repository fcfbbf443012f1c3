//! Fields of an OAuth2Client of hydra-maester, and where they are in one of the operator.

/// Fields that mean the same here, and where they are.
pub const FIELDS: [(&str, &str); 27] = [
    ("clientName", "clientName"),
    ("grantTypes", "grantTypes"),
    ("responseTypes", "responseTypes"),
    ("redirectUris", "redirectUris"),
    ("postLogoutRedirectUris", "postLogoutRedirectUris"),
    ("requestUris", "requestUris"),
    ("allowedCorsOrigins", "allowedCorsOrigins"),
    ("audience", "audience"),
    ("contacts", "contacts"),
    ("metadata", "metadata"),
    ("clientUri", "clientUri"),
    ("logoUri", "logoUri"),
    ("policyUri", "policyUri"),
    ("tosUri", "tosUri"),
    ("jwksUri", "jwksUri"),
    ("subjectType", "subjectType"),
    ("sectorIdentifierUri", "sectorIdentifierUri"),
    ("tokenEndpointAuthSigningAlg", "tokenEndpointAuthSigningAlg"),
    ("requestObjectSigningAlg", "requestObjectSigningAlg"),
    ("userinfoSignedResponseAlg", "userinfoSignedResponseAlg"),
    ("frontChannelLogoutURI", "frontchannelLogoutUri"),
    ("frontChannelLogoutSessionRequired", "frontchannelLogoutSessionRequired"),
    ("backChannelLogoutURI", "backchannelLogoutUri"),
    ("backChannelLogoutSessionRequired", "backchannelLogoutSessionRequired"),
    ("skipConsent", "hydra.skipConsent"),
    ("skipLogoutConsent", "hydra.skipLogoutConsent"),
    ("accessTokenStrategy", "hydra.accessTokenStrategy"),
];

/// Fields that mean something else here, and where they go.
pub const SPECIAL: [(&str, &str); 8] = [
    ("scope", "scopes"),
    ("scopeArray", "scopes"),
    ("secretName", "credentials.secretName"),
    ("tokenEndpointAuthMethod", "tokenEndpointAuthMethod, clientType"),
    ("tokenLifespans", "hydra.tokenLifespans"),
    ("hydraAdmin", "serverRef"),
    ("deletionPolicy", "deletionPolicy"),
    ("clientSecretExpiresAt", ""),
];
