local suspended = obj.spec.suspend == true
local actions = {}
actions["refresh"] = { ["disabled"] = suspended }
actions["suspend"] = { ["disabled"] = suspended }
actions["resume"] = { ["disabled"] = not suspended }

-- The operator replaces only secrets that it made, and on these servers only with this consent: they reject the old
-- secret at once.
local rotation = obj.spec.rotation or {}
local generated = obj.status ~= nil and obj.status.rotatedAt ~= nil and obj.spec.clientSecretRef == nil
local may_rotate = generated and rotation.withoutOverlap == "Allow"
actions["rotate-secret"] = { ["disabled"] = suspended or not may_rotate }

return actions
