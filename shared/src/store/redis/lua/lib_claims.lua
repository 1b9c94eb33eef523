-- Who decides about a user: the newest admitted run that claimed it and did not take that back.
--
-- A user's claims are `admission:place`, oldest first, parted by blanks.
-- The run of an admission, and where it stands: live; cancelling: its claims hold where it has carried them out; over:
-- so do its claims, for a cancel has taken the others back.
local function standing(adm)
  local known = standings[adm]
  if known then return known[1], known[2] end
  local id = call('HGET', base .. ':admissions', adm)
  local stands = 'over'
  if id then
    local run = load_run(id)
    if run and run.phase == 'a' then stands = run.cancelled and 'cancelling' or 'live' end
  end
  standings[adm] = { id, stands }
  return id, stands
end

-- Whether a run with a lower number than this is not over: it may yet want to change whom this one has changed. So many at
-- once that they are not all looked at count as one.
local function is_awaited(adm)
  local active = call('ZRANGE', base .. ':active', 0, CHUNK - 1)
  if #active == CHUNK then return true end
  for i = 1, #active do
    local run = load_run(active[i])
    if run and run.adm and run.adm < adm then return true end
  end
  return false
end

-- Takes the claims of these numbers on these users back.
local function drop_claims(users, numbers)
  local kept, back, gone = call('HMGET', base .. ':users', unpack(users)), {}, {}
  for i = 1, #users do
    if kept[i] then
      local others = {}
      for number, place in gmatch(kept[i], '(%d+):(%d+)') do
        if not numbers[number] then others[#others + 1] = number .. ':' .. place end
      end
      if #others == 0 then
        gone[#gone + 1] = users[i]
      else
        back[#back + 1] = users[i]
        back[#back + 1] = concat(others, ' ')
      end
    end
  end
  if #gone > 0 then call('HDEL', base .. ':users', unpack(gone)) end
  if #back > 0 then call('HSET', base .. ':users', unpack(back)) end
end

-- Adds a run's claim to those of a user. What lies below the claim of a run that is over can't decide any more.
local function claim_with(claims, adm, seq)
  local own = adm .. ':' .. seq
  if not claims then return own end
  local all, known = {}, false
  for number, place in gmatch(claims, '(%d+):(%d+)') do
    local claim = { tonumber(number), number .. ':' .. place }
    if claim[1] == adm then
      claim[2] = own
      known = true
    end
    all[#all + 1] = claim
  end
  if not known then all[#all + 1] = { adm, own } end
  sort(all, function(a, b) return a[1] < b[1] end)
  local from = 1
  for i = #all, 1, -1 do
    if all[i][1] ~= adm then
      local _, stands = standing(all[i][1])
      if stands == 'over' then
        from = i
        break
      end
    end
  end
  local kept = {}
  for i = from, #all do kept[#kept + 1] = all[i][2] end
  return concat(kept, ' ')
end

-- Whether the run of that id has carried out its job at that place, rather than that it ends with the run.
local function is_carried_out(id, seq)
  local record = call('HGET', page_key(load_run(id), seq), seq)
  local outcome = record and match(record, '^[^\30]*\30[^\30]*\30(.)')
  return outcome and outcome ~= 'c' and outcome ~= 'e'
end

-- The newest run that outweighs admission `adm` on a user; nil where none does.
local function outweighed(claims, adm)
  local newest
  for number, place in gmatch(claims, '(%d+):(%d+)') do
    number = tonumber(number)
    if number > adm then
      local id, stands = standing(number)
      if id and (stands ~= 'cancelling' or is_carried_out(id, place)) then newest = id end
    end
  end
  return newest
end
