# The rights that the operator needs on a HashiCorp Vault or an OpenBao, and no more. If you use a Vault namespace, write the
# policy in that namespace.
#
#   vault policy write oidc-operator policy.hcl
#
# Bind it to a login that is valid on this server only. For the Kubernetes or the JWT auth method, this is the ServiceAccount
# that the operator's chart creates for logins (oidc-operator-login), with an audience that only this server accepts. The
# operator refuses to use its own ServiceAccount.
#
# To restrict the operator to the objects of some Kubernetes namespaces, put their names and a dot before the last star, for
# example identity/oidc/client/team-a.* : the operator names objects NAMESPACE.NAME, unless an access rule allows a resource to
# choose another name.

# Reading a client shows its secret, which the operator writes to the Secret of the application.
path "identity/oidc/client/*" {
  capabilities = ["create", "read", "update", "delete"]
}

# Once per resyncInterval the operator compares all clients by one list, which shows no secret.
path "identity/oidc/client" {
  capabilities = ["list"]
}

path "identity/oidc/provider/*" {
  capabilities = ["create", "read", "update", "delete"]
}

path "identity/oidc/provider" {
  capabilities = ["list"]
}

# This also covers identity/oidc/key/NAME/rotate, for keys that are rotated on request (annotation oidc-operator.dev/rotate-at).
path "identity/oidc/key/*" {
  capabilities = ["create", "read", "update", "delete"]
}

path "identity/oidc/scope/*" {
  capabilities = ["create", "read", "update", "delete"]
}

path "identity/oidc/assignment/*" {
  capabilities = ["create", "read", "update", "delete"]
}

# Lookups of the names and aliases in an Assignment.
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
