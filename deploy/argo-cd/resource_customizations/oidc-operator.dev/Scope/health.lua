-- The kinds of oidc-operator.dev follow kstatus: Stalled and Reconciling exist only while they are True, and
-- observedGeneration moves on with every attempt.
local status = obj.status or {}
local ready, stalled, suspended = {}, nil, nil
local notes = ""
for _, condition in ipairs(status.conditions or {}) do
  if condition.type == "Ready" then
    ready = condition
  elseif condition.type == "Stalled" then
    stalled = condition
  elseif condition.type == "Suspended" then
    suspended = condition
  elseif condition.type ~= "Synced" and condition.type ~= "Reconciling" then
    notes = notes .. " " .. condition.message -- what does not work although the resource is ready
  end
end

if obj.metadata.deletionTimestamp ~= nil then
  local reason = "Waiting for the operator to clean up on the server."
  if ready.status == "False" then
    reason = ready.message
  end
  return { status = "Progressing", message = reason }
end
if status.observedGeneration ~= obj.metadata.generation then
  return { status = "Progressing", message = "Waiting for the operator to process this generation." }
end
if stalled ~= nil then
  return { status = "Degraded", message = stalled.message }
end
if suspended ~= nil then
  return { status = "Suspended", message = suspended.message }
end
if ready.status == "True" then
  return { status = "Healthy", message = ready.message .. notes }
end
return { status = "Progressing", message = ready.message or "Waiting for the operator." }
