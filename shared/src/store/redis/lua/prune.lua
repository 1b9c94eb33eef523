-- allow-oom
-- Forgets a run that is over, a chunk at a time; and what is left of those whose claims had to outlive them.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 list | listed | rows | gone | claims; 3 run (list, rows, gone); 4 the moment before which it must have ended
--          (rows)
-- replies  list: {0}: among `ended`, if it is over; listed: {0}: every run from before there was `ended` is listed; rows: {0,
--          jobs left}, {1} where it is not to be forgotten, or was; gone: {0}: nothing is left; claims: {0, runs left whose claims
--          can be taken back}
-- keeps    from the first step on the run is there for nobody: `state` gives way to `forgetting` (next place to be forgotten,
--          places, numbers under which it was admitted), by which each step knows how to go on. What it claims stays for as
--          long as a run with a lower number is not over (outlived), and so does its number in admissions
-- bounded  by 500 jobs, or 500 users
-- allow-oom: it frees more than it takes
local what, id = ARGV[2], ARGV[3]
local ended, outlived = base .. ':ended', base .. ':outlived'

-- Numbers parted by blanks, as keys, and the highest of them.
local function cut_numbers(text)
  local numbers, highest = {}, 0
  for number in gmatch(text, '%d+') do
    numbers[number] = true
    highest = max(highest, tonumber(number))
  end
  return numbers, highest
end

local function forget_numbers(numbers)
  for number in pairs(numbers) do call('HDEL', base .. ':admissions', number) end
end

if what == 'listed' then
  call('HSET', base, 'ended_listed', 1)
  return { 0 }
elseif what == 'list' then
  local run = load_run(id)
  if run and is_over(run) then call('ZADD', ended, format('%d', run.ended), id) end
  return { 0 }
elseif what == 'claims' then
  local all, left, budget = call('HGETALL', outlived), 0, CHUNK
  for i = 1, #all, 2 do
    local numbers, highest = cut_numbers(all[i + 1])
    if not is_awaited(highest) then
      local users = budget > 0 and call('LPOP', outlived .. ':' .. all[i], budget)
      if users then
        budget = budget - #users
        drop_claims(users, numbers)
      end
      if call('EXISTS', outlived .. ':' .. all[i]) == 1 then
        left = left + 1
      else
        forget_numbers(numbers)
        call('HDEL', outlived, all[i])
      end
    end
  end
  return { 0, left }
end

local key = run_key(id)
if what == 'gone' then
  local forgetting = call('HGET', key, 'forgetting')
  if not forgetting then return { 1 } end
  local places, text = match(forgetting, '^%d+,(%d+),(.*)$')
  for page = 0, floor(max(0, tonumber(places) - 1) / PAGE) do call('UNLINK', key .. ':jobs:' .. page) end
  for _, part in ipairs({ 'ready', 'again', 'alone', 'wait', 'tries', 'touched', 'dups' }) do call('UNLINK', key .. ':' .. part) end
  if not call('HGET', outlived, id) then forget_numbers(cut_numbers(text)) end
  call('UNLINK', key)
  call('ZREM', ended, id)
  return { 0 }
end

local run = load_run(id)
if run then
  if not is_over(run) then
    call('ZREM', ended, id)
    return { 1 }
  end
  if run.ended >= tonumber(ARGV[4]) then
    call('ZADD', ended, format('%d', run.ended), id)
    return { 1 }
  end
  local known = call('HMGET', key, 'bound', 'numbers')
  local idempotency = known[1] and match(known[1], '^(.*)\31[^\31]*$')
  local stands_for = idempotency and call('HGET', base .. ':keys', idempotency)
  if stands_for and match(stands_for, '^[^\31]*') == id then call('HDEL', base .. ':keys', idempotency) end
  local numbers = (known[2] or '') .. (run.adm or '')
  call('HSET', key, 'forgetting', concat({ 0, run.next, numbers }, ','))
  call('HDEL', key, 'state')
end
local forgetting = call('HGET', key, 'forgetting')
if not forgetting then
  call('ZREM', ended, id)
  return { 1 }
end
local at, places, text = match(forgetting, '^(%d+),(%d+),(.*)$')
at, places = tonumber(at), tonumber(places)
local last = min(at + CHUNK, places)
if at < last then
  local seqs, users, by_page = {}, {}, {}
  local ghost = { key = key, pages = {} }
  for seq = at, last - 1 do
    seqs[#seqs + 1] = tostring(seq)
    local page = page_key(ghost, seq)
    by_page[page] = by_page[page] or {}
    table_insert(by_page[page], tostring(seq))
  end
  local found = records(ghost, seqs)
  for i = 1, #seqs do users[#users + 1] = found[i] and user_of(found[i]) or nil end
  local numbers, highest = cut_numbers(text)
  if #users > 0 and highest > 0 then
    if is_awaited(highest) then
      call('HSET', outlived, id, text)
      call('RPUSH', outlived .. ':' .. id, unpack(users))
    else
      drop_claims(users, numbers)
    end
  end
  for page, part in pairs(by_page) do call('HDEL', page, unpack(part)) end
  call('HDEL', key .. ':tries', unpack(seqs))
  call('HDEL', key .. ':touched', unpack(seqs))
  call('HSET', key, 'forgetting', concat({ last, places, text }, ','))
end
return { 0, places - last }
