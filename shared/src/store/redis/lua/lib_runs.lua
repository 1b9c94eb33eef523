-- A run's hash, read once a call and written once at its end.
--
-- Invariant: pending + queued + leased + done == total, and the o:<letter> counters sum to done.
local runs = {}

local function load_run(id)
  local run = runs[id]
  if run ~= nil then return run end
  local key = run_key(id)
  local v = call('HMGET', key, 'phase', 'rank', 'adm', 'paused', 'cancelled', 'total', 'next', 'cursor', 'pending',
    'queued', 'leased', 'done', 'dups', 'unresolved', 'attempts', 'calls', 'throttled', 'retries', 'lost', 'first',
    'last')
  if not v[1] then
    runs[id] = false
    return false
  end
  run = {
    id = id, key = key, phase = v[1], rank = tonumber(v[2]), adm = tonumber(v[3]), paused = v[4] == '1',
    cancelled = v[5] == '1', total = tonumber(v[6]) or 0, next = tonumber(v[7]) or 0, cursor = tonumber(v[8]) or 0,
    pending = tonumber(v[9]) or 0, queued = tonumber(v[10]) or 0, leased = tonumber(v[11]) or 0,
    done = tonumber(v[12]) or 0, dups = tonumber(v[13]) or 0, unresolved = tonumber(v[14]) or 0,
    attempts = tonumber(v[15]) or 0, calls = tonumber(v[16]) or 0, throttled = tonumber(v[17]) or 0,
    retries = tonumber(v[18]) or 0, lost = tonumber(v[19]) or 0, first = tonumber(v[20]), last = tonumber(v[21]),
    changed = {}, outcomes = {},
  }
  runs[id] = run
  return run
end

local function add(run, field, n)
  if n ~= 0 then
    run[field] = run[field] + n
    run.changed[field] = true
  end
end

-- Attempts of this run began and ended at these moments.
local function stretch(run, began, ended)
  if not run.first or began < run.first then
    run.first = began
    run.changed.first = true
  end
  if not run.last or ended > run.last then
    run.last = ended
    run.changed.last = true
  end
end

-- The place among the account's runs: urgent before normal before bulk, older first; those not admitted come last.
local function place(run)
  if run.adm then return run.rank * 281474976710656 + run.adm end
  return 3 * 281474976710656 + tonumber(call('HGET', run.key, 'sealed'))
end

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

-- Writes what changed; a run whose every job has its outcome is over from here on.
local function save_runs()
  for id, run in pairs(runs) do
    if run then
      if run.done == run.total and (run.phase == 'a' or (run.cancelled and (run.phase == 's' or run.phase == 'r'))) then
        run.phase = run.cancelled and 'c' or 'f'
        run.ended = now
        run.changed.phase, run.changed.ended = true, true
        call('ZREM', base .. ':active', id)
        withdraw(run)
      end
      local fields = {}
      for field in pairs(run.changed) do
        fields[#fields + 1] = field
        fields[#fields + 1] = run[field]
      end
      if #fields > 0 then call('HSET', run.key, unpack(fields)) end
      for letter, n in pairs(run.outcomes) do call('HINCRBY', run.key, 'o:' .. letter, n) end
    end
  end
end
