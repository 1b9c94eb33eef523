-- Jobs: their records, their ends, the ways back into the queue.
--
-- A record is `request RS resolution RS outcome`, its parts appended as they come to be known (record.rs has the
-- fields). Records lie in pages, so that no key grows without bound. The tries of a job, which few jobs have, are
-- `spent,deaths,maybe,first,last,listed` and the attempts so far, each after an RS. A snoozed attempt is listed, not
-- spent; a retry without an attempt is spent, not listed (first and last are 0 while none is listed).
-- Invariant: a job that is neither pending, leased nor finished stands in exactly one of its run's ready (list, file
-- order), again (came back, by place), alone (must run alone) and wait (by due time).
local PAGE = 4096
local WAIT_FOR_USER = 200 -- ms that a job waits for the job in flight on its user
local ALONE_FROM = 2      -- deaths

local function page_key(run, seq)
  local page = floor(seq / PAGE)
  local key = run.pages[page]
  if not key then
    key = run.key .. ':jobs:' .. page
    run.pages[page] = key
  end
  return key
end

-- The records at these places, in their order.
local function records(run, seqs)
  local n = #seqs
  if n == 0 then return {} end
  local page, whole = floor(seqs[1] / PAGE), true
  for i = 2, n do
    if floor(seqs[i] / PAGE) ~= page then
      whole = false
      break
    end
  end
  if whole then return call('HMGET', page_key(run, seqs[1]), unpack(seqs)) end
  local found, parts, places = {}, {}, {}
  for i = 1, n do
    local key = page_key(run, seqs[i])
    local part = parts[key]
    if not part then
      part = {}
      parts[key], places[key] = part, {}
    end
    part[#part + 1] = seqs[i]
    places[key][#part] = i
  end
  for key, part in pairs(parts) do
    local got = call('HMGET', key, unpack(part))
    for k = 1, #part do found[places[key][k]] = got[k] end
  end
  return found
end

-- The tries of jobs, in their order. Most runs have none at all, which is asked once.
local function tries_of(run, seqs)
  if run.tried == nil then run.tried = call('EXISTS', run.key .. ':tries') == 1 end
  if not run.tried or #seqs == 0 then return {} end
  return call('HMGET', run.key .. ':tries', unpack(seqs))
end

local function save_page(key)
  call('HSET', key, unpack(pages[key]))
  pages[key] = nil
end

local function put(run, seq, record)
  local key = page_key(run, seq)
  local page = pages[key]
  if not page then
    page = {}
    pages[key] = page
  end
  local n = #page
  page[n + 1], page[n + 2] = seq, record
  if n + 2 >= 2 * CHUNK then save_page(key) end
end

local function save_jobs()
  for key in pairs(pages) do save_page(key) end
end

-- What identifies the user to be changed; nil where the resolution is another.
local function user_of(record)
  local at = find(record, RS, 1, true)
  return at and match(record, '^C([^\31\30]*)', at + 1)
end

local function is_finished(record) return find(record, '\30[^\30]*\30') ~= nil end

local function tries_head(tries)
  local spent, deaths, maybe, first, last, listed = match(tries, '^(%d+),(%d+),(%d),(%-?%d+),(%-?%d+),(%d+)')
  return tonumber(spent), tonumber(deaths), maybe, tonumber(first), tonumber(last), tonumber(listed)
end

-- Adds an attempt to a job's tries, where there is one (entry). spent, death: 0 or 1; maybe: '1' where it may have reached
-- the vendor.
local function note(run, seq, tries, entry, spent, death, maybe, began, ended)
  local before, deaths, was, first, last, listed, rest = 0, 0, '0', 0, 0, 0, ''
  if tries then
    before, deaths, was, first, last, listed = tries_head(tries)
    rest = match(tries, '^[^\30]*(.*)$')
  end
  if entry then
    if listed == 0 then first = began end
    last, listed, rest = ended, listed + 1, rest .. RS .. entry
  end
  if was == '1' then maybe = '1' end
  local head = concat({ before + spent, deaths + death, maybe, first, last, listed }, ',')
  call('HSET', run.key .. ':tries', seq, head .. rest)
  run.tried = true
end

-- Gives a job its outcome, written as it stands in the record: `letter FS code FS message`, and the attempt that ended
-- it where there was one (attempted). tries: those before it, or false.
local function end_job(run, seq, record, outcome, attempted, ended, tries)
  local letter = sub(outcome, 1, 1)
  if tries then
    local _, _, _, first, last, listed = tries_head(tries)
    if listed > 0 then
      if attempted then listed, last = listed + 1, ended end
      outcome = outcome .. GS .. listed .. ',' .. first .. ',' .. last
    end
  end
  put(run, seq, record .. RS .. outcome)
  run.done = run.done + 1
  run.changed = true
  run.outcomes[letter] = (run.outcomes[letter] or 0) + 1
end

-- The same, of a job that may have no resolution. head: without the attempt; attempt: the encoded one, or ''.
local function conclude(run, seq, record, head, attempt, ended, tries)
  if not find(record, RS, 1, true) then record = record .. RS end
  local attempted = attempt ~= ''
  end_job(run, seq, record, attempted and head .. FS .. attempt or head, attempted, ended, tries)
end

-- A job that is not carried out because its run ends decides about nobody: its claim on the user is taken back.
local function unclaim(run, record)
  local user = user_of(record)
  if not user or not run.adm then return end
  local claims = call('HGET', base .. ':users', user)
  if not claims then return end
  local kept = {}
  for number, place in gmatch(claims, '(%d+):(%d+)') do
    if tonumber(number) ~= run.adm then kept[#kept + 1] = number .. ':' .. place end
  end
  if #kept == 0 then
    call('HDEL', base .. ':users', user)
  else
    call('HSET', base .. ':users', user, concat(kept, ' '))
  end
end

-- What the jobs of a run that is being ended get: `letter FS code FS message`, as whoever ended it first said. A run that was
-- cancelled by a usher of an older format has no such field.
local CANCELLED = 'c' .. FS .. FS .. 'the run was cancelled before this user was done'

local function ending_of(run)
  if not run.ending then run.ending = call('HGET', run.key, 'ending') or CANCELLED end
  return run.ending
end

local function cancel_job(run, seq, record, attempt, ended, tries)
  unclaim(run, record)
  conclude(run, seq, record, ending_of(run), attempt, ended, tries)
end

-- The next pending jobs in file order, their records, and the first place not gone through. Duplicates and gaps are passed
-- over, and what is finished in a run of which other jobs are tried again; no more than CHUNK places are gone through.
local function next_pending(run, most)
  local seqs, found, at = {}, {}, run.cursor
  local bound = min(run.next, at + CHUNK)
  while #seqs < most and at < bound do
    local part, last = {}, min(bound, at + most - #seqs)
    for seq = at, last - 1 do part[#part + 1] = tostring(seq) end
    local got = records(run, part)
    for i = 1, #part do
      if got[i] and not find(got[i], '^[^\30]*\30D') and not is_finished(got[i]) then
        local n = #seqs + 1
        seqs[n], found[n] = part[i], got[i]
      end
    end
    at = last
  end
  return seqs, found, at
end

-- Puts jobs back among those that are ready; those that must run alone apart.
local function requeue(run, seqs)
  if #seqs == 0 then return end
  local tries = tries_of(run, seqs)
  local again, alone = {}, {}
  for i = 1, #seqs do
    local to = again
    if tries[i] then
      local _, deaths = tries_head(tries[i])
      if deaths >= ALONE_FROM then to = alone end
    end
    to[#to + 1] = seqs[i]
    to[#to + 1] = seqs[i]
  end
  if #again > 0 then
    call('ZADD', run.key .. ':again', unpack(again))
    offer(run)
  end
  if #alone > 0 then
    call('ZADD', run.key .. ':alone', unpack(alone))
    offer_alone(run)
  end
end

-- A lease stands in leases, by its end, as `run FS seqs FS token FS began FS worker`, the seqs parted by commas. Its holder
-- names it by just that.
local function cut_lease(member)
  local id, seqs, token, began, worker = match(member, '^([^\31]*)\31([^\31]*)\31(%d+)\31(%d+)\31(.*)$')
  local list = {}
  for seq in gmatch(seqs, '%d+') do list[#list + 1] = seq end
  return load_run(id), list, tonumber(token), tonumber(began), worker
end

-- Ends leases, and frees the users of their jobs.
local function end_leases(members, users)
  if #members == 0 then return end
  call('ZREM', base .. ':leases', unpack(members))
  call('SREM', base .. ':busy', unpack(users))
end
