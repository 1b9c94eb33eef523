#!lua name=usher_f81c9e92
-- What every function begins with: the account's prefix and the time.
--
-- KEYS[1]  usher:{account}: the account's own hash (token, admission, hold, hold_until) and the prefix of all its
--          other keys, so that all of them carry the same hash tag
-- ARGV[1]  now in ms, or '' in production: then the server's own TIME
--
-- All this is loaded once, as one library. What belongs to a call (KEYS, ARGV, base, now, and the libraries' own runs,
-- pages, standings) is set anew by `enter`, so that nothing is left of a call before, failed ones included.
-- What the server provides: not there yet while the library loads, so taken at the first call.
local call, floor, format, max, min, match, find, gmatch, sub, concat, sort, table_remove
local tonumber, tostring, pairs, ipairs, next, unpack, pack_struct, unpack_struct
local function take_what_there_is()
  call, floor, max, min = redis.call, math.floor, math.max, math.min
  format, match, find, gmatch, sub = string.format, string.match, string.find, string.gmatch, string.sub
  concat, sort, table_remove = table.concat, table.sort, table.remove
  pack_struct, unpack_struct = struct.pack, struct.unpack
  tonumber, tostring, pairs, ipairs, next, unpack = _G.tonumber, _G.tostring, _G.pairs, _G.ipairs, _G.next, _G.unpack
end

local KEYS, ARGV, base, now
local runs, pages, standings
-- Between fields, between a record's parts, before what scripts add to an outcome, between the parts of a lease's reply.
local FS, RS, GS, LS = '\31', '\30', '\29', '\28'

-- Refusals, as reply.rs reads them.
local LAPSED, NO_RUN, WRONG_PHASE, TAKEN, INCOMPLETE, CONFLICT, NO_JOB = -1, -2, -3, -4, -5, -6, -7

-- The chunk that keeps every step within a few milliseconds.
local CHUNK = 500

local function run_key(id) return base .. ':run:' .. id end
local function wake() call('PUBLISH', base .. ':wake', '') end

-- Makes a body the function of that name.
local function define(name, flags, body)
  redis.register_function({
    function_name = name,
    flags = flags,
    callback = function(keys, args)
      if not call then take_what_there_is() end
      KEYS, ARGV, base = keys, args, keys[1]
      now = tonumber(args[1])
      if not now then
        local time = call('TIME')
        now = time[1] * 1000 + floor(time[2] / 1000)
      end
      runs, pages, standings = {}, {}, {}
      return body()
    end,
  })
end
-- A run's state, read once a call and written once at its end: one packed field, because reading and writing a field for
-- each number costs several times what all else does. state.rs reads the same layout.
--
-- Invariant: pending + queued + leased + done == total, and the counts by outcome sum to done.
local STATE = '<c1BBBI4I4I4I4I4I4I4I4I4I4I4I4I4I4I4I4I8I8I8I8'
local OUTCOMES = '<I4I4I4I4I4I4I4I4I4I4I4I4'
local LETTERS = 'ayrnpdusxeck' -- the outcomes in the order of their counts
local NO_OUTCOMES = ('\0'):rep(48)

local function load_run(id)
  local run = runs[id]
  if run ~= nil then return run end
  local key = run_key(id)
  local packed = call('HGET', key, 'state')
  if not packed then
    runs[id] = false
    return false
  end
  run = { id = id, key = key, pages = {}, outcomes = {} }
  local paused, cancelled, rest
  run.phase, run.rank, paused, cancelled, run.adm, run.total, run.next, run.appended, run.cursor, run.pending,
    run.queued, run.leased, run.done, run.dups, run.unresolved, run.attempts, run.calls, run.throttled, run.retries,
    run.lost, run.first, run.last, run.sealed, run.ended, rest = unpack_struct(STATE, packed)
  run.paused, run.cancelled = paused == 1, cancelled == 1
  run.counts = packed:sub(rest)
  if run.adm == 0 then run.adm = nil end
  runs[id] = run
  return run
end

-- A run that is just being opened.
local function new_run(id, rank)
  local run = {
    id = id, key = run_key(id), pages = {}, outcomes = {}, counts = NO_OUTCOMES, changed = true,
    phase = 'o', rank = rank, paused = false, cancelled = false,
  }
  for _, field in ipairs({ 'total', 'next', 'appended', 'cursor', 'pending', 'queued', 'leased', 'done', 'dups',
    'unresolved', 'attempts', 'calls', 'throttled', 'retries', 'lost', 'first', 'last', 'sealed', 'ended' }) do
    run[field] = 0
  end
  runs[id] = run
  return run
end

local function set(run, field, value)
  run[field] = value
  run.changed = true
end

local function add(run, field, n)
  if n ~= 0 then set(run, field, run[field] + n) end
end

-- Attempts of this run began and ended at these moments; 0 stands for none yet.
local function stretch(run, began, ended)
  if run.first == 0 or began < run.first then set(run, 'first', began) end
  if ended > run.last then set(run, 'last', ended) end
end

-- The place among the account's runs: urgent before normal before bulk, older first; those not admitted come last.
local RANK = 281474976710656
local function place(run)
  if run.adm then return run.rank * RANK + run.adm end
  return 3 * RANK + run.sealed
end

-- Where a rank begins.
local function place_of(rank) return format('%d', rank * RANK) end

local function rank_of(score) return floor(score / RANK) end

local function workable(run) return run and run.phase == 'a' and not run.paused and not run.cancelled end

-- The run has ready jobs: lets `lease` find them.
local function offer(run)
  if workable(run) then call('ZADD', base .. ':order', place(run), run.id) end
end

-- The run has jobs that must run alone.
local function offer_alone(run)
  if workable(run) then call('ZADD', base .. ':alones', place(run), run.id) end
end

-- The run has a job that waits until then.
local function offer_due(run, at)
  if workable(run) then call('ZADD', base .. ':due', 'LT', at, run.id) end
end

-- Nothing more is leased of the run.
local function withdraw(run)
  call('ZREM', base .. ':order', run.id)
  call('ZREM', base .. ':alones', run.id)
  call('ZREM', base .. ':due', run.id)
end

-- Adds to the counts by outcome.
local function count_outcomes(run)
  local counts = { unpack_struct(OUTCOMES, run.counts) }
  for letter, n in pairs(run.outcomes) do
    local at = find(LETTERS, letter, 1, true)
    counts[at] = counts[at] + n
  end
  run.counts = pack_struct(OUTCOMES, unpack(counts, 1, 12))
end

-- Writes what changed; a run whose every job has its outcome is over from here on.
local function save_runs()
  for id, run in pairs(runs) do
    if run then
      if run.done == run.total and (run.phase == 'a' or (run.cancelled and (run.phase == 's' or run.phase == 'r'))) then
        set(run, 'phase', run.cancelled and 'c' or 'f')
        run.ended = now
        call('ZREM', base .. ':active', id)
        withdraw(run)
      end
      if run.changed then
        if next(run.outcomes) then count_outcomes(run) end
        call('HSET', run.key, 'state', pack_struct(STATE, run.phase, run.rank, run.paused and 1 or 0,
          run.cancelled and 1 or 0, run.adm or 0, run.total, run.next, run.appended, run.cursor, run.pending, run.queued,
          run.leased, run.done, run.dups, run.unresolved, run.attempts, run.calls, run.throttled, run.retries, run.lost,
          run.first, run.last, run.sealed, run.ended) .. run.counts)
      end
    end
  end
end
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
  run.tried = true
end

-- Gives a job its outcome, written as it stands in the record: `letter FS code FS message`, and the attempt that ended
-- it where there was one (attempted). tries: those before it, or false.
local function end_job(run, seq, record, outcome, attempted, ended, tries)
  local letter = sub(outcome, 1, 1)
  if tries then
    local _, _, _, first, last, listed = tries_head(tries)
    if attempted then
      listed = listed + 1
      if ended > last then last = ended end
    end
    outcome = outcome .. GS .. listed .. ',' .. first .. ',' .. last
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

-- Whether the run of that id has carried out its job at that place, rather than that it will end as cancelled.
local function is_carried_out(id, seq)
  local record = call('HGET', page_key(load_run(id), seq), seq)
  local outcome = record and match(record, '^[^\30]*\30[^\30]*\30(.)')
  return outcome and outcome ~= 'c'
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
-- Forgets an open run: its pages are freed in the background (UNLINK), so this is short whatever the run's size.
local function forget(run)
  for page = 0, floor(max(0, run.next - 1) / PAGE) do call('UNLINK', run.key .. ':jobs:' .. page) end
  call('UNLINK', run.key)
  call('ZREM', base .. ':open', run.id)
end
define('usher_f81c9e92_open', {}, function()
-- Opens a run: invisible to all but its producer.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 run; 3 rank of its priority; 4 the run as submitted, in JSON
-- replies  {0}; {TAKEN} where the run id is in use
-- keeps    an open run stands in `open` by its last append, so that what is never sealed can expire
local id = ARGV[2]
if call('EXISTS', run_key(id)) == 1 then return { TAKEN } end
new_run(id, tonumber(ARGV[3]))
call('HSET', run_key(id), 'meta', ARGV[4])
save_runs()
call('ZADD', base .. ':open', now, id)
return { 0 }
end)
define('usher_f81c9e92_append', {}, function()
-- Adds requests to an open run.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 run; 3 the first one's place; 4.. request parts of records, at most 500
-- replies  {0}; {NO_RUN}; {WRONG_PHASE, phase} where it is no longer open
-- keeps    a place that is taken keeps what it has; appended counts places taken, next is one past the last
local run = load_run(ARGV[2])
if not run then return { NO_RUN } end
if run.phase ~= 'o' then return { WRONG_PHASE, run.phase } end
local first, n, added = tonumber(ARGV[3]), #ARGV - 3, 0
if first >= run.next then
  -- Past everything there is: all new, a page at a time.
  for i = 1, n do put(run, first + i - 1, ARGV[3 + i]) end
  save_jobs()
  added = n
else
  for i = 1, n do
    local seq = first + i - 1
    added = added + call('HSETNX', page_key(run, seq), seq, ARGV[3 + i])
  end
end
add(run, 'appended', added)
add(run, 'next', max(0, first + n - run.next))
save_runs()
call('ZADD', base .. ':open', now, run.id)
return { 0 }
end)
define('usher_f81c9e92_seal', {}, function()
-- Makes a run visible, in one step whatever its size; or finds that its content is a run already.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 run; 3 total; 4 requests by action, in JSON; 5 idempotency key; 6 digest; 7 '1' where an ended
--          run lets the same key start a new one
-- replies  {0, previous run or ''}; {1, existing run}: what was appended is gone; {NO_RUN}; {WRONG_PHASE, phase};
--          {INCOMPLETE, found}; {CONFLICT, existing run}
-- keeps    an idempotency key stands for one run and one digest
local run = load_run(ARGV[2])
if not run then return { NO_RUN } end
local total, key, bound = tonumber(ARGV[3]), ARGV[5], ARGV[5] .. FS .. ARGV[6]
local more = call('HMGET', run.key, 'bound', 'previous')
if run.phase ~= 'o' then
  if more[1] == bound then return { 0, more[2] or '' } end
  return { WRONG_PHASE, run.phase }
end
local found, previous = run.appended, ''
local known = call('HGET', base .. ':keys', key)
if known then
  local existing, digest = match(known, '^([^\31]*)\31(.*)$')
  if digest ~= ARGV[6] then return { CONFLICT, existing } end
  local other = load_run(existing)
  if other and not (ARGV[7] == '1' and (other.phase == 'f' or other.phase == 'c')) then
    forget(run)
    return { 1, existing }
  end
  previous = existing
end
if found ~= total or total == 0 then return { INCOMPLETE, found } end
run.total, run.pending, run.unresolved, run.sealed = total, total, total, now
set(run, 'phase', 's')
call('HSET', run.key, 'by_action', ARGV[4], 'bound', bound, 'previous', previous)
call('HSET', base .. ':keys', key, run.id .. FS .. ARGV[6])
call('ZREM', base .. ':open', run.id)
call('ZADD', base .. ':active', place(run), run.id)
save_runs()
wake()
return { 0, previous }
end)
define('usher_f81c9e92_discard', { 'allow-oom' }, function()
-- allow-oom
-- Forgets a run that is still open.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 run; 3 '' or the moment since which nothing may have been appended to it
-- replies  {0}; {1} where it was appended to since then; {NO_RUN}; {WRONG_PHASE, phase}
-- keeps    a sealed run is never forgotten
local run = load_run(ARGV[2])
if not run then
  call('ZREM', base .. ':open', ARGV[2])
  return { NO_RUN }
end
if run.phase ~= 'o' then return { WRONG_PHASE, run.phase } end
local last = call('ZSCORE', base .. ':open', run.id)
if ARGV[3] ~= '' and last and tonumber(last) > tonumber(ARGV[3]) then return { 1 } end
forget(run)
return { 0 }
end)
define('usher_f81c9e92_steward', {}, function()
-- Takes, renews, or ends by success the stewardship of a sealed run: the right to resolve it.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 run; 3 take | renew | finish; 4 worker (take) or token (renew, finish); 5 ttl in ms
-- replies  take: {0, token}, {1} where it can't be had; renew: {0}; finish: {0}, {1, unresolved} where requests have
--          no resolution; {LAPSED}; {NO_RUN}
-- keeps    one steward a run at a time; a run is resolved only once every request is; a finish that is sent again
--          after its reply was lost is answered as the first was
local run = load_run(ARGV[2])
if not run or run.phase == 'o' then return { NO_RUN } end
local steward = call('HMGET', run.key, 'steward', 'steward_token', 'steward_until')
local held = (tonumber(steward[3]) or 0) > now
local what, who, ttl = ARGV[3], ARGV[4], tonumber(ARGV[5])
if what == 'take' then
  if run.phase ~= 's' or run.paused or run.cancelled or (held and steward[1] ~= who) then return { 1 } end
  local token = held and tonumber(steward[2]) or call('HINCRBY', base, 'token', 1)
  call('HSET', run.key, 'steward', who, 'steward_token', token, 'steward_until', now + ttl)
  return { 0, token }
end
if what == 'finish' and run.phase ~= 's' and steward[2] == who and not run.cancelled then return { 0 } end
if run.phase ~= 's' or not held or steward[2] ~= who then return { LAPSED } end
if what == 'renew' then
  call('HSET', run.key, 'steward_until', now + ttl)
  return { 0 }
end
if run.unresolved > 0 then return { 1, run.unresolved } end
call('HSET', run.key, 'steward_until', 0)
set(run, 'phase', 'r')
save_runs()
wake()
return { 0 }
end)
define('usher_f81c9e92_resolve', {}, function()
-- Records what requests resolved to; again for the same place, the later one counts.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 run; 3 steward's token; then seq, resolution part of the record; at most 500 of them (a change
--          gets the moment added here)
-- replies  {0}; {LAPSED}; {NO_RUN}; {NO_JOB, seq}
-- keeps    unresolved counts requests without a resolution; a duplicate is in dups and not in total
local run = load_run(ARGV[2])
if not run then return { NO_RUN } end
local steward = call('HMGET', run.key, 'steward_token', 'steward_until')
if run.phase ~= 's' or steward[1] ~= ARGV[3] or (tonumber(steward[2]) or 0) <= now then return { LAPSED } end
local seqs = {}
for i = 4, #ARGV, 2 do seqs[#seqs + 1] = ARGV[i] end
local found = records(run, seqs)
for i = 1, #seqs do
  if not found[i] then return { NO_JOB, seqs[i] } end
end
local latest = {} -- what the same call said of the same place before
for i = 4, #ARGV, 2 do
  local seq, resolution = ARGV[i], ARGV[i + 1]
  local request, before = match(latest[seq] or found[i / 2 - 1], '^([^\30]*)\30?(.*)$')
  local was, is = before:sub(1, 1) == 'D', resolution:sub(1, 1) == 'D'
  if before == '' then add(run, 'unresolved', -1) end
  if is ~= was then
    local out = is and 1 or -1
    add(run, 'dups', out)
    add(run, 'total', -out)
    add(run, 'pending', -out)
    if is then call('ZADD', run.key .. ':dups', seq, seq) else call('ZREM', run.key .. ':dups', seq) end
  end
  if resolution:sub(1, 1) == 'C' then resolution = resolution .. FS .. now end
  latest[seq] = request .. RS .. resolution
  put(run, seq, latest[seq])
end
save_jobs()
save_runs()
return { 0 }
end)
define('usher_f81c9e92_admit', {}, function()
-- Numbers a resolved run.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 run
-- replies  {0, admission}, the one it has if it was admitted before; {NO_RUN}; {WRONG_PHASE, phase}
-- keeps    admissions rise, one a run; admissions: number -> run
local run = load_run(ARGV[2])
if not run or run.phase == 'o' then return { NO_RUN } end
if run.adm then return { 0, run.adm } end
if run.phase ~= 'r' or run.cancelled then return { WRONG_PHASE, run.phase } end
set(run, 'adm', call('HINCRBY', base, 'admission', 1))
set(run, 'phase', 'a')
call('HSET', base .. ':admissions', run.adm, run.id)
call('ZADD', base .. ':active', place(run), run.id)
save_runs()
wake()
return { 0, run.adm }
end)
define('usher_f81c9e92_promote', {}, function()
-- Puts the next pending jobs of an admitted run into the queue, in file order, each as the newest claim on its user.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 run; 3 how many places to go through, at most 500
-- replies  {0, still pending}; {NO_RUN}; {WRONG_PHASE, phase} before it is admitted and once it is being cancelled
-- keeps    cursor is the first place not gone through; a settled request gets its outcome here; a user's claims name
--          every run that wants to change it, but for those that a run that is over outweighs: so when a cancel
--          takes a claim back, the next one below is still known
local run = load_run(ARGV[2])
if not run or run.phase == 'o' then return { NO_RUN } end
if run.phase ~= 'a' and run.phase ~= 'f' and run.phase ~= 'c' then return { WRONG_PHASE, run.phase } end
if run.phase ~= 'a' then return { 0, 0 } end
if run.cancelled then return { WRONG_PHASE, run.phase } end
local seqs, last = {}, min(run.next, run.cursor + tonumber(ARGV[3]))
for seq = run.cursor, last - 1 do seqs[#seqs + 1] = tostring(seq) end
local found = records(run, seqs)
local ready, users = {}, {}
for i = 1, #seqs do
  local seq = seqs[i]
  local record = found[i]
  local user = record and user_of(record)
  if user then
    ready[#ready + 1] = seq
    users[#users + 1] = user
  elseif record then
    local settled = match(record, '^[^\30]*\30S([^\31]*\31[^\31]*\31[^\31]*)')
    if settled then
      add(run, 'pending', -1)
      conclude(run, seq, record, settled, '', 0, false)
    end
  end
end
if #ready > 0 then
  local claims, news = call('HMGET', base .. ':users', unpack(users)), {}
  local own = {}
  for i = 1, #users do
    news[2 * i - 1] = users[i]
    news[2 * i] = claim_with(own[users[i]] or claims[i], run.adm, ready[i])
    own[users[i]] = news[2 * i]
  end
  call('HSET', base .. ':users', unpack(news))
  call('RPUSH', run.key .. ':ready', unpack(ready))
  add(run, 'pending', -#ready)
  add(run, 'queued', #ready)
  offer(run)
end
add(run, 'cursor', last - run.cursor)
save_jobs()
save_runs()
if #ready > 0 then wake() end
return { 0, run.pending }
end)
define('usher_f81c9e92_lease', {}, function()
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
end)
define('usher_f81c9e92_renew', { 'allow-oom' }, function()
-- allow-oom
-- Lengthens a lease.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 the lease as it stands in leases; 3 ttl in ms
-- replies  {now}; {LAPSED}
-- keeps    a lease that has lapsed stays lapsed
local ends = call('ZSCORE', base .. ':leases', ARGV[2])
if not ends or tonumber(ends) <= now then return { LAPSED } end
call('ZADD', base .. ':leases', 'XX', now + tonumber(ARGV[3]), ARGV[2])
return { now }
end)
define('usher_f81c9e92_finish', { 'allow-oom' }, function()
-- allow-oom
-- Finishes leases, each in one atomic step: attempts, outcomes, counters, removal from the queue.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; then for each lease: the lease as it stands in leases; packed: 1 where an earlier sending may have gone
--          through, number of reports; and for each report:
--            packed: kind (0 finish, 1 retry, 2 snooze), 1 where there is an attempt, 1 where that may have reached the
--              vendor, seq, due in ms (retry, snooze), the attempt's begin, end and calls, 429s;
--            text: finish: outcome's letter FS code FS message, then FS attempt where there is one; else the attempt or ''
-- replies  for each lease 0 or LAPSED
-- keeps    nothing is written for a lapsed lease; a lease is finished once: sent again, it is answered 0 where the
--          ledger shows this lease's own attempt or outcome, and nothing is counted twice
-- bounded  by 500 jobs; what they have in common is read and written once
-- allow-oom: what was done to a user must be recorded, and a finish frees more than it takes
local HEAD, REPORT = '<BI2', '<BBBI4i8i8i8I4I4'
local replies, woken = {}, false
local freed = {} -- users whose jobs are done with

-- Whether the ledger shows what this report says: an earlier sending of it went through.
local function is_written(run, seq, kind, attempted, text)
  local record = records(run, { seq })[1]
  if not record then return false end
  local outcome = match(record, '^[^\30]*\30[^\30]*\30(.*)$')
  if kind == 0 then return outcome ~= nil and sub(outcome, 1, #text) == text end
  if attempted ~= 1 then return false end
  local tries = call('HGET', run.key .. ':tries', seq)
  return (outcome and find(outcome, text, 1, true) ~= nil) or (tries and find(tries, text, 1, true) ~= nil)
end

local function carry_out(run, seq, record, tries, packed, text)
  local kind, attempted, maybe, _, due, began, ended, calls, throttled = unpack_struct(REPORT, packed)
  attempted = attempted == 1
  if attempted then
    run.attempts = run.attempts + 1
    run.calls = run.calls + calls
    if run.first == 0 or began < run.first then run.first = began end
    if ended > run.last then run.last = ended end
  end
  run.throttled = run.throttled + throttled
  if kind == 0 then
    end_job(run, seq, record, text, attempted, ended, tries)
  elseif run.cancelled then
    cancel_job(run, seq, record, text, ended, tries)
  else
    if attempted then note(run, seq, tries, text, kind == 1 and 1 or 0, 0, tostring(maybe), began, ended) end
    if kind == 1 then run.retries = run.retries + 1 end
    due = format('%d', due)
    call('ZADD', run.key .. ':wait', due, seq)
    offer_due(run, due)
    run.queued = run.queued + 1
    if tonumber(due) <= now then woken = true end
  end
end

-- The leases as sent.
local members, begins, sizes, at = {}, {}, {}, 2
while at <= #ARGV do
  local n = #members + 1
  local _, reports = unpack_struct(HEAD, ARGV[at + 1])
  members[n], begins[n], sizes[n] = ARGV[at], at + 2, reports
  at = at + 2 + 2 * reports
end

-- Those that live, by run, so that what is read of a run is read once. A lease that is named twice lives once.
local scores = call('ZMSCORE', base .. ':leases', unpack(members))
local live, taken, runs_in_turn, of_run = {}, {}, {}, {}
for i = 1, #members do
  local member, score = members[i], scores[i]
  local id, seqs = match(member, '^([^\31]*)\31([^\31]*)')
  replies[i] = LAPSED
  if score and tonumber(score) > now and not taken[member] then
    replies[i] = 0
    taken[member] = true
    live[#live + 1] = member
    local group = of_run[id]
    if not group then
      group = { run = load_run(id), seqs = {}, leases = {}, lasts = {} }
      of_run[id] = group
      runs_in_turn[#runs_in_turn + 1] = group
    end
    local all = group.seqs
    group.leases[#group.leases + 1] = i
    if find(seqs, ',', 1, true) then
      for seq in gmatch(seqs, '%d+') do all[#all + 1] = seq end
    else
      all[#all + 1] = seqs
    end
    group.lasts[#group.leases] = #all
  elseif not score and unpack_struct(HEAD, ARGV[begins[i] - 1]) == 1 and load_run(id) then
    for k = begins[i], begins[i] + 2 * sizes[i] - 1, 2 do
      local kind, attempted, _, seq = unpack_struct(REPORT, ARGV[k])
      if is_written(load_run(id), format('%d', seq), kind, attempted, ARGV[k + 1]) then replies[i] = 0 end
    end
  end
end

for g = 1, #runs_in_turn do
  local group = runs_in_turn[g]
  local run, seqs, leases = group.run, group.seqs, group.leases
  local found, tries = records(run, seqs), tries_of(run, seqs)
  run.changed = true
  run.leased = run.leased - #seqs
  for j = 1, #seqs do freed[#freed + 1] = user_of(found[j]) end
  local from, untouched = 1, {}
  for l = 1, #leases do
    local i = leases[l]
    local last, first_report = group.lasts[l], begins[i]
    if last == from and sizes[i] == 1 then
      carry_out(run, seqs[from], found[from], tries[from], ARGV[first_report], ARGV[first_report + 1])
    else
      local reported = {}
      for k = first_report, first_report + 2 * sizes[i] - 1, 2 do
        local _, _, _, seq = unpack_struct(REPORT, ARGV[k])
        reported[format('%d', seq)] = k
      end
      for j = from, last do
        local k = reported[seqs[j]]
        if k then
          carry_out(run, seqs[j], found[j], tries[j], ARGV[k], ARGV[k + 1])
        elseif run.cancelled then
          cancel_job(run, seqs[j], found[j], '', 0, tries[j])
        else
          untouched[#untouched + 1] = seqs[j]
        end
      end
    end
    from = last + 1
  end
  if #untouched > 0 then
    requeue(run, untouched)
    run.queued = run.queued + #untouched
    woken = true
  end
end
end_leases(live, freed)
save_jobs()
save_runs()
if woken then wake() end
return replies
end)
define('usher_f81c9e92_steer', { 'allow-oom' }, function()
-- allow-oom
-- Pauses or resumes a run, or changes its priority.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 run; 3 pause | resume | priority; 4 rank (priority)
-- replies  {0}; {NO_RUN}; {WRONG_PHASE, phase} once the run is over
-- keeps    only a run that may be leased stands in order, alones and due
local run = load_run(ARGV[2])
if not run or run.phase == 'o' then return { NO_RUN } end
if run.phase == 'f' or run.phase == 'c' then return { WRONG_PHASE, run.phase } end
local what = ARGV[3]
if what == 'pause' then
  set(run, 'paused', true)
  withdraw(run)
  save_runs()
  return { 0 }
end
if what == 'resume' then
  set(run, 'paused', false)
else
  set(run, 'rank', tonumber(ARGV[4]))
  if run.adm then call('ZADD', base .. ':active', place(run), run.id) end
end
if call('EXISTS', run.key .. ':ready', run.key .. ':again') > 0 then offer(run) end
if call('EXISTS', run.key .. ':alone') > 0 then offer_alone(run) end
local first = call('ZRANGE', run.key .. ':wait', 0, 0, 'WITHSCORES')
if first[2] then offer_due(run, first[2]) end
save_runs()
wake()
return { 0 }
end)
define('usher_f81c9e92_cancel', { 'allow-oom' }, function()
-- allow-oom
-- Cancels a run: nothing more is leased of it, and the next jobs that no worker holds end as cancelled.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 run; 3 how many jobs, at most 500
-- replies  {0, jobs without an outcome, of them in flight}; {NO_RUN}; {WRONG_PHASE, phase} where it finished
-- keeps    a job that a worker holds gets the outcome its worker reports
local run = load_run(ARGV[2])
if not run or run.phase == 'o' then return { NO_RUN } end
if run.phase == 'c' then return { 0, 0, 0 } end
if run.phase == 'f' then return { WRONG_PHASE, run.phase } end
if not run.cancelled then
  withdraw(run)
  set(run, 'cancelled', true)
  call('HSET', run.key, 'steward_until', 0)
end
local limit = tonumber(ARGV[3])
local seqs = {}
local function gather(list, step)
  for i = 1, #list, step do seqs[#seqs + 1] = list[i] end
end
gather(call('ZPOPMIN', run.key .. ':again', limit), 2)
if #seqs < limit then gather(call('LPOP', run.key .. ':ready', limit - #seqs) or {}, 1) end
if #seqs < limit then gather(call('ZPOPMIN', run.key .. ':alone', limit - #seqs), 2) end
if #seqs < limit then gather(call('ZPOPMIN', run.key .. ':wait', limit - #seqs), 2) end
local queued = #seqs
local last = min(run.next, run.cursor + limit - queued)
for seq = run.cursor, last - 1 do seqs[#seqs + 1] = tostring(seq) end
if #seqs > 0 then
  local found = records(run, seqs)
  local tries = tries_of(run, seqs)
  for i = 1, #seqs do
    local record = found[i]
    if record and not find(record, '^[^\30]*\30D') then
      cancel_job(run, seqs[i], record, '', 0, tries[i])
      if i > queued then add(run, 'pending', -1) end
    end
  end
  add(run, 'queued', -queued)
  add(run, 'cursor', last - run.cursor)
end
save_jobs()
save_runs()
return { 0, run.total - run.done, run.leased }
end)
define('usher_f81c9e92_hold', { 'allow-oom' }, function()
-- allow-oom
-- Holds an account, or releases it.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 the hold in JSON, or '' to release; 3 its end in ms, or '' for none
-- replies  {0}; {1} where there was nothing to release
-- keeps    a hold whose end has passed is none
if ARGV[2] ~= '' then
  call('HSET', base, 'hold', ARGV[2], 'hold_until', ARGV[3])
  return { 0 }
end
local held = call('HMGET', base, 'hold', 'hold_until')
call('HDEL', base, 'hold', 'hold_until')
wake()
if held[1] and (held[2] == '' or tonumber(held[2]) > now) then return { 0 } end
return { 1 }
end)
define('usher_f81c9e92_quota', {}, function()
-- Draws calls from a label's quota of a day, or gives some back that were not made.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 label; 3 utc_day | rolling24h (draw) or return; 4 calls; 5 the cap (draw), or when they were
--          drawn (return)
-- replies  draw: {now, granted, used in the window with these, the oldest hour in it with calls or ''}; return: {0}
-- keeps    used never grows past the cap by a draw; an hour's calls are never fewer than none; an hour is kept 49 hours,
--          more than any window needs, and with no call in that time the whole key is gone by itself
local HOUR, DAY = 3600000, 86400000
local KEPT = 49 * HOUR
local key, what, calls = base .. ':quota:' .. ARGV[2], ARGV[3], tonumber(ARGV[4])
local function hour_of(at) return floor(at / HOUR) * HOUR end

if what == 'return' then
  local hour = format('%d', hour_of(tonumber(ARGV[5])))
  local drawn = tonumber(call('HGET', key, hour) or 0)
  if drawn > calls then
    call('HSET', key, hour, format('%d', drawn - calls))
  else
    call('HDEL', key, hour)
  end
  return { 0 }
end

local begins = what == 'utc_day' and floor(now / DAY) * DAY or hour_of(now) - DAY
local used, oldest, kept = 0, nil, call('HGETALL', key)
for i = 1, #kept, 2 do
  local hour, drawn = tonumber(kept[i]), tonumber(kept[i + 1])
  if hour >= begins then
    used = used + drawn
    oldest = min(hour, oldest or hour)
  elseif hour + KEPT <= now then
    call('HDEL', key, kept[i])
  end
end
local granted = max(0, min(calls, tonumber(ARGV[5]) - used))
if granted > 0 then
  oldest = min(hour_of(now), oldest or now)
  call('HINCRBY', key, format('%d', hour_of(now)), format('%d', granted))
  call('PEXPIRE', key, KEPT)
end
return { now, granted, used + granted, oldest and format('%d', oldest) or '' }
end)
define('usher_f81c9e92_pulse', {}, function()
-- Keeps what a worker tells of an account, or tells what all of them told last.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; to tell: 2 worker, 3 its pulse in JSON, 4 for how long in ms
-- replies  to tell: {0}; to ask: {0, pulse...}
-- keeps    a pulse counts until its time has passed; what has lapsed goes at the next telling, and all of it by
--          itself within a minute of the last
local pulses, ends = base .. ':pulses', base .. ':pulse_ends'
if not ARGV[2] then
  local workers = call('ZRANGEBYSCORE', ends, '(' .. format('%d', now), '+inf')
  local reply = { 0 }
  -- In parts, for unpack takes no more than some thousands.
  for first = 1, #workers, CHUNK do
    local told = call('HMGET', pulses, unpack(workers, first, min(#workers, first + CHUNK - 1)))
    for i = 1, #told do
      if told[i] then reply[#reply + 1] = told[i] end
    end
  end
  return reply
end
local lapsed = call('ZRANGEBYSCORE', ends, '-inf', now, 'LIMIT', 0, CHUNK)
if #lapsed > 0 then
  call('ZREM', ends, unpack(lapsed))
  call('HDEL', pulses, unpack(lapsed))
end
local lasts = tonumber(ARGV[4])
call('ZADD', ends, now + lasts, ARGV[2])
call('HSET', pulses, ARGV[2], ARGV[3])
call('PEXPIRE', ends, lasts + 55000)
call('PEXPIRE', pulses, lasts + 55000)
return { 0 }
end)
define('usher_f81c9e92_token', { 'allow-oom' }, function()
-- allow-oom
-- The access token that a fleet shares: shows it, grants the right to fetch its successor, shelves that.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 show | claim | shelve | abandon; claim: 3 worker, 4 generation to be replaced or '', 5 ttl in ms;
--          shelve: 3 claim, 4 the sealed token, 5 ms to keep it for; abandon: 3 claim
-- replies  show: {0} or {1, generation, sealed}; claim: {0, claim}, {1, generation, sealed} where there is another than
--          is to be replaced, {2, ms at which the claim under way ends}; shelve: {0, generation}, {LAPSED} where a
--          later claim was granted; abandon: {0}
-- keeps    one claim in force at a time; generations and claims only grow, also after the token is gone; a shelve that is
--          sent again after its reply was lost is answered as the first was
-- allow-oom: where a new token kills the one before, what was fetched must reach the fleet
local key = base .. ':refresh'
local sealed_key = base .. ':token'
local state = call('HMGET', key, 'generation', 'token_until', 'claim', 'claim_until', 'shelved')
local generation, token_until = tonumber(state[1]) or 0, tonumber(state[2]) or 0
local claim, claim_until, shelved = state[3], tonumber(state[4]) or 0, state[5]
local what = ARGV[2]

local function token_there_is()
  return token_until > now and call('GET', sealed_key) or nil
end

if what == 'show' then
  local sealed = token_there_is()
  if sealed then return { 1, generation, sealed } end
  return { 0 }
elseif what == 'claim' then
  local sealed = token_there_is()
  if sealed and tonumber(ARGV[4]) ~= generation then return { 1, generation, sealed } end
  if claim_until > now then return { 2, claim_until } end
  claim = call('HINCRBY', key, 'claim', 1)
  call('HSET', key, 'claimed_by', ARGV[3], 'claim_until', now + tonumber(ARGV[5]))
  return { 0, claim }
elseif what == 'shelve' then
  if shelved == ARGV[3] then return { 0, generation } end
  if claim ~= ARGV[3] then return { LAPSED } end
  local lasts = tonumber(ARGV[5])
  generation = generation + 1
  call('HSET', key, 'generation', generation, 'token_until', now + lasts, 'shelved', claim, 'claim_until', 0)
  -- What counts is token_until; the key itself goes within a minute after.
  call('SET', sealed_key, ARGV[4], 'PX', format('%d', lasts + 60000))
  return { 0, generation }
end
if claim == ARGV[3] then call('HSET', key, 'claim_until', 0) end
return { 0 }
end)
