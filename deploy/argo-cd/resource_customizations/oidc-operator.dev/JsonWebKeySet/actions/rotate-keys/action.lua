local os = require("os")
obj.metadata.annotations = obj.metadata.annotations or {}
obj.metadata.annotations["oidc-operator.dev/rotate-at"] = os.date("!%Y-%m-%dT%H:%M:%SZ")
return obj
