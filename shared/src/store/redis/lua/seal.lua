-- Makes a run visible, in one step whatever its size; or finds that its content is a run already.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 run; 3 total; 4 requests by action, in JSON; 5 idempotency key; 6 digest; 7 '1' where an ended
--          run lets the same key start a new one
-- replies  {0, previous run or ''}; {1, existing run}: what was appended is gone; {NO_RUN}; {WRONG_PHASE, phase};
--          {INCOMPLETE, found}; {CONFLICT, existing run}
-- keeps    an idempotency key stands for one run and one digest; runs are numbered in the order in which they are sealed
local run = load_run(ARGV[2])
if not run then return { NO_RUN } end
local total, key, bound = tonumber(ARGV[3]), ARGV[5], ARGV[5] .. FS .. ARGV[6]
local more = call('HMGET', run.key, 'bound', 'previous', 'by_action')
if run.phase ~= 'o' then
  if more[1] == bound and more[3] == ARGV[4] and run.appended == total then return { 0, more[2] or '' } end
  return { WRONG_PHASE, run.phase }
end
local previous = ''
if total == 0 then return { WRONG_PHASE, run.phase } end
if run.appended ~= total then return { INCOMPLETE, run.appended } end
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
run.total, run.pending, run.unresolved, run.sealed = total, total, total, now
set(run, 'phase', 's')
-- Numbered here and not when it is admitted: a small urgent run is ready before a large one that was submitted earlier.
set(run, 'adm', call('HINCRBY', base, 'admission', 1))
call('HSET', run.key, 'by_action', ARGV[4], 'bound', bound, 'previous', previous)
call('HSET', base .. ':keys', key, run.id .. FS .. ARGV[6])
call('ZREM', base .. ':open', run.id)
call('ZADD', base .. ':active', place(run), run.id)
save_runs()
wake()
return { 0, previous }
