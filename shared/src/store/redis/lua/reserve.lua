-- Counts users towards the cap of a day on behalf of a resolved run, or takes back what was counted on its behalf.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 run; 3 day; 4 count | back; count: 5 the cap, 6 for how long in ms the run keeps others from counting without
--          another call, 7.. users, at most 500; back: 5 that time
-- replies  count: {0, used}, {1, used} where they would be too many, {2, run} where another run counts now; back: {0, how many
--          are left}; {NO_RUN}; {WRONG_PHASE, phase} (count)
-- keeps    of one call's users all are counted or none; a user is counted once a day, whatever runs want to change it, in
--          counted:DAY, user -> the run that counted it; counted:DAY:RUN lists those of a run. One run of an account counts at a
--          time: until it is admitted, is over, has taken everything back, or is silent for that time
-- bounded  by 500 users
local DAYS_KEPT = 4 * 86400000
local run = load_run(ARGV[2])
if not run or run.phase == 'o' then return { NO_RUN } end
local counted = base .. ':counted:' .. ARGV[3]
local own = counted .. ':' .. run.id
local counting = call('HMGET', base, 'counting', 'counting_until')
local other = counting[1] and counting[1] ~= run.id and tonumber(counting[2]) > now and counting[1]

if ARGV[4] == 'back' then
  local users = call('LPOP', own, CHUNK)
  if users then call('HDEL', counted, unpack(users)) end
  local left = call('LLEN', own)
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
local used, users, fresh, owners, seen = call('HLEN', counted), {}, {}, {}, {}
for i = 7, #ARGV do
  if not seen[ARGV[i]] then
    seen[ARGV[i]] = true
    users[#users + 1] = ARGV[i]
  end
end
if #users > 0 then
  local known = call('HMGET', counted, unpack(users))
  for i = 1, #users do
    if not known[i] then
      fresh[#fresh + 1] = users[i]
      owners[#owners + 1] = users[i]
      owners[#owners + 1] = run.id
    end
  end
end
if #fresh == 0 then return { 0, used } end
if used + #fresh > tonumber(ARGV[5]) then return { 1, used } end
call('HSET', counted, unpack(owners))
call('RPUSH', own, unpack(fresh))
call('PEXPIRE', counted, DAYS_KEPT)
call('PEXPIRE', own, DAYS_KEPT)
return { 0, used + #fresh }
