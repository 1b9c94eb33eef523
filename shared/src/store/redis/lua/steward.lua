-- Takes, renews, or ends by success the stewardship of a run that is sealed, or stood still: the right to resolve it, or to
-- resolve it again.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 run; 3 take | renew | finish; 4 worker (take) or token (renew, finish); 5 ttl in ms
-- replies  take: {0, token, ready jobs yet to be put among `again`}, {1} where it can't be had; renew: {0}; finish: {0},
--          {1, phase} where requests have no resolution; {LAPSED}; {NO_RUN}
-- keeps    one steward a run at a time; a run is resolved only once every request is; a finish that is sent again
--          after its reply was lost is answered as the first was; one that stood still is taken up only with nothing in
--          flight, and nothing of it is leased until it is finished: so no job changes hands while it is resolved again
-- bounded  a take of a run that stood still moves 500 ready jobs at most: it is called until none is left, so that a job
--          that is settled can be taken out without a search (`ready` is a list, `again` is sorted; both in file order)
local run = load_run(ARGV[2])
if not run or run.phase == 'o' then return { NO_RUN } end
local steward = call('HMGET', run.key, 'steward', 'steward_token', 'steward_until')
local held = (tonumber(steward[3]) or 0) > now
local what, who, ttl = ARGV[3], ARGV[4], tonumber(ARGV[5])
local sealed, still = run.phase == 's', stood_still(run)
if what == 'take' then
  local open = sealed or (still and run.leased == 0)
  if not open or run.paused or run.cancelled or (held and steward[1] ~= who) then return { 1 } end
  local token = held and tonumber(steward[2]) or call('HINCRBY', base, 'token', 1)
  call('HSET', run.key, 'steward', who, 'steward_token', token, 'steward_until', now + ttl)
  if sealed then return { 0, token, 0 } end
  withdraw(run)
  local ready = call('LPOP', run.key .. ':ready', CHUNK)
  if ready then
    local again = {}
    for i = 1, #ready do again[2 * i - 1], again[2 * i] = ready[i], ready[i] end
    call('ZADD', run.key .. ':again', unpack(again))
  end
  return { 0, token, call('LLEN', run.key .. ':ready') }
end
if what == 'finish' and not sealed and not still and steward[2] == who and not run.cancelled then return { 0 } end
if not (sealed or still) or not held or steward[2] ~= who then return { LAPSED } end
if what == 'renew' then
  call('HSET', run.key, 'steward_until', now + ttl)
  return { 0 }
end
-- Ready jobs of a run that stood still were put there meanwhile, by a usher of format 1: they were not looked at.
if run.unresolved > 0 or (still and call('EXISTS', run.key .. ':ready') == 1) then return { 1, run.phase } end
call('HSET', run.key, 'steward_until', 0)
if sealed then set(run, 'phase', 'r') end
freshen(run)
offer_all(run)
save_runs()
wake()
return { 0 }
