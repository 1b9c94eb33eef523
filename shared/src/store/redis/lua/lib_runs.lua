-- A run's state, read once a call and written once at its end: one packed field, because reading and writing a field for
-- each number costs several times what all else does. state.rs reads the same layout. Beside it stands `fresh`: when the
-- users were last resolved or a job leased, whichever is later; format 1 has no such field. How it is being ended stands in
-- `ending`, and what is noted on it in JSON in `note_plan`, `note_held`, `note_go`, `note_approval` and `note_ending`.
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
  local found = call('HMGET', key, 'state', 'fresh')
  local packed = found[1]
  if not packed then
    runs[id] = false
    return false
  end
  run = { id = id, key = key, pages = {}, outcomes = {}, fresh = tonumber(found[2]) or 0 }
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
    phase = 'o', rank = rank, paused = false, cancelled = false, fresh = 0,
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

-- The place among the account's runs: urgent before normal before bulk, older first; those not admitted come last, in the
-- same order by their seals.
local RANK = 281474976710656
local function place(run)
  if run.phase == 'a' then return run.rank * RANK + run.adm end
  return (3 + run.rank) * RANK + run.sealed
end

-- Where a rank begins.
local function place_of(rank) return format('%d', rank * RANK) end

local function rank_of(score) return floor(score / RANK) end

-- Whether what is known of the run's users is too old to go by: they are resolved again before anything of it is leased.
local STANDS_STILL = 3600000 -- ms
local function stood_still(run)
  return (run.phase == 'a' or run.phase == 'r') and now - run.fresh > STANDS_STILL
end

-- What is known of the run's users is good as of now.
local function freshen(run)
  run.fresh, run.freshened, run.changed = now, true, true
end

local function workable(run)
  return run and run.phase == 'a' and not run.paused and not run.cancelled and not stood_still(run)
end

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

-- The same of whatever the run has in its queue.
local function offer_all(run)
  if call('EXISTS', run.key .. ':ready', run.key .. ':again') > 0 then offer(run) end
  if call('EXISTS', run.key .. ':alone') > 0 then offer_alone(run) end
  local first = call('ZRANGE', run.key .. ':wait', 0, 0, 'WITHSCORES')
  if first[2] then offer_due(run, first[2]) end
end

-- Nothing more is leased of the run.
local function withdraw(run)
  call('ZREM', base .. ':order', run.id)
  call('ZREM', base .. ':alones', run.id)
  call('ZREM', base .. ':due', run.id)
end

local function is_over(run) return run.phase == 'f' or run.phase == 'c' end

-- Whoever asks next may count users towards a day's cap (reserve.lua).
local function count_no_more(run)
  if call('HGET', base, 'counting') == run.id then call('HDEL', base, 'counting', 'counting_until') end
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
        call('ZADD', base .. ':ended', format('%d', now), id)
        withdraw(run)
        count_no_more(run)
      end
      if run.changed then
        if next(run.outcomes) then count_outcomes(run) end
        call('HSET', run.key, 'state', pack_struct(STATE, run.phase, run.rank, run.paused and 1 or 0,
          run.cancelled and 1 or 0, run.adm or 0, run.total, run.next, run.appended, run.cursor, run.pending, run.queued,
          run.leased, run.done, run.dups, run.unresolved, run.attempts, run.calls, run.throttled, run.retries, run.lost,
          run.first, run.last, run.sealed, run.ended) .. run.counts,
          unpack(run.freshened and { 'fresh', format('%d', run.fresh) } or {}))
      end
    end
  end
end
