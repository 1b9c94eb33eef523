-- Records what requests resolved to; again for the same place, the later one counts. What jobs of a run that stood still
-- resolved to: lib_again.lua.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 run; 3 steward's token; then seq, resolution part of the record; at most 500 of them (a change
--          gets the moment added here)
-- replies  {0}; {LAPSED}; {NO_RUN}; {NO_JOB, seq}; {WRONG_PHASE, phase} for a duplicate in a run that stood still
-- keeps    unresolved counts requests without a resolution; a duplicate is in dups and not in total; in a run of which some
--          jobs are tried again (reopen.lua) those that are finished stay as they are
local run = load_run(ARGV[2])
if not run then return { NO_RUN } end
local steward = call('HMGET', run.key, 'steward_token', 'steward_until')
local sealed = run.phase == 's'
if not (sealed or stood_still(run)) or steward[1] ~= ARGV[3] or (tonumber(steward[2]) or 0) <= now then return { LAPSED } end
local seqs = {}
for i = 4, #ARGV, 2 do seqs[#seqs + 1] = ARGV[i] end
local found = records(run, seqs)
for i = 1, #seqs do
  if not found[i] then return { NO_JOB, seqs[i] } end
end
if not sealed then
  for i = 5, #ARGV, 2 do
    if sub(ARGV[i], 1, 1) == 'D' then return { WRONG_PHASE, run.phase } end
  end
  resolve_again(run, seqs, found)
  save_jobs()
  save_runs()
  return { 0 }
end
local latest = {} -- what the same call said of the same place before
local touched = touched_users(run, seqs)
for i = 4, #ARGV, 2 do
  local seq, resolution = ARGV[i], ARGV[i + 1]
  local record = latest[seq] or found[i / 2 - 1]
  if not is_finished(record) then
    local request, before = match(record, '^([^\30]*)\30?(.*)$')
    local was, is = before:sub(1, 1) == 'D', resolution:sub(1, 1) == 'D'
    if before == '' then add(run, 'unresolved', -1) end
    local known = touched[i / 2 - 1]
    if known then resolution = resolution_of_touched(known, resolution) end
    if is ~= was then
      local out = is and 1 or -1
      add(run, 'dups', out)
      add(run, 'total', -out)
      add(run, 'pending', -out)
      if is then call('ZADD', run.key .. ':dups', seq, seq) else call('ZREM', run.key .. ':dups', seq) end
      -- No duplicate any more, it may lie before all that is tried again.
      if was then set(run, 'cursor', min(run.cursor, tonumber(seq))) end
    end
    if resolution:sub(1, 1) == 'C' then resolution = resolution .. FS .. now end
    latest[seq] = request .. RS .. resolution
    put(run, seq, latest[seq])
  end
end
save_jobs()
save_runs()
return { 0 }
