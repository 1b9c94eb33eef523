-- allow-oom
-- Pauses or resumes a run, or changes its priority.
--
-- KEYS[1]  usher:{account}
-- ARGV     1 now; 2 run; 3 pause | resume | priority; 4 rank (priority)
-- replies  {0}; {NO_RUN}; {WRONG_PHASE, phase} once the run is over
-- keeps    only a run that may be leased stands in order, alones and due
local run = load_run(ARGV[2])
if not run or run.phase == 'o' then return { NO_RUN } end
if run.phase == 'f' or run.phase == 'c' then return { WRONG_PHASE, run.phase } end
local what = ARGV[3]
if what == 'pause' then
  set(run, 'paused', true)
  withdraw(run)
  save_runs()
  return { 0 }
end
if what == 'resume' then
  set(run, 'paused', false)
else
  set(run, 'rank', tonumber(ARGV[4]))
  call('ZADD', base .. ':active', place(run), run.id)
end
offer_all(run)
save_runs()
wake()
return { 0 }
