-- How Argo CD judges an InferenceService or an InferenceCluster: by the conditions that kstatus reads, so that both
-- always agree. What waits for a person is Suspended, as with Argo Rollouts. It needs none of Argo CD's open libraries.

local function waits_for_a_person(status, reason)
  if reason == "RolloutPaused" then
    return true
  end
  local gates = obj.spec ~= nil and obj.spec.rollout ~= nil and obj.spec.rollout.gates
  if reason ~= "GateWaits" or not gates or status.rollout == nil then
    return false
  end
  for _, told in ipairs(status.rollout.gates or {}) do
    for _, gate in ipairs(gates) do
      if gate.name == told.name and gate.manual and told.verdict == "Waiting" then
        return true
      end
    end
  end
  return false
end

local function health()
  local status = obj.status or {}
  if obj.metadata.deletionTimestamp ~= nil then
    return "Progressing", "it is being deleted"
  end
  if status.observedGeneration == nil or status.observedGeneration ~= obj.metadata.generation then
    return "Progressing", "the operator has not acted on this generation yet"
  end
  local by_type = {}
  for _, condition in ipairs(status.conditions or {}) do
    by_type[condition.type] = condition
  end
  local ready, stalled = by_type.Ready, by_type.Stalled
  if ready == nil then
    return "Progressing", "the operator has not told yet whether it is ready"
  end
  if stalled ~= nil and stalled.status == "True" then
    return "Degraded", stalled.reason .. ": " .. (stalled.message or "")
  end
  local told = ready.reason .. ": " .. (ready.message or "")
  if ready.status == "True" then
    return "Healthy", told
  end
  if waits_for_a_person(status, ready.reason) then
    return "Suspended", told
  end
  return "Progressing", told
end

local verdict, message = health()
return {status = verdict, message = message}
