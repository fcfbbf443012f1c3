local suspended = obj.spec.suspend == true
local actions = {}
actions["refresh"] = { ["disabled"] = suspended }
actions["suspend"] = { ["disabled"] = suspended }
actions["resume"] = { ["disabled"] = not suspended }

-- The operator replaces only secrets that it made, and only if the old one stays valid for an overlap or the spec
-- consents to its end.
local rotation = obj.spec.rotation or {}
local generated = obj.status ~= nil and obj.status.rotatedAt ~= nil and obj.spec.clientSecretRef == nil
local may_rotate = generated and (rotation.withoutOverlap == "Allow" or rotation.overlap ~= nil)
actions["rotate-secret"] = { ["disabled"] = suspended or not may_rotate }

return actions
