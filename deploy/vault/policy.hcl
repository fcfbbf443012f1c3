# What the operator needs on a HashiCorp Vault or an OpenBao, and no more. Within a Vault namespace, write it there.
#
#   vault policy write oidc-operator policy.hcl
#
# Bind it to a login that is good here alone: for the Kubernetes or the JWT auth method, the ServiceAccount that the operator's chart makes
# for logins (oidc-operator-login), with an audience of its own. The operator's own ServiceAccount is refused.
#
# To hold the operator to the objects of some Kubernetes namespaces, put their names and a dot before the last star, for example
# identity/oidc/client/team-a.* : the operator calls objects NAMESPACE.NAME unless an access rule lets a resource ask for another name.

# Clients: reading one shows its secret, which the operator puts into the Secret of the application.
path "identity/oidc/client/*" {
  capabilities = ["create", "read", "update", "delete"]
}

# Once per resyncInterval all clients are compared by one list, which shows no secret.
path "identity/oidc/client" {
  capabilities = ["list"]
}

path "identity/oidc/provider/*" {
  capabilities = ["create", "read", "update", "delete"]
}

path "identity/oidc/provider" {
  capabilities = ["list"]
}

# This covers identity/oidc/key/NAME/rotate too, for keys that are rotated on request (annotation oidc-operator.dev/rotate-at).
path "identity/oidc/key/*" {
  capabilities = ["create", "read", "update", "delete"]
}

path "identity/oidc/scope/*" {
  capabilities = ["create", "read", "update", "delete"]
}

path "identity/oidc/assignment/*" {
  capabilities = ["create", "read", "update", "delete"]
}

# Who is meant by a name or an alias in an Assignment.
path "identity/entity/name/*" {
  capabilities = ["read"]
}

path "identity/group/name/*" {
  capabilities = ["read"]
}

path "identity/lookup/entity" {
  capabilities = ["update"]
}

path "identity/lookup/group" {
  capabilities = ["update"]
}

path "sys/auth" {
  capabilities = ["read"]
}
