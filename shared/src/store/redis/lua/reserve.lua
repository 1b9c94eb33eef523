-- Counts users towards the cap of a day on behalf of a resolved run, or takes back what was counted on its behalf.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 run; 3 day; 4 count | back; count: 5 the cap, 6 for how long in ms the run keeps others from counting without
--          another call, 7.. users, at most 500; back: 5 that time
-- replies  count: {0, used}, {1, used} where they would be too many, {2, run} where another run counts now; back: {0, how many
--          are left}; {NO_RUN}; {WRONG_PHASE, phase} (count)
-- keeps    of one call's users all are counted or none; a user is one of the day whatever runs want to change it, until each of
--          them has taken it back: counted:DAY, user -> how many runs counted it; counted:DAY:RUN has those of a run. One run of
--          an account counts at a time: until it is admitted, is over, has taken everything back, or is silent for that time
-- bounded  by 500 users
local DAYS_KEPT = 4 * 86400000
local run = load_run(ARGV[2])
if not run or run.phase == 'o' then return { NO_RUN } end
local counted = base .. ':counted:' .. ARGV[3]
local own = counted .. ':' .. run.id
local counting = call('HMGET', base, 'counting', 'counting_until')
local other = counting[1] and counting[1] ~= run.id and tonumber(counting[2]) > now and counting[1]

if ARGV[4] == 'back' then
  local popped, users = call('ZPOPMIN', own, CHUNK), {}
  for i = 1, #popped, 2 do users[#users + 1] = popped[i] end
  if #users > 0 then
    local counts, fewer, gone = call('HMGET', counted, unpack(users)), {}, {}
    for i = 1, #users do
      local count = tonumber(counts[i]) or 0
      if count > 1 then
        fewer[#fewer + 1] = users[i]
        fewer[#fewer + 1] = count - 1
      else
        gone[#gone + 1] = users[i]
      end
    end
    if #fewer > 0 then call('HSET', counted, unpack(fewer)) end
    if #gone > 0 then call('HDEL', counted, unpack(gone)) end
  end
  local left = call('ZCARD', own)
  if counting[1] == run.id then
    if left == 0 then
      count_no_more(run)
    else
      call('HSET', base, 'counting_until', now + tonumber(ARGV[5]))
    end
  end
  return { 0, left }
end

if run.phase ~= 'r' or run.cancelled then return { WRONG_PHASE, run.phase } end
if other then return { 2, other } end
call('HSET', base, 'counting', run.id, 'counting_until', now + tonumber(ARGV[6]))
local used, users, seen = call('HLEN', counted), {}, {}
for i = 7, #ARGV do
  if not seen[ARGV[i]] then
    seen[ARGV[i]] = true
    users[#users + 1] = ARGV[i]
  end
end
if #users == 0 then return { 0, used } end
local counts, mine = call('HMGET', counted, unpack(users)), call('ZMSCORE', own, unpack(users))
local new, more, added = 0, {}, {}
for i = 1, #users do
  if not counts[i] then new = new + 1 end
  if not mine[i] then
    more[#more + 1] = users[i]
    more[#more + 1] = (tonumber(counts[i]) or 0) + 1
    added[#added + 1] = 0
    added[#added + 1] = users[i]
  end
end
if new > 0 and used + new > tonumber(ARGV[5]) then return { 1, used } end
if #added > 0 then
  call('HSET', counted, unpack(more))
  call('ZADD', own, unpack(added))
  call('PEXPIRE', counted, DAYS_KEPT)
  call('PEXPIRE', own, DAYS_KEPT)
end
return { 0, used + new }
