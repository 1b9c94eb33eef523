-- Leases due jobs of an account.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 worker; 3 leases at most; 4 jobs a lease at most; 5 ttl in ms; 6 run, or ''; 7 '1' where the asker
--          holds nothing else; 8 the asking connection's name; 9 number of this ask, rising; 10 number
--          of the last ask whose reply arrived; 11 '1' for urgent jobs alone; 12 how many leases of a fleet hold one
--          of work that is not urgent while both are due
-- replies  {now, next due or '', alone waiting, hold in JSON or '', first token, leases}: their tokens rise by one; all in
--          one text, its parts between LS: for each lease `run FS rank FS number of jobs`, and for each job seq,
--          record, tries or ''
-- keeps    one lease a user at a time (busy); what is leased stands by its end in leases (lib_jobs.lua); lapsed ones are
--          reclaimed before anything is granted; an ask that arrives after a later one grants nothing, and what
--          a lost reply granted is taken back as if it had never been: nobody was told of it
-- bounded  by 500 jobs granted, 500 looked at, 500 reclaimed, 500 come due
local worker, leases, batch, ttl = ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local only, idle, urgent_only = ARGV[6], ARGV[7] == '1', ARGV[11] == '1'

-- An ask is known by its number: a late one grants nothing. Where the last one carried out is later than the last one
-- answered, its reply was lost, and what it granted is taken back.
local ask_key, number = base .. ':ask:' .. ARGV[8], tonumber(ARGV[9])
local asked = call('GET', ask_key)
if asked then
  local before, ends, first, last = match(asked, '^(%d+)\31(%d+)\31(%d+)\31(%d+)$')
  before, first, last = tonumber(before), tonumber(first), tonumber(last)
  if before >= number then return { now, '', 0, '', 0, '' } end
  if before > tonumber(ARGV[10]) and first <= last and tonumber(ends) > now then
    local gone, users = {}, {}
    local held = call('ZRANGEBYSCORE', base .. ':leases', ends, ends)
    for i = 1, #held do
      local run, seqs, token = cut_lease(held[i])
      if token >= first and token <= last then
        gone[#gone + 1] = held[i]
        local found, tries, back = records(run, seqs), tries_of(run, seqs), {}
        for k = 1, #seqs do
          users[#users + 1] = user_of(found[k])
          if run.cancelled then
            cancel_job(run, seqs[k], found[k], '', 0, tries[k])
          else
            back[#back + 1] = seqs[k]
          end
        end
        requeue(run, back)
        add(run, 'leased', -#seqs)
        add(run, 'queued', #back)
      end
    end
    end_leases(gone, users)
  end
end

-- Lapsed leases: each job's attempt is recorded as lost.
local budget = CHUNK
local lapsed = call('ZRANGEBYSCORE', base .. ':leases', '-inf', now, 'WITHSCORES', 'LIMIT', 0, 100)
local gone, users = {}, {}
for i = 1, #lapsed, 2 do
  if budget <= 0 then break end
  local run, list, _, began, holder = cut_lease(lapsed[i])
  local expires, back = tonumber(lapsed[i + 1]), {}
  gone[#gone + 1] = lapsed[i]
  budget = budget - #list
  local found, tries = records(run, list), tries_of(run, list)
  local entry = format('%d', began) .. FS .. format('%d', expires - began) .. FS .. '0' .. FS .. FS .. 'L' .. FS .. FS
    .. holder
  for k = 1, #list do
    local seq, record = list[k], found[k]
    users[#users + 1] = user_of(record)
    if run.cancelled then
      cancel_job(run, seq, record, entry, expires, tries[k])
    else
      note(run, seq, tries[k], entry, 1, 1, '1', began, expires)
      back[#back + 1] = seq
    end
  end
  requeue(run, back)
  add(run, 'leased', -#list)
  add(run, 'queued', #back)
  add(run, 'attempts', #list)
  add(run, 'lost', #list)
  stretch(run, began, expires)
end
end_leases(gone, users)

-- Waiting jobs that have come due are ready.
budget = CHUNK
local due = call('ZRANGEBYSCORE', base .. ':due', '-inf', now, 'LIMIT', 0, 50)
for i = 1, #due do
  if budget <= 0 then break end
  local run = load_run(due[i])
  local seqs = call('ZRANGEBYSCORE', run.key .. ':wait', '-inf', now, 'LIMIT', 0, budget)
  budget = budget - #seqs
  if #seqs > 0 then
    call('ZREM', run.key .. ':wait', unpack(seqs))
    requeue(run, seqs)
  end
  local first = call('ZRANGE', run.key .. ':wait', 0, 0, 'WITHSCORES')
  if first[2] then call('ZADD', base .. ':due', first[2], run.id) else call('ZREM', base .. ':due', run.id) end
end

-- What is granted, by lease: its run, its seqs parted by commas; and the reply's parts. Leases of several jobs are
-- gathered first, for they fill side by side.
local granted, runs_of, seqs_of, wide = 0, {}, {}, {}
local parts, busy = {}, {}
local taken = {}   -- users taken by this ask
budget = CHUNK     -- of jobs looked at, which bounds those granted too
local more = false -- whether something ready was left for want of budget

-- Goes through candidates of a run in order; returns which are done with (leased, ended, or put to wait), by index.
-- open: the run's leases that have room left, by action.
local function go_through(run, seqs, most, open)
  local found, tries = records(run, seqs), tries_of(run, seqs)
  local users = {}
  for i = 1, #seqs do users[i] = user_of(found[i]) or '' end
  local claims = call('HMGET', base .. ':users', unpack(users))
  local is_busy = call('SMISMEMBER', base .. ':busy', unpack(users))
  local adm, head = run.adm .. ':', run.id .. FS .. run.rank .. FS .. 1
  local done = {}
  for i = 1, #seqs do
    local seq, record, user, claim = seqs[i], found[i], users[i], claims[i]
    local newer = claim and claim ~= adm .. seq and outweighed(claim, run.adm)
    if newer then
      conclude(run, seq, record, 'u' .. FS .. newer .. FS, '', 0, tries[i])
      add(run, 'queued', -1)
      done[i] = true
    elseif is_busy[i] == 1 or taken[user] then
      call('ZADD', run.key .. ':wait', now + WAIT_FOR_USER, seq)
      offer_due(run, now + WAIT_FOR_USER)
      done[i] = true
    elseif batch == 1 then
      if granted == most then break end
      granted = granted + 1
      runs_of[granted], seqs_of[granted] = run, seq
      local n = #parts
      parts[n + 1], parts[n + 2], parts[n + 3], parts[n + 4] = head, seq, record, tries[i] or ''
      busy[#busy + 1] = user
      taken[user] = true
      done[i] = true
    else
      local action = sub(record, 1, 1)
      local lease = open[action]
      if not lease and granted < most then
        granted = granted + 1
        lease = { seqs = {}, parts = { '' } }
        runs_of[granted], wide[granted] = run, lease
        open[action] = lease
      end
      if lease then
        local n = #lease.parts
        lease.parts[n + 1], lease.parts[n + 2], lease.parts[n + 3] = seq, record, tries[i] or ''
        lease.seqs[#lease.seqs + 1] = seq
        busy[#busy + 1] = user
        taken[user] = true
        if #lease.seqs >= batch then open[action] = nil end
        done[i] = true
      end
    end
  end
  return done
end

local function grant_from(run, most)
  local open = {}
  while budget > 0 do
    local want = (most - granted) * batch
    for _, lease in pairs(open) do want = want + batch - #lease.seqs end
    want = min(want, budget)
    if want == 0 then return end
    local seqs = call('ZRANGE', run.key .. ':again', 0, want - 1)
    local back = #seqs
    if back < want then
      local fresh = call('LRANGE', run.key .. ':ready', 0, want - back - 1)
      for i = 1, #fresh do seqs[back + i] = fresh[i] end
    end
    if #seqs == 0 then
      call('ZREM', base .. ':order', run.id)
      return
    end
    budget = budget - #seqs
    local done, gone, left = go_through(run, seqs, most, open), {}, {}
    for i = 1, back do
      if done[i] then gone[#gone + 1] = seqs[i] end
    end
    if #gone > 0 then call('ZREM', run.key .. ':again', unpack(gone)) end
    local progress = #gone > 0
    if #seqs > back then
      call('LPOP', run.key .. ':ready', #seqs - back)
      for i = #seqs, back + 1, -1 do
        if done[i] then progress = true else left[#left + 1] = seqs[i] end
      end
      if #left > 0 then call('LPUSH', run.key .. ':ready', unpack(left)) end
    end
    if not progress then return end
  end
  more = true
end

-- A job that must run alone: the only thing given. true where one was.
local function grant_alone(run)
  local seqs = call('ZRANGE', run.key .. ':alone', 0, 9)
  for i = 1, #seqs do
    local done = go_through(run, { seqs[i] }, 1, {})
    if done[1] then call('ZREM', run.key .. ':alone', seqs[i]) end
    if granted > 0 then return true end
  end
  return false
end

local hold = call('HMGET', base, 'hold', 'hold_until')
if hold[1] and hold[2] ~= '' and tonumber(hold[2]) <= now then hold[1] = false end

-- Whether the run has something ready; one that has not is forgotten as one that has.
local function has_ready(id)
  if call('EXISTS', run_key(id) .. ':ready', run_key(id) .. ':again') > 0 then return true end
  call('ZREM', base .. ':order', id)
  return false
end

-- The runs of a rank with something ready, the first of them for certain.
local function ready_of(rank)
  local ids = call('ZRANGEBYSCORE', base .. ':order', place_of(rank), '(' .. place_of(rank + 1), 'LIMIT', 0, 50)
  while ids[1] and not has_ready(ids[1]) do table_remove(ids, 1) end
  return ids
end

local function grant_in_turn(ids, most)
  for i = 1, #ids do
    if granted >= most or budget <= 0 then return end
    grant_from(load_run(ids[i]), most)
  end
end

-- Urgent and other work are both due: one lease in so many is the others', normal and bulk in turn. `share` keeps how
-- many urgent ones there were since the others' last, and whose turn it is.
local function grant_shared(urgent, theirs)
  local last = tonumber(ARGV[12]) - 1
  local since, turn = match(call('GET', base .. ':share') or '0n', '^(%d+)(%a)$')
  since = tonumber(since)
  local nobody = false -- where none of the others' may be leased there is nobody to share with
  while granted < leases and budget > 0 do
    local before = granted
    if since >= last and not nobody then
      local other = turn == 'n' and 'b' or 'n'
      grant_in_turn(theirs[turn], before + 1)
      if granted > before then turn = other else grant_in_turn(theirs[other], before + 1) end
      if granted > before then since = 0 else nobody = true end
    else
      grant_in_turn(urgent, nobody and leases or min(leases, before + last - since))
      if granted == before then break end
      since = min(last, since + granted - before)
    end
  end
  call('SET', base .. ':share', format('%d', since) .. turn)
end

local alones = call('ZRANGE', base .. ':alones', 0, 99, 'WITHSCORES')
if not hold[1] and leases > 0 and batch > 0 then
  local candidates
  if only ~= '' then
    local run = load_run(only)
    local wanted = workable(run) and not (urgent_only and run.rank > 0)
    candidates = wanted and { only, place(run) } or {}
  elseif urgent_only then
    candidates = call('ZRANGEBYSCORE', base .. ':order', '-inf', '(' .. place_of(1), 'WITHSCORES', 'LIMIT', 0, 50)
  else
    candidates = call('ZRANGE', base .. ':order', 0, 49, 'WITHSCORES')
  end
  local given
  -- Who asks idle has emptied its hands for it: it comes before other work of its priority, whichever run is older.
  if idle then
    for i = 1, #alones, 2 do
      local rank = rank_of(alones[i + 1])
      if (only == '' or only == alones[i]) and not (urgent_only and rank > 0)
        and (not candidates[2] or rank <= rank_of(candidates[2])) then
        given = grant_alone(load_run(alones[i]))
        if given then break end
      end
    end
  end
  if not given then
    if only == '' and not urgent_only and candidates[2] and rank_of(candidates[2]) == 0 then
      local urgent, theirs = ready_of(0), { n = ready_of(1), b = ready_of(2) }
      if urgent[1] and (theirs.n[1] or theirs.b[1]) then grant_shared(urgent, theirs) end
    end
    for i = 1, #candidates, 2 do
      if granted >= leases or budget <= 0 then break end
      grant_from(load_run(candidates[i]), leases)
    end
    if only == '' and granted == 0 and #candidates == 100 then more = true end
  end
end

-- What was granted becomes held.
local reply = { now, '', 0, hold[1] or '', 0, '' }
local ends = format('%d', now + ttl)
local first, last = 1, 0
if granted > 0 then
  last = call('HINCRBY', base, 'token', granted)
  first = last - granted + 1
  -- A first member of more than 64 characters makes the server keep the set as a skip list from the start: in a list
  -- pack each addition would read every score before it.
  local by_end, terms = { 'inf', ('-'):rep(65) }, FS .. format('%d', now) .. FS .. worker
  for i = 1, granted do
    local run, seqs, lease, n = runs_of[i], seqs_of[i], wide[i], 1
    if lease then
      n, seqs = #lease.seqs, concat(lease.seqs, ',')
      lease.parts[1] = run.id .. FS .. run.rank .. FS .. n
      parts[#parts + 1] = concat(lease.parts, LS)
    end
    by_end[2 * i + 1] = ends
    by_end[2 * i + 2] = run.id .. FS .. seqs .. FS .. format('%d', first + i - 1) .. terms
    run.queued = run.queued - n
    run.leased = run.leased + n
    run.changed = true
  end
  reply[5], reply[6] = first, concat(parts, LS)
  call('ZADD', base .. ':leases', unpack(by_end))
  call('SADD', base .. ':busy', unpack(busy))
end
call('SET', ask_key, ARGV[9] .. FS .. ends .. FS .. format('%d', first) .. FS .. format('%d', last), 'PX', 3600000)

-- Jobs that wait to run alone; a run that has none left is forgotten as one that has.
for i = 1, #alones, 2 do
  if (only == '' or only == alones[i]) and not (urgent_only and rank_of(alones[i + 1]) > 0) then
    local n = call('ZCARD', run_key(alones[i]) .. ':alone')
    reply[3] = reply[3] + n
    if n == 0 then call('ZREM', base .. ':alones', alones[i]) end
  end
end

save_jobs()
save_runs()
if more then
  reply[2] = tostring(now)
elseif urgent_only then
  -- What else comes due is for another day.
  local due = call('ZRANGE', base .. ':due', 0, 99, 'WITHSCORES')
  for i = 1, #due, 2 do
    if load_run(due[i]).rank == 0 then
      reply[2] = due[i + 1]
      break
    end
  end
else
  local first = call('ZRANGE', base .. ':due', 0, 0, 'WITHSCORES')
  if first[2] then reply[2] = first[2] end
end
return reply
