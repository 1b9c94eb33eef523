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
