-- Jobs: their records, their ends, the ways back into the queue.
--
-- A record is `request RS resolution RS outcome`, its parts appended as they come to be known (record.rs has the
-- fields). Records lie in pages, so that no key grows without bound. The tries of a job, which few jobs have, are
-- `spent,deaths,maybe,first,last,listed` and the attempts so far, each after an RS. A snoozed attempt is listed, not
-- spent.
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

local function records(run, seqs)
  local found, i = {}, 1
  if #seqs == 1 then
    found[seqs[1]] = call('HGET', page_key(run, seqs[1]), seqs[1])
    return found
  end
  while i <= #seqs do
    local page, part = floor(seqs[i] / PAGE), {}
    while seqs[i] and floor(seqs[i] / PAGE) == page do
      part[#part + 1] = seqs[i]
      i = i + 1
    end
    local got = call('HMGET', page_key(run, part[1]), unpack(part))
    for k = 1, #part do found[part[k]] = got[k] end
  end
  return found
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
  page[#page + 1] = seq
  page[#page + 1] = record
  if #page >= 2 * CHUNK then save_page(key) end
end

local function save_jobs()
  for key in pairs(pages) do save_page(key) end
end

-- What identifies the user to be changed; nil where the resolution is another.
local function user_of(record) return match(record, '^[^\30]*\30C([^\31\30]*)') end

local function is_finished(record) return find(record, '\30[^\30]*\30') ~= nil end

local function tries_head(tries)
  local spent, deaths, maybe, first, last, listed = match(tries, '^(%d+),(%d+),(%d),(%-?%d+),(%-?%d+),(%d+)')
  return tonumber(spent), tonumber(deaths), maybe, tonumber(first), tonumber(last), tonumber(listed)
end

-- Adds an attempt to a job's tries. spent, death: 0 or 1; maybe: '1' where it may have reached the vendor.
local function note(run, seq, tries, entry, spent, death, maybe, began, ended)
  local before, deaths, was, first, last, listed, rest = 0, 0, '0', began, ended, 0, ''
  if tries then
    before, deaths, was, first, last, listed = tries_head(tries)
    rest = match(tries, '^[^\30]*(.*)$')
    if began < first then first = began end
    if ended > last then last = ended end
  end
  if was == '1' then maybe = '1' end
  local head = concat({ before + spent, deaths + death, maybe, first, last, listed + 1 }, ',')
  call('HSET', run.key .. ':tries', seq, head .. rest .. RS .. entry)
end

-- Gives a job its outcome. head: `letter[code FS message]`; attempt: the encoded attempt that ended it, or ''; tries:
-- those before it, or false.
local function conclude(run, seq, record, head, attempt, ended, tries)
  local outcome = head
  if attempt ~= '' then outcome = outcome .. FS .. attempt end
  if tries then
    local _, _, _, first, last, listed = tries_head(tries)
    if attempt ~= '' then
      listed = listed + 1
      if ended > last then last = ended end
    end
    outcome = outcome .. GS .. listed .. ',' .. first .. ',' .. last
  end
  if not find(record, RS, 1, true) then record = record .. RS end
  put(run, seq, record .. RS .. outcome)
  add(run, 'done', 1)
  local letter = head:sub(1, 1)
  run.outcomes[letter] = (run.outcomes[letter] or 0) + 1
end

-- A job that ends as cancelled decides about nobody: its claim on the user is taken back.
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

local CANCELLED = 'c' .. FS .. FS

local function cancel_job(run, seq, record, attempt, ended, tries)
  unclaim(run, record)
  conclude(run, seq, record, CANCELLED, attempt, ended, tries)
end

-- Puts jobs back among those that are ready; those that must run alone apart.
local function requeue(run, seqs)
  if #seqs == 0 then return end
  local tries = call('HMGET', run.key .. ':tries', unpack(seqs))
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

-- A lease as held: expires FS began FS run FS worker FS seqs, a seq with tries followed by a +.
local function held_lease(token)
  local held = call('HGET', base .. ':held', token)
  if not held then return end
  local expires, began, run, worker, seqs = match(held, '^(%d+)\31(%d+)\31([^\31]*)\31([^\31]*)\31(.*)$')
  return tonumber(expires), tonumber(began), run, worker, seqs
end

local function drop_lease(token)
  call('ZREM', base .. ':leases', token)
  call('HDEL', base .. ':held', token)
end

local function free_user(record)
  local user = user_of(record)
  if user then call('SREM', base .. ':busy', user) end
end
