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
