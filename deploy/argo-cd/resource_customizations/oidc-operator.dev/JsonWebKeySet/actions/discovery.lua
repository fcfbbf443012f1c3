local suspended = obj.spec.suspend == true
local actions = {}
actions["refresh"] = { ["disabled"] = suspended }
actions["suspend"] = { ["disabled"] = suspended }
actions["resume"] = { ["disabled"] = not suspended }

-- Imported keys are replaced where they come from.
actions["rotate-keys"] = { ["disabled"] = suspended or obj.spec.generate == nil }

return actions
