-- Who decides about a user: the newest admitted run that claimed it.
local standings = {}

-- The run of an admission, and where it stands: live, cancelling (its jobs are being cancelled one by one, so whether
-- its claim holds is not yet known), or over.
local function standing(adm)
  local known = standings[adm]
  if known then return known[1], known[2] end
  local id = call('HGET', base .. ':admissions', adm)
  local stands = 'over'
  if id then
    local v = call('HMGET', run_key(id), 'phase', 'cancelled')
    if v[1] == 'a' then stands = v[2] == '1' and 'cancelling' or 'live' end
  end
  standings[adm] = { id, stands }
  return id, stands
end

-- Adds an admission to a user's claims, oldest first.
local function claim_with(claims, adm)
  if not claims then return tostring(adm) end
  local all, known = {}, false
  for claim in gmatch(claims, '%d+') do
    all[#all + 1] = tonumber(claim)
    if tonumber(claim) == adm then known = true end
  end
  if not known then all[#all + 1] = adm end
  table.sort(all)
  local from = 1
  for i = #all, 1, -1 do
    if all[i] ~= adm then
      local _, stands = standing(all[i])
      if stands == 'over' then
        from = i
        break
      end
    end
  end
  return table.concat(all, ' ', from)
end

-- Whether a newer run than `adm` decides: the id of that run; or true where it is not yet known; or nil.
local function outweighed(claims, adm)
  if not claims or claims == tostring(adm) then return nil end
  local newest, wait
  for claim in gmatch(claims, '%d+') do
    local number = tonumber(claim)
    if number > adm then
      local id, stands = standing(number)
      if stands == 'cancelling' then wait = true else newest = id or newest end
    end
  end
  return newest or wait
end
