-- Leases due jobs of an account.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 worker; 3 leases at most; 4 jobs a lease at most; 5 ttl in ms; 6 run, or ''; 7 '1' where the asker
--          holds nothing else; 8 the asking connection's name; 9 number of this ask, rising; 10 number
--          of the last ask whose reply arrived; 11 '1' for urgent jobs alone; 12 how many leases of a fleet hold one
--          of work that is not urgent while both are due
-- replies  {now, next due where nothing was granted, or '', alone waiting, hold in JSON or '', first token, leases, version of the
--          list of protected users}: the leases' tokens rise by one; all in one text, its parts between LS: for each
--          lease `run FS rank FS number of jobs`, and for each job seq, record, tries or ''
-- keeps    nothing of a run that stood still is leased: it is taken out of order, alones and due until it is resolved again;
--          one lease a user at a time (busy); what is leased stands by its end in leases (lib_jobs.lua); lapsed ones are
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
  if before >= number then return { now, '', 0, '', 0, '', call('HGET', base, 'protections') or 0 } end
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
    local action = sub(record, 1, 1)
    local lease = open[action]
    -- What no lease is left for is not looked at: its turn comes.
    if lease or granted < most then
      local newer = claim and claim ~= adm .. seq and outweighed(claim, run.adm)
      done[i] = true
      if newer then
        conclude(run, seq, record, 'u' .. FS .. newer .. FS .. 'a newer run decides about this user', '', 0, tries[i])
        add(run, 'queued', -1)
      elseif is_busy[i] == 1 or taken[user] then
        call('ZADD', run.key .. ':wait', now + WAIT_FOR_USER, seq)
        offer_due(run, now + WAIT_FOR_USER)
      else
        busy[#busy + 1] = user
        taken[user] = true
        if batch == 1 then
          granted = granted + 1
          runs_of[granted], seqs_of[granted] = run, seq
          local n = #parts
          parts[n + 1], parts[n + 2], parts[n + 3], parts[n + 4] = head, seq, record, tries[i] or ''
        else
          if not lease then
            granted = granted + 1
            lease = { seqs = {}, parts = { '' } }
            runs_of[granted], wide[granted] = run, lease
            open[action] = lease
          end
          local n = #lease.parts
          lease.parts[n + 1], lease.parts[n + 2], lease.parts[n + 3] = seq, record, tries[i] or ''
          lease.seqs[#lease.seqs + 1] = seq
          if #lease.seqs >= batch then open[action] = nil end
        end
      end
    end
  end
  return done
end

-- Whether nothing of the run may be leased; it is not looked at again until it goes on.
local function is_left_out(run)
  local still = stood_still(run)
  if still then withdraw(run) end
  return still
end

-- The next candidates of a run in file order: those that came back and those that were never leased, which are taken off
-- their list. Returns them, and which of them came back.
local function candidates_of(run, skipped, want)
  local ready = run.key .. ':ready'
  local back = call('ZRANGE', run.key .. ':again', skipped, skipped + want - 1)
  if #back == 0 then return call('LPOP', ready, want) or {}, {} end
  local fresh = call('LRANGE', ready, 0, want - 1)
  local seqs, came_back, b, f = {}, {}, 1, 1
  while #seqs < want and (back[b] or fresh[f]) do
    local n = #seqs + 1
    if back[b] and (not fresh[f] or tonumber(back[b]) < tonumber(fresh[f])) then
      seqs[n], came_back[n], b = back[b], true, b + 1
    else
      seqs[n], f = fresh[f], f + 1
    end
  end
  if f > 1 then call('LPOP', ready, f - 1) end
  return seqs, came_back
end

-- Grants jobs of a run, until so many leases in all are granted or it has no more.
local function grant_from(run, most)
  if is_left_out(run) then return end
  local open, left, skipped = {}, {}, 0
  while budget > 0 do
    local want = (most - granted) * batch
    for _, lease in pairs(open) do want = want + batch - #lease.seqs end
    if want > 0 and #left + skipped > 0 then want = max(want, 50) end
    want = min(want, budget)
    if want == 0 then break end
    local seqs, came_back = candidates_of(run, skipped, want)
    if #seqs == 0 then
      if #left + skipped == 0 then call('ZREM', base .. ':order', run.id) end
      break
    end
    budget = budget - #seqs
    local done, gone = go_through(run, seqs, most, open), {}
    for i = 1, #seqs do
      if came_back[i] then
        if done[i] then gone[#gone + 1] = seqs[i] else skipped = skipped + 1 end
      elseif not done[i] then
        left[#left + 1] = seqs[i]
      end
    end
    if #gone > 0 then call('ZREM', run.key .. ':again', unpack(gone)) end
  end
  if budget <= 0 then more = true end
  if #left > 0 then
    local reversed = {}
    for i = #left, 1, -1 do reversed[#reversed + 1] = left[i] end
    call('LPUSH', run.key .. ':ready', unpack(reversed))
  end
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

local hold = call('HMGET', base, 'hold', 'hold_until', 'protections')
if hold[1] and hold[2] ~= '' and tonumber(hold[2]) <= now then hold[1] = false end
local last_rank = urgent_only and 0 or 2

-- What there is to lease, by rank: runs with something ready, and where the asker is idle those with a job that must run
-- alone, each in the order in which they are worked. Of the ready ones the first is certain once it has been asked for.
local classes = { [0] = { ready = {}, alone = {} }, { ready = {}, alone = {} }, { ready = {}, alone = {} } }
local alones = {}

local function find_work()
  alones = call('ZRANGE', base .. ':alones', 0, 99, 'WITHSCORES')
  if idle then
    for i = 1, #alones, 2 do
      local rank = rank_of(alones[i + 1])
      if rank <= last_rank and (only == '' or only == alones[i]) and call('EXISTS', run_key(alones[i]) .. ':alone') == 1
        and not is_left_out(load_run(alones[i])) then
        table_insert(classes[rank].alone, alones[i])
      end
    end
  end
  if only ~= '' then
    local run = load_run(only)
    if workable(run) and run.rank <= last_rank then classes[run.rank].ready = { only } end
    return
  end
  local found = call('ZRANGE', base .. ':order', 0, 49, 'WITHSCORES')
  for i = 1, #found, 2 do
    local rank = rank_of(found[i + 1])
    if rank <= last_rank then table_insert(classes[rank].ready, found[i]) end
  end
  if #found == 100 then
    more = true
    -- There may be more of the others than stand among the first.
    for rank = rank_of(found[100]) + 1, last_rank do
      classes[rank].ready = call('ZRANGEBYSCORE', base .. ':order', place_of(rank), '(' .. place_of(rank + 1), 'LIMIT', 0, 50)
    end
  end
end

-- Whether a rank has something to lease, as far as is known. A run that has nothing ready is forgotten as one that has.
local function waits(rank)
  local class = classes[rank]
  local ids = class.ready
  while ids[1] and ids[1] ~= class.certain do
    if is_left_out(load_run(ids[1])) then
      table_remove(ids, 1)
    elseif call('EXISTS', run_key(ids[1]) .. ':ready', run_key(ids[1]) .. ':again') > 0 then
      class.certain = ids[1]
    else
      call('ZREM', base .. ':order', ids[1])
      table_remove(ids, 1)
    end
  end
  return ids[1] ~= nil or class.alone[1] ~= nil
end

-- How many urgent leases there were since the others' last while both were due, and whose turn it is of normal and bulk.
local since, turn, kept

local function read_share()
  if since then return end
  kept = call('GET', base .. ':share') or '0n'
  since, turn = match(kept, '^(%d+)(%a)$')
  since = tonumber(since)
end

local function count_share(rank, n, contended)
  if n == 0 or (rank == 0 and not contended) then return end
  read_share()
  -- Others that were leased without a contest have had their share as well: the next urgent job does not wait for it.
  since = rank == 0 and since + n or 0
  if rank > 0 and contended then turn = rank == 1 and 'b' or 'n' end
end

-- Gives what was asked for, or what there is: urgent first, but one lease in so many to the others while they are due, too.
-- Who asks idle has emptied its hands for a job that must run alone: it comes before other work of its rank.
local function give()
  local in_a_row = tonumber(ARGV[12]) - 1
  while granted < leases and budget > 0 do
    local urgent, normal, bulk = waits(0), waits(1), waits(2)
    local contended, most = urgent and (normal or bulk), leases
    local rank = urgent and 0 or normal and 1 or bulk and 2
    if not rank then return end
    if contended then
      read_share()
      if since < in_a_row then
        most = min(leases, granted + in_a_row - since)
      else
        rank = bulk and not (normal and turn == 'n') and 2 or 1
        most = granted + 1
      end
    end
    local class, before = classes[rank], granted
    while class.alone[1] do
      if grant_alone(load_run(table_remove(class.alone, 1))) then
        count_share(rank, 1, contended)
        return
      end
    end
    while class.ready[1] and granted < most and budget > 0 do
      grant_from(load_run(class.ready[1]), most)
      if granted < most then table_remove(class.ready, 1) end
    end
    count_share(rank, granted - before, contended)
    if granted > 0 then
      for other = 0, 2 do classes[other].alone = {} end
    end
  end
end

if not hold[1] then
  find_work()
  if leases > 0 and batch > 0 then give() end
  if since and since .. turn ~= kept then call('SET', base .. ':share', format('%d', since) .. turn) end
end

-- What was granted becomes held.
local reply = { now, '', 0, hold[1] or '', 0, '', hold[3] or 0 }
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
    freshen(run)
  end
  reply[5], reply[6] = first, concat(parts, LS)
  call('ZADD', base .. ':leases', unpack(by_end))
  call('SADD', base .. ':busy', unpack(busy))
end
call('SET', ask_key, ARGV[9] .. FS .. ends .. FS .. format('%d', first) .. FS .. format('%d', last), 'PX', 3600000)

-- Jobs that wait to run alone; a run that has none left is forgotten as one that has.
for i = 1, #alones, 2 do
  if (only == '' or only == alones[i]) and not (urgent_only and rank_of(alones[i + 1]) > 0)
    and not is_left_out(load_run(alones[i])) then
    local n = call('ZCARD', run_key(alones[i]) .. ':alone')
    reply[3] = reply[3] + n
    if n == 0 then call('ZREM', base .. ':alones', alones[i]) end
  end
end

save_jobs()
save_runs()
if granted > 0 or hold[1] then return reply end
if more then
  reply[2] = tostring(now)
elseif only ~= '' then
  local run = load_run(only)
  if run and run.rank <= last_rank then reply[2] = call('ZSCORE', base .. ':due', only) or '' end
else
  -- What else comes due than may be given is for another day.
  local due = call('ZRANGE', base .. ':due', 0, urgent_only and 99 or 0, 'WITHSCORES')
  for i = 1, #due, 2 do
    if load_run(due[i]).rank <= last_rank then
      reply[2] = due[i + 1]
      break
    end
  end
end
return reply
